"""Files and frames into `Table`, and columns into files.

The only room that knows polars. Takes CSV and Parquet files, numpy arrays, mappings, and pandas,
polars and pyarrow frames; gives `Table`s. A CSV says nothing of types, so every cell is read as
text and a column is whole numbers, numbers, flags or dates only where all its cells are.
"""

import csv
import re
import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kdexport.columns import parse_dates, tidy_column
from kdexport.disk import write_file
from kdexport.errors import DataError, KdexportWarning
from kdexport.records import Column, Table

CODE_WITH_ZEROS = r"^[+-]?0\d"  # 00501 is a name, not a number
OTHER_LOCALE = r"^[+-]?(\d{1,3}([. ']\d{3})+|\d+),\d+$|^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"
NEARLY_ALL = 0.9
MAX_MARKERS = 3


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


COMMA_CSV = CsvFormat()


def read_table(
    path: Path, *, csv_format: CsvFormat = COMMA_CSV, text: Collection[str] = ()
) -> Table:
    """Read a CSV (with a header line) or Parquet file.

    Args:
        path: The file; its content says which of the two it is.
        csv_format: How a CSV is written.
        text: Columns of a CSV whose cells are text whatever they look like.

    Raises:
        DataError: There is no such file, it is empty or has no rows, it is neither format, or
            its header names a column twice.
    """
    if not path.is_file():
        raise DataError(
            "the data is a CSV or Parquet file",
            found=f"no file {str(path)!r}",
            cure="check the path",
        )
    try:
        frame = pl.read_parquet(path) if _is_parquet(path) else _read_csv(path, csv_format, text)
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            "the data is a CSV or Parquet file that can be read whole",
            found=f"{path.name}: {str(error).splitlines()[0]}",
            cure="check that the file is complete and in UTF-8",
        ) from error
    if frame.height == 0:
        raise DataError(
            "a table has rows",
            found=f"{path.name} has {'a header only' if frame.width else 'nothing'}",
            cure="pass a file with data",
        )
    return _from_polars(frame, path.name)


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
        return _from_polars(data, source)
    if isinstance(data, np.ndarray) and data.ndim == 2:
        data = {f"x{i}": data[:, i] for i in range(data.shape[1])}
    if isinstance(data, Mapping):
        return _from_columns({str(k): np.asarray(v) for k, v in data.items()}, source)
    if hasattr(data, "columns") and hasattr(data, "iloc"):  # pandas, which need not be imported
        _refuse_repeats([str(name) for name in data.columns], source)
        return _from_columns({str(n): _from_pandas(data[n]) for n in data.columns}, source)
    if hasattr(data, "column_names") and hasattr(data, "schema"):  # pyarrow
        _refuse_repeats(list(data.column_names), source)
        frame = pl.from_arrow(data)
        if isinstance(frame, pl.DataFrame):
            return _from_polars(frame, source)
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
    frame = pl.DataFrame({name: _plain(values) for name, values in columns.items()})
    with write_file(path) as staged:
        if path.suffix.lower() in {".parquet", ".pq"}:
            frame.write_parquet(staged)
        else:
            frame.write_csv(staged)


def iter_chunks(table: Table, n_rows: int) -> Iterator[Table]:
    """Yield the table in pieces of at most `n_rows` rows, in order."""
    for start in range(0, table.n_rows, n_rows):
        yield table.take(np.arange(start, min(start + n_rows, table.n_rows)))


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _read_csv(path: Path, csv_format: CsvFormat, text: Collection[str]) -> pl.DataFrame:
    separator = csv_format.separator
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(filter(None, csv.reader(file, delimiter=separator)), [])
    _refuse_repeats(header, path.name)
    if len(header) == 1 and separator == "," and ";" in header[0]:
        raise DataError(
            "a header's names stand between separators",
            found=f"{path.name} has one column, {header[0][:40]!r}",
            cure="pass --separator ';' if that is what stands between its cells",
        )
    frame = pl.read_csv(path, infer_schema=False, separator=separator, raise_if_empty=False)
    if not header:
        return frame
    # polars leaves doubled quotes in a header as they are; the csv module reads what was meant.
    cells = frame.rename(dict(zip(frame.columns, header, strict=True)))
    return cells.with_columns(
        _with_type(column, csv_format, as_text=column.name in text)
        for column in cells.iter_columns()
    )


def _with_type(cells: pl.Series, csv_format: CsvFormat, *, as_text: bool) -> pl.Series:
    """Turn a column of text cells into the narrowest type that all of them spell."""
    trimmed = cells.str.strip_chars()
    known = _where(cells, (cells != "") & ~trimmed.is_in(list(csv_format.missing)))
    trimmed = _where(trimmed, known.is_not_null() & (trimmed != ""))  # a blank number is missing
    n_known = len(trimmed) - trimmed.null_count()
    if as_text or n_known == 0:
        return known
    if not trimmed.str.contains(CODE_WITH_ZEROS).any():
        spelled = _spell_plainly(trimmed, csv_format)
        for dtype in (pl.Int64, pl.Float64):
            numbers = spelled.cast(dtype, strict=False)
            if len(numbers) - numbers.null_count() == n_known:
                return numbers
        _warn_about_numbers(trimmed, numbers.is_null(), n_known)
    words = trimmed.str.to_lowercase()
    if (words.is_in(["true", "false"]) | words.is_null()).all():
        return words == "true"
    if (dates := parse_dates(trimmed.to_list())) is not None:
        return pl.Series(cells.name, dates, nan_to_null=True)
    return known


def _where(cells: pl.Series, kept: pl.Series) -> pl.Series:
    """Return the column with all but the kept cells missing."""
    return pl.select(pl.when(kept).then(cells).otherwise(None).alias(cells.name)).to_series()


def _spell_plainly(cells: pl.Series, csv_format: CsvFormat) -> pl.Series:
    """Rewrite numbers with a decimal point and no thousands; what is no number goes missing."""
    decimal, thousands = csv_format.decimal, csv_format.thousands
    if (decimal, thousands) == (".", ""):
        return cells
    groups = rf"|\d{{1,3}}({re.escape(thousands)}\d{{3}})+" if thousands else ""
    number = rf"^[+-]?(\d+{groups})({re.escape(decimal)}\d*)?([eE][+-]?\d+)?$"
    bare = cells.str.replace_all(thousands, "", literal=True) if thousands else cells
    return _where(bare.str.replace_all(decimal, ".", literal=True), cells.str.contains(number))


def _warn_about_numbers(cells: pl.Series, not_numbers: pl.Series, n_known: int) -> None:
    """Warn of a column that is text for its cells' spelling only."""
    others = cells.filter(not_numbers & cells.is_not_null())
    markers = others.unique()
    if others.str.contains(OTHER_LOCALE).all():
        found = f"looks like numbers written otherwise, such as {others[0]!r}, and is taken as text"
        cure = "pass --decimal and --thousands to read it as numbers"
    elif len(others) <= (1 - NEARLY_ALL) * n_known and len(markers) <= MAX_MARKERS:
        shown = ", ".join(map(repr, sorted(markers.to_list())))
        found = f"is text for {len(others)} of {n_known} cells: {shown}"
        cure = "pass them with --missing to read it as numbers"
    else:
        return
    warnings.warn(f"column {cells.name!r} {found}; {cure}", KdexportWarning, stacklevel=2)


def _refuse_repeats(names: list[str], source: str) -> None:
    repeated = [name for name, n in Counter(names).items() if n > 1]
    if repeated:
        raise DataError(
            "a header names each column once",
            found=f"{source} has {repeated[0]!r} {names.count(repeated[0])} times",
            cure="rename or drop the others",
        )


def _from_polars(frame: pl.DataFrame, source: str) -> Table:
    return _from_columns({s.name: _to_numpy(s) for s in frame.iter_columns()}, source)


def _from_pandas(series: Any) -> Column:
    if isinstance(series.dtype, np.dtype):
        values: Column = series.to_numpy()
        return values
    known = series.astype(object).where(series.notna(), None)  # pandas' own types mark gaps anew
    if series.dtype.name == "category":
        return np.array([None if v is None else str(v) for v in known], dtype=object)
    objects: Column = known.to_numpy(dtype=object)
    return objects


def _to_numpy(series: pl.Series) -> Column:
    dtype = series.dtype
    if dtype in (pl.Categorical, pl.Enum):
        series = series.cast(pl.String)
    if dtype.is_integer() and series.null_count() == 0:
        whole = series.cast(pl.Int64, strict=False)
        if whole.null_count() == 0:
            return whole.to_numpy()
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
    tidy = {name: tidy_column(values, name) for name, values in columns.items()}
    return Table(tidy, np.arange(len(next(iter(tidy.values()))), dtype=np.int64), source)


def _plain(values: Column) -> Any:
    return values.tolist() if values.dtype.kind == "O" else values
