"""Data in memory into tables, and what the frozen records check and give."""

import datetime as dt
import warnings
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from kdexport.errors import DataError
from kdexport.records import Inputs, Rows, Table
from kdexport.tables import as_table

DATA = {
    "f": [1.5, -2.0, 0.0],
    "i": [3, 4, 5],
    "s": ["u", None, "é"],
    "b": [True, False, True],
    "g": [True, None, False],
    "t": [dt.datetime(2026, 1, 31, 12), None, dt.datetime(1969, 12, 31)],
}
TYPES = {"f": "f", "i": "i", "s": "O", "b": "b", "g": "O", "t": "M"}
MIDNIGHT_IN_BERLIN = dt.datetime(2025, 12, 31, 23)  # in UTC, of new year's midnight


def mapping() -> dict[str, np.ndarray]:
    """The data as arrays."""
    arrays = {name: np.array(DATA[name], object) for name in "sg"}
    times = np.array(["2026-01-31T12", "NaT", "1969-12-31"], "M8[s]")
    return {n: times if n == "t" else arrays.get(n, np.array(v)) for n, v in DATA.items()}


def make_inputs(n: int = 3) -> Inputs:
    """Two numbers and one text per row."""
    texts = np.array([["u"], ["v"], [""]] * n, object)[:n]
    return Inputs(np.arange(2 * n, dtype=np.float32).reshape(n, 2), texts)


@pytest.mark.parametrize(
    "make", [pd.DataFrame, pl.DataFrame, pa.table], ids=["pandas", "polars", "arrow"]
)
def test_frames_agree(make: Any) -> None:
    """A mapping, pandas, polars and pyarrow frames give the same table."""
    table, first = as_table(make(DATA)), as_table(mapping())
    assert {name: values.dtype.kind for name, values in table.columns.items()} == TYPES
    for name, values in table.columns.items():
        assert values.dtype == first.columns[name].dtype
        assert values.tolist() == first.columns[name].tolist()
    assert table.hash() == first.hash()


def test_numpy_matrix() -> None:
    """A 2-d array becomes columns x0, x1, ... of 64-bit numbers."""
    table = as_table(np.arange(6, dtype=np.float32).reshape(3, 2))
    assert list(table.columns) == ["x0", "x1"]
    assert table.columns["x1"].dtype == np.float64
    assert table.columns["x1"].tolist() == [1, 3, 5]


@pytest.mark.parametrize(
    ("dtype", "cells", "expected"),
    [
        ("Int64", [2, None, 7], [2.0, None, 7.0]),
        ("UInt8", [2, 255, 7], [2, 255, 7]),
        ("Float32", [0.5, None, 7], [0.5, None, 7.0]),
        ("boolean", [True, None, False], [True, None, False]),
        ("boolean", [True, True, False], [True, True, False]),
        ("string", ["NA", None, "nan"], ["NA", None, "nan"]),
        ("category", ["u", None, "v"], ["u", None, "v"]),
        ("int64[pyarrow]", [2, None, 7], [2.0, None, 7.0]),
        ("Int64", [None, None, None], [None, None, None]),
    ],
)
def test_pandas_extension_types(dtype: str, cells: list[Any], expected: list[Any]) -> None:
    """Pandas' own types keep numbers as numbers, flags as flags and text as text."""
    read = as_table(pd.DataFrame({"a": pd.array(cells, dtype=dtype)})).columns["a"]
    found = [None if cell != cell else cell for cell in read.tolist()]
    assert found == expected
    assert [type(cell) for cell in found] == [type(cell) for cell in expected]


def test_times_with_zone() -> None:
    """Times with a zone are read in UTC, from pandas, polars and pyarrow."""
    local = pd.to_datetime(["2026-01-01", None]).tz_localize("Europe/Berlin")
    times = pl.Series([dt.datetime(2026, 1, 1), None]).dt.replace_time_zone("Europe/Berlin")
    arrow = pa.array([MIDNIGHT_IN_BERLIN, None], pa.timestamp("ns", tz="UTC"))
    for frame in (
        pd.DataFrame({"t": local}),
        pl.DataFrame({"t": times}),
        pa.table({"t": arrow}),
    ):
        read = as_table(frame).columns["t"]
        assert read.dtype == "M8[us]"
        assert read.tolist() == [MIDNIGHT_IN_BERLIN, None]


@pytest.mark.parametrize(
    ("series", "kind", "expected"),
    [
        (pl.Series(["v", None], dtype=pl.Enum(["u", "v"])), "O", ["v", None]),
        (pl.Series(["v", "u"], dtype=pl.Categorical), "O", ["v", "u"]),
        (pl.Series([dt.date(2026, 1, 31)]), "M", [dt.datetime(2026, 1, 31)]),
        (pl.Series([dt.datetime(2026, 1, 31)], dtype=pl.Datetime("ms")), "M", None),
        (pl.Series([dt.datetime(2026, 1, 31)], dtype=pl.Datetime("ns")), "M", None),
        (pl.Series([3, 250], dtype=pl.UInt8), "i", [3, 250]),
        (pl.Series([Decimal("1.25")]), "f", [1.25]),
        (pl.Series([None, None]), "O", [None, None]),
        (pl.Series([True, None]), "O", [True, None]),
    ],
)
def test_polars_types(series: pl.Series, kind: str, expected: list[Any] | None) -> None:
    """Polars' types become numbers, flags, times or text."""
    read = as_table(series.to_frame("a")).columns["a"]
    assert read.dtype.kind == kind
    assert read.tolist() == (expected or [dt.datetime(2026, 1, 31)])


def test_pyarrow_types() -> None:
    """Dictionaries, days and decimals of pyarrow are text, times and numbers."""
    frame = pa.table(
        {
            "s": pa.array(["u", None]).dictionary_encode(),
            "d": pa.array([dt.date(2026, 1, 31), None]),
            "x": pa.array([Decimal("1.25"), None]),
        }
    )
    columns = as_table(frame).columns
    assert columns["s"].tolist() == ["u", None]
    assert columns["d"].tolist() == [dt.datetime(2026, 1, 31), None]
    np.testing.assert_array_equal(columns["x"], [1.25, np.nan])


def test_empty_cells_of_objects() -> None:
    """NaN, NaT and empty text in a column of objects are None, as a missing text is."""
    cells = ["u", float("nan"), pd.NaT, None, "", "NA", " "]
    for data in (pd.DataFrame({"s": pd.Series(cells, dtype=object)}), {"s": np.array(cells, "O")}):
        read = as_table(data).columns["s"]
        assert read.tolist() == ["u", None, None, None, None, "NA", " "]


def test_input_left_alone() -> None:
    """Making a table changes nothing in the caller's arrays."""
    cells = np.array(["u", "", np.nan], object)
    as_table({"s": cells})
    assert cells[1] == ""
    assert cells[2] is np.nan


@pytest.mark.parametrize("data", [[1, 2], "text", np.arange(3), None])
def test_other_objects(data: object) -> None:
    """Data of another type is refused, naming the type."""
    with pytest.raises(DataError, match=type(data).__name__):
        as_table(data)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({}, "has none"),
        ({"a": np.arange(3), "b": np.arange(2)}, r"'b' has shape \(2,\), the table 3 rows"),
        ({"a": np.zeros((2, 2)), "b": np.zeros(2)}, r"'a' has shape \(2, 2\)"),
    ],
)
def test_malformed_columns(data: dict[str, np.ndarray], found: str) -> None:
    """Columns are there, one-dimensional and of equal length; the message names the other."""
    with pytest.raises(DataError, match=found):
        as_table(data)


def test_table_of_a_table() -> None:
    """A table stays the table it is."""
    table = as_table(mapping())
    assert as_table(table) is table


def test_take_without_replacing() -> None:
    """Rows and columns are taken by position and name, and every row keeps its id."""
    table = as_table({"a": np.arange(4) * 10, "b": np.arange(4)}, source="rows.csv")
    some = table.take(np.array([3, 0]))
    assert some.columns["a"].tolist() == [30, 0]
    assert some.row_ids.tolist() == [3, 0]
    assert table.take(table.columns["a"] > 15).row_ids.tolist() == [2, 3]
    assert list(table.without("b", "z").columns) == ["a"]
    other = some.replacing("a", np.array([1.5, 2.5]))
    assert list(other.columns) == ["a", "b"]
    assert other.columns["a"].tolist() == [1.5, 2.5]
    assert {t.source for t in (some, other, table.without("a"))} == {"rows.csv"}


def test_joined() -> None:
    """Joined tables hold the first's rows, then the other's, columns found by name."""
    first = as_table({"a": np.arange(2), "s": np.array(["u", None], object)})
    other = as_table({"s": np.array(["v"], object), "a": np.array([9])})
    both: Table = first.joined_with(other)
    assert list(both.columns) == ["a", "s"]
    assert both.columns["a"].tolist() == [0, 1, 9]
    assert both.columns["s"].tolist() == ["u", None, "v"]
    assert both.row_ids.tolist() == [0, 1, 0]


def test_hash_tells_tables_apart() -> None:
    """A name, a value, a type, an order or an empty cell changes a table's hash."""
    base = {"a": np.array([1, 2]), "s": np.array(["None", "v"], object)}
    others: list[dict[str, np.ndarray]] = [
        base | {"a": np.array([1, 3])},
        base | {"a": np.array([1.0, 2.0])},
        base | {"s": np.array([None, "v"], object)},
        base | {"s": np.array(["v", "None"], object)},
        {"s": base["s"], "a": base["a"]},
        {"b": base["a"], "s": base["s"]},
    ]
    hashes = {as_table(columns).hash() for columns in (base, *others)}
    assert len(hashes) == 1 + len(others)
    assert as_table(dict(base), source="another").hash() == as_table(base).hash()


def test_rows_that_others_have() -> None:
    """Each row counts once, however often others have it, and only where all of it is there."""
    inputs = make_inputs()
    assert inputs.count_in(inputs, inputs.take(slice(1))) == 3
    twice = inputs.joined_with(inputs.take(slice(1)))
    assert twice.count_in(inputs.take(slice(1))) == 2
    moved = Inputs(inputs.numeric + 1, inputs.categorical)
    assert inputs.count_in(moved) == 0


def test_inputs() -> None:
    """Inputs are taken and joined row by row, numbers and texts together."""
    inputs = make_inputs()
    some = inputs.take(np.array([2, 0]))
    assert some.numeric.tolist() == [[4, 5], [0, 1]]
    assert some.categorical.tolist() == [[""], ["u"]]
    both = some.joined_with(inputs.take(slice(1, 2)))
    assert both.n_rows == 3
    assert both.categorical.tolist() == [[""], ["u"], ["v"]]


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_inputs_of_one_precision(precision: type) -> None:
    """Other values laid in the place of inputs take their precision."""
    inputs = Inputs(np.zeros((1, 1), precision), np.empty((1, 0), object))
    like = inputs.like(np.array([[0.1]]), inputs.categorical)
    assert like.numeric.dtype == precision
    assert like.numeric[0, 0] == precision(0.1)


def test_feeds() -> None:
    """A file is fed only the inputs that have columns."""
    inputs = make_inputs()
    no_text = Inputs(inputs.numeric, np.empty((3, 0), object))
    no_number = Inputs(np.empty((3, 0), np.float32), inputs.categorical)
    assert list(inputs.feeds()) == ["numeric", "categorical"]
    assert list(no_text.feeds()) == ["numeric"]
    assert list(no_number.feeds()) == ["categorical"]


@pytest.mark.parametrize("shape", [(2, 1), (3,), (3, 1, 1)])
def test_inputs_disagree(shape: tuple[int, ...]) -> None:
    """Numbers and texts are matrices of the same rows."""
    with pytest.raises(DataError, match="describe the same rows"):
        Inputs(np.zeros((3, 2), np.float32), np.full(shape, "u", object))


@pytest.mark.parametrize("lengths", [(2, 3, 3), (3, 2, 3), (3, 3, 4)])
def test_rows_disagree(lengths: tuple[int, int, int]) -> None:
    """Rows have one target, weight and id each; the message has all four lengths."""
    n_targets, n_weights, n_ids = lengths
    with pytest.raises(DataError, match=f"lengths 3, {n_targets}, {n_weights}, {n_ids}"):
        Rows(make_inputs(), np.zeros(n_targets), np.ones(n_weights), np.arange(n_ids))


def test_no_warnings_of_frames() -> None:
    """Nothing of numpy, pandas or polars shows through."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = as_table(pd.DataFrame({name: pd.Series(v) for name, v in DATA.items()}))
    assert table.n_rows == 3
