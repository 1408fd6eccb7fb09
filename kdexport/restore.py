"""From a model's inputs back to the user's own columns, and those in the user's own form.

A teacher that a user trained reads the table as it was: whole numbers, flags, dates, texts, columns
that the student leaves out, as a pandas or polars frame or an array. `Restorer` turns `Inputs` into
such a `Table`, `Layout` a `Table` into such a frame. Imports numpy and the rooms above it only; a
frame is built by the class of the frame it is like.
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdexport.columns import EPOCH, ONE_DAY, is_missing, texts_of
from kdexport.errors import DependencyError
from kdexport.kinds import holds_flags
from kdexport.records import Column, Float64, Inputs, Table
from kdexport.signature import Signature

MAX_DAYS = 1e8  # beyond it, days do not fit a date in microseconds
MAX_EXAMPLES = 1000  # cells that stand for those of a column that no input holds


@dataclass(frozen=True)
class Restorer:
    """Knows what the columns were before they became inputs.

    Attributes:
        signature: What the inputs are.
        examples: Name to a few cells of each feature column of the training rows, in the table's
            order and in its types.
        spelled: Categorical column to what each of its texts stood for.
    """

    signature: Signature
    examples: Mapping[str, Column]
    spelled: Mapping[str, Mapping[str, Any]]

    @classmethod
    def fit(cls, train: Table, signature: Signature) -> "Restorer":
        """Learn types and spellings.

        Args:
            train: Training rows without target and weight.
            signature: Which of their columns are inputs, and as what.
        """
        spelled = {}
        for name in signature.categorical:
            cells = zip(texts_of(train, name).tolist(), train.columns[name].tolist(), strict=True)
            spelled[name] = dict(cells)
        examples = {name: values[:MAX_EXAMPLES] for name, values in train.columns.items()}
        return cls(signature, examples, spelled)

    def restore(self, inputs: Inputs) -> Table:
        """Return inputs as a table of the user's columns, types as they were.

        A cell that its type cannot hold (a missing whole number, a text that training never had)
        stays what it is. A column that is no input takes cells of training rows, over and over.
        """
        columns = {}
        numeric, categorical = self.signature.numeric, self.signature.categorical
        for name, seen in self.examples.items():
            if name in numeric:
                values = inputs.numeric[:, numeric.index(name)].astype(np.float64)
                columns[name] = self._restore_numbers(values, name, seen)
            elif name in categorical:
                texts = inputs.categorical[:, categorical.index(name)]
                columns[name] = self._restore_texts(texts, name, seen)
            else:
                columns[name] = seen[np.arange(inputs.n_rows) % len(seen)]
        return Table(columns, np.arange(inputs.n_rows, dtype=np.int64), "the teacher's table")

    def _restore_numbers(self, values: Float64, name: str, seen: Column) -> Column:
        kind, missing = self.signature.kinds.get(name), np.isnan(values)
        if kind == "date":
            return _as_dates(values, missing)
        if kind == "boolean":
            flags: Column = values > 0.5
            if seen.dtype.kind == "b" and not missing.any():
                return flags
            if seen.dtype.kind == "O":  # some are missing
                cells = flags.astype(object)
                cells[missing] = None
                return cells
        if seen.dtype.kind in "iu" and np.isfinite(values).all():
            return np.round(values).astype(np.int64)
        return values

    def _restore_texts(self, texts: Column, name: str, seen: Column) -> Column:
        cells, spelled = np.empty(len(texts), object), self.spelled[name]
        cells[:] = [spelled.get(text, text or None) for text in texts.tolist()]
        if seen.dtype.kind != "O" and set(texts.tolist()) <= set(spelled):
            return cells.astype(seen.dtype)
        return cells


class Layout:
    """The form that a user's data has: a pandas or polars frame, or an array.

    Args:
        data: Data of that form, or anything else to get pandas frames (an array of numbers where
            there is no pandas); None stands for a file. Only its types are kept, and in pandas'
            columns of objects what stands for a missing cell.
    """

    def __init__(self, data: Any = None) -> None:
        self._frame: Any = None
        self._dtype: np.dtype[Any] | None = None
        self._columns: Any = None  # of pandas, whose names need not be text
        self._gaps: dict[str, Any] = {}
        self._has_plain_gaps = data is not None
        if hasattr(data, "iloc"):
            self._columns = data.columns
            self._frame = data.iloc[:0].set_axis([str(name) for name in data.columns], axis=1)
            self._gaps = {str(n): _find_gap(data[n]) for n in data if data[n].dtype == object}
        elif hasattr(data, "with_columns") and hasattr(data, "schema"):
            self._frame = data.head(0)
        elif isinstance(data, np.ndarray):
            self._dtype = data.dtype

    @property
    def is_frame(self) -> bool:
        """Whether the data had names of its own."""
        return self._frame is not None

    def to_own_frame(self, table: Table) -> Any:
        """Return a table as a frame with the names of the user's own, text or not."""
        frame = self.to_frame(table, list(table.columns))
        if self._columns is not None:
            frame.columns = self._columns[self._frame.columns.get_indexer(list(table.columns))]
        return frame

    def to_frame(self, table: Table, names: Sequence[str]) -> Any:
        """Return columns of a table as a frame.

        Args:
            table: The rows.
            names: What the columns are called in the frame, in the order of the table; those that
                the frame of this layout had get their types back.
        """
        columns = dict(zip(names, table.columns.values(), strict=True))
        if hasattr(self._frame, "with_columns"):
            schema = {name: self._frame.schema.get(name) for name in names}
            lists = {name: _plain(values) for name, values in columns.items()}
            return type(self._frame)(lists, schema=schema, strict=False)
        frame = (type(self._frame) if self.is_frame else _pandas_frame())(columns)
        for name in names:
            if self.is_frame and name in self._frame.columns:
                frame[name] = _as_pandas(frame[name], self._frame[name].dtype)
            gap = self._gaps.get(name, None if self._has_plain_gaps else np.nan)
            frame[name] = _with_gap(frame[name], gap)
        return frame

    def to_array(self, table: Table) -> Column:
        """Return all columns of a table as one array, **Shape** `[n, F]`."""
        columns = list(table.columns.values())
        if self._dtype is None or self._dtype.kind != "O":
            columns = [_flags_as_numbers(values) for values in columns]
        if all(values.dtype.kind in "fiub" for values in columns):
            stacked: Column = np.stack(columns, axis=1)
            is_float = self._dtype is not None and self._dtype.kind == "f"
            return stacked.astype(self._dtype) if is_float else stacked
        return np.stack([values.astype(object) for values in columns], axis=1)


def _as_dates(days: Float64, missing: Column) -> Column:
    known = ~missing & (np.abs(days) < MAX_DAYS)
    microseconds = np.round(np.where(known, days, 0.0) * (ONE_DAY / np.timedelta64(1, "us")))
    dates: Column = EPOCH + microseconds.astype(np.int64).astype("timedelta64[us]")
    dates[~known] = np.datetime64("NaT")
    return dates


def _as_pandas(series: Any, dtype: Any) -> Any:
    """Give a column of a frame its old type, or leave it where a cell does not fit it."""
    try:
        if hasattr(dtype, "categories"):
            by_text = {str(category): category for category in dtype.categories}
            series = series.map(lambda cell: by_text.get(str(cell)))
        elif getattr(dtype, "tz", None) is not None:
            return series.dt.tz_localize("UTC").dt.tz_convert(dtype.tz)
        elif isinstance(dtype, np.dtype) and dtype.kind == "b" and series.isna().any():
            return series  # a gap would become true
        return series.astype(dtype)
    except (TypeError, ValueError, OverflowError):
        return series


def _find_gap(series: Any) -> Any:
    """Return what a pandas column of objects has for its first missing cell: None, NaN or ""."""
    cells = series.to_numpy(dtype=object)
    gaps = cells[is_missing(cells)]
    return gaps[0] if len(gaps) else np.nan


def _with_gap(series: Any, gap: Any) -> Any:
    """Return a pandas column of objects with this for its missing cells; others as they are."""
    if series.dtype != object:
        return series
    missing, cells = series.isna().to_numpy(), series.to_numpy(dtype=object, copy=True)
    cells[missing] = gap
    return type(series)(cells, index=series.index, name=series.name, dtype=object)


def _flags_as_numbers(values: Column) -> Column:
    """Return flags of which some are missing as 1, 0 and NaN; other columns as they are."""
    missing = is_missing(values)
    if values.dtype.kind != "O" or missing.all() or not holds_flags(values, missing):
        return values
    return np.array([np.nan if cell is None else float(cell) for cell in values.tolist()])


def _pandas_frame() -> Any:
    try:
        return importlib.import_module("pandas").DataFrame
    except ModuleNotFoundError as error:
        raise DependencyError(
            "a teacher that was fitted on named columns is asked with a frame",
            found="pandas is not installed",
            cure="pip install pandas, or pass the rows as a polars frame",
        ) from error


def _plain(values: Column) -> Any:
    """A column as polars takes it, missing cells as None."""
    if values.dtype.kind in "fM":
        missing = is_missing(values)
        if missing.any():
            cells: list[Any] = values.astype(object).tolist()
            return [None if gap else cell for gap, cell in zip(missing, cells, strict=True)]
    return values.tolist() if values.dtype.kind == "O" else values
