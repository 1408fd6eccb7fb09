"""`kdexport run --teacher`: a user's own teacher on the command line."""

import pickle
import shlex
import shutil
from pathlib import Path

import pytest

from kdexport.bundle import load_bundle
from kdexport.evidence.checks import check_bundle
from tests.commands import kdexport
from tests.test_docs import read_blocks

CODE = """
import numpy as np

def make_teacher():
    def answer(frame):
        yes = 1 / (1 + np.exp(-3 * (frame["a"] + frame["b"] / 5 - 0.6)))
        return np.stack([1 - yes, yes], axis=1)
    return answer

def make_none():
    raise ValueError("no model here")

def make_model():
    from sklearn.ensemble import RandomForestClassifier
    return RandomForestClassifier(5, random_state=0)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with code of the user's."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_teachers_of_a_test.py").write_text(CODE)
    return tmp_path


def test_a_function_of_the_user_s_teaches(
    place: Path, csv_path: Path, quick_flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What MODULE:FUNCTION returns is the teacher; the bundle passes its checks."""
    flags = ["--teacher", "own_teachers_of_a_test:make_teacher", "-o", "x", *quick_flags]
    assert kdexport(monkeypatch, "run", csv_path, "--target", "y", *flags) == 0
    bundle = load_bundle(place / "x")
    assert bundle.evidence.training["teachers"] == ["the teacher answer"]
    assert set(bundle.evidence.curves) == {"student", "control"}  # how it trained is not known
    assert all(result.passed for result in check_bundle(bundle))


def test_files_and_models_are_mixed(
    place: Path, bundle_path: Path, csv_path: Path, quick_flags: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A kdexport file teaches; with --oof beside it, it is said that a file cannot be fitted."""
    student = str(bundle_path / "student.onnx")
    model = ["--teacher", "own_teachers_of_a_test:make_model", "--oof"]
    flags = ["--target", "y", "--force", "-o", "x", *quick_flags]
    assert kdexport(monkeypatch, "run", csv_path, "--teacher", student, *flags) == 0
    both = ["--teacher", student, *model, "--teacher-weight", "1", "--teacher-weight", "2"]
    assert kdexport(monkeypatch, "run", csv_path, *both, *flags) == 3
    assert kdexport(monkeypatch, "run", csv_path, *model, *flags) == 0
    assert load_bundle(place / "x").evidence.training["out_of_fold"]
    assert (place / "x" / "teacher.onnx").exists()


def test_stored_answers_teach(
    place: Path, bundle_path: Path, csv_path: Path, quick_flags: list[str],
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """What `predict` wrote for the data is a teacher; there are no synthetic rows then."""
    model = bundle_path / "teacher.onnx"
    assert kdexport(monkeypatch, "predict", model, csv_path, "-o", "probs.parquet") == 0
    flags = ["--target", "y", "-o", "x", "--teacher-probabilities", "probs.parquet", *quick_flags]
    assert kdexport(monkeypatch, "run", csv_path, *flags) == 0
    assert "no synthetic rows" in capsys.readouterr().err
    bundle = load_bundle(place / "x")
    assert bundle.evidence.recipe["transfer"]["n_synthetic"] == 0
    assert "answers in probs.parquet" in bundle.evidence.training["teachers"][0]
    assert "teacher.onnx" in bundle.evidence.absent
    other = ["--teacher-probabilities", csv_path, "--target", "y", "-o", "y", *quick_flags]
    assert kdexport(monkeypatch, "run", csv_path, *other) == 3
    assert "probability_CLASS for each class" in capsys.readouterr().err
    with_test = ["--test", csv_path, "--force"]
    assert kdexport(monkeypatch, "run", csv_path, *flags, *with_test) == 3


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--teacher", "own_teachers_of_a_test:make_none"], 3, "no model here"),
        (["--teacher", "own_teachers_of_a_test:nothing"], 3, "AttributeError"),
        (["--teacher", "no_such_module_here:make"], 3, "no_such_module_here"),
        (["--teacher", "absent.onnx"], 3, "absent.onnx"),
        (["--oof"], 2, "pass --teacher"),
    ],
)
def test_mistakes_get_one_line(
    flags: list[str], code: int, said: str, csv_path: Path, quick_flags: list[str],
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A teacher that cannot be had is named, without a traceback."""
    arguments = [csv_path, "--target", "y", "-o", "x", *flags, *quick_flags]
    assert kdexport(monkeypatch, "run", *arguments) == code
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_the_guide_s_commands_run(
    place: Path, bundle_path: Path, csv_path: Path, quick_flags: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The commands of docs/teachers.md run on the files that they name."""
    shutil.copy(csv_path, place / "data.csv")
    shutil.copy(bundle_path / "teacher.onnx", place / "big.onnx")
    (place / "own_code_of_a_guide.py").write_text(CODE)
    blocks = [code for language, code in read_blocks("teachers.md") if language == ""]
    lines = "".join(blocks).splitlines()
    assert len(lines) == 4
    for line in lines:
        _, *arguments = shlex.split(line)
        quick = quick_flags if arguments[0] == "run" else []
        assert kdexport(monkeypatch, *arguments, *quick) == 0, line


class Marker:
    """Touches a file when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return open, ("marker", "w")  # type: ignore[return-value]


def test_pickles_are_not_read(
    place: Path, csv_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pickle as a teacher is exit code 3, and what it would do is not done (H3)."""
    (place / "model.pkl").write_bytes(pickle.dumps(Marker()))
    arguments = [csv_path, "--target", "y", "--teacher", "model.pkl", "-o", "x"]
    assert kdexport(monkeypatch, "run", *arguments) == 3
    assert "pickles are not read" in capsys.readouterr().err
    assert not (place / "marker").exists()
