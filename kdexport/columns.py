"""One column of a table: brought to a known type, and then as a model takes it.

`tidy_column` takes whatever an array holds and gives one of the types that `Table` names. The
others take a `Table` and a name and give an array without gaps in its meaning: a missing number is
NaN, a missing text is empty, a date is its days since 1970, a flag is 1 or 0. Imports numpy,
`errors` and `records` only.
"""

import datetime
import re
import shlex
import warnings
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from kdexport.errors import DataError, KdexportWarning
from kdexport.records import Bools, Column, Float64, Table

TIME, ZONE = r"\d\d:\d\d(:\d\d(\.\d{1,9})?)?", r"Z|(?P<zone>[+-]([01]\d|2[0-3])(:?[0-5]\d)?)"
ISO_DATE = re.compile(rf"(?!0000)\d{{4}}-\d\d-\d\d([ T]{TIME}({ZONE})?)?", re.ASCII)
EPOCH, ONE_DAY = np.datetime64(0, "us"), np.timedelta64(1, "D")
LARGEST_INT64 = 2**63 - 1
EXACT = 2.0**53  # below it float64 holds every whole number
MERGED_SHARE = 0.1  # of distinct whole numbers: where float64 loses more, they are names
FLAGS = {"true": True, "false": False}
GAPS = ("", "nan")  # texts that stand for no number
SHOWN = 40


def tidy_column(values: Column, name: str) -> Column:
    """Bring an array to one of the types that `Table` names; bytes are text in UTF-8.

    Raises:
        DataError: A cell holds more than one value, or bytes that are no text.
    """
    kind = values.dtype.kind
    if kind in "iu":
        fits = kind == "i" or not len(values) or int(values.max()) <= LARGEST_INT64
        return values.astype(np.int64 if fits else object)  # float64 would merge neighbours
    if kind == "f":
        return values.astype(np.float64)
    if kind == "M":
        return values.astype("datetime64[us]")
    if kind in "bm":
        return values
    objects = values.astype(object)
    try:
        objects[:] = [v.decode() if isinstance(v, bytes) else v for v in objects.tolist()]
    except UnicodeDecodeError as error:
        raise DataError(
            "a cell's bytes are text in UTF-8",
            found=f"column {name!r} holds {bytes(error.object)[:SHOWN]!r}",
            cure="turn it into text or numbers, or leave it out",
        ) from error
    objects[is_missing(objects)] = None
    return _narrow(objects, name)


def _narrow(objects: Column, name: str) -> Column:
    """Give a column of Python objects the type that all of them have."""
    plain = [v.item() if isinstance(v, np.generic) else v for v in objects.tolist()]
    types = {type(value) for value in plain if value is not None}
    if types & {list, tuple, dict, set, np.ndarray}:
        raise DataError(
            "a cell holds one value",
            found=f"column {name!r} holds {' and '.join(sorted(t.__name__ for t in types))}",
            cure="spread it over columns, or leave it out",
        )
    if types and types <= {bool} and None not in plain:
        return np.array(plain, bool)
    if types and types <= {int, float, Decimal}:
        largest = max(abs(value) for value in plain if value is not None)
        fits_int64 = None not in plain and largest <= LARGEST_INT64
        if types != {int} or fits_int64 or largest < EXACT:  # float64 would round the others
            return np.array(plain, np.int64 if types == {int} and fits_int64 else np.float64)
    if types and all(issubclass(t, datetime.date) for t in types):
        return np.array([_as_moment(value) for value in plain], "datetime64[us]")
    tidy = np.empty(len(plain), object)
    tidy[:] = plain
    return tidy


def _as_moment(value: datetime.date | None) -> np.datetime64:
    """A date or time as numpy's, in UTC where it says its zone."""
    if value is None:
        return np.datetime64("NaT")
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        value = value.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.datetime64(value, "us")


def numbers_of(table: Table, name: str) -> Float64:
    """Return a column of numbers or flags, **Shape** `[n]` float64, missing cells as NaN.

    Text that spells a number counts as one, blanks around it aside; blanks alone are a gap.

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
    wrong &= np.array([_trim(value).lower() not in GAPS for value in values.tolist()], bool)
    if wrong.any():
        found = f"holds text in {int(wrong.sum())} rows, the first "
        raise _no_number(table, name, f"{found}{str(values[wrong][0])[:SHOWN]!r}", values)
    return numbers


def flags_of(table: Table, name: str) -> Float64:
    """Return a column of flags as 1 and 0, **Shape** `[n]` float64, missing cells as NaN.

    Text counts where it is true or false, in letters of any case, or spells a number.

    Raises:
        DataError: A cell is neither a flag nor missing.
    """
    values = table.columns[name]
    if values.dtype.kind != "O":
        return numbers_of(table, name)
    words = [_trim(value).lower() for value in values.tolist()]
    cells = [FLAGS.get(word, value) for word, value in zip(words, values.tolist(), strict=True)]
    flags = np.array([_as_number(cell) for cell in cells], np.float64)
    wrong = np.isnan(flags) & ~is_missing(values)
    wrong &= np.array([word not in GAPS for word in words], bool)
    if wrong.any():
        raise DataError(
            "a column of flags holds true and false, or 1 and 0",
            found=f"column {name!r} of {table.source} holds others in {int(wrong.sum())} rows, "
            f"the first {str(values[wrong][0])[:SHOWN]!r}",
            cure="mend those cells",
        )
    return flags


def days_of(table: Table, name: str) -> Float64:
    """Return a column of dates or times as days since 1970-01-01 (UTC), missing cells as NaN.

    **Shape** `[n]` float64; the time of day is the fraction. Text in ISO form counts as a date,
    blanks around it aside; blanks alone are a gap.

    Raises:
        DataError: A cell is neither a date nor missing.
    """
    values = table.columns[name]
    if values.dtype.kind == "O":
        texts = [None if value is None else _trim(value) or None for value in values.tolist()]
        dates = parse_dates(texts)
        if dates is None:
            wrong = [text for text in texts if parse_dates([text]) is None]
            raise _no_date(table, name, f"holds {str(wrong[0])[:SHOWN]!r} in {len(wrong)} rows")
        values = dates
    if values.dtype.kind == "f" and np.isnan(values).all():
        return values.astype(np.float64)
    if values.dtype.kind != "M":
        raise _no_date(table, name, f"is of type {values.dtype}")
    days: Float64 = (values.astype("datetime64[us]") - EPOCH) / ONE_DAY
    return days


def parse_dates(texts: Sequence[str | None]) -> Column | None:
    """Read texts in ISO form, as dates or times in UTC, which is meant where no zone is named.

    **Shape** returns `[n]` datetime64[us], NaT where there is no text; None where one of them is no
    date: of another form, or of no such day.
    """
    local, minutes = [], []  # and how far their clocks are ahead
    for text in texts:
        match = ISO_DATE.fullmatch("" if text is None else text)
        if text is not None and match is None:
            return None
        zone = match and match["zone"]
        local.append("NaT" if text is None else text.removesuffix(zone or "Z"))
        minutes.append(_minutes_ahead(zone) if zone else 0)
    try:
        moments: Column = np.array(local, "datetime64[us]") - np.array(minutes, "timedelta64[m]")
    except ValueError:  # looks like one, such as 2026-02-31
        return None
    return moments


def _minutes_ahead(zone: str) -> int:
    """Minutes from UTC of +02:00, as of +0200 and +02."""
    return int(f"{zone[0]}1") * (60 * int(zone[1:3]) + int(zone[3:].lstrip(":") or 0))


def texts_of(table: Table, name: str) -> Column:
    """Return a column as text, **Shape** `[n]` object, missing cells as the empty text.

    Whole numbers are written without a fraction and flags as true and false. Text, and so every
    cell of a CSV's categories, stays as written. Warns of whole numbers in float64 that may have
    been rounded before: their texts are others than the cells.
    """
    values = table.columns[name]
    is_float = values.dtype.kind == "f"
    rounded = values[np.isfinite(values) & (np.abs(values) >= EXACT)] if is_float else values[:0]
    if len(rounded):
        warnings.warn(
            f"column {name!r} holds whole numbers of which float64 keeps 16 digits, such as "
            f"{_as_text(float(rounded[0]))}, and is taken as text; turn it into text to keep all",
            KdexportWarning,
            stacklevel=2,
        )
    texts = np.array([_as_text(value) for value in values.tolist()], dtype=object)
    texts[is_missing(values)] = ""
    return texts


def is_missing(values: Column) -> Bools:
    """Say which cells are empty: NaN, NaT, None, or the empty text."""
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind == "M":
        return np.isnat(values)
    if values.dtype.kind == "O":
        return np.array([_is_gap(value) for value in values.tolist()], bool)
    return np.zeros(len(values), bool)


def is_unlabelled(labels: Column) -> Bools:
    """Say which rows have no label: their cell is missing, or blanks alone."""
    blank = [isinstance(label, str) and not label.strip() for label in labels.tolist()]
    unlabelled: Bools = is_missing(labels) | np.array(blank, bool)
    return unlabelled


def merges_in_float64(values: Column) -> bool:
    """Say whether a column of whole numbers names more than float64 could tell apart.

    Nanoseconds since 1970 are as large, and a few of them may fall together: they stay numbers.
    """
    if values.dtype.kind not in "iu" or -EXACT <= values.min() <= values.max() <= EXACT:
        return False
    n_kept = len(np.unique(values.astype(np.float64)))
    return n_kept < (1 - MERGED_SHARE) * len(np.unique(values))


def is_whole(values: Column) -> Bools:
    """Say which numbers are whole, and small enough to be exact as whole numbers."""
    whole: Bools = np.isfinite(values) & (values == np.round(values))
    return whole & (np.abs(values) < EXACT)


def _is_gap(value: Any) -> bool:
    try:
        return value is None or bool(value != value) or bool(value == "")
    except TypeError:  # pandas' NA answers no comparison
        return True
    except ValueError:  # an array answers several
        return False


def _trim(value: Any) -> str:
    """Return a cell's text without blanks around it, which a CSV's columns lose as it is read."""
    return str(value).strip()


def _as_number(value: Any) -> float:
    """Return what a cell says, as a CSV's cells are read; Python reads 1_000 and other digits."""
    text = _trim(value)
    try:
        return float("nan") if "_" in text or not text.isascii() else float(value)
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
        else f"leave it to its kind, or pass {shlex.join(['--categorical', name])}",
    )


def _no_date(table: Table, name: str, found: str) -> DataError:
    return DataError(
        "a date column holds dates in ISO form, such as 2026-01-31 or 2026-01-31T12:00:00",
        found=f"column {name!r} of {table.source} {found}",
        cure="mend those cells",
    )
