"""How to call the student: the code of a report runs as it is copied."""

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from kdexport.report.snippets import write_node, write_python, write_request
from kdexport.runtime import open_session
from kdexport.signature import Signature
from tests.report.variants import HOSTILE, ROOT, clicks


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the student of models/clicks."""
    shutil.copy(ROOT / "models/clicks/student.onnx", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_python_runs_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The snippet answers one row of zeros as the file does."""
    names: dict[str, np.ndarray] = {}
    exec(compile(write_python(clicks().signature), "snippet", "exec"), names)
    assert names["probabilities"].shape == (1, 2)
    assert capsys.readouterr().out
    assert open_session(folder / "student.onnx").signature == clicks().signature


def test_python_takes_numbers_and_texts(bundle_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs on a bundle of one's own too."""
    monkeypatch.chdir(bundle_path)
    names: dict[str, np.ndarray] = {}
    exec(
        compile(write_python(open_session(Path("student.onnx")).signature), "snippet", "exec"),
        names,
    )
    assert names["label"].shape == (1,)


def test_hostile_names_stay_strings() -> None:
    """A column's name enters as a JSON string, in Python, in JavaScript and in the request."""
    signature = Signature(numeric=HOSTILE, categorical=HOSTILE[:1], target="y", classes=("a", "b"))
    python = write_python(signature)
    compile(python, "snippet", "exec")
    names: dict[str, object] = {}
    exec(python[python.index("NUMERIC") : python.index("rows =")], names)
    assert names["NUMERIC"] == list(HOSTILE)
    assert "\u202e" not in python + write_node(signature)
    command = shlex.split(write_request(signature))
    body = json.loads(command[-1])
    assert [entry["shape"] for entry in body["inputs"]] == [[1, 3], [1, 1]]
    assert command[:2] == ["curl", "http://localhost:8000/v2/models/student/infer"]
