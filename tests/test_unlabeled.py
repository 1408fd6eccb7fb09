"""Rows without labels: the teacher labels them, the students learn from them, the evidence says so."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from kdexport import DistilledClassifier
from kdexport.bundle import load_bundle
from kdexport.errors import DataError, KdexportWarning
from kdexport.evidence.checks import check_bundle
from kdexport.pipeline import distill, export, prepare, run, train
from kdexport.recipe import read_recipe
from kdexport.tables import read_table
from kdexport.training.transfer import build_transfer_set
from tests.commands import kdexport
from tests.conftest import QUICK, make_census_rows
from tests.test_distilled import FRAME, LABELS, SMALL

CENSUS = {**QUICK, "data.target": "income", "teacher.family": "mlp"}


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A table of mixed columns with labels, and more of its rows without."""
    monkeypatch.chdir(tmp_path)
    header, *rows = make_census_rows()
    (tmp_path / "data.csv").write_text("\n".join([header, *rows[:400]]) + "\n")
    more = [line.rsplit(",", 1)[0] for line in (header, *rows[400:])]
    (tmp_path / "more.csv").write_text("\n".join(more) + "\n")
    return tmp_path / "data.csv", tmp_path / "more.csv"


def test_they_stand_behind_the_training_rows(tables: tuple[Path, Path]) -> None:
    """They are in every pool of the students and in none of the controls, without a label."""
    data, more = tables
    prepared = prepare(read_recipe(None, CENSUS), data=data, unlabeled=more)
    from kdexport.training.distill import build_students
    from kdexport.training.objective import find_objective

    recipe, train_rows, extra = prepared.recipe, prepared.rows.train, prepared.unlabeled
    assert extra is not None
    n, m = train_rows.n_rows, extra.inputs.n_rows
    assert m == 200
    asked: list[Any] = []

    def teach(inputs: Any) -> np.ndarray:
        asked.append(inputs)
        return np.zeros((inputs.n_rows, 2), np.float32)

    transfer = build_transfer_set(
        train_rows,
        build_students(prepared.schema, recipe).encoder,
        find_objective(prepared.schema),
        teach,
        recipe,
        [recipe.transfer],
        unlabeled=extra.inputs,
        own_outputs=np.ones((n, 2)),
    )
    assert asked[0].take(slice(n, n + m)).hash_rows() == extra.inputs.hash_rows()
    assert np.isnan(transfer.targets[n:].numpy()).all()
    assert (transfer.weights[n : n + m].numpy() == 1).all()
    assert transfer.labelled.tolist() == list(range(n))
    assert transfer.pools[0].tolist() == list(range(n + m + recipe.transfer.n_synthetic))
    assert (transfer.outputs[:n] == 1).all()
    assert not transfer.outputs[n:].any()


def test_a_native_teacher_labels_them(tables: tuple[Path, Path]) -> None:
    """A run and the steps one at a time give the same student; evidence and report count rows."""
    data, more = tables
    recipe = read_recipe(None, CENSUS)
    evidence = run(recipe, Path("x"), data=data, unlabeled=more)
    train(recipe, Path("work"), data=data, unlabeled=more)
    distill(Path("work"))
    stepwise = export(Path("work"), Path("y"))
    assert evidence.unlabeled == stepwise.unlabeled
    assert evidence.unlabeled is not None
    assert (evidence.unlabeled.source, evidence.unlabeled.rows) == ("more.csv", 200)
    text = list(read_table(data).columns)
    assert evidence.unlabeled.sha256 == read_table(more, text=text[1:2]).hash()
    files = [evidence.files["student.onnx"], stepwise.files["student.onnx"]]
    assert files[0].sha256 == files[1].sha256
    assert files[0].sha256 != run(recipe, Path("z"), data=data).files["student.onnx"].sha256
    assert "learned from 200 rows without labels" in Path("x/report.md").read_text()
    assert all(result.passed for result in check_bundle(load_bundle(Path("x"))))


def test_the_command_records_their_file(
    tables: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--unlabeled` stands in recipe.toml, which makes the same student again."""
    flags = [f"--set={key}={value}" for key, value in CENSUS.items()]
    command = ["run", "data.csv", "--unlabeled", "more.csv", *flags, "-o", "x"]
    assert kdexport(monkeypatch, *command) == 0
    assert kdexport(monkeypatch, "run", "--recipe", "x/recipe.toml", "-o", "y") == 0
    assert Path("x/student.onnx").read_bytes() == Path("y/student.onnx").read_bytes()
    assert load_bundle(Path("x")).evidence.recipe["data"]["unlabeled_file"] == "more.csv"


def test_rows_of_the_test_part_are_counted(tables: tuple[Path, Path]) -> None:
    """The table itself as unlabelled rows holds every test row: said, counted and allowed."""
    data, _ = tables
    with pytest.warns(KdexportWarning, match=r"80 of the 400 unlabelled rows of data\.csv have"):
        prepared = prepare(read_recipe(None, CENSUS), data=data, unlabeled=data)
    assert prepared.unlabeled is not None
    assert prepared.unlabeled.n_in_test == 80


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda frame: frame.drop(columns="age"), r"more\.csv must have every column .*'age'"),
        (lambda frame: frame.assign(age="old"), "age.*more.csv"),
        (lambda frame: frame.assign(fnlwgt=1e39), "'fnlwgt' of more.csv has 200 rows"),
        (lambda frame: frame[:0], r"more\.csv has a header only"),
    ],
)
def test_their_columns_are_checked(
    change: Any, said: str, tables: tuple[Path, Path]
) -> None:
    """A column that is absent, of another kind or absurd gets one line that names the file."""
    data, more = tables
    change(pd.read_csv(more)).to_csv(more, index=False)
    with pytest.raises(DataError, match=said) as caught:
        prepare(read_recipe(None, CENSUS), data=data, unlabeled=more)
    assert "\n" not in str(caught.value)


def test_an_own_teacher_labels_them() -> None:
    """An estimator takes them as frame or array; the user's teacher is asked about their cells."""
    seen = []

    def watch(frame: pd.DataFrame) -> np.ndarray:
        seen.append(frame)
        return np.full((len(frame), 2), 0.5)

    more = FRAME[:50].assign(a=777.25, c="never seen")
    model = DistilledClassifier(watch, recipe=SMALL).fit(FRAME, LABELS, unlabeled=more)
    assert model._learned.prepared.unlabeled.inputs.n_rows == 50
    labelled = pd.concat(seen)
    assert (labelled["a"] == 777.25).sum() >= 50
    assert (labelled["c"] == "never seen").sum() >= 50
    numbers = FRAME[["a", "b"]].to_numpy()
    linear = LogisticRegression().fit(numbers, LABELS)
    model = DistilledClassifier(linear, recipe=SMALL).fit(numbers, LABELS, unlabeled=numbers + 99)
    assert model._learned.prepared.unlabeled.inputs.n_rows == 400
    with pytest.raises(ValueError, match="features"):
        DistilledClassifier(linear, recipe=SMALL).fit(numbers, LABELS, unlabeled=numbers[:, :1])


def test_stored_answers_for_them(
    tables: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--unlabeled-probabilities` stands beside `--teacher-probabilities`, row by row."""
    flags = [f"--set={key}={value}" for key, value in CENSUS.items()]
    assert kdexport(monkeypatch, "run", "data.csv", *flags, "-o", "x") == 0
    for name in ("data", "more"):
        command = ["predict", "x/teacher.onnx", f"{name}.csv", "-o", f"{name}.parquet"]
        assert kdexport(monkeypatch, *command) == 0
    stored = ["run", "data.csv", *flags, "-o", "y", "--teacher-probabilities", "data.parquet"]
    extra = ["--unlabeled", "more.csv", "--unlabeled-probabilities"]
    assert kdexport(monkeypatch, *stored, *extra, "more.parquet") == 0
    evidence = load_bundle(Path("y")).evidence
    assert evidence.unlabeled is not None
    assert evidence.unlabeled.rows == 200
    capsys.readouterr()
    assert kdexport(monkeypatch, *stored, *extra[:2], "--force") == 3
    assert "pass both --unlabeled and --unlabeled-probabilities" in capsys.readouterr().err
    assert kdexport(monkeypatch, *stored, *extra, "data.parquet", "--force") == 3
    assert "data.parquet has 400 rows, more.csv 200" in capsys.readouterr().err
    assert kdexport(monkeypatch, "run", "data.csv", *extra, "more.parquet") == 2
