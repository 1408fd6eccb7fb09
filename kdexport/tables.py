"""Files and frames into `Table`, and columns into files.

With `cells` and `streams` one of the rooms that know polars. Takes CSV and Parquet files, numpy
arrays, mappings, and pandas, polars and pyarrow frames; gives `Table`s. A CSV says nothing of
types, so every cell is read as text and a column is whole numbers, numbers, flags or dates only
where all its cells are.
"""

import csv
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kdexport.cells import COMMA_CSV, CsvFormat, type_column
from kdexport.columns import EXACT, tidy_column
from kdexport.disk import write_file
from kdexport.errors import DataError, KdexportWarning
from kdexport.lines import (
    differing_headers,
    find_empty_lines,
    read_header,
    refuse_open_quotes,
    refuse_repeats,
)
from kdexport.records import Column, Int64, Table

UNPACK = "unpack it"
PACKED = {
    b"\x1f\x8b": ("compressed with gzip", UNPACK),
    **{b"BZh%d1AY&SY" % level: ("compressed with bzip2", UNPACK) for level in range(1, 10)},
    b"\xfd7zXZ": ("compressed with xz", UNPACK),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", UNPACK),
    b"PK\x03\x04": ("a zip archive or a spreadsheet", "unpack it, or save its sheet as CSV"),
}
"""First bytes of a file to what it is, and what to do."""
MAX_SAID = 300  # characters of polars' own message


def read_table(
    path: str | Path,
    *,
    csv_format: CsvFormat = COMMA_CSV,
    text: Collection[str] = (),
    numbers: Collection[str] = (),
) -> Table:
    """Read a CSV (with a header line) or Parquet file.

    Args:
        path: The file; its content says which of the two it is.
        csv_format: How a CSV is written.
        text: Columns of a CSV whose cells are text whatever they look like.
        numbers: Columns of a CSV whose cells are numbers, each for itself, where others are not.

    Raises:
        DataError: There is no such file, it is empty or has no rows, it is neither format, or
            its header names a column twice.
    """
    path = Path(path)
    with reading(path):
        if is_parquet(path):
            frame = pl.read_parquet(path, glob=False)
        else:
            frame = _read_csv(path, csv_format, text, numbers)
    if frame.height == 0:
        raise has_no_rows(path, frame.columns)
    return from_polars(frame, path.name)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a file while it is read into a DataError that names it."""
    rule = "the data is a CSV or Parquet file"
    if str(path) == "-" or (path.exists() and not path.is_file() and not path.is_dir()):
        raise DataError(rule, found=f"{str(path)!r}, a pipe or device", cure="write a file first")
    if not path.is_file():
        raise DataError(rule, found=f"no file {str(path)!r}", cure="check the path")
    try:
        with path.open("rb") as file:
            head = file.read(max(map(len, PACKED)))
        for mark, (found, cure) in PACKED.items():
            if head.startswith(mark):
                raise DataError(rule, found=f"{path.name} is {found}", cure=cure)
        yield
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from error
    except pl.exceptions.PanicException as error:  # polars' own slip on a damaged file
        raise _unreadable(path, error) from error


def has_no_rows(path: Path, names: Collection[str]) -> DataError:
    """Return the refusal of a file without rows."""
    return DataError(
        "a table has rows",
        found=f"{path.name} has {'a header only' if names else 'nothing'}",
        cure="pass a file with data",
    )


def _unreadable(path: Path, error: BaseException) -> DataError:
    said = next(iter(str(error).splitlines()), type(error).__name__)
    return DataError(
        "the data is a CSV or Parquet file that can be read whole",
        found=f"{path.name}: {said[:MAX_SAID]}",
        cure="check that the file is complete and in UTF-8",
    )


def as_table(data: Any, *, source: str = "the table") -> Table:
    """Turn data in memory into a `Table`.

    Args:
        data: A `Table`, a 2-d numpy array (columns become x0, x1, ...), a mapping of names to
            1-d arrays, or a pandas, polars or pyarrow frame.
        source: What messages call it.

    Raises:
        DataError: It is none of these.
    """
    if isinstance(data, Table):
        return data
    if isinstance(data, pl.DataFrame):
        return from_polars(data, source)
    if isinstance(data, np.ndarray) and data.ndim == 2:
        data = {f"x{i}": data[:, i] for i in range(data.shape[1])}
    if isinstance(data, Mapping):
        return _from_columns({str(k): _from_array(v) for k, v in data.items()}, source)
    if hasattr(data, "columns") and hasattr(data, "iloc"):  # pandas, which need not be imported
        refuse_repeats([str(name) for name in data.columns], source)
        return _from_columns({str(n): _from_pandas(data[n]) for n in data.columns}, source)
    if hasattr(data, "column_names") and hasattr(data, "schema"):  # pyarrow
        refuse_repeats(list(data.column_names), source)
        frame = pl.from_arrow(data)
        if isinstance(frame, pl.DataFrame):
            return from_polars(frame, source)
    raise DataError(
        "data in memory is a frame, a mapping of columns or a 2-d array",
        found=f"an object of type {type(data).__name__}",
        cure="pass a pandas, polars or pyarrow frame, or a numpy array [n, F]",
    )


def write_columns(columns: Mapping[str, Column], path: Path) -> None:
    """Write named columns as CSV or Parquet, by the ending of `path`, whole or not at all.

    Raises:
        OutputError: The folder is absent or cannot be written.
    """
    frame = to_polars(columns)
    with write_file(path) as staged:
        if names_parquet(path):
            frame.write_parquet(staged)
        else:
            frame.write_csv(staged)


def to_polars(columns: Mapping[str, Column]) -> pl.DataFrame:
    """Turn named columns into a polars frame."""
    return pl.DataFrame({name: _plain(values) for name, values in columns.items()})


def names_parquet(path: Path) -> bool:
    """Say whether a file to write is to be Parquet: by its ending."""
    return path.suffix.lower() in {".parquet", ".pq"}


def is_parquet(path: Path) -> bool:
    """Say whether a file begins as a Parquet file does."""
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _read_csv(
    path: Path, csv_format: CsvFormat, text: Collection[str], numbers: Collection[str]
) -> pl.DataFrame:
    header = read_header(path, csv_format.separator)
    refuse_open_quotes(path, csv_format.separator)
    with reading_rows(path, csv_format, len(header)):
        frame = pl.read_csv(
            path,
            infer_schema=False,
            separator=csv_format.separator,
            raise_if_empty=False,
            glob=False,
        )
    if not header:
        return frame
    if len(header) != frame.width:
        raise differing_headers(path, len(header), frame.width)
    # polars leaves doubled quotes in a header as they are; the csv module reads what was meant.
    cells = frame.rename(dict(zip(frame.columns, header, strict=True)))
    if has_gaps(cells):
        cells = leave_out(cells, find_gaps(path, csv_format, len(header)))
    return cells.with_columns(
        type_column(
            column,
            csv_format,
            as_text=column.name in text,
            is_number=column.name in numbers,
        )
        for column in cells.iter_columns()
    )


@contextmanager
def reading_rows(path: Path, csv_format: CsvFormat, n_columns: int) -> Iterator[None]:
    """Say which row of a CSV it is that polars finds too long."""
    try:
        yield
    except pl.exceptions.ComputeError:
        if n_columns > 1:
            find_empty_lines(path, csv_format.separator, n_columns)
        raise


def find_gaps(path: Path, csv_format: CsvFormat, n_columns: int) -> Int64:
    """Find the rows of a CSV that are empty lines, and warn of them; see `find_empty_lines`.

    In a file of one column, an empty line is a missing cell.
    """
    if n_columns < 2:
        return np.array([], np.int64)
    empty = find_empty_lines(path, csv_format.separator, n_columns)
    if len(empty):
        warnings.warn(
            f"{len(empty)} empty lines of {path.name} were left out", KdexportWarning, stacklevel=3
        )
    return empty


def leave_out(cells: pl.DataFrame, rows: Int64) -> pl.DataFrame:
    """Return the frame without the rows of these numbers."""
    kept = np.ones(cells.height, bool)
    kept[rows] = False
    return cells.filter(pl.Series(kept)) if len(rows) else cells


def has_gaps(cells: pl.DataFrame) -> bool:
    """Say whether empty lines and rows cut short may be among rows: polars fills up their end."""
    return bool(cells.width) and cells.to_series(cells.width - 1).null_count() > 0


def from_polars(frame: pl.DataFrame, source: str) -> Table:
    """Turn a polars frame into a `Table`."""
    return _from_columns({s.name: _to_numpy(s) for s in frame.iter_columns()}, source)


def _from_array(values: Any) -> Column:
    """A column as an array, of which masked cells are missing."""
    if isinstance(values, np.ma.MaskedArray):
        cells: Column = values.data.astype(object)
        cells[np.ma.getmaskarray(values)] = None
        return cells
    return np.asarray(values)


def _from_pandas(series: Any) -> Column:
    if isinstance(series.dtype, np.dtype):
        values: Column = series.to_numpy()
        return values
    known = series.astype(object).where(series.notna(), None)  # pandas' own types mark gaps anew
    if series.dtype.name == "category":
        return np.array([None if v is None else str(v) for v in known], dtype=object)
    objects: Column = known.to_numpy(dtype=object)
    return objects


def _has_large(series: pl.Series) -> bool:
    """Say whether whole numbers are among them that float64 cannot tell from their neighbours."""
    ends = [end for end in (series.min(), series.max()) if isinstance(end, int)]
    return any(abs(end) >= EXACT for end in ends)


def _to_numpy(series: pl.Series) -> Column:
    dtype = series.dtype
    if dtype in (pl.Categorical, pl.Enum):
        series = series.cast(pl.String)
    if dtype.is_integer() and series.null_count() == 0:
        whole = series.cast(pl.Int64, strict=False)
        if whole.null_count() == 0:
            return whole.to_numpy()
    if dtype.is_integer() and _has_large(series):
        objects = np.empty(len(series), object)  # float64, which has gaps, would round them
        objects[:] = series.to_list()
        return objects
    if dtype.is_numeric():
        return series.cast(pl.Float64, strict=False).to_numpy()
    if dtype == pl.Boolean and series.null_count() == 0:
        return series.to_numpy()
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if dtype in (pl.Date, pl.Datetime):
        return series.to_numpy().astype("datetime64[us]")
    if dtype == pl.Duration:
        return series.to_numpy()
    objects = np.empty(len(series), object)
    objects[:] = series.to_list()
    return objects


def _from_columns(columns: Mapping[str, Column], source: str) -> Table:
    if not columns:
        raise DataError("a table has columns", found=f"{source} has none", cure="pass some")
    for name, values in columns.items():
        if not values.ndim:
            raise DataError(
                "a column of a table has a cell for each row",
                found=f"column {name!r} of {source} is {str(values)[:MAX_SAID]!r}",
                cure=f"pass one row as {{{name!r}: [...]}}",
            )
    tidy = {name: tidy_column(values, name) for name, values in columns.items()}
    return Table(tidy, np.arange(len(next(iter(tidy.values()))), dtype=np.int64), source)


def _plain(values: Column) -> Any:
    return values.tolist() if values.dtype.kind == "O" else values
