"""From inputs back to the user's own columns and their form."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest

from kdexport.restore import Layout, Restorer
from kdexport.schema import Schema
from kdexport.sections import ColumnsRecipe
from kdexport.tables import as_table

ODD = pd.DataFrame(
    {
        "whole": np.arange(40) * 3,
        "number": np.arange(40) / 8,
        "gappy": [None if i % 5 == 0 else i / 4 for i in range(40)],
        "flag": np.arange(40) % 2 == 0,
        "nullable_flag": pd.array([None if i == 3 else i % 3 == 0 for i in range(40)], "boolean"),
        "nullable_whole": pd.array([None if i == 4 else i for i in range(40)], "Int64"),
        "date": pd.date_range("2026-01-01", periods=40, freq="36h"),
        "zoned": pd.date_range("2026-01-01", periods=40, freq="D", tz="Europe/Paris"),
        "text": [None if i % 7 == 0 else "abc"[i % 3] for i in range(40)],
        "code": pd.Categorical([i % 4 for i in range(40)]),
        "name": [f"row {i}" for i in range(40)],
    }
)


def fit_restorer(frame: object) -> tuple[Restorer, Schema]:
    """A restorer of a frame's columns, without the target that is added to decide them."""
    table = as_table(frame)
    labelled = table.replacing("y", np.arange(table.n_rows) % 2)
    with pytest.warns(UserWarning, match="'name' is left out"):
        schema = Schema.fit(labelled, "y", ColumnsRecipe(min_category_rows=1), classes=(0, 1))
    return Restorer.fit(table, schema.signature), schema


def test_a_pandas_frame_comes_back() -> None:
    """A pandas frame made inputs and restored is equal cell by cell, types included."""
    restorer, schema = fit_restorer(ODD)
    table = restorer.restore(schema.signature.take_inputs(as_table(ODD)))
    frame = Layout(ODD).to_frame(table, list(table.columns))
    pd.testing.assert_frame_equal(frame, ODD)


def test_a_polars_frame_comes_back() -> None:
    """A polars frame does too."""
    frame = pl.DataFrame(
        {
            "whole": pl.Series(range(40), dtype=pl.Int16),
            "gappy": [None if i % 5 == 0 else i / 4 for i in range(40)],
            "flag": [i % 2 == 0 for i in range(40)],
            "date": [datetime.date(2026, 1, 1) + datetime.timedelta(i) for i in range(40)],
            "text": [None if i % 7 == 0 else "abc"[i % 3] for i in range(40)],
            "code": pl.Series(["xy"[i % 2] for i in range(40)], dtype=pl.Categorical),
            "name": [f"row {i}" for i in range(40)],
        }
    )
    restorer, schema = fit_restorer(frame)
    table = restorer.restore(schema.signature.take_inputs(as_table(frame)))
    restored = Layout(frame).to_frame(table, list(table.columns))
    assert restored.schema == frame.schema
    assert restored.equals(frame)


def test_arrays_keep_their_type() -> None:
    """An array comes back in its own type of numbers, or as objects where columns are mixed."""
    numbers = np.arange(80, dtype=np.float32).reshape(40, 2) / 4
    table = as_table(numbers)
    assert np.array_equal(Layout(numbers).to_array(table), numbers)
    assert Layout(numbers).to_array(table).dtype == np.float32
    mixed = table.replacing("x1", np.array(["a"] * 40, dtype=object))
    assert Layout(numbers).to_array(mixed).dtype == object


def test_cells_that_no_type_holds_stay_what_they_are() -> None:
    """A missing whole number, an unseen text and an infinite date raise nothing."""
    restorer, schema = fit_restorer(ODD)
    inputs = schema.signature.take_inputs(as_table(ODD.head(3)))
    numeric, categorical = inputs.numeric.copy(), inputs.categorical.copy()
    numeric[0], numeric[1] = np.nan, np.inf
    categorical[0], categorical[1] = "", "never seen"
    table = restorer.restore(type(inputs)(numeric, categorical))
    frame = Layout(ODD).to_frame(table, list(table.columns))
    assert np.isnan(frame["whole"][0])
    assert np.isinf(frame["whole"][1])
    assert frame["text"][1] == "never seen"
    assert frame["date"].isna().tolist() == [True, True, False]
    assert frame["code"].isna().tolist() == [True, True, False]


def test_a_gap_among_flags_stays_one() -> None:
    """A missing cell of a column of flags is no flag: pandas would make it true."""
    restorer, schema = fit_restorer(ODD)
    inputs = schema.signature.take_inputs(as_table(ODD))
    numeric = inputs.numeric.copy()
    place = schema.signature.numeric.index("flag")
    numeric[:2, place] = np.nan
    table = restorer.restore(inputs.like(numeric, inputs.categorical))
    flags = Layout(ODD).to_frame(table, list(table.columns))["flag"]
    assert flags.isna().tolist() == [True, True, *[False] * 38]
    assert (flags[2:] == ODD["flag"][2:]).all()


@pytest.mark.parametrize("gap", [None, np.nan])
def test_cells_of_objects_keep_their_gaps(gap: object) -> None:
    """Texts and flags of pandas' objects: a missing cell is None or NaN, a flag no number."""
    frame = pd.DataFrame(
        {
            "flag": pd.Series([gap if i % 3 == 0 else i % 2 == 0 for i in range(40)], dtype=object),
            "text": pd.Series(
                [gap if i % 7 == 0 else "ab"[i % 2] for i in range(40)], dtype=object
            ),
            "name": [f"row {i}" for i in range(40)],
        }
    )
    restorer, schema = fit_restorer(frame)
    table = restorer.restore(schema.signature.take_inputs(as_table(frame)))
    restored = Layout(frame).to_frame(table, list(table.columns))
    for name in ("flag", "text"):
        assert list(map(repr, restored[name])) == list(map(repr, frame[name]))


def test_flags_with_gaps_without_a_frame() -> None:
    """A file's gaps are NaN as pandas reads them, a mapping's stay None; arrays hold numbers."""
    table = as_table({"flag": np.array([True, None, False], object)})
    for data, gap in ((None, np.nan), ({}, None)):
        flags = Layout(data).to_frame(table, ["flag"])["flag"]
        assert repr(flags.tolist()) == repr([True, gap, False])
    array = Layout(np.zeros((1, 1))).to_array(table)
    np.testing.assert_array_equal(array, [[1.0], [np.nan], [0.0]])
    assert Layout(np.zeros((1, 1), object)).to_array(table).tolist() == [[True], [None], [False]]
