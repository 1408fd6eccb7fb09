"""`kdexport run --teacher`: a user's own teacher on the command line."""

import pickle
import shlex
import shutil
from pathlib import Path

import joblib
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from kdexport.bundle import load_bundle
from kdexport.cli import cli
from kdexport.evidence.checks import check_bundle
from kdexport.recipe import read_recipe
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
    again = ["--recipe", "x/recipe.toml", "-o", "again"]
    assert kdexport(monkeypatch, "run", csv_path, *again) == 0
    search = {option.name for option in cli.commands["search"].params}
    assert not search & {"answers", "unlabeled_answers"}  # no flag that is always refused
    for command in ("search", "train"):
        given = [csv_path, "--recipe", "x/recipe.toml", "-o", command]
        assert kdexport(monkeypatch, command, *given) == 3
        assert "only kdexport run learns from stored answers" in capsys.readouterr().err


def test_unknown_device(
    place: Path, csv_path: Path, quick_flags: list[str],
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A device that torch does not have here is refused in one line, whoever trains."""
    flags = [csv_path, "--target", "y", *quick_flags, "-o", place / "x", "--device"]
    for command in ("run", "train", "search"):
        assert kdexport(monkeypatch, command, *flags, "nowhere") == 2
        (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
        assert "'nowhere'" in line
        assert not (place / "x").exists()


def test_a_recipe_records_the_teachers(
    place: Path, bundle_path: Path, csv_path: Path, quick_flags: list[str],
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """recipe.toml names teachers, weights and how they were fitted: with it, and with trust in its
    code, the same student is made again; without trust nothing of it is run.
    """
    shutil.copy(csv_path, place / "data.csv")
    code = "own_teachers_of_a_test:make_model"
    flags = ["--target", "y", *quick_flags, "--teacher", code, "--teacher-weight", "2", "--oof"]
    assert kdexport(monkeypatch, "run", "data.csv", *flags, "-o", "x") == 0
    recipe = read_recipe(Path("x/recipe.toml"), {})
    assert (recipe.teacher.own, recipe.teacher.weights) == ((code,), (2.0,))
    assert recipe.teacher.fitting == "out_of_fold"
    again = ["run", "--recipe", "x/recipe.toml", "-o", "y"]
    capsys.readouterr()
    assert kdexport(monkeypatch, *again) == 3
    assert f"teacher.own names '{code}'" in capsys.readouterr().err
    assert kdexport(monkeypatch, *again, "--trust") == 0
    assert Path("x/student.onnx").read_bytes() == Path("y/student.onnx").read_bytes()
    assert kdexport(monkeypatch, "train", "--recipe", "x/recipe.toml", "-o", "w") == 3
    assert "no teacher was passed" in capsys.readouterr().err


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--teacher", "own_teachers_of_a_test:make_none"], 3, "no model here"),
        (["--teacher", "own_teachers_of_a_test:nothing"], 3, "AttributeError"),
        (["--teacher", "no_such_module_here:make"], 3, "no_such_module_here"),
        (["--teacher", "absent.onnx"], 3, "absent.onnx"),
        (["--teacher", "own.py"], 3, "such as own:make_teacher"),
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
    assert len(lines) == 5
    pd.read_csv(csv_path)[:50].drop(columns="y").to_csv(place / "more.csv", index=False)
    for line in lines:
        _, *arguments = shlex.split(line)
        quick = quick_flags if arguments[0] == "run" else []
        assert kdexport(monkeypatch, *arguments, *quick) == 0, line


def test_pickles_are_read_with_trust(
    place: Path, csv_path: Path, quick_flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What joblib and pickle wrote is a teacher where the user trusts it."""
    rows = pd.read_csv(csv_path)
    models = [LogisticRegression(C=c).fit(rows[list("abcd")], rows["y"]) for c in (1.0, 0.1)]
    joblib.dump(models[0], place / "m.joblib")
    (place / "m.pkl").write_bytes(pickle.dumps(models[1]))
    both = ["--teacher", "m.joblib", "--teacher", "m.pkl"]
    flags = ["--target", "y", "--trust", "-o", "x", *both, *quick_flags]
    assert kdexport(monkeypatch, "run", csv_path, *flags) == 0
    bundle = load_bundle(place / "x")
    assert bundle.evidence.recipe["teacher"]["own"] == ["m.joblib", "m.pkl"]
    assert len(bundle.evidence.training["teachers"]) == 2
    (place / "broken.pkl").write_bytes(b"no pickle")
    broken = ["--teacher", "broken.pkl", "--trust", "--target", "y", "-o", "z"]
    assert kdexport(monkeypatch, "run", csv_path, *broken) == 3


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
