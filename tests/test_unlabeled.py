"""Rows without labels: the teacher labels them, students learn from them, evidence counts them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from kdexport import DistilledClassifier
from kdexport.bundle import load_bundle
from kdexport.describe import count_copies
from kdexport.errors import DataError, KdexportWarning
from kdexport.evidence.checks import check_bundle
from kdexport.pipeline import distill, export, run, train
from kdexport.prepare import prepare
from kdexport.recipe import read_recipe
from kdexport.tables import read_table
from kdexport.training.transfer import Lesson, build_transfer_set
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
    recipe, train_rows, extra = prepared.recipe, prepared.rows.train, prepared.unlabeled
    assert extra is not None
    n, m = train_rows.n_rows, extra.inputs.n_rows
    assert m == 200
    asked: list[Any] = []

    def teach(inputs: Any) -> np.ndarray:
        asked.append(inputs)
        return np.zeros((inputs.n_rows, 2), np.float32)

    lesson = Lesson(prepared.rows, prepared.schema, teach, extra.inputs, np.ones((n, 2)))
    transfer = build_transfer_set(lesson, recipe, [recipe.transfer])
    assert [*asked[0].take(slice(n, n + m)).hash_rows()] == [*extra.inputs.hash_rows()]
    assert np.isnan(transfer.targets[n:].numpy()).all()
    assert (transfer.weights[n : n + m].numpy() == 1).all()
    assert transfer.labelled.tolist() == list(range(n))
    assert transfer.pools[0].tolist() == list(range(n + m + recipe.transfer.n_synthetic))
    assert (transfer.outputs[:n] == 1).all()
    assert not transfer.outputs[n:].any()


def test_a_native_teacher_labels_them(
    tables: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command and, from its recipe.toml, the steps one at a time make the same student; the
    evidence and the report count the rows.
    """
    data, more = tables
    flags = [f"--set={key}={value}" for key, value in CENSUS.items()]
    command = ["run", "data.csv", "--unlabeled", "more.csv", *flags, "-o", "x"]
    assert kdexport(monkeypatch, *command) == 0
    train(read_recipe(Path("x/recipe.toml"), {}), Path("work"), data=data)
    distill(Path("work"))
    export(Path("work"), Path("y"))
    first, second = (load_bundle(Path(name)) for name in "xy")
    assert first.files["student.onnx"] == second.files["student.onnx"]
    found = first.evidence.unlabeled
    assert found is not None
    assert found == second.evidence.unlabeled
    assert (found.source, found.rows, found.rows_in_test) == ("more.csv", 200, 0)
    text = ["workclass"]
    assert found.sha256 == read_table(more, text=text).hash()
    assert "learned from 200 rows without labels" in Path("x/report.md").read_text()
    assert all(result.passed for result in check_bundle(first))


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
def test_their_columns_are_checked(change: Any, said: str, tables: tuple[Path, Path]) -> None:
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


def test_answers_for_them_alone_are_refused(tables: tuple[Path, Path]) -> None:
    """Answers for unlabelled rows without those for the data are not silently left aside."""
    data, more = tables
    with pytest.raises(DataError, match="unlabeled_answers without teacher_answers"):
        run(read_recipe(None, CENSUS), Path("x"), data=data, unlabeled=more, unlabeled_answers=more)


def test_stored_answers_for_them(
    tables: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--unlabeled-probabilities` stands beside `--teacher-probabilities`, row by row."""
    flags = [f"--set={key}={value}" for key, value in CENSUS.items()]
    for path in tables:
        shares = np.random.default_rng(0).random(len(pd.read_csv(path)))
        answers = {"probability_<=50K": 1 - shares, "probability_>50K": shares}
        pd.DataFrame(answers).to_parquet(path.with_suffix(".parquet"))
    stored = ["run", "data.csv", *flags, "-o", "x", "--teacher-probabilities", "data.parquet"]
    extra = ["--unlabeled", "more.csv", "--unlabeled-probabilities"]
    assert kdexport(monkeypatch, *stored, *extra, "more.parquet") == 0
    evidence = load_bundle(Path("x")).evidence
    assert evidence.unlabeled is not None
    assert evidence.unlabeled.rows == 200
    capsys.readouterr()
    assert kdexport(monkeypatch, *stored, *extra[:2], "--force") == 3
    assert "pass both --unlabeled and --unlabeled-probabilities" in capsys.readouterr().err
    assert kdexport(monkeypatch, *stored, *extra, "data.parquet", "--force") == 3
    assert "data.parquet has 400 rows, more.csv 200" in capsys.readouterr().err
    assert kdexport(monkeypatch, "run", "data.csv", *extra, "more.parquet") == 2


def test_copies_of_learned_rows_are_counted(tables: tuple[Path, Path]) -> None:
    """Test rows that training or validation has too are counted, and many are warned about."""
    data, _ = tables
    header, *rows = data.read_text().splitlines()
    prepared = prepare(read_recipe(None, CENSUS), data=data)
    assert count_copies(prepared) == 0
    data.write_text("\n".join([header, *rows, *rows[:200]]) + "\n")
    prepared = prepare(read_recipe(None, CENSUS), data=data)
    learned = {
        *prepared.rows.train.inputs.hash_rows(),
        *prepared.rows.validation.inputs.hash_rows(),
    }
    expected = sum(key in learned for key in prepared.rows.test.inputs.hash_rows())
    assert expected > 20
    with pytest.warns(KdexportWarning, match=rf"^{expected} of the 120 test rows have the inputs"):
        assert count_copies(prepared) == expected
