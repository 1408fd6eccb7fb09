"""One column as a model takes it: numbers, days or text, and refusals that name the cell."""

import datetime as dt
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kdexport.columns import days_of, flags_of, is_missing, numbers_of, texts_of
from kdexport.errors import DataError
from kdexport.records import Column, Table
from kdexport.tables import as_table, read_table

NAN = float("nan")


def one(values: Column) -> Table:
    """Return a table of one column."""
    return as_table({"a": values}, source="rows.csv")


def texts(*cells: object) -> Column:
    """Return an object column."""
    return np.array(cells, dtype=object)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([3, -4]), [3, -4]),
        (np.array([0.5, np.nan, np.inf]), [0.5, NAN, np.inf]),
        (np.array([True, False]), [1, 0]),
        (texts(True, None, False), [1, NAN, 0]),
        (texts("1.5", None, " -2 ", "1e3"), [1.5, NAN, -2, 1000]),
        (texts("1", " ", "\t", "nan"), [1, NAN, NAN, NAN]),
        (texts(None, None), [NAN, NAN]),
        (texts(2, 2.5, None), [2, 2.5, NAN]),
    ],
)
def test_numbers(values: Column, expected: list[float]) -> None:
    """Numbers, flags and text that spells numbers are float64; a missing cell is NaN."""
    numbers = numbers_of(one(values), "a")
    assert numbers.dtype == np.float64
    np.testing.assert_array_equal(numbers, expected)


def test_big_whole_numbers() -> None:
    """Whole numbers up to 2^53 are kept to the last digit."""
    ids = 2**53 - np.arange(4)
    assert numbers_of(one(ids), "a").astype(np.int64).tolist() == ids.tolist()


def test_no_numbers() -> None:
    """Text among numbers is refused, with the column, the number of rows and the first cell."""
    cells = texts("1", "red", None, "blue", "")
    with pytest.raises(DataError, match=r"'a' of rows\.csv holds text in 2 rows, the first 'red'"):
        numbers_of(one(cells), "a")


@pytest.mark.parametrize("word", ["NA", "none", "1,5", "1.299,99", "true", "1_000", "\u0661"])
def test_words_are_no_numbers(word: str) -> None:
    """Words for missing or true, and numbers of another locale or of Python, are text."""
    with pytest.raises(DataError, match="in 1 rows"):
        numbers_of(one(texts("1", word)), "a")


def test_long_cell_cut() -> None:
    """A long cell is shown by its beginning only."""
    with pytest.raises(DataError) as caught:
        numbers_of(one(texts("x" * 999)), "a")
    assert "xxx" in str(caught.value)
    assert len(str(caught.value)) < 200


def test_dates_are_no_numbers() -> None:
    """Dates are refused where the model takes numbers, with their type."""
    with pytest.raises(DataError, match=r"column 'a' of rows\.csv is of type datetime64"):
        numbers_of(one(np.zeros(2, "M8[s]")), "a")


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("1970-01-01", 0),
        ("1970-01-02T00:00:00Z", 1),
        ("1969-12-31", -1),
        ("2026-01-31", 20484),
        ("2026-01-31 18:00", 20484.75),
        ("2026-01-31T12:00:00", 20484.5),
        ("1970-01-01T00:00:00.000001", 1 / 86_400_000_000),
        ("2020-02-01T10:00:00+02:00", 18293 + 8 / 24),
        ("1970-01-01 23:30-00:30", 1),
        ("1970-01-01T00:00:00.5+23:59", (0.5 - 86_340) / 86_400),
        ("0001-01-01", -719_162),
        ("2020-02-01T10:00:00.000000+0200", 18293 + 8 / 24),
        ("2020-02-01 10:00:00+02", 18293 + 8 / 24),
        ("2020-02-01T10:00-0230", 18293 + 12.5 / 24),
        ("2026-01-31T12:00:00.250000999", 20484.5 + 0.25 / 86_400),
    ],
)
def test_days(text: str, days: float) -> None:
    """A date is its days since 1970 in UTC, the time of day their fraction, as text and time."""
    moment = dt.datetime.fromisoformat(text)
    in_utc = moment.astimezone(dt.UTC).replace(tzinfo=None) if moment.tzinfo else moment
    time = np.array([in_utc, "NaT"], "M8[us]")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for values in (texts(text, None), texts(f" {text}\t", " "), time):
            np.testing.assert_array_equal(days_of(one(values), "a"), [days, NAN])


def test_days_without_a_date() -> None:
    """A date column may be empty when answering, however a file or frame types it then."""
    for values in (texts(None, None), np.full(2, np.nan), np.full(2, "NaT", "M8[us]")):
        np.testing.assert_array_equal(days_of(one(values), "a"), [NAN, NAN])


def test_no_dates() -> None:
    """Text that is no ISO date is refused, with the column, the first cell and the rows."""
    cells = texts("2026-01-31", "31.01.2026", "soon", None)
    with pytest.raises(DataError, match=r"'a' of rows\.csv holds '31\.01\.2026' in 2 rows"):
        days_of(one(cells), "a")
    cells = texts("2026-01-31", None, "2026-02-31")
    with pytest.raises(DataError, match=r"'a' of rows\.csv holds '2026-02-31' in 1 rows"):
        days_of(one(cells), "a")


@pytest.mark.parametrize(
    "text",
    ["2026-01-31+02:00", "2026-01-31T12:00+24:00", "2026-01-31T12:00+0260", "0000-01-01"],
)
def test_no_zones(text: str) -> None:
    """A zone is hours and minutes beside a time of day, and there is no year 0."""
    with pytest.raises(DataError, match=re.escape(f"holds {text!r}")):
        days_of(one(texts("2026-01-31", text)), "a")


@pytest.mark.parametrize("values", [np.arange(2), np.array([0.5, np.nan]), np.zeros(2, bool)])
def test_numbers_are_no_dates(values: Column) -> None:
    """Numbers and flags are refused where the model takes dates, with their type."""
    with pytest.raises(DataError, match=f"column 'a' .* is of type {values.dtype}"):
        days_of(one(values), "a")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([5, -6]), ["5", "-6"]),
        (np.array([5.0, 5.5, np.nan, -0.0]), ["5", "5.5", "", "0"]),
        (np.array([True, False]), ["true", "false"]),
        (texts(True, None, False), ["true", "", "false"]),
        (texts("u", "NA", "nan", "007", " ", None), ["u", "NA", "nan", "007", " ", ""]),
        (texts(5, 5.0, "5", None), ["5", "5", "5", ""]),
        (np.array([2.0**70]), [str(2**70)]),
    ],
)
def test_texts(values: Column, expected: list[str]) -> None:
    """Whole numbers have no fraction, flags are true and false, a missing cell is empty."""
    found = texts_of(one(values), "a")
    assert found.dtype == object
    assert found.tolist() == expected


def test_one_spelling(tmp_path: Path) -> None:
    """A code with and without a missing cell beside it, in a file or a frame, is one category."""
    path = tmp_path / "rows.csv"
    path.write_text("a,y\n5,1\n,2\n")
    tables = [
        read_table(path),
        read_table(path, text=["a"]),
        as_table(pd.read_csv(path)),
        as_table(pd.read_csv(path).astype({"a": "Int64"})),
        as_table({"a": texts("5", None)}),
    ]
    assert [texts_of(table, "a").tolist() for table in tables] == 5 * [["5", ""]]
    assert texts_of(one(np.array([5])), "a").tolist() == ["5"]


def test_texts_keep_the_table() -> None:
    """Reading a column as text leaves the table's cells as they are."""
    table = one(texts("u", None))
    texts_of(table, "a")
    assert table.columns["a"].tolist() == ["u", None]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([1, 0]), [False, False]),
        (np.array([False, True]), [False, False]),
        (np.array([0.0, np.nan, np.inf]), [False, True, False]),
        (np.array(["2026-01-31", "NaT"], "M8[us]"), [False, True]),
        (texts(None, "", NAN, pd.NaT, "NA", " ", 0, False), [True] * 4 + [False] * 4),
    ],
)
def test_is_missing(values: Column, expected: list[bool]) -> None:
    """None, NaN, NaT and empty text are missing; words, blanks, zero and false are not."""
    assert is_missing(values).tolist() == expected


def test_no_numpy_warnings() -> None:
    """Reading odd cells says nothing of numpy's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        numbers_of(one(np.array([np.nan, np.inf, 1e308])), "a")
        days_of(one(np.array([dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)], "M8[us]")), "a")
        found = texts_of(one(np.array([np.nan, np.inf, -np.inf])), "a")
    assert found.tolist() == ["", "inf", "-inf"]


def test_flags() -> None:
    """Flags and text that spells them, or 1 and 0, are 1 and 0; what is neither is named."""
    cells = texts("TRUE", "1", " false ", "0", None, True, " ")
    np.testing.assert_array_equal(flags_of(one(cells), "a"), [1, 1, 0, 0, NAN, 1, NAN])
    np.testing.assert_array_equal(flags_of(one(np.array([True, False])), "a"), [1, 0])
    with pytest.raises(DataError, match=r"flags.*'a' of rows\.csv.* in 1 rows, the first 'maybe'"):
        flags_of(one(texts("true", "maybe", "1", "")), "a")
