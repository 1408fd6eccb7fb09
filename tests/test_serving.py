"""docs/serving.md: its code answers as the file does, in Python and in Node."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdexport.runtime import open_session
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
