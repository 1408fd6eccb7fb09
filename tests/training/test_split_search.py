"""Where trees split the numbers of a table."""

import numpy as np
import pytest

from kdexport.errors import DataError
from kdexport.knots import find_knots
from kdexport.prepare import prepare
from kdexport.recipe import read_recipe
from kdexport.records import Column, Rows
from kdexport.schema import Schema
from kdexport.sections import ColumnsRecipe
from kdexport.tables import as_table
from kdexport.training import split_search
from kdexport.training.split_search import find_splits

AMOUNTS = np.array([0.0, 3103.0, 4650.0, 4787.0, 7688.0])


def make(
    labels: Column, *, classes: tuple[str, ...] = ("no", "yes"), shift: float = 0.0
) -> tuple[Schema, Rows]:
    """A column of five amounts that decide, one of noise, one of text; and their labels."""
    rng = np.random.default_rng(1)
    n = len(labels)
    table = as_table(
        {
            "amount": AMOUNTS[np.arange(n) % 5] + shift,
            "noise": rng.normal(size=n),
            "text": np.array(["a", "b"], object)[rng.integers(2, size=n)],
            "y": labels,
        }
    )
    schema = Schema.fit(table, "y", ColumnsRecipe(), classes=classes)
    return schema, schema.encode(table)


def say_yes(n: int) -> Column:
    """Yes for 4,787 alone."""
    return np.where(np.arange(n) % 5 == 3, "yes", "no").astype(object)


@pytest.mark.parametrize("shift", [0.0, 2.0**40])
def test_the_splits_that_decide_gain_most(shift: float) -> None:
    """Both ends of a narrow band, in float64 columns as well; a split of noise gains little."""
    schema, train = make(say_yes(1000), shift=shift)
    amount, noise = find_splits(train, schema, seed=0)
    offset = shift and schema.center[0] - shift
    best = np.sort(amount.thresholds[np.argsort(amount.gains)[-2:]]) + offset
    assert 4650 < best[0] < 4787 < best[1] < 7688
    assert amount.gains.sum() > 10 * noise.gains.sum()
    assert len(np.unique(amount.thresholds)) == len(amount.thresholds)


def test_numbers_and_many_classes() -> None:
    """A regression and five classes have splits too."""
    wide = np.arange(1000) % 5
    for labels, classes in ((wide * 1.0 + 0.5, ()), (wide.astype(str).astype(object), "01234")):
        schema, train = make(labels, classes=tuple(classes))
        amount, _ = find_splits(train, schema, seed=0)
        assert len(amount.thresholds) == 4


def test_one_class_has_no_splits() -> None:
    """Where nothing is told apart there is nothing to split."""
    schema, train = make(np.full(100, "no", object))
    assert find_splits(train, schema, seed=0) == ()


def test_missing_cells_and_weights() -> None:
    """A split that parts only the missing cells is none; a row that weighs nothing has no say."""
    schema, train = make(say_yes(1000))
    train.inputs.numeric[::2, 1] = np.nan
    silenced = Rows(
        train.inputs,
        train.targets,
        np.where(np.arange(1000) % 5 == 3, 1e-9, 1.25),
        train.row_ids,
    )
    for rows, is_split in ((train, True), (silenced, False)):
        amount, noise = find_splits(rows, schema, seed=0)
        assert np.isfinite(noise.thresholds).all()
        assert (amount.gains.sum() > 1) == is_split


def test_many_rows_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many rows some are read, the same ones for a seed."""
    schema, train = make(say_yes(1000))
    monkeypatch.setattr(split_search, "MAX_ROWS", 400)
    first, again, other = (find_splits(train, schema, seed=seed)[1] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.thresholds, again.thresholds)
    assert not np.array_equal(first.thresholds, other.thresholds)


@pytest.mark.parametrize("form", ["auto", "plain"])
def test_prepare_bends_students_where_trees_split(form: str) -> None:
    """A table's knots stand beside the splits, unless its students read numbers plain anyway."""
    rng = np.random.default_rng(0)
    values = np.arange(0.0, 400.0, 4.0)[rng.integers(100, size=6000)]
    table = {"a": values, "y": np.where(values == 200, "yes", "no").astype(object)}
    recipe = read_recipe(None, {"data.target": "y", "student.form": form})
    schema = prepare(recipe, data=table).schema
    assert ({196.0, 200.0, 204.0} <= set(schema.knots[0])) == (form == "auto")
    if form == "plain":
        assert len(schema.knots[0]) <= len(find_knots(values[:, None])[0])


def test_constant_numbers_are_no_reason_to_bend() -> None:
    """The message says that they are constant, not that they are too many."""
    table = {"a": np.ones(60), "c": np.array(list("xyz") * 20), "y": np.arange(60) % 2}
    recipe = read_recipe(None, {"data.target": "y", "student.form": "piecewise"})
    with pytest.raises(DataError, match="every numeric column is constant"):
        prepare(recipe, data=table)
