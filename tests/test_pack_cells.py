"""Cells as the code of packs reads them: in a service, in MLflow, in KServe and in Node."""

import asyncio
import json
import shutil
import subprocess
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydantic
import pytest

from kdexport.columns import days_of, flags_of, numbers_of
from kdexport.errors import DataError
from kdexport.tables import as_table
from tests.packs import load_code, load_service, write_pack
from tests.test_docs import ROOT

TEMPLATES = ROOT / "kdexport/deploy/templates"
CLICKS = ROOT / "models/clicks"
NO_NODE = "no node: the JavaScript of packs is not run"
Read = Callable[[object], float]
READERS = {"number": numbers_of, "boolean": flags_of, "date": days_of}

ISO_DATES = [
    f"2026-01-31{clock}{zone}"
    for clock in ["T12:00", " 23:59:59", "T12:00:00.123456", "T12:00:00.1234567", "T00:00:59.5"]
    for zone in ["", "Z", "+02:00", "+0200", "+02", "-0530", "-23:59"]
]
ISO_DATES += ["2026-01-31", "0001-01-01T00:00Z", "9999-12-31T23:59:59.999999999", "1969-12-31"]
ISO_DATES += [" 2026-01-31\t", "2026-01-31T12:00 "]
NUMBERS = ["1", "-2.5", "+.5", "5.", " 1e3 ", "1E-5", "1e400", "007", "123456789.123456789"]
NOT_A_DATE = [
    *["2026-02-30", "0000-01-01", "20260131", "2026-W05-6", "2026-01-31T24:00", "2026-01-31T12"],
    *["2026-01-31T12:00:60", "2026-01-31T12:00+24:00", "2026-01-31T12:00+0260", "2026-01-31T1200"],
    *["2026-01-31T12:00:00,5", "2026-01-31T12:00+02:00:30", "2026-01-31+02:00", "2026-01 -31"],
]
NOT_A_NUMBER = ["1_000", "1,5", "1 000", "0x10", "many", "1e", ".", "\u0661\u0662", "--1", "true"]
READ = {
    "number": NUMBERS,
    "boolean": ["true", "FALSE", " True ", "1", "0.0", "2"],
    "date": ISO_DATES,
}
REFUSED = {"number": NOT_A_NUMBER, "boolean": ["yes", "t", "1_0"], "date": NOT_A_DATE}
BLANKS = ["", " ", "\t "]

CELLS_IN_NODE = """
import { makeFeeds } from '%s';
const ort = { Tensor: class { constructor(type, data) { this.data = data; } } };
const [kind, cells] = JSON.parse(process.argv[2]);
const kinds = kind === 'number' ? {} : { d: kind };
const columns = { numeric: ['d'], categorical: [], kinds, precision: 'float64' };
const read = (cell) => {
  try { return String(makeFeeds(ort, columns, [{ d: cell }]).numeric.data[0]); }
  catch { return 'refused'; }
};
console.log(JSON.stringify(cells.map(read)));
"""


def read_in_node(kind: str, cells: list[object], folder: Path) -> list[float | None]:
    """How the packs for JavaScript read cells; None where they refuse one."""
    if (node := shutil.which("node")) is None:
        pytest.skip(NO_NODE)
    script = folder / "cells.mjs"
    script.write_text(CELLS_IN_NODE % (TEMPLATES / "rows.mjs"))
    command = [node, script, json.dumps([kind, cells])]
    said = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return [None if text == "refused" else float(text) for text in said]


def load_readers(kind: str, folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Read]:
    """How predict, and the packs in Python, read one cell."""
    loader = load_code(TEMPLATES / "mlflow_loader.py", patch)
    service = load_service(write_pack(CLICKS, "python", folder / "service"), patch)
    key = None if kind == "number" else kind

    def predict(text: object) -> float:
        return float(READERS[kind](as_table({"d": np.array([text], object)}), "d")[0])

    def mlflow(text: object) -> float:
        return float(loader.to_numbers(pd.Series([text], name="d"), key)[0])

    def serve(text: object) -> float:
        return float(np.array(service.READERS[key](text), np.float64))

    return {"predict": predict, "mlflow": mlflow, "service": serve}


@pytest.mark.parametrize("kind", READ)
def test_texts_of_packs_are_those_of_predict(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every pack reads the numbers, flags and dates that predict reads, and refuses the others."""
    readers = load_readers(kind, tmp_path, monkeypatch)
    expected = [readers["predict"](text) for text in READ[kind]]
    for read in readers.values():
        assert [read(text) for text in READ[kind]] == pytest.approx(expected, rel=1e-15)
        assert np.isnan([read(text) for text in BLANKS]).all()
        for text in REFUSED[kind]:
            with pytest.raises((ValueError, DataError)):
                read(text)
    assert read_in_node(kind, [*READ[kind]], tmp_path) == pytest.approx(expected, rel=1e-15)
    assert np.isnan(np.array(read_in_node(kind, [*BLANKS, None], tmp_path), float)).all()
    assert read_in_node(kind, [*REFUSED[kind]], tmp_path) == [None] * len(REFUSED[kind])


def test_dates_of_packs_in_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dates are UTC where they name no zone, wherever the server stands; numbers are days."""
    monkeypatch.setenv("TZ", "America/New_York")
    days: dict[object, float] = {
        "2026-01-31": 20484,
        "2026-01-31T12:00": 20484.5,
        "2026-01-31T12:00:00+06:00": 20484.25,
        20484: 20484,
    }
    assert read_in_node("date", [*days], tmp_path) == [*days.values()]


def test_cells_of_frames_in_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times, days and texts in one column of a frame are read cell by cell; a gap is NaN."""
    loader = load_code(TEMPLATES / "mlflow_loader.py", monkeypatch)
    cells = [20484.5, np.int64(20484), pd.Timestamp("2026-01-31T14:00+02:00"), "9999-12-31", None]
    read = loader.to_numbers(pd.Series(cells, name="d", dtype=object), "date")
    np.testing.assert_array_equal(read, [20484.5, 20484, 20484.5, 2932896, np.nan])
    times = pd.Series(pd.to_datetime(["2026-01-31T14:00+02:00", None]), name="d")
    np.testing.assert_array_equal(loader.to_numbers(times, "date"), [20484.5, np.nan])
    for column in (
        pd.Series([1, None, 0], dtype="Int64"),
        pd.Series([True, None, False], dtype="boolean"),
        pd.Series([True, None, False], dtype=object),
        pd.Series(["1", None, " 0"], dtype="category"),
    ):
        for kind in (None, "boolean"):
            np.testing.assert_array_equal(loader.to_numbers(column, kind), [1, np.nan, 0])
    with pytest.raises(ValueError, match=r"column 'd' takes numbers: '1_000' is none"):
        loader.to_numbers(pd.Series([1.5, "1_000"], name="d"), None)


WRONG_ROWS = [
    {"x0": [float("nan")]},
    {"x0": {"a": "\ud800"}},
    {"x0": 10**400},
    {"x0": "1_000", "x1": float("inf")},
]


def test_what_a_service_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong row is named by its column, whatever JSON could not hold of it: no status 500."""
    service = load_service(write_pack(CLICKS, "python", tmp_path), monkeypatch)
    row = json.loads((tmp_path / "golden/rows.json").read_text())[0]
    rows = pydantic.TypeAdapter(list[service.Row])
    absent = {name: cell for name, cell in row.items() if name != "x0"}
    for wrong in (*({**row, **cells} for cells in WRONG_ROWS), {**absent, "x1": float("nan")}):
        with pytest.raises(pydantic.ValidationError) as caught:
            rows.validate_python(json.loads(json.dumps([row, wrong])))
        status, said = asyncio.run(service.refuse(None, caught.value))
        assert (status, said["detail"][0]["loc"]) == (422, [1, "x0"])


def test_texts_of_a_service(
    census_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that no UTF-8 holds is refused like any other wrong cell."""
    service = load_service(write_pack(census_path, "python", tmp_path), monkeypatch)
    row = json.loads((tmp_path / "golden/rows.json").read_text())[0]
    expected = json.loads((tmp_path / "golden/answers.json").read_text())[0]
    (answer,) = service.answer([service.Row.model_validate(row)])
    assert answer["label"] == expected["label"]
    for cell in ("\ud800", 5, True):
        with pytest.raises(pydantic.ValidationError, match="workclass"):
            service.Row.model_validate({**row, "workclass": cell})


def test_tensors_of_a_predictor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In JSON, null is a missing cell of either input; numbers are no texts, nor texts numbers."""
    folder = write_pack(CLICKS, "oip", tmp_path)
    predictor = load_code(
        folder / "predictor.py",
        monkeypatch,
        kserve={"Model": object},
        kserve_errors={"InvalidInput": ValueError},
    )

    def read(datatype: str, *cells: object) -> list[Any]:
        dtype = object if datatype == "BYTES" else np.float32
        tensor = types.SimpleNamespace(
            name="x", datatype=datatype, data=[*cells], as_numpy=lambda: np.array(cells, dtype)
        )
        return list(predictor.read_tensor(tensor).tolist())

    np.testing.assert_array_equal(read("FP32", 1, None, 1e300), [1, np.nan, np.inf])
    assert read("BYTES", "a", b"\xc3\xa9", None) == ["a", "\xe9", ""]
    with pytest.raises(ValueError, match="'x' takes numbers"):
        read("FP32", 1.5, "1_000")
    with pytest.raises(ValueError, match="'x' takes texts"):
        read("BYTES", "a", 5)


ODD_IN_NODE = """
import { makeFeeds, readAnswers, write } from '%s';
const ort = { Tensor: class { constructor(type, data) { this.data = data; } } };
const base = { numeric: [], categorical: ['c'], kinds: {}, unknown: 0 };
const refused = [null, { a: 1 }].map((codes) => {
  try { return makeFeeds(ort, { ...base, codes }, [{ c: 5 }]); } catch (e) { return e.message; }
});
const lists = [{ c: 'a' }, null, [null], [5]].map((rows) => {
  try { return makeFeeds(ort, { ...base, codes: null }, rows); } catch (e) { return e.message; }
});
const names = ['9007199254740993', '1'];
const columns = { classes: names.map(Number), class_names: names, labels: null };
const outputs = { label: { data: names.map(BigInt) }, probabilities: { data: [1, 0, 0, 1] } };
console.log(write({ refused, lists, answers: readAnswers(columns, outputs) }));
"""


def test_odd_cells_and_labels_of_packs_in_node(tmp_path: Path) -> None:
    """A cell that is no text is refused in both forms; whole numbers beyond 2^53 keep digits."""
    node = shutil.which("node")
    if node is None:
        pytest.skip(NO_NODE)
    script = tmp_path / "odd.mjs"
    script.write_text(ODD_IN_NODE % (TEMPLATES / "rows.mjs"))
    said = json.loads(subprocess.run([node, script], check=True, capture_output=True).stdout)
    assert said["refused"] == ['column "c" takes a text'] * 2
    assert said["lists"] == ["rows are a list of objects, column name to cell"] * 4
    assert [answer["label"] for answer in said["answers"]] == ["9007199254740993", 1]
    assert said["answers"][0]["probabilities"] == {"9007199254740993": 1, "1": 0}
