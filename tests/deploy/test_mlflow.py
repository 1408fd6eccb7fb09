"""The model of `--mlflow`: loaded by mlflow.pyfunc, and served by `mlflow models serve`."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from benchmarks.servers import CLIENTS, find_port
from kdexport.records import Answers
from tests.deploy.conftest import (
    Packs,
    assert_golden,
    find_python,
    post,
    read_json,
    run_python,
    serve,
)

pytestmark = pytest.mark.deploy


@pytest.fixture(scope="module")
def loaded(packs: Packs) -> dict[str, Any]:
    """What mlflow says of the loaded model, and its answers to golden rows as frames."""
    client = CLIENTS / "mlflow_client.py"
    return json.loads(run_python("mlflow", client, packs.folder("mlflow")).splitlines()[-1])


def answers_of_table(packs: Packs, rows: list[dict[str, Any]]) -> Answers:
    """Answers from rows of a table: label and probability_CLASS, or prediction."""
    signature, expected = packs.packable.signature, packs.packable.answers
    if signature.is_regression:
        numbers = np.array([row["prediction"] for row in rows], np.float32)
        return Answers(numbers, np.empty((len(rows), 0), np.float32))
    names = [f"probability_{value}" for value in signature.classes]
    assert list(rows[0]) == ["label", *names]
    shares = np.array([[row[name] for name in names] for row in rows], np.float32)
    return Answers(np.array([row["label"] for row in rows], expected.predictions.dtype), shares)


def test_frames(packs: Packs, loaded: dict[str, Any]) -> None:
    """Frames in any order of columns, categories and whole numbers among them, are answered."""
    assert_golden(packs.packable, answers_of_table(packs, loaded["golden"]))
    assert loaded["reversed"] == loaded["golden"]
    assert loaded["categories"] == loaded["golden"]
    assert loaded["whole"] == loaded["whole_as_floats"]
    assert loaded["dates"] == loaded["dates_as_days"]


def test_signature(packs: Packs, loaded: dict[str, Any]) -> None:
    """Signature and input example have the file's columns; the onnx flavour loads too."""
    signature = packs.packable.signature
    assert loaded["inputs"] == list(signature.columns)
    expected = ["prediction"]
    if not signature.is_regression:
        expected = ["label", *(f"probability_{value}" for value in signature.classes)]
    assert loaded["outputs"] == expected
    assert loaded["example_columns"] == list(signature.columns)
    assert loaded["onnx_inputs"] == list(packs.packable.feeds)


def test_bad_cells(packs: Packs, loaded: dict[str, Any]) -> None:
    """A cell that its column cannot hold is an error that names the column."""
    for name, error in loaded["errors"].items():
        assert repr(name) in error
    assert len(loaded["errors"]) == 1 + bool(packs.packable.signature.categorical)


@pytest.fixture(scope="module")
def address(packs: Packs) -> Iterator[str]:
    """Start it by the command of its README, on a port of its own."""
    folder, port = packs.folder("mlflow"), find_port()
    start = "mlflow models serve -m . --env-manager local --port"
    assert f"{start} 5000\n" in (folder / "README.md").read_text()
    program, *arguments = start.split()
    command = [str(find_python("mlflow").with_name(program)), *arguments, str(port)]
    with serve("mlflow", command, folder, port=port, ready="/ping") as started:
        yield started


def test_serving(packs: Packs, address: str) -> None:
    """`mlflow models serve` answers the golden request, and refuses one that lacks a column."""
    invocations = f"{address}/invocations"
    request = read_json(packs.folder("mlflow") / "golden/request.json")
    status, answer = post(invocations, request)
    assert status == 200, answer
    assert_golden(packs.packable, answers_of_table(packs, answer["predictions"]))
    example = read_json(packs.folder("mlflow") / "serving_input_example.json")
    assert post(invocations, example)[0] == 200
    name = packs.packable.signature.columns[0]
    records = [{"another": 1}]
    status, answer = post(invocations, {"dataframe_records": records})
    assert status == 400
    assert name in json.dumps(answer)
