"""Files and frames into `Table`, and a table into its three parts.

The only room that knows polars. Takes CSV and Parquet files, numpy arrays, mappings, and pandas,
polars and pyarrow frames; gives `Table`s. Rows without a label are dropped here, before anything
is counted.
"""

import csv
import hashlib
import os
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kdexport.errors import DataError, KdexportWarning, OutputError
from kdexport.records import Column, Int64, Parts, Table

PARTS = {"train": 0, "validation": 1, "valid": 1, "val": 1, "test": 2}
MAX_CLASSES_NAMED = 5


def read_table(path: Path) -> Table:
    """Read a CSV (header line, comma) or Parquet file.

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
        frame = pl.read_parquet(path) if _is_parquet(path) else _read_csv(path)
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
        return _from_columns({str(n): data[n].to_numpy() for n in data.columns}, source)
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


def drop_unlabelled(table: Table, target: str) -> Table:
    """Return the table without the rows whose target is missing, and warn with their number.

    Raises:
        DataError: The table has no such column, or no row has a label.
    """
    if target not in table.columns:
        raise DataError(
            "the target is a column of the table",
            found=f"{table.source} has no column {target!r}",
            cure=f"its columns are {', '.join(map(repr, list(table.columns)[:8]))}",
        )
    missing = _is_missing(table.columns[target])
    if missing.all():
        raise DataError(
            "rows need a label to learn from",
            found=f"all {table.n_rows} cells of {target!r} in {table.source} are empty",
            cure="pass labelled rows, or another --target",
        )
    if missing.any():
        n_missing = int(missing.sum())
        warnings.warn(
            f"{n_missing} rows of {table.source} have no {target!r} and were dropped",
            KdexportWarning,
            stacklevel=2,
        )
        return table.take(~missing)
    return table


def split_table(
    table: Table,
    target: str,
    *,
    test: Table | None,
    split_column: str | None,
    test_share: float,
    validation_share: float,
    seed: int,
) -> Parts[Table]:
    """Split labelled rows into train, validation and test, stratified by label.

    Args:
        table: Labelled rows.
        target: Name of the target column.
        test: The user's own test rows, or None to keep `test_share` of the table for testing.
        split_column: A column that says which part each row belongs to, or None.
        test_share: Share of the rows kept for testing.
        validation_share: Share of the rows to learn from that only choose.
        seed: Decides which rows.

    Raises:
        DataError: The split column holds other values, or a part comes out empty.
    """
    rng = np.random.default_rng(seed)
    learn = table
    validation = None
    if split_column is not None:
        train, validation, column_test = _split_by_column(table, split_column)
        test = test.without(split_column) if test is not None else column_test
        learn = train
    elif test is None:
        chosen = _draw_stratified(table.columns[target], test_share, rng)
        learn, test = table.take(~chosen), table.take(chosen)
    if validation is None:
        _warn_about_lone_classes(learn.columns[target], target)
        chosen = _draw_stratified(learn.columns[target], validation_share, rng)
        learn, validation = learn.take(~chosen), learn.take(chosen)
    parts = Parts(learn, validation, test)
    for name, part in parts.items():
        if part.n_rows == 0:
            raise DataError(
                "each of train, validation and test has rows",
                found=f"no row is left for {name} out of {table.n_rows}",
                cure="pass more rows, or larger shares",
            )
    return parts


def concat_tables(first: Table, second: Table) -> Table:
    """Return the rows of both tables, columns in the order of the first."""
    columns = {
        name: np.concatenate([values, second.columns[name]])
        for name, values in first.columns.items()
    }
    return Table(columns, np.concatenate([first.row_ids, second.row_ids]), first.source)


def hash_table(table: Table) -> str:
    """Return the sha256 of a table's names and values, in its own order."""
    digest = hashlib.sha256()
    for name, values in table.columns.items():
        digest.update(f"{name}\0{values.dtype.str}\0".encode())
        if values.dtype.kind == "O":
            digest.update("\0".join("" if v is None else f"={v}" for v in values).encode())
        else:
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def write_columns(columns: Mapping[str, Column], path: Path) -> None:
    """Write named columns as CSV or Parquet, by the ending of `path`, whole or not at all.

    Raises:
        OutputError: The folder is absent or cannot be written.
    """
    frame = pl.DataFrame({name: _plain(values) for name, values in columns.items()})
    staging = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.suffix.lower() in {".parquet", ".pq"}:
            frame.write_parquet(staging)
        else:
            frame.write_csv(staging)
        staging.replace(path)
    except OSError as error:
        raise OutputError(
            "the output file can be written",
            found=f"{str(path)!r}: {error.strerror or error}",
            cure="pass an -o in a folder of yours that exists",
        ) from error
    finally:
        staging.unlink(missing_ok=True)


def iter_chunks(table: Table, n_rows: int) -> Iterator[Table]:
    """Yield the table in pieces of at most `n_rows` rows, in order."""
    for start in range(0, table.n_rows, n_rows):
        yield table.take(np.arange(start, min(start + n_rows, table.n_rows)))


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _read_csv(path: Path) -> pl.DataFrame:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file), [])
    _refuse_repeats(header, path.name)
    # The whole file decides a column's type, so that a late text cell is not an error of row one.
    frame = pl.read_csv(path, infer_schema_length=None, raise_if_empty=False)
    # polars leaves doubled quotes in a header as they are; the csv module reads what was meant.
    return frame.rename(dict(zip(frame.columns, header, strict=True))) if header else frame


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


def _to_numpy(series: pl.Series) -> Column:
    if series.dtype in (pl.Categorical, pl.Enum):
        series = series.cast(pl.String)
    if series.dtype.is_integer() and series.null_count() == 0:
        return series.cast(pl.Int64, strict=False).to_numpy()
    if series.dtype.is_numeric():
        return series.cast(pl.Float64, strict=False).to_numpy()
    if series.dtype == pl.Boolean and series.null_count() == 0:
        return series.to_numpy()
    if series.dtype.is_temporal():
        return series.to_numpy()
    return np.array(series.to_list(), dtype=object)


def _from_columns(columns: Mapping[str, Column], source: str) -> Table:
    if not columns:
        raise DataError("a table has columns", found=f"{source} has none", cure="pass some")
    tidy = {name: _tidy(values) for name, values in columns.items()}
    return Table(tidy, np.arange(len(next(iter(tidy.values()))), dtype=np.int64), source)


def _tidy(values: Column) -> Column:
    """Bring a column to one of the types that `Table` names."""
    kind = values.dtype.kind
    if kind in "iu":
        return values.astype(np.int64)
    if kind == "f":
        return values.astype(np.float64)
    if kind in "bM":
        return values
    objects = values.astype(object)
    objects[_is_missing(objects)] = None
    return objects


def _is_missing(values: Column) -> np.ndarray[Any, np.dtype[np.bool_]]:
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind == "O":  # None, or NaN, which alone is unequal to itself
        return np.array([v is None or v != v for v in values.tolist()], bool)
    return np.zeros(len(values), bool)


def _plain(values: Column) -> Any:
    return values.tolist() if values.dtype.kind == "O" else values


def _draw_stratified(
    labels: Column, share: float, rng: np.random.Generator
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Choose `share` of the rows of each class; a class never gives all its rows away."""
    chosen = np.zeros(len(labels), bool)
    _, codes = np.unique(labels.astype(str), return_inverse=True)
    for code in range(int(codes.max()) + 1):
        positions: Int64 = np.flatnonzero(codes == code)
        n_chosen = min(round(share * len(positions)), len(positions) - 1)
        chosen[rng.permutation(positions)[:n_chosen]] = True
    return chosen


def _split_by_column(table: Table, split_column: str) -> tuple[Table, Table | None, Table]:
    if split_column not in table.columns:
        raise DataError(
            "the split column is a column of the table",
            found=f"{table.source} has no column {split_column!r}",
            cure="check --split-column",
        )
    names = [str(value).lower() for value in table.columns[split_column].tolist()]
    parts = np.array([PARTS.get(name, -1) for name in names])
    if (parts < 0).any():
        first = names[int(np.argmax(parts < 0))]
        raise DataError(
            "a split column says train, validation or test in every row",
            found=f"{split_column!r} says {first!r} in {int((parts < 0).sum())} rows",
            cure="rename those values",
        )
    rest = table.without(split_column)
    train, validation, test = (rest.take(parts == part) for part in range(3))
    return train, validation if validation.n_rows else None, test


def _warn_about_lone_classes(labels: Column, target: str) -> None:
    counts = Counter(labels.tolist())
    # Whole numbers that stood beside an empty cell were read as fractions: 7.0 is class 7.
    lone = sorted(
        str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        for value, n in counts.items()
        if n == 1
    )
    if lone:
        shown = ", ".join(map(repr, lone[:MAX_CLASSES_NAMED]))
        warnings.warn(
            f"{len(lone)} classes of {target!r} have a single row, kept for training: {shown}",
            KdexportWarning,
            stacklevel=3,
        )
