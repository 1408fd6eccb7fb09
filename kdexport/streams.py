"""Tables larger than memory: rows in, answers out, a chunk at a time.

Takes a CSV or Parquet file and a function of a `Table`; gives a file with its answers. A chunk
holds the fewer rows the more columns the file has, so that memory does not grow with the file.
With `tables` and `cells` one of the rooms that know polars.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from kdexport.cells import (
    COMMA_CSV,
    SPELLINGS,
    CsvFormat,
    Spelling,
    cast_column,
    find_spellings,
    first_of,
)
from kdexport.disk import write_file
from kdexport.errors import DataError
from kdexport.lines import differing_headers, read_header, refuse_open_quotes
from kdexport.reading import name_of
from kdexport.records import Column, Int64, Table
from kdexport.tables import (
    find_gaps,
    from_polars,
    has_gaps,
    has_no_rows,
    is_parquet,
    leave_out,
    names_parquet,
    reading,
    reading_rows,
    to_polars,
)

CELLS_AT_ONCE = 2**20
MAX_ROWS, MIN_ROWS = 65_536, 64

Answer = Callable[[Table], Mapping[str, Column]]


@dataclass(frozen=True)
class TableFile:
    """A CSV or Parquet file that is read in chunks, its columns typed as `read_table` does.

    Attributes:
        path: The file; its content says which of the two it is.
        csv_format: How a CSV is written.
        text: Columns of a CSV whose cells are text whatever they look like.
        numbers: Columns of a CSV whose cells are numbers, each for itself, where others are not.
    """

    path: Path
    csv_format: CsvFormat = COMMA_CSV
    text: Collection[str] = ()
    numbers: Collection[str] = ()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Its columns, in order.

        Raises:
            DataError: It cannot be read.
        """
        with reading(self.path):
            if is_parquet(self.path):
                return tuple(pl.read_parquet_schema(self.path))
            return tuple(read_header(self.path, self.csv_format.separator))

    def read(self, columns: Collection[str]) -> Table:
        """Return all rows at once, less the columns that nobody asks for.

        Raises:
            DataError: It cannot be read whole, or has no rows.
        """
        frames = [frame for frame, _ in self.read_chunks(columns)]
        return from_polars(pl.concat(frames), self.path.name)

    def read_chunks(
        self, columns: Collection[str], keep: Collection[str] = ()
    ) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
        """Yield the rows in order, less the columns that nobody asks for.

        A CSV is read twice: what a column is depends on its last cell too.

        Args:
            columns: Those that are asked for, in their types.
            keep: Those that are wanted as they stand in the file.

        Returns:
            Frames of the first and of the second, as many rows in each.

        Raises:
            DataError: It cannot be read whole, or has no rows.
        """
        taken = [name for name in self.names if name in columns]
        spellings = None if is_parquet(self.path) else self._find_spellings(taken)
        n_rows = 0
        for frame in self._scan_chunks([n for n in self.names if n in columns or n in keep]):
            typed = frame.select(taken)
            if spellings is not None:
                typed = typed.with_columns(
                    cast_column(
                        frame[name],
                        self.csv_format,
                        spellings[name],
                        is_number=name in self.numbers,
                    )
                    for name in taken
                )
            n_rows += frame.height
            yield typed, frame.select(keep)
        if n_rows == 0:
            raise has_no_rows(self.path, self.names)

    def _find_spellings(self, taken: Sequence[str]) -> dict[str, Spelling | None]:
        with reading(self.path):
            refuse_open_quotes(self.path, self.csv_format.separator)
        spelled: dict[str, set[Spelling]] = {}
        for frame in self._scan_chunks([name for name in taken if name not in self.text]):
            for name in frame.columns:
                is_number = name in self.numbers
                found = find_spellings(frame[name], self.csv_format, is_number=is_number)
                if found is not None:
                    spelled[name] = spelled.get(name, set(SPELLINGS)) & found
        for name in self.numbers:  # true is no number: whoever takes flags reads them from text
            spelled.get(name, set()).discard("flag")
        return {name: first_of(spelled.get(name, ())) for name in taken}

    def _scan_chunks(self, taken: Sequence[str]) -> Iterator[pl.DataFrame]:
        n_rows = max(MIN_ROWS, min(MAX_ROWS, CELLS_AT_ONCE // max(1, len(self.names))))
        with reading(self.path):
            scan = self._scan()
            if is_parquet(self.path):  # of a CSV, polars lets cells too many pass in such a scan
                for frame in scan.select(taken).collect_batches(
                    chunk_size=n_rows, maintain_order=True
                ):
                    yield from frame.iter_slices(n_rows)
                return
            n_above = 0
            with reading_rows(self.path, self.csv_format, len(self.names)):
                for frame in scan.collect_batches(chunk_size=n_rows, maintain_order=True):
                    rows = self._leave_out_gaps(frame, n_above)
                    n_above += frame.height
                    yield from rows.select(taken).iter_slices(n_rows)

    def _leave_out_gaps(self, frame: pl.DataFrame, n_above: int) -> pl.DataFrame:
        """Return rows of a CSV, that many of which stand above them, without empty lines."""
        if not has_gaps(frame):
            return frame
        first, last = np.searchsorted(self._gaps, [n_above, n_above + frame.height])
        return leave_out(frame, self._gaps[first:last] - n_above)

    @cached_property
    def _gaps(self) -> Int64:
        return find_gaps(self.path, self.csv_format, len(self.names))

    def _scan(self) -> pl.LazyFrame:
        if is_parquet(self.path):
            return pl.scan_parquet(name_of(self.path), glob=False)
        frame = pl.scan_csv(
            name_of(self.path),
            infer_schema=False,
            separator=self.csv_format.separator,
            raise_if_empty=False,
            glob=False,
        )
        found = frame.collect_schema().names()
        if len(found) != len(self.names):
            raise differing_headers(self.path, len(self.names), len(found))
        return frame.rename(dict(zip(found, self.names, strict=True)))


def answer_file(
    file: TableFile, answer: Answer, output: Path, *, columns: Collection[str], keep: Sequence[str]
) -> int:
    """Write the answers to a file's rows, in order, whole or not at all.

    Args:
        file: The rows.
        answer: What is asked, a chunk at a time.
        output: CSV or Parquet file to write, by its ending.
        columns: Those that `answer` looks at.
        keep: Columns to copy as they stand in the file, before the answers.

    Returns:
        How many rows there were.

    Raises:
        KdexportError: The file cannot be read, answered, or written.
    """
    n_rows = 0
    with write_file(output) as staged:
        writer = _PartsWriter(staged) if names_parquet(output) else _CsvWriter(staged)
        for frame, kept in file.read_chunks(columns, keep):
            answers = to_polars(answer(from_polars(frame, file.path.name)))
            _refuse_twice(keep, answers.columns)
            writer.write(pl.concat([kept, answers], how="horizontal"))
            n_rows += frame.height
        writer.finish()
    return n_rows


def _refuse_twice(keep: Sequence[str], answers: Sequence[str]) -> None:
    twice = [name for name in keep if name in answers]
    if twice:
        raise DataError(
            "--keep names columns that no answer is called by",
            found=f"{twice[0]!r} is an answer's name too",
            cure="rename that column of the data, or leave it out",
        )


class _CsvWriter:
    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, frame: pl.DataFrame) -> None:
        is_first = not self._path.exists()
        with self._path.open("ab") as file:
            frame.write_csv(file, include_header=is_first)

    def finish(self) -> None:
        """Nothing is left to do: rows were written as they came."""


class _PartsWriter:
    """Parquet is written at once: parts lie beside the file until all are there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parts = path.with_name("parts")
        self._parts.mkdir()
        self._written: list[str] = []

    def write(self, frame: pl.DataFrame) -> None:
        part = self._parts / f"{len(self._written)}.parquet"
        frame.write_parquet(part)
        self._written.append(name_of(part))

    def finish(self) -> None:
        pl.scan_parquet(self._written, glob=False).sink_parquet(self._path)
