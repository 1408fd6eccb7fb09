"""docs/serving.md: its code answers as the file does, in Python and in Node."""

import importlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kdexport.columns import days_of
from kdexport.errors import DataError
from kdexport.runtime import open_session
from kdexport.tables import as_table
from tests.commands import kdexport
from tests.test_docs import ROOT, read_blocks

BLOCKS = read_blocks("serving.md")
PYTHON, DATES, SWAP = (code for language, code in BLOCKS if language == "python")
(NODE,) = (code for language, code in BLOCKS if language == "javascript")
(PAGE,) = (code for language, code in BLOCKS if language == "html")
(COMMAND,) = (code for language, code in BLOCKS if language == "")
MODULES = ROOT / "build/node/node_modules"
NO_NODE = "no node: the JavaScript of docs/serving.md is not run"

ASK = """
const { answer } = require('./serve.js');
const plain = (_, value) => typeof value === 'bigint' ? Number(value)
  : ArrayBuffer.isView(value) ? Array.from(value) : value;
const rows = JSON.parse(process.argv[2]);
answer(rows).then((answers) => console.log(JSON.stringify(answers, plain)));
"""


@pytest.fixture(params=["census_path", "dates_path", "bundle_path"])
def workplace(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with a bundle at models/x, and columns.json beside it by the document's command."""
    shutil.copytree(request.getfixturevalue(request.param), tmp_path / "models" / "x")
    monkeypatch.chdir(tmp_path)
    assert kdexport(monkeypatch, *COMMAND.split()[1:]) == 0
    return tmp_path


def make_rows(columns: dict[str, Any]) -> list[dict[str, Any]]:
    """One ordinary row, and one of missing cells."""
    known = dict.fromkeys(columns["numeric"], 1.5) | dict.fromkeys(columns["categorical"], "Sales")
    return [known, dict.fromkeys(known)]


def ask_file(columns: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """What the file itself answers."""
    session = open_session(Path("models/x/student.onnx"))
    feeds: dict[str, Any] = {}
    if columns["numeric"]:
        cells = [[row[name] for name in columns["numeric"]] for row in rows]
        feeds["numeric"] = np.array(cells, session.inputs[0].dtype)
    if columns["categorical"]:
        feeds["categorical"] = np.array(
            [[row[name] or "" for name in columns["categorical"]] for row in rows], object
        )
    return session.run(feeds)


def test_python(workplace: Path) -> None:
    """The Python answers rows given as dictionaries, missing cells among them, as the file does."""
    columns = json.loads((workplace / "columns.json").read_text())
    names: dict[str, Any] = {}
    exec(compile(PYTHON, "serving.md", "exec"), names)
    rows = make_rows(columns)
    expected = ask_file(columns, rows)
    answers = names["answer"](rows)
    assert list(answers) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(answers[name], values)
    assert all(len(values) == 0 for values in names["answer"]([]).values())


def test_swap(census_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Student and rival are called alike, and the code that compares two calls says so."""
    shutil.copytree(census_path, tmp_path / "models" / "x")
    monkeypatch.chdir(tmp_path)
    exec(compile(SWAP, "serving.md", "exec"), {})
    shutil.copy(ROOT / "models/clicks/student.onnx", "models/x/rival.onnx")
    with pytest.raises(AssertionError):
        exec(compile(SWAP, "serving.md", "exec"), {})


def test_dates(capsys: pytest.CaptureFixture[str]) -> None:
    """A date becomes the number that the comment says."""
    exec(compile(DATES, "serving.md", "exec"), {})
    said = capsys.readouterr().out.strip()
    assert f"# {said}\n" in DATES


def test_javascript_parses(tmp_path: Path) -> None:
    """Node parses the code for Node, and the module of the page."""
    node = shutil.which("node")
    if node is None:
        pytest.skip(NO_NODE)
    (module,) = re.findall(r'<script type="module">\n(.*?)</script>', PAGE, re.DOTALL)
    for name, code in {"serve.js": NODE, "page.mjs": module}.items():
        (tmp_path / name).write_text(code)
        subprocess.run([node, "--check", tmp_path / name], check=True)


def test_node(workplace: Path) -> None:
    """Node with onnxruntime-node answers the same rows with the same values."""
    node = shutil.which("node")
    if node is None:
        pytest.skip(NO_NODE)
    if not (MODULES / "onnxruntime-node").is_dir():
        pytest.skip("no onnxruntime-node: make test-node installs it")
    columns = json.loads((workplace / "columns.json").read_text())
    rows = make_rows(columns)
    (workplace / "node_modules").symlink_to(MODULES)
    (workplace / "serve.js").write_text(NODE)
    (workplace / "ask.js").write_text(ASK)
    done = subprocess.run(
        [node, "ask.js", json.dumps(rows)], check=True, capture_output=True, text=True
    )
    answers = json.loads(done.stdout)
    for name, values in ask_file(columns, rows).items():
        if name == "label":
            assert answers[name] == values.tolist()
        else:
            np.testing.assert_allclose(answers[name], values.ravel(), rtol=1e-5, atol=1e-6)


DATES_IN_NODE = """
import { makeFeeds } from '%s';
const ort = { Tensor: class { constructor(type, data) { this.data = data; } } };
const columns = { numeric: ['d'], categorical: [], kinds: { d: 'date' }, precision: 'float64' };
const read = (cell) => {
  try { return makeFeeds(ort, columns, [{ d: cell }]).numeric.data[0]; } catch { return 'refused'; }
};
console.log(JSON.stringify(JSON.parse(process.argv[2]).map(read)));
"""


def test_dates_of_packs_in_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ISO dates alone, UTC where they name no zone, wherever the server stands."""
    node = shutil.which("node")
    if node is None:
        pytest.skip(NO_NODE)
    script = tmp_path / "dates.mjs"
    script.write_text(DATES_IN_NODE % (ROOT / "kdexport/deploy/templates/rows.mjs"))
    days: dict[Any, Any] = {
        "2026-01-31": 20484,
        "2026-01-31T12:00": 20484.5,
        "2026-01-31 12:00:00Z": 20484.5,
        "2026-01-31T12:00:00+06:00": 20484.25,
        20484: 20484,
        **dict.fromkeys(["2026-02-31", "01/02/2026", "1", "2026", "2026-01-31T25:00"], "refused"),
    }
    monkeypatch.setenv("TZ", "America/New_York")
    said = subprocess.run(
        [node, script, json.dumps([*days])], check=True, capture_output=True, text=True
    )
    assert json.loads(said.stdout) == [*days.values()]


ISO_DATES = [
    f"2026-01-31{clock}{zone}"
    for clock in ["T12:00", " 23:59:59", "T12:00:00.123456", "T12:00:00.1234567", "T00:00:59.5"]
    for zone in ["", "Z", "+02:00", "+0200", "+02", "-0530", "-23:59"]
]
ISO_DATES += ["2026-01-31", "0001-01-01T00:00Z", "9999-12-31T23:59:59.999999999", "1969-12-31"]
OTHER_DATES = [
    *["2026-02-30", "0000-01-01", "20260131", "2026-W05-6", "2026-01-31T24:00", "2026-01-31T12"],
    *["2026-01-31T12:00:60", "2026-01-31T12:00+24:00", "2026-01-31T12:00+0260", "2026-01-31T1200"],
    *["2026-01-31T12:00:00,5", "2026-01-31T12:00+02:00:30", "2026-01-31+02:00", " 2026-01-31"],
]


def load_readers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[str], float]]:
    """How predict, and the packs in Python, read one date."""
    templates = ROOT / "kdexport/deploy/templates"
    monkeypatch.syspath_prepend(templates)
    loader = importlib.import_module("mlflow_loader")
    code = (templates / "service.py").read_text()  # which asks a model as it is imported
    start, end = code.index("TIME = "), code.index("NUMBER, DATE = ")
    service: dict[str, Any] = {"re": re, "datetime": datetime, "UTC": UTC}
    exec(code[start:end], service)

    def predict(text: str) -> float:
        return float(days_of(as_table({"d": np.array([text], object)}), "d")[0])

    def mlflow(text: str) -> float:
        return float(loader.to_numbers(pd.Series([text], name="d"), "date")[0])

    return {"predict": predict, "mlflow": mlflow, "service": service["to_days"]}


def test_dates_of_packs_are_those_of_predict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every pack reads the dates that predict reads, to the microsecond, and refuses the others."""
    readers = load_readers(monkeypatch)
    expected = [readers["predict"](text) for text in ISO_DATES]
    for read in readers.values():
        assert [read(text) for text in ISO_DATES] == pytest.approx(expected, rel=1e-15)
        for text in OTHER_DATES:
            with pytest.raises((ValueError, DataError)):
                read(text)
    if (node := shutil.which("node")) is None:
        pytest.skip(NO_NODE)
    script = tmp_path / "dates.mjs"
    script.write_text(DATES_IN_NODE % (ROOT / "kdexport/deploy/templates/rows.mjs"))
    asked = json.dumps(ISO_DATES + OTHER_DATES)
    said = json.loads(subprocess.run([node, script, asked], check=True, capture_output=True).stdout)
    assert said[: len(expected)] == pytest.approx(expected, rel=1e-15)
    assert said[len(expected) :] == ["refused"] * len(OTHER_DATES)


def test_dates_of_frames_in_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times, days and texts in one column of a frame are read cell by cell; a gap is NaN."""
    monkeypatch.syspath_prepend(ROOT / "kdexport/deploy/templates")
    loader = importlib.import_module("mlflow_loader")
    cells = [20484.5, np.int64(20484), pd.Timestamp("2026-01-31T14:00+02:00"), "9999-12-31", None]
    read = loader.to_numbers(pd.Series(cells, name="d", dtype=object), "date")
    np.testing.assert_array_equal(read, [20484.5, 20484, 20484.5, 2932896, np.nan])
    times = pd.Series(pd.to_datetime(["2026-01-31T14:00+02:00", None]), name="d")
    np.testing.assert_array_equal(loader.to_numbers(times, "date"), [20484.5, np.nan])


ODD_IN_NODE = """
import { makeFeeds, readAnswers, write } from '%s';
const ort = { Tensor: class { constructor(type, data) { this.data = data; } } };
const base = { numeric: [], categorical: ['c'], kinds: {}, unknown: 0 };
const refused = [null, { a: 1 }].map((codes) => {
  try { return makeFeeds(ort, { ...base, codes }, [{ c: 5 }]); } catch (e) { return e.message; }
});
const names = ['9007199254740993', '1'];
const columns = { classes: names.map(Number), class_names: names, labels: null };
const outputs = { label: { data: names.map(BigInt) }, probabilities: { data: [1, 0, 0, 1] } };
console.log(write({ refused, answers: readAnswers(columns, outputs) }));
"""


def test_odd_cells_and_labels_of_packs_in_node(tmp_path: Path) -> None:
    """A cell that is no text is refused in both forms; whole numbers beyond 2^53 keep digits."""
    node = shutil.which("node")
    if node is None:
        pytest.skip(NO_NODE)
    script = tmp_path / "odd.mjs"
    script.write_text(ODD_IN_NODE % (ROOT / "kdexport/deploy/templates/rows.mjs"))
    said = json.loads(subprocess.run([node, script], check=True, capture_output=True).stdout)
    assert said["refused"] == ['column "c" takes a text'] * 2
    assert [answer["label"] for answer in said["answers"]] == ["9007199254740993", 1]
    assert said["answers"][0]["probabilities"] == {"9007199254740993": 1, "1": 0}
