"""Tables into parts: what is dropped first, and who gets which rows."""

import warnings
from typing import Any

import numpy as np
import pytest

from kdexport.errors import DataError, KdexportWarning
from kdexport.kinds import find_classes
from kdexport.prepare import prepare
from kdexport.recipe import read_recipe
from kdexport.records import Column, Parts, Table
from kdexport.splits import drop_unlabelled, drop_weightless, split_table
from kdexport.tables import as_table


def split(table: Table, seed: int = 0, **changes: Any) -> Parts[Table]:
    """Split with everyday shares; a target of fractions is a regression."""
    options: dict[str, Any] = {
        "test": None,
        "split_column": None,
        "test_share": 0.2,
        "validation_share": 0.25,
    }
    options["is_regression"] = table.columns["y"].dtype.kind == "f"
    return split_table(table, "y", seed=seed, **(options | changes))


def labelled(n: int = 200) -> Table:
    """Rows of one feature, 3 in 4 of class no."""
    labels = np.array(["no", "no", "no", "yes"] * (n // 4), object)
    return as_table({"a": np.arange(n, dtype=float), "y": labels})


def measured(n: int = 200) -> Table:
    """Rows of one feature and a target of skewed numbers, out of order."""
    numbers = np.random.default_rng(3).exponential(size=n) ** 3
    return as_table({"a": np.arange(n, dtype=float), "y": numbers})


def ids_of(parts: Parts[Table]) -> list[list[int]]:
    """Return the row ids of each part."""
    return [part.row_ids.tolist() for _, part in parts.items()]


@pytest.mark.parametrize(
    "labels",
    [
        np.array([0, np.nan, 1, np.nan]),
        np.array(["u", None, "v", np.nan], object),
        np.array(["NA", "", "nan", None], object),
    ],
)
def test_unlabelled_rows_dropped(labels: Column) -> None:
    """Rows without a label are dropped, and a warning counts them; NA is a label."""
    table = as_table({"a": np.arange(4), "y": labels}, source="rows.csv")
    with pytest.warns(KdexportWarning, match=r"^2 rows of rows\.csv .*'y'"):
        kept = drop_unlabelled(table, "y")
    assert kept.row_ids.tolist() == [0, 2]
    assert kept.columns["a"].tolist() == [0, 2]
    assert kept.columns["y"].tolist() == [labels[0], labels[2]]


def test_boolean_labels_with_gaps() -> None:
    """Flags among missing labels are flags again once those rows are dropped."""
    table = as_table({"a": np.arange(3), "y": np.array([True, None, False], object)})
    with pytest.warns(KdexportWarning, match="1 rows"):
        kept = drop_unlabelled(table, "y")
    assert kept.columns["y"].dtype == bool
    assert kept.columns["y"].tolist() == [True, False]


def test_whole_labels_with_gaps() -> None:
    """Whole numbers among missing labels are whole again once those rows are dropped (A5)."""
    table = as_table({"a": np.arange(3), "y": np.array([7.0, np.nan, -1.0])})
    with pytest.warns(KdexportWarning, match="1 rows"):
        kept = drop_unlabelled(table, "y")
    assert kept.columns["y"].dtype == np.int64
    assert kept.columns["y"].tolist() == [7, -1]


@pytest.mark.parametrize("labels", [np.arange(4), np.arange(4) % 2 == 0, np.linspace(0, 1, 4)])
def test_no_warning_without_missing_labels(labels: Column) -> None:
    """A table whose rows all have labels comes back as it is, without a warning."""
    table = as_table({"a": np.arange(4), "y": labels})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert drop_unlabelled(table, "y") is table


def test_no_target_column() -> None:
    """An absent target is named, with the columns there are."""
    with pytest.raises(DataError, match=r"no column 'z'.*'a', 'y'"):
        drop_unlabelled(labelled(8), "z")


@pytest.mark.parametrize("labels", [np.full(3, np.nan), np.full(3, None, object)])
def test_no_label_at_all(labels: Column) -> None:
    """A target of empty cells only is refused."""
    with pytest.raises(DataError, match="all 3 cells of 'y'"):
        drop_unlabelled(as_table({"a": np.arange(3), "y": labels}), "y")


@pytest.mark.parametrize(
    "weights",
    [np.array([1, 0, 3, 0]), np.array([0.5, 0, 1.5, 0]), np.array(["1", "0", "3", "0.0"], object)],
)
def test_weightless_rows_dropped(weights: Column) -> None:
    """Rows that weigh 0 are dropped, and the weights of the others are numbers (A7)."""
    kept = drop_weightless(as_table({"a": np.arange(4), "w": weights}), "w")
    assert kept.row_ids.tolist() == [0, 2]
    assert kept.columns["w"].dtype == np.float64
    assert kept.columns["w"][1] == 3 * kept.columns["w"][0]


def test_weights_of_next_to_nothing() -> None:
    """A row whose share of the heaviest one's weight is 0 to float64 is dropped, and no other."""
    weights = np.array([1e-200, 1e200, 1e-100, 2e200])
    kept = drop_weightless(as_table({"a": np.arange(4), "w": weights}), "w")
    assert kept.row_ids.tolist() == [1, 2, 3]


def test_no_weights() -> None:
    """Without a column of weights, the table comes back as it is."""
    table = labelled(8)
    assert drop_weightless(table, None) is table


@pytest.mark.parametrize(
    ("weights", "found"),
    [
        ([1, -1, 0, -2], "column 'w' of rows.csv has 2 others"),
        ([1, np.nan, 1, 1], "column 'w' of rows.csv has 1 others"),
        ([1, np.inf, -np.inf, 1], "column 'w' of rows.csv has 2 others"),
        ([0, 0, 0, 0], "column 'w' of rows.csv is 0 in every row"),
    ],
)
def test_weights_refused(weights: list[float], found: str) -> None:
    """Missing, negative and infinite weights are refused with their number, and 0 everywhere."""
    table = as_table({"a": np.arange(4), "w": np.array(weights)}, source="rows.csv")
    with pytest.raises(DataError, match=found):
        drop_weightless(table, "w")


def test_weights_of_text() -> None:
    """Weights that are text are refused, naming the column and the first cell."""
    table = as_table({"a": np.arange(2), "w": np.array(["1", "heavy"], object)})
    with pytest.raises(DataError, match=r"column 'w' .*'heavy'"):
        drop_weightless(table, "w")


@pytest.mark.parametrize("table", [labelled(), measured()], ids=["classes", "numbers"])
def test_split_disjoint(table: Table) -> None:
    """Every row is in exactly one part, and parts have their shares of the rows."""
    parts = split(table)
    ids = [i for part in ids_of(parts) for i in part]
    assert sorted(ids) == table.row_ids.tolist()
    assert [part.n_rows for _, part in parts.items()] == [120, 40, 40]


def test_split_stratified() -> None:
    """Each part has the table's share of each class."""
    for _, part in split(labelled()).items():
        assert (part.columns["y"] == "yes").mean() == pytest.approx(0.25)


@pytest.mark.parametrize("seed", range(3))
def test_numbers_split_by_rank(seed: int) -> None:
    """Each part of a regression has its share of every tenth of the target, however skewed."""
    table = measured()
    ranks = np.argsort(np.argsort(table.columns["y"]))
    for ids, share in zip(ids_of(split(table, seed)), (12, 4, 4), strict=True):
        counts = np.bincount(ranks[ids] // 20, minlength=10)
        assert counts.tolist() == 10 * [share]


@pytest.mark.parametrize("table", [labelled(), measured()], ids=["classes", "numbers"])
def test_split_seeded(table: Table) -> None:
    """One seed always draws the same rows, another seed others."""
    first, again, other = (ids_of(split(table, seed)) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_numbers_are_no_lone_classes() -> None:
    """A target of distinct numbers is split without a warning of lone classes."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert split(measured()).train.n_rows == 120


def test_split_with_own_test_rows() -> None:
    """The user's own test rows are taken whole, and none of the table's are."""
    own = labelled(12)
    parts = split(labelled(), test=own)
    assert parts.test is own
    assert parts.train.n_rows + parts.validation.n_rows == 200


def test_class_keeps_a_row() -> None:
    """A class never gives all its rows away, however large the share."""
    labels = np.array(["no"] * 40 + ["yes"] * 3, object)
    parts = split(as_table({"y": labels}), test=labelled(12), validation_share=0.9)
    assert parts.train.columns["y"].tolist() == 4 * ["no"] + ["yes"]
    assert parts.validation.n_rows == 38


def test_split_column_and_own_test_rows() -> None:
    """Own test rows go before those of a split column, and lose that column too."""
    own = as_table({"part": np.full(3, "test", object), "y": np.arange(3) % 2})
    where = np.array(["train", "val", "test"] * 4, object)
    table = as_table({"part": where, "y": np.arange(12) % 2})
    with pytest.warns(UserWarning, match="4 rows that 'part' calls test are left out"):
        parts = split(table, test=own, split_column="part")
    assert list(parts.test.columns) == ["y"]
    assert parts.test.n_rows == 3


def test_split_column() -> None:
    """A split column decides the parts, in any case and spelling, and then goes."""
    where = np.array(["Train", "valid", "TEST", "validation", "train", "val"] * 4, object)
    table = as_table({"a": np.arange(24), "part": where, "y": np.arange(24) % 2})
    parts = split(table, split_column="part")
    assert parts.train.columns["a"].tolist() == sorted([*range(0, 24, 6), *range(4, 24, 6)])
    assert parts.test.columns["a"].tolist() == list(range(2, 24, 6))
    assert parts.validation.n_rows == 12
    assert all("part" not in part.columns for _, part in parts.items())


def test_split_column_without_validation() -> None:
    """Without validation rows in the split column, they are drawn from its training rows."""
    where = np.array(["train"] * 40 + ["test"] * 10, object)
    table = as_table({"a": np.arange(50), "part": where, "y": np.arange(50) % 2})
    parts = split(table, split_column="part")
    assert parts.test.row_ids.tolist() == list(range(40, 50))
    assert (parts.train.n_rows, parts.validation.n_rows) == (30, 10)


@pytest.mark.parametrize("cell", ["Dev", None])
def test_split_column_with_other_values(cell: str | None) -> None:
    """A split column of another value or none is refused, with value and number of rows."""
    where = np.array(["train", "test", cell, cell], object)
    table = as_table({"part": where, "y": np.arange(4) % 2})
    with pytest.raises(DataError, match=f"in 2 rows, the first {cell!r}"):
        split(table, split_column="part")


def test_no_split_column() -> None:
    """An absent split column is named."""
    with pytest.raises(DataError, match="no column 'part'"):
        split(labelled(), split_column="part")


def test_split_column_without_test_rows() -> None:
    """A part that comes out empty is named."""
    table = as_table({"part": np.array(["train"] * 8, object), "y": np.arange(8) % 2})
    with pytest.raises(DataError, match="left for test"):
        split(table, split_column="part")


def test_too_few_rows() -> None:
    """A table too small for three parts is refused."""
    table = as_table({"a": np.arange(2), "y": np.zeros(2)})
    with pytest.raises(DataError, match="no row is left"):
        split(table)


def test_lone_class_warned() -> None:
    """A class of one row is kept for training, and a warning names it."""
    labels = np.array(["no"] * 20 + ["yes"] * 20 + ["odd"], object)
    table = as_table({"a": np.arange(41), "y": labels})
    with pytest.warns(KdexportWarning, match=r"1 classes of 'y' .*'odd'"):
        parts = split(table)
    assert "odd" in parts.train.columns["y"]


def test_class_of_test_rows_alone() -> None:
    """The model's classes are those of the rows to learn from, whoever split the table."""
    where = np.array((["train"] * 4 + ["val"] * 2 + ["test"] * 2) * 10, object)
    labels = np.array([["a", "b"][i % 2] for i in range(80)], object)
    labels[-1] = "c"
    data = {"x": np.arange(80.0), "part": where, "y": labels}
    recipe = read_recipe(None, {"data.target": "y", "data.split_column": "part"})
    with pytest.raises(DataError, match="c"):
        prepare(recipe, data=data)


def test_whole_labels_that_float64_cannot_hold() -> None:
    """A gap beside them leaves Python's numbers, which are classes as others are."""
    labels = np.array([None, *[2**60, 2**60 + 1] * 4], object)
    with pytest.warns(UserWarning, match="1 rows"):
        kept = drop_unlabelled(as_table({"a": np.arange(9), "y": labels}), "y")
    assert find_classes(kept.columns["y"], "y") == (2**60, 2**60 + 1)


def test_a_built_in_task_has_weights_checked() -> None:
    """As those of a file are: half of these numbers are negative."""
    recipe = read_recipe(None, {"data.task": "article", "columns.weight": "x0"})
    with pytest.raises(DataError, match="column 'x0' of article has"):
        prepare(recipe)


def test_the_target_nobody_named() -> None:
    """Without --target the last column is taken, and a warning of ours says so."""
    data = {"x": np.arange(90.0), "y": ["a", "b", "a"] * 30}
    with pytest.warns(KdexportWarning, match="no --target given: taking the last column, 'y'"):
        assert prepare(read_recipe(None, {}), data=data).schema.signature.target == "y"


def test_blank_label() -> None:
    """A label of blanks alone is none."""
    table = as_table({"a": np.arange(4), "y": np.array(["u", "  ", "v", None], object)})
    with pytest.warns(KdexportWarning, match="2 rows of the table have no 'y'"):
        assert drop_unlabelled(table, "y").columns["y"].tolist() == ["u", "v"]
