"""Raw tables end to end: the file that ships takes the user's columns as they are."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from kdexport import load_bundle, open_session, predict, read_recipe, read_table, run
from kdexport.cli import main
from kdexport.errors import DataError, KdexportWarning
from kdexport.recipe import Recipe
from kdexport.tables import as_table
from tests.conftest import QUICK

N_ROWS = 400


def make_columns(seed: int = 0) -> dict[str, Any]:
    """Columns of every kind, odd names among them; `größe` and `plan` decide the label."""
    rng = np.random.default_rng(seed)
    size = rng.normal(50, 20, N_ROWS)
    plan = rng.choice(["NA", "basic", "null"], N_ROWS, p=[0.2, 0.5, 0.3])
    days = np.datetime64("2026-01-01") + rng.integers(0, 300, N_ROWS).astype("m8[D]")
    return {
        "größe": np.where(rng.random(N_ROWS) < 0.1, np.nan, size),
        "x: [1]": rng.integers(0, 5, N_ROWS),
        'said "hi", then': rng.random(N_ROWS) < 0.5,
        "since": days,
        "plan": plan.astype(object),
        "zip": rng.choice(["00501", "10001", "99950"], N_ROWS).astype(object),
        "y": np.where((size > 50) ^ (plan == "NA"), "yes", "no").astype(object),
    }


def recipe(**changes: Any) -> Recipe:
    """The quick recipe, with the target y."""
    return read_recipe(None, {**QUICK, "data.target": "y", **changes})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle made from a CSV of every kind of column."""
    folder = tmp_path_factory.mktemp("raw")
    pl.DataFrame(make_columns()).write_csv(folder / "data.csv")
    run(recipe(), folder / "bundle", data=folder / "data.csv")
    return folder / "bundle"


def test_columns_as_they_are(bundle: Path) -> None:
    """The file takes numbers, flags and dates in one input and texts in another, by their names."""
    session = open_session(bundle / "student.onnx")
    assert session.input_names == ["numeric", "categorical"]
    signature = session.signature
    assert signature.numeric == ("größe", "x: [1]", 'said "hi", then', "since")
    assert signature.categorical == ("plan", "zip")
    assert signature.kinds == {'said "hi", then': "boolean", "since": "date"}
    assert signature.classes == ("no", "yes")


def test_parity_on_raw_and_altered_rows(bundle: Path) -> None:
    """Both files answer as their source on all test rows and four altered copies of them."""
    evidence = load_bundle(bundle).evidence
    for fact in evidence.parity.values():
        assert fact.passed
        assert fact.rows == 5 * evidence.task.rows["test"].rows
        assert fact.max_probability_difference is not None
        assert fact.max_probability_difference <= 1e-6


def test_csv_and_frame_answer_alike(bundle: Path) -> None:
    """A CSV, a Parquet file and a frame of the same rows, in any order of columns, agree."""
    session = open_session(bundle / "student.onnx")
    columns = make_columns()
    frame = pl.DataFrame(columns).select(pl.all().reverse())
    folder = bundle.parent
    frame.select(reversed(frame.columns)).write_csv(folder / "new.csv")
    frame.write_parquet(folder / "new.parquet")
    text = session.signature.categorical
    answers = [
        predict(session, table)
        for table in (
            as_table(frame),
            read_table(folder / "new.csv", text=text),
            read_table(folder / "new.parquet"),
        )
    ]
    for other in answers[1:]:
        for name, values in answers[0].items():
            np.testing.assert_array_equal(values, other[name])


def test_broken_cells_leave_other_rows(bundle: Path) -> None:
    """A missing, unseen, infinite or huge cell is answered finitely and moves no other row."""
    session = open_session(bundle / "student.onnx")
    inputs = session.signature.take_inputs(as_table(make_columns())).take(slice(20))
    before = session.answer(inputs).probabilities
    inputs.numeric[3, 0], inputs.numeric[5, 1], inputs.numeric[7, 3] = np.nan, np.inf, -3e38
    inputs.categorical[9, 0], inputs.categorical[11, 1] = "never", ""
    after = session.answer(inputs).probabilities
    assert np.isfinite(after).all()
    changed = [3, 5, 7, 9, 11]
    np.testing.assert_array_equal(np.delete(after, changed, 0), np.delete(before, changed, 0))


def test_all_blank_flags(bundle: Path) -> None:
    """A boolean column that is all blank at inference counts as missing."""
    session = open_session(bundle / "student.onnx")
    blank = make_columns() | {'said "hi", then': np.full(N_ROWS, None, object)}
    answers = predict(session, as_table(blank))
    assert np.isfinite(answers["probability_yes"]).all()


@pytest.mark.parametrize(
    ("labels", "stored"),
    [
        (np.array([-1, 7]), (-1, 7)),
        (np.array([False, True]), (False, True)),
        (np.array(["nan", "None"], object), ("None", "nan")),
        (np.array([2**40, 5, -3]), (-3, 5, 2**40)),
    ],
)
def test_labels_come_back(labels: np.ndarray, stored: tuple[object, ...], tmp_path: Path) -> None:
    """Labels of any kind come back as given and typed, from the source and from the file."""
    columns = make_columns()
    columns["y"] = labels[np.arange(N_ROWS) % len(labels)]
    evidence = run(recipe(), tmp_path / "b", data=columns)
    assert evidence.task.classes == stored
    session = open_session(tmp_path / "b" / "student.onnx")
    answers = predict(session, as_table(columns))
    assert set(answers["label"].tolist()) <= set(stored)
    assert answers["label"].dtype.kind == labels.dtype.kind
    assert list(answers)[1:] == [f"probability_{value}" for value in stored]
    best = np.argmax([answers[f"probability_{value}"] for value in stored], axis=0)
    assert answers["label"].tolist() == [stored[i] for i in best]


def test_regression(tmp_path: Path) -> None:
    """A target of numbers is a regression: one number out, in the target's own unit."""
    columns = make_columns()
    rng = np.random.default_rng(3)
    columns["y"] = 1e6 + 1e4 * (columns["x: [1]"] + 0.1 * rng.normal(size=N_ROWS))
    changes = {"teacher.max_epochs": 40, "student.max_epochs": 20}
    evidence = run(recipe(**changes), tmp_path / "b", data=columns)
    assert evidence.task.kind == "regression"
    assert list(evidence.recovered) == ["rmse", "mae", "r2"]
    session = open_session(tmp_path / "b" / "student.onnx")
    assert session.output_names == ["prediction"]
    answers = predict(session, as_table(columns))
    assert list(answers) == ["prediction"]
    error = np.abs(answers["prediction"] - columns["y"]).mean()
    assert error < 0.5 * np.abs(columns["y"] - columns["y"].mean()).mean()


def test_constant_column(tmp_path: Path) -> None:
    """A column that never varied in training moves no answer, whatever it holds later."""
    columns = make_columns() | {"x: [1]": np.full(N_ROWS, 14.62)}
    run(recipe(), tmp_path / "b", data=columns)
    session = open_session(tmp_path / "b" / "student.onnx")
    before = predict(session, as_table(columns))["probability_yes"]
    for value in (14.63, 1e6):
        moved = as_table(columns | {"x: [1]": np.full(N_ROWS, value)})
        np.testing.assert_array_equal(predict(session, moved)["probability_yes"], before)


def test_precise_column(tmp_path: Path) -> None:
    """A column that float32 cannot hold apart enters as float64, and its detail is learned."""
    rng = np.random.default_rng(0)
    stamps = 1_760_000_000_000_000_000 + rng.integers(0, 10**9, N_ROWS)
    labels = np.where(stamps % 10**9 > 5 * 10**8, "late", "soon").astype(object)
    columns = {"stamp": stamps, "y": labels}
    changes = {"teacher.max_epochs": 60, "student.max_epochs": 20, "student.learning_rate": 0.05}
    evidence = run(recipe(**changes), tmp_path / "b", data=columns)
    session = open_session(tmp_path / "b" / "student.onnx")
    assert session.signature.precision == "float64"
    assert evidence.quality["shipped"]["accuracy"].value > 0.9
    assert all(fact.passed for fact in evidence.parity.values())


def test_id_like_column(tmp_path: Path) -> None:
    """A text column that names rows is left out with a warning, and the file stays small."""
    columns = make_columns() | {"id": np.array([f"row {i}" for i in range(N_ROWS)], object)}
    with pytest.warns(KdexportWarning, match=r"'id' is left out: .*looks like an id"):
        run(recipe(), tmp_path / "b", data=columns)
    session = open_session(tmp_path / "b" / "student.onnx")
    assert "id" not in session.signature.columns
    content = (tmp_path / "b" / "student.onnx").read_bytes()
    assert len(content) < 10_000
    assert b"row 1" not in content


def test_wide_table(tmp_path: Path) -> None:
    """5,000 numeric columns are one input tensor, and few rows are no error."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(120, 5000))
    columns = {f"x{i}": matrix[:, i] for i in range(5000)}
    columns["y"] = (matrix[:, 0] > 0).astype(int)
    evidence = run(recipe(**{"transfer.n_synthetic": 50}), tmp_path / "b", data=columns)
    session = open_session(tmp_path / "b" / "student.onnx")
    assert session.input_names == ["numeric"]
    assert all(fact.passed for fact in evidence.parity.values())


def test_weightless_rows(tmp_path: Path) -> None:
    """Rows of weight 0 count for nothing, and only the ratio of weights counts."""
    columns = make_columns()
    weights = np.arange(N_ROWS) % 2
    flipped = np.where(columns["y"] == "yes", "no", "yes").astype(object)
    spoiled = columns | {"y": np.where(weights == 1, columns["y"], flipped), "w": weights}
    kept = {name: values[weights == 1] for name, values in spoiled.items()}
    answers = []
    for name, table in (("a", spoiled), ("b", kept), ("c", spoiled | {"w": 10 * weights})):
        run(recipe(**{"columns.weight": "w"}), tmp_path / name, data=table)
        session = open_session(tmp_path / name / "student.onnx")
        answers.append(predict(session, as_table(columns))["probability_yes"])
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-6)
    np.testing.assert_allclose(answers[0], answers[2], atol=1e-4)


def test_wrong_cell_is_named(bundle: Path) -> None:
    """Text in a number's column ends with one line that names the column and the cell."""
    session = open_session(bundle / "student.onnx")
    wrong = make_columns() | {"größe": np.full(N_ROWS, "tall", object)}
    with pytest.raises(DataError, match=r"'größe' .* text in 400 rows, the first 'tall'"):
        predict(session, as_table(wrong))


def test_schema_command(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`kdexport schema` shows each column's kind and why, and the target's."""
    arguments = ["kdexport", "schema", str(bundle.parent / "data.csv"), "--target", "y"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--categorical", "x: [1]", "--json", "-"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    shown = json.loads(capsys.readouterr().out)
    kinds = {column["name"]: column["kind"] for column in shown["columns"]}
    assert kinds["x: [1]"] == "category"
    assert kinds["since"] == "date"
    assert shown["goal"] == "classification"
    assert shown["classes"] == ["no", "yes"]
