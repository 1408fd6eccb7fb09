"""What training learns of the columns: scaling, precision, categories, and what it refuses."""

import warnings
from typing import Any

import numpy as np
import pytest

from kdexport.errors import DataError
from kdexport.records import Column, Table
from kdexport.schema import Category, Schema, column_of
from kdexport.sections import ColumnsRecipe
from kdexport.signature import Classes, Signature
from kdexport.tables import as_table

N_ROWS = 12
COUNT = np.arange(N_ROWS)
NAN = float("nan")


def make_table(**changes: Column) -> Table:
    """Two clean features and a target of two classes, with some columns replaced."""
    columns = {
        "a": np.arange(N_ROWS, dtype=float),
        "b": COUNT % 5,
        "y": COUNT % 2,
    }
    return as_table(columns | changes, source="rows.csv")


def fit(table: Table, classes: Classes = (0, 1), **named: Any) -> Schema:
    """Fit with some of the user's words."""
    return Schema.fit(table, "y", ColumnsRecipe(**named), classes=classes)


def spoiled(value: float, n: int) -> Column:
    """A numeric column with n spoiled cells."""
    column = np.linspace(0, 1, N_ROWS)
    column[:n] = value
    return column


def texts(**counts: int) -> Column:
    """A text column with so many rows of each value; none stands for a missing cell."""
    cells = [None if value == "none" else value for value, n in counts.items() for _ in range(n)]
    return np.array(cells, object)


def category(column: Column, **named: Any) -> Category:
    """Learn the categories of one column beside a target."""
    table = as_table({"s": column, "y": np.arange(len(column)) % 2})
    return fit(table, **({"categorical": ("s",)} | named)).categories[0]


def test_fit() -> None:
    """A schema takes every column but the target, with its mean and deviation."""
    schema = fit(make_table())
    assert schema.signature == Signature(numeric=("a", "b"), classes=(0, 1), target="y")
    assert schema.center == (5.5, float(np.float32((COUNT % 5).mean())))
    assert schema.scale == pytest.approx((COUNT.std(), (COUNT % 5).std()))
    assert (schema.indicators, schema.categories, schema.n_codes) == ((), (), 0)
    assert (schema.target_center, schema.target_scale) == (0, 1)


def test_every_kind() -> None:
    """Numbers, flags and dates are numeric, in the table's order; text is categorical."""
    table = make_table(
        s=np.array(["u", "v"] * 6, object),
        d=np.array(["1970-01-03", "1970-01-05"] * 6, "M8[us]"),
        g=np.array([True, None, False] * 4, object),
    )
    schema = fit(table)
    assert schema.signature.numeric == ("a", "b", "d", "g")
    assert schema.signature.categorical == ("s",)
    assert schema.signature.kinds == {"d": "date", "g": "boolean"}
    assert schema.center[2:] == (3, 0.5)
    assert schema.scale[2:] == (1, 0.5)
    assert schema.indicators == (3,)


def test_columns_left_out() -> None:
    """Ids, dropped columns and weights are in no signature."""
    schema = fit(make_table(c=COUNT, d=COUNT, e=COUNT), drop=("c",), id=("d",), weight="e")
    assert schema.signature.columns == ("a", "b")


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39, -1e39])
def test_huge_cells(value: float) -> None:
    """Infinite cells and those beyond float32 are refused, naming column and rows (A6)."""
    with pytest.raises(DataError, match=r"column 'a' of rows\.csv has 3 rows"):
        fit(make_table(a=spoiled(value, 3)))


def test_missing_cells() -> None:
    """Missing cells get an indicator where training had some; mean and deviation are of known."""
    schema = fit(make_table(b=spoiled(NAN, 2)))
    known = np.linspace(0, 1, N_ROWS)[2:]
    assert schema.indicators == (1,)
    assert schema.center[1] == pytest.approx(known.mean(), abs=1e-7)
    assert schema.scale[1] == pytest.approx(known.std())


def test_empty_column() -> None:
    """A column of empty cells that the user wants as numbers carries nothing, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schema = fit(make_table(a=np.full(N_ROWS, None, object)), numeric=("a",))
    assert (schema.center[0], schema.scale[0], schema.indicators) == (0, 0, (0,))


@pytest.mark.parametrize("value", [14.62, 0.1, 0.0, 1.7e18, -3e38])
@pytest.mark.parametrize("n_missing", [0, 3])
def test_constant_column(value: float, n_missing: int) -> None:
    """A column that is constant where known has scale 0, to the last bit (A4)."""
    column = np.full(N_ROWS, value)
    column[:n_missing] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schema = fit(make_table(a=column))
    assert schema.scale[0] == 0
    assert schema.indicators == ((0,) if n_missing else ())
    assert schema.signature.precision == "float32"


@pytest.mark.parametrize(
    ("column", "precision"),
    [
        (1_700_000_000_000_000_000 + COUNT * 1_000_000, "float64"),  # nanoseconds
        (2**24 + COUNT, "float64"),  # ids
        (1e9 + COUNT.astype(float), "float64"),
        (1e6 + COUNT / 1000, "float64"),
        (np.where(COUNT, 2**24 + 1.0, NAN) + COUNT, "float64"),
        (np.where(COUNT, COUNT * 1e6, 2.0**24 + 1), "float64"),
        (np.array([NAN, 0, 2.0**24 + 1, 2e7] * 3), "float64"),
        (COUNT * 2.0**30, "float32"),
        (2**24 - COUNT, "float32"),
        (COUNT / 10, "float32"),
        (1000 + COUNT * 10.1, "float32"),
        (np.where(COUNT, COUNT / 10, NAN), "float32"),
        (np.array([1e-5, 1e9] * 6), "float32"),
        (np.array(["2026-01-31", "2026-02-03"] * 6, "M8[us]"), "float32"),
    ],
)
def test_precision(column: Column, precision: str) -> None:
    """Numbers that float32 cannot hold apart are taken as float64, and no others."""
    schema = fit(make_table(a=column))
    assert schema.signature.precision == precision
    assert schema.signature.take_inputs(make_table(a=column)).numeric.dtype == precision


def test_times_of_day_apart() -> None:
    """Seconds within a day of this century are held apart, and centred."""
    times = np.datetime64("2026-01-31", "us") + COUNT * np.timedelta64(1, "s")
    schema = fit(make_table(a=times))
    values = schema.signature.take_inputs(make_table(a=times)).numeric[:, 0]
    assert len(np.unique(values)) == N_ROWS
    assert schema.center[0] == pytest.approx(20484 + 5.5 / 86400, abs=1e-9)


def test_center_in_precision() -> None:
    """The centre is a float32 number where inputs are, and the exact mean where they are not."""
    narrow = fit(make_table(a=COUNT / 10)).center[0]
    wide = fit(make_table(a=2.0**24 + COUNT + np.where(COUNT == 0, 0.1, 0))).center[0]
    assert narrow == float(np.float32(narrow))
    assert wide != float(np.float32(wide))
    assert wide == pytest.approx(2**24 + 5.5 + 0.1 / N_ROWS, abs=1e-7)


def test_categories() -> None:
    """Categories of enough rows are kept in order of their spelling, the rest are one."""
    found = category(texts(v=6, u=10, w=4, x=1), min_category_rows=4)
    assert found.kept == ("u", "v", "w")
    assert found.shares == (0.5, 0.3, 0.2)
    assert found.has_other
    assert found.n_codes == 4


def test_most_categories() -> None:
    """Of too many categories the most frequent are kept; of equal ones the first spelled."""
    found = category(texts(d=5, c=5, b=6, e=5, a=5), max_categories=3)
    assert found.kept == ("a", "b", "c")
    assert sum(found.shares) == pytest.approx(1)


def test_missing_category() -> None:
    """Missing text is a category of its own where it is frequent, and rare where it is not."""
    often = category(texts(u=7, none=5))
    rarely = category(texts(u=7, none=4))
    assert (often.kept, often.has_other) == (("", "u"), False)
    assert (rarely.kept, rarely.has_other) == (("u",), True)


def test_all_or_no_categories_kept() -> None:
    """Where all are kept there is no other; where none is, all rows have the code of others."""
    found = category(texts(v=5, u=15))
    assert (found.kept, found.shares, found.has_other) == (("u", "v"), (0.75, 0.25), False)
    found = category(texts(u=2, v=2))
    assert (found.kept, found.shares, found.has_other, found.n_codes) == ((), (), True, 1)


def test_encode_categories() -> None:
    """Each column has codes of its own; unseen, rare and rarely missing cells have code 0."""
    columns = {
        "s": texts(u=8, none=4),
        "t": np.array(["p", "q"] * 6, object),
        "y": COUNT % 2,
    }
    schema = fit(as_table(columns))
    cells = np.array([["u", "q"], ["", "p"], ["U", "q "], ["p", "u"]], object)
    assert schema.encode_categories(cells).tolist() == [[1, 2], [0, 1], [0, 0], [0, 0]]
    assert schema.encode_categories(cells[:0]).shape == (0, 2)
    assert schema.n_codes == 2 + 3


def test_encode_numbers_as_categories() -> None:
    """Numbers taken as categories have one code, whole or with missing cells beside them."""
    codes = np.array([3, 14] * 6)
    schema = fit(make_table(a=codes), categorical=("a",))
    assert schema.categories[0].kept == ("14", "3")
    later = schema.signature.take_inputs(make_table(a=np.array([14.0, NAN, 3.0, 4.0] * 3)))
    assert schema.encode_categories(later.categorical)[:4, 0].tolist() == [1, 0, 2, 0]


def test_encode() -> None:
    """Rows carry raw inputs, class positions, weights of 1 and row ids."""
    table = make_table(y=np.where(COUNT < 5, 9, -4))
    rows = fit(table, (-4, 9)).encode(table.take(np.array([6, 0])))
    assert rows.inputs.numeric.dtype == np.float32
    assert rows.inputs.numeric.tolist() == [[6, 1], [0, 0]]
    assert rows.inputs.categorical.shape == (2, 0)
    assert rows.targets.tolist() == [0, 1]
    assert rows.targets.dtype == np.int64
    assert rows.weights.tolist() == [1, 1]
    assert rows.row_ids.tolist() == [6, 0]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (np.array([True, False] * 6), (False, True)),
        (np.array(["yes", "no"] * 6, object), ("no", "yes")),
        (np.array([1.0, 0.0] * 6), (0, 1)),
    ],
)
def test_encode_labels(labels: Column, classes: Classes) -> None:
    """Labels of every type become positions in the classes; a float 1.0 is the class 1 (A5)."""
    table = make_table(y=labels)
    assert fit(table, classes).encode(table).targets.tolist() == [1, 0] * 6


@pytest.mark.parametrize("factor", [1, 10])
def test_encode_weights(factor: float) -> None:
    """Weights are 1 on average, so that all of them times ten change nothing (A7)."""
    table = make_table(w=factor * np.array([1.0, 3.0] * 6))
    rows = fit(table, weight="w").encode(table, weight="w")
    assert rows.weights.tolist() == [0.5, 1.5] * 6


def test_unseen_label() -> None:
    """A label never seen in training is refused, with value and number of rows."""
    labels = COUNT % 2
    labels[3:5] = 8
    with pytest.raises(DataError, match=r"2 rows of 'y' hold others, the first .*8.*0, 1"):
        fit(make_table()).encode(make_table(y=labels))


@pytest.mark.parametrize("ratio", [-5e4, 5e4])
def test_target_that_float32_can_tell_apart(ratio: float) -> None:
    """A mean of 50,000 deviations is far from 0, and leaves float32 enough steps for each."""
    labels = COUNT + ratio * COUNT.std()
    assert fit(make_table(y=labels), ()).target_center == pytest.approx(labels.mean())


def test_regression() -> None:
    """A regression's target has mean and deviation of the training rows, and stays raw in rows."""
    labels = np.linspace(-1, 40, N_ROWS)
    table = make_table(y=labels)
    schema = fit(table, ())
    assert schema.signature.is_regression
    assert schema.target_center == pytest.approx(labels.mean())
    assert schema.target_scale == pytest.approx(labels.std())
    rows = schema.encode(table)
    assert rows.targets.dtype == np.float64
    assert rows.targets.tolist() == labels.tolist()


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (np.full(N_ROWS, 2.5), r"'y' is 2\.5 in all 12 training rows"),
        (spoiled(np.inf, 2), r"column 'y' of rows\.csv has 2 rows that are infinite"),
        (spoiled(-1e39, 1), r"column 'y' of rows\.csv has 1 rows"),
        (np.array(["u", "v"] * 6, object), "'y' is of type object"),
        (COUNT.astype("M8[D]"), "'y' is of type datetime64"),
        (COUNT * 1e-310, "standard deviation of 0"),
        (COUNT * 1e20, r"standard deviation of 3.45e\+20"),
        (1.7e9 + 1e3 * COUNT, r"mean of 1\.70001e\+09, where steps are 128, .*subtract a constant"),
        (COUNT - 1.7e9, r"subtract a constant from the target, such as -1\.7e\+09"),
        (2**60 + COUNT.astype(np.int64), r"subtract a constant"),
    ],
)
def test_regression_refused(labels: Column, found: str) -> None:
    """A regression's target of one value, of no size to work with or of no numbers is refused."""
    with pytest.raises(DataError, match=found):
        fit(make_table(y=labels), ())


def test_no_target_column() -> None:
    """An absent target is named, with the columns there are."""
    with pytest.raises(DataError, match=r"no column 'z'.*'a', 'b', 'y'"):
        column_of(make_table(), "z")


def test_round_trip() -> None:
    """A schema written as JSON and read back is equal to the last bit."""
    table = make_table(
        a=np.where(COUNT, COUNT / 3, NAN),
        d=1.7e18 + COUNT * 1e6,
        s=np.array(["u", None] * 6, object),
        t=COUNT.astype("M8[D]"),
        y=np.linspace(0, 1 / 3, N_ROWS),
    )
    schema = fit(table, ())
    assert len(schema.indicators) == len(schema.categories) == len(schema.signature.kinds) == 1
    assert Schema.model_validate_json(schema.model_dump_json()) == schema
