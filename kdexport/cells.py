"""Cells of a CSV, which are all text, as the types that they spell.

Takes columns of text, gives columns of whole numbers, numbers, flags, dates or text. What a column
is can be asked of its pieces, so that a file need not be in memory to be read. With `tables` and
`streams` one of the rooms that know polars.
"""

import re
import shlex
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import polars as pl

from kdexport.columns import EXACT, merges_in_float64, parse_dates
from kdexport.errors import KdexportWarning, RecipeError

CODE_WITH_ZEROS = r"^[+-]?0\d"  # 00501 is a name, not a number
OTHER_LOCALES = "|".join(
    rf"^[+-]?{number}$"
    for number in (
        r"(\d{1,3}([. ']\d{3})+|\d+),\d+",
        r"(\d{1,3}([, ']\d{3})+|\d*)\.\d+",
        r"\d{1,3}(([,.]\d{3})+|([ ']\d{3})+)",
    )
)
WITH_SIGNS = r"^[+-]?[$€£¥] ?[+-]?\d[\d.,]*$|^[+-]?\d[\d.,]* ?[%$€£¥]$"  # of money and shares
NEARLY_ALL = 0.9
DECIMALS, THOUSANDS = (".", ","), ("", ".", ",", " ", "'")
MAX_MARKERS = 3

DIGITS = r"^[+-]?\d+$"

Spelling = Literal["whole", "digits", "number", "flag", "date"]
SPELLINGS: tuple[Spelling, ...] = ("whole", "digits", "number", "flag", "date")
"""From the narrowest on: a column is the first of those that all of its cells spell, or text.

Digits are whole numbers of any length. Where int64 does not hold them all they stay text: float64
would make one of neighbours, and what is that long is an id more often than a measure.
"""
DTYPES: dict[Spelling, type[pl.DataType]] = {"whole": pl.Int64, "number": pl.Float64}


@dataclass(frozen=True)
class CsvFormat:
    """How a CSV is written.

    Attributes:
        separator: What stands between cells.
        decimal: The decimal mark.
        thousands: The mark between thousands, or nothing.
        missing: Cells that count as missing, beside empty ones.
    """

    separator: str = ","
    decimal: str = "."
    thousands: str = ""
    missing: Collection[str] = ()

    def __post_init__(self) -> None:
        """Refuse marks by which cells cannot be told apart.

        Raises:
            RecipeError: See its message.
        """
        marks = (self.separator, self.decimal, self.thousands)
        if len(self.separator) != 1 or not self.separator.isascii():
            raise _unclear(f"the separator {self.separator!r}", "one ASCII character")
        if self.decimal not in DECIMALS or self.thousands not in THOUSANDS:
            raise _unclear(f"{marks[1:]}", "--decimal . or , and --thousands of . , ' or a space")
        if self.thousands == self.decimal:
            raise _unclear(f"{self.decimal!r} for both", "another --decimal or --thousands")


COMMA_CSV = CsvFormat()


def _unclear(found: str, wanted: str) -> RecipeError:
    return RecipeError(
        "a CSV has one mark between cells, and decimals and thousands have different ones",
        found=found,
        cure=f"pass {wanted} ($'\\t' in a shell is a tab)",
    )


def type_column(
    cells: pl.Series, csv_format: CsvFormat, *, as_text: bool, is_number: bool = False
) -> pl.Series:
    """Turn a column of text cells into the narrowest type that all of them spell."""
    spelled = None if as_text else find_spellings(cells, csv_format, is_number=is_number)
    spelling = first_of(spelled or ())
    if spelling == "digits" and not is_number:
        _warn_about_digits(_trim(_find_known(cells, csv_format)))
    typed = cast_column(cells, csv_format, spelling, is_number=is_number)
    if spelling == "whole" and not is_number and _are_names(typed):
        known = _find_known(cells, csv_format)
        if not typed.cast(pl.String).eq_missing(known).all():  # as categories are read later on
            return known
    return typed


def _are_names(whole: pl.Series) -> bool:
    """Say whether whole numbers become categories, or may: float64 would not tell them apart."""
    values = whole.drop_nulls().to_numpy()
    is_large = not -EXACT < values.min() <= values.max() < EXACT
    return is_large and (whole.null_count() > 0 or merges_in_float64(values))


def first_of(spelled: Collection[Spelling]) -> Spelling | None:
    """Return the narrowest type of a column that spells these; None is text."""
    return next((spelling for spelling in SPELLINGS if spelling in spelled), None)


def find_spellings(
    cells: pl.Series, csv_format: CsvFormat, *, is_number: bool = False
) -> set[Spelling] | None:
    """Return all that the cells of a column, or of a piece of it, spell; None where none is known.

    A column spells what each of its pieces spells. Warns of one that nearly is numbers; of zeros,
    and of flags, only where it is not to be numbers anyway.
    """
    trimmed = _trim(_find_known(cells, csv_format))
    n_known = len(trimmed) - trimmed.null_count()
    if n_known == 0:
        return None
    plain = _spell_plainly(trimmed, csv_format)
    numbers = {name: plain.cast(dtype, strict=False) for name, dtype in DTYPES.items()}
    spelled = {name for name, v in numbers.items() if len(v) - v.null_count() == n_known}
    if spelled and plain.drop_nulls().str.contains(DIGITS).all():
        spelled.add("digits")
    codes = trimmed.filter(trimmed.str.contains(CODE_WITH_ZEROS))
    if len(codes):
        spelled.clear()
    are_flags = trimmed.str.to_lowercase().is_in(["true", "false"])
    if not spelled:
        are_others = numbers["number"].is_null() & trimmed.is_not_null()
        others = trimmed.filter(are_others & ~are_flags if is_number else are_others)
        if len(others) or not is_number:
            _warn_about_numbers(others, codes, n_known)
    if (are_flags | trimmed.is_null()).all():
        spelled.add("flag")
    if not spelled and parse_dates(trimmed.to_list()) is not None:  # no date looks like the others
        spelled.add("date")
    return spelled


def cast_column(
    cells: pl.Series, csv_format: CsvFormat, spelling: Spelling | None, *, is_number: bool = False
) -> pl.Series:
    """Turn text cells into what they were found to spell; None leaves them text.

    Of a column of numbers, whose reader takes them one by one, those that the format spells are
    then written plainly: one odd cell does not change what its neighbours mean.
    """
    known = _find_known(cells, csv_format)
    spelling = None if spelling == "digits" else spelling  # which stay text
    if spelling is None and not is_number:
        return known
    trimmed = _trim(known)
    if spelling is None:
        return _spell_plainly(trimmed, csv_format).fill_null(trimmed)
    if spelling == "flag":
        return trimmed.str.to_lowercase() == "true"
    if spelling == "date":
        return pl.Series(cells.name, parse_dates(trimmed.to_list()), nan_to_null=True)
    return _spell_plainly(trimmed, csv_format).cast(DTYPES[spelling], strict=False)


def _find_known(cells: pl.Series, csv_format: CsvFormat) -> pl.Series:
    """Return the column with empty cells, and those that stand for missing ones, missing."""
    trimmed = cells.str.strip_chars()
    return _where(cells, (cells != "") & ~trimmed.is_in(list(csv_format.missing)))


def _trim(known: pl.Series) -> pl.Series:
    """Return the cells without blanks around them; one of blanks alone is missing."""
    trimmed = known.str.strip_chars()
    return _where(trimmed, trimmed != "")


def _where(cells: pl.Series, kept: pl.Series) -> pl.Series:
    """Return the column with all but the kept cells missing."""
    return pl.select(pl.when(kept).then(cells).otherwise(None).alias(cells.name)).to_series()


def _spell_plainly(cells: pl.Series, csv_format: CsvFormat) -> pl.Series:
    """Rewrite numbers with a decimal point and no thousands; what is no number goes missing."""
    decimal, thousands = csv_format.decimal, csv_format.thousands
    if (decimal, thousands) == (".", ""):
        return cells
    groups = rf"|[1-9]\d{{0,2}}({re.escape(thousands)}\d{{3}})+" if thousands else ""
    number = rf"^[+-]?(\d+{groups})({re.escape(decimal)}\d*)?([eE][+-]?\d+)?$"
    bare = cells.str.replace_all(thousands, "", literal=True) if thousands else cells
    return _where(bare.str.replace_all(decimal, ".", literal=True), cells.str.contains(number))


def _warn_about_digits(cells: pl.Series) -> None:
    """Warn of a column that is text for the length of its whole numbers."""
    longest = cells.filter(cells.str.len_chars() == cells.str.len_chars().max())
    warnings.warn(
        f"column {cells.name!r} holds whole numbers beyond int64, such as {longest[0]}, and is "
        f"taken as text; {_as_numbers(cells.name)}, of 16 digits",
        KdexportWarning,
        stacklevel=2,
    )


def _warn_about_numbers(others: pl.Series, codes: pl.Series, n_known: int) -> None:
    """Warn of a column that is text for its cells' spelling only.

    Args:
        others: Cells that are no numbers.
        codes: Those that begin with a zero.
        n_known: How many cells there are.
    """
    few, markers = (1 - NEARLY_ALL) * n_known, others.unique()
    if len(codes) > few:
        return
    if len(others) == 0:
        found = f"is text for {len(codes)} of {n_known} cells, which begin with 0: {codes[0]!r}"
        cure = _as_numbers(others.name)
    elif others.str.contains(OTHER_LOCALES).all():
        found = f"looks like numbers written otherwise, such as {others[0]!r}, and is taken as text"
        cure = "pass --decimal and --thousands to read it as numbers"
    elif others.str.contains(WITH_SIGNS).all():
        found = f"looks like numbers with signs, such as {others[0]!r}, and is taken as text"
        cure = "write them without signs to have numbers"
    elif len(others) <= few and len(markers) <= MAX_MARKERS:
        shown = ", ".join(map(repr, sorted(markers.to_list())))
        found = f"is text for {len(others)} of {n_known} cells: {shown}"
        cure = "pass them with --missing to read it as numbers"
    else:
        return
    warnings.warn(f"column {others.name!r} {found}; {cure}", KdexportWarning, stacklevel=2)


def _as_numbers(name: str) -> str:
    """Say how a column of text is read as numbers."""
    option = shlex.join(["--numeric", name])
    return f"{option} (or --goal regression, of a target) reads it as numbers"
