"""A CSV in its bytes: its header, which rows are empty lines, which have cells too few or many.

polars makes a row of missing cells of an empty line, fills up a row that is cut short, does not say
where a row is too long, and reads on over the end of a line that has a quote too many. Takes a
file, gives rows by their number. Imports numpy, `errors` and `records` only.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kdexport.errors import DataError
from kdexport.records import Int64

PIECE_BYTES = 2**24
OTHER_SEPARATORS = (";", "\t", "|")
BYTE_ORDER_MARK = "\ufeff"
LINE_END, QUOTE = ord("\n"), ord('"')

Span = tuple[int, int, int]
"""Number of a row, the header being 0 or later, and where it begins and ends in the file."""


def read_header(path: Path, separator: str) -> list[str]:
    """Return the names of a CSV's columns.

    Raises:
        DataError: One is there twice, or another separator stands between them.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(filter(None, csv.reader(file, delimiter=separator)), [])
    refuse_repeats(header, path.name)
    alone = header[0] if len(header) == 1 and separator == "," else ""
    other = next((mark for mark in OTHER_SEPARATORS if mark in alone), None)
    if other is not None:
        shown = other.replace("\t", r"\t")
        raise DataError(
            "a header's names stand between separators",
            found=f"{path.name} has one column, {alone[:40]!r}",
            cure=f"pass --separator '{shown}' if that is what stands between its cells",
        )
    return header


def differing_headers(path: Path, n_read: int, n_found: int) -> DataError:
    """Return the refusal of a header that can be read in two ways."""
    with path.open("rb") as file:
        first = file.readline(PIECE_BYTES)
    if b"\r" in first.rstrip(b"\r\n"):
        return DataError(
            "lines of a CSV end with \\n or \\r\\n",
            found=f"{path.name} ends its first line with \\r alone",
            cure="save it with the line ends of Unix or Windows",
        )
    return DataError(
        "a header is one line of names between separators",
        found=f"{path.name} has {n_read} or {n_found} columns, as its quotes are read",
        cure="mend the quotes of its first line",
    )


def refuse_repeats(names: list[str], source: str) -> None:
    """Refuse names of columns, some of them there twice.

    Raises:
        DataError: The message has the first of them.
    """
    repeated = [name for name, n in Counter(names).items() if n > 1]
    if repeated:
        raise DataError(
            "a header names each column once",
            found=f"{source} has {repeated[0]!r} {names.count(repeated[0])} times",
            cure="rename or drop the others",
        )


def refuse_open_quotes(path: Path, separator: str) -> None:
    """Refuse a CSV in which a quote within a cell, such as of inches, hides the end of a line.

    Rows are told apart by all quotes alike; but only one at a cell's start opens it over lines.

    Raises:
        DataError: The message has the row's line.
    """
    mark = re.escape(separator.encode())
    plain, quoted = rb'[^"%b\n][^%b\n]*+' % (mark, mark), rb'"(?:[^"]++|"")*+"[^%b\n]*+' % mark
    one_row = re.compile(rb"(?:%b|%b)?+(?:%b(?:%b|%b)?+)*+" % (plain, quoted, mark, plain, quoted))
    with path.open("rb") as file:
        for _, start, end in _find_uneven(path, LINE_END, 0, quoted=True):
            file.seek(start)
            text = file.read(end - start).removeprefix(BYTE_ORDER_MARK.encode())
            if one_row.fullmatch(text) is None:
                shown = text.splitlines()[0].decode("utf-8", "replace")[:40]
                raise DataError(
                    "a cell with a quote stands between quotes, its own doubled",
                    found=f"line {_count_lines(path, start) + 1} of {path.name} has a quote that "
                    f"hides its end: {shown!r}",
                    cure='mend it: 5" is written as "5"""',
                )


def find_empty_lines(path: Path, separator: str, n_columns: int) -> Int64:
    """Find the rows of a CSV that are empty lines, or blanks alone.

    Args:
        path: The file; it is read once, a piece at a time.
        separator: What stands between cells, unless it stands between quotes.
        n_columns: Cells of the header, two or more.

    Returns:
        **Shape** `[n]`: their numbers in ascending order, 0 being the row below the header.

    Raises:
        DataError: A row has fewer or more cells than the header; the message has its line.
    """
    empty: list[int] = []
    n_above = 1  # the header, and empty lines above it
    blanks = f"{BYTE_ORDER_MARK} \t\r\n".replace(separator, "")
    with path.open("rb") as file:
        for row, start, end in _find_uneven(path, ord(separator), n_columns - 1, quoted=False):
            file.seek(start)
            text = file.read(end - start).decode("utf-8", "replace")
            if not text.strip(blanks):
                if row == n_above - 1:
                    n_above += 1
                else:
                    empty.append(row)
                continue
            cells = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
            if len(cells) != n_columns:  # else a quote within a cell misled the count
                raise _uneven(path, start, end, cells, n_columns)
    return np.array(empty, np.int64) - n_above


def _find_uneven(path: Path, mark: int, n_expected: int, *, quoted: bool) -> Iterator[Span]:
    """Yield the rows that have more or fewer of a byte, in order.

    Args:
        path: The file; it is read once, a piece at a time.
        mark: The byte.
        n_expected: How many of them a row has.
        quoted: Whether those between quotes count, or those outside of them.
    """
    row = start = n_marks = 0  # of the row that the piece before left open
    offset = n_quotes = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            data = np.frombuffer(piece, np.uint8)
            quotes, ends, marks = (np.flatnonzero(data == b) for b in (QUOTE, LINE_END, mark))
            if quoted or n_quotes % 2 or len(quotes):
                ends = ends[(n_quotes + np.searchsorted(quotes, ends)) % 2 == 0]
                marks = marks[(n_quotes + np.searchsorted(quotes, marks)) % 2 == int(quoted)]
            so_far = n_marks + np.searchsorted(marks, ends)
            counts = np.diff(so_far, prepend=0)
            starts = np.concatenate([[start], offset + ends + 1])
            for i in np.flatnonzero(counts != n_expected):
                yield row + int(i), int(starts[i]), offset + int(ends[i])
            n_marks += len(marks) - int(counts.sum())
            row, start = row + len(ends), int(starts[-1])
            offset, n_quotes = offset + len(piece), n_quotes + len(quotes)
    if start < offset and n_marks != n_expected:
        yield row, start, offset


def _count_lines(path: Path, end: int) -> int:
    """Count the ends of lines above a place in a file."""
    with path.open("rb") as file:
        sizes = (min(PIECE_BYTES, end - at) for at in range(0, end, PIECE_BYTES))
        return sum(file.read(size).count(b"\n") for size in sizes)


def _uneven(path: Path, start: int, end: int, cells: list[str], n_columns: int) -> DataError:
    """Return the refusal of a row whose cells are not the header's."""
    shown, n_cells = ",".join(cells)[:40], len(cells)
    if end == path.stat().st_size and n_cells < n_columns:
        return DataError(
            "a CSV has every cell of its last row",
            found=f"{path.name} ends after {n_cells} of {n_columns} cells: {shown!r}",
            cure="copy or download it again; if it is whole, fill up its last row",
        )
    n_lines = _count_lines(path, start) + 1
    return DataError(
        "each row of a CSV has as many cells as its header",
        found=f"line {n_lines} of {path.name} has {n_cells} cells, not {n_columns}: {shown!r}",
        cure="mend it: a missing cell is empty, and one with a separator stands between quotes",
    )
