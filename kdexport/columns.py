"""One column of a table as a model takes it: numbers, or text.

Takes a `Table` and a name, gives an array without gaps in its meaning: a missing number is NaN, a
missing text is empty, a date is its days since 1970, a flag is 1 or 0. Imports numpy, `errors` and
`records` only.
"""

import re
from typing import Any

import numpy as np

from kdexport.errors import DataError
from kdexport.records import Column, Float64, Table

ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?Z?)?", re.ASCII)
EPOCH, ONE_DAY = np.datetime64(0, "us"), np.timedelta64(1, "D")
SHOWN = 40


def numbers_of(table: Table, name: str) -> Float64:
    """Return a column of numbers or flags, **Shape** `[n]` float64, missing cells as NaN.

    Text that spells a number counts as one.

    Raises:
        DataError: A cell is neither a number nor missing.
    """
    values = table.columns[name]
    if values.dtype.kind in "fiub":
        return values.astype(np.float64)
    if values.dtype.kind != "O":
        raise _no_number(table, name, f"is of type {values.dtype}", values)
    numbers = np.array([_as_number(value) for value in values.tolist()], np.float64)
    wrong = np.isnan(numbers) & ~is_missing(values)
    wrong &= np.array([str(value).strip().lower() != "nan" for value in values.tolist()], bool)
    if wrong.any():
        found = f"holds text in {int(wrong.sum())} rows, the first "
        raise _no_number(table, name, f"{found}{str(values[wrong][0])[:SHOWN]!r}", values)
    return numbers


def days_of(table: Table, name: str) -> Float64:
    """Return a column of dates or times as days since 1970-01-01 (UTC), missing cells as NaN.

    **Shape** `[n]` float64; the time of day is the fraction. Text in ISO form counts as a date.

    Raises:
        DataError: A cell is neither a date nor missing.
    """
    values = table.columns[name]
    if values.dtype.kind == "O":
        texts = ["NaT" if value is None else str(value) for value in values.tolist()]
        wrong = [text for text in texts if text != "NaT" and not ISO_DATE.fullmatch(text)]
        if wrong:
            raise _no_date(table, name, f"holds {wrong[0][:SHOWN]!r} in {len(wrong)} rows")
        values = np.array([text.removesuffix("Z") for text in texts], "datetime64[us]")
    if values.dtype.kind == "f" and np.isnan(values).all():
        return values.astype(np.float64)
    if values.dtype.kind != "M":
        raise _no_date(table, name, f"is of type {values.dtype}")
    days: Float64 = (values.astype("datetime64[us]") - EPOCH) / ONE_DAY
    return days


def texts_of(table: Table, name: str) -> Column:
    """Return a column as text, **Shape** `[n]` object, missing cells as the empty text.

    Whole numbers are written without a fraction and flags as true and false, so that a category
    is spelled alike whichever way its column was stored.
    """
    values = table.columns[name]
    texts = np.array([_as_text(value) for value in values.tolist()], dtype=object)
    texts[is_missing(values)] = ""
    return texts


def is_missing(values: Column) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Say which cells are empty: NaN, NaT, None, or the empty text."""
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind == "M":
        return np.isnat(values)
    if values.dtype.kind == "O":  # NaN alone is unequal to itself
        return np.array([v is None or v != v or v == "" for v in values.tolist()], bool)
    return np.zeros(len(values), bool)


def _as_number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _no_number(table: Table, name: str, found: str, values: Column) -> DataError:
    return DataError(
        "a numeric column holds numbers",
        found=f"column {name!r} of {table.source} {found}",
        cure="mend those cells"
        if values.dtype.kind == "O"
        else f"leave it to its kind, or pass --categorical {name}",
    )


def _no_date(table: Table, name: str, found: str) -> DataError:
    return DataError(
        "a date column holds dates in ISO form, such as 2026-01-31 or 2026-01-31T12:00:00",
        found=f"column {name!r} of {table.source} {found}",
        cure="mend those cells",
    )
