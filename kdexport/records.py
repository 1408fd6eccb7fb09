"""Frozen records that cross rooms: tables, encoded rows, answers and progress.

Takes arrays, checks them at birth and never changes them. Imports numpy and `errors` only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from kdexport.errors import DataError

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Column = npt.NDArray[Any]
Part = TypeVar("Part")


@dataclass(frozen=True)
class Table:
    """Named columns of equal length, as read from a file or a frame.

    Attributes:
        columns: Name to values, in the order of the source. **Shape** each `[n]`: float64, int64,
            bool, datetime64 or object (text, with `None` for an empty cell).
        row_ids: **Shape** `[n]` int64: the position of each row in its source.
        source: What messages call it, such as a file name.
    """

    columns: Mapping[str, Column]
    row_ids: Int64
    source: str = "the table"

    def __post_init__(self) -> None:
        for name, values in self.columns.items():
            if values.shape != self.row_ids.shape:
                raise DataError(
                    "every column of a table has one value per row",
                    found=f"column {name!r} has shape {values.shape}, "
                    f"the table {len(self.row_ids)} rows",
                    cure="pass one-dimensional columns of equal length",
                )

    @property
    def n_rows(self) -> int:
        return len(self.row_ids)

    def take(self, positions: Int64 | npt.NDArray[np.bool_]) -> "Table":
        """Return the rows at `positions` (or where a mask is true), in that order."""
        columns = {name: values[positions] for name, values in self.columns.items()}
        return Table(columns, self.row_ids[positions], self.source)

    def without(self, *names: str) -> "Table":
        """Return the table without the columns in `names`."""
        columns = {name: v for name, v in self.columns.items() if name not in names}
        return Table(columns, self.row_ids, self.source)


@dataclass(frozen=True)
class Rows:
    """Rows as the networks take them.

    Attributes:
        features: **Shape** `[n, F]` float32, raw (not scaled) values in the schema's order.
        labels: **Shape** `[n]` int64, positions in the schema's classes.
        row_ids: **Shape** `[n]` int64, positions in the source table.
    """

    features: Float32
    labels: Int64
    row_ids: Int64

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or not (
            len(self.features) == len(self.labels) == len(self.row_ids)
        ):
            raise DataError(
                "features, labels and row ids describe the same rows",
                found=f"shapes {self.features.shape}, {self.labels.shape}, {self.row_ids.shape}",
                cure="pass features [n, F], labels [n] and row ids [n]",
            )

    @property
    def n_rows(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Parts(Generic[Part]):
    """The three parts of the data: what fits, what chooses, what only reports."""

    train: Part
    validation: Part
    test: Part

    def items(self) -> tuple[tuple[str, Part], ...]:
        """Return the parts with their names, in order."""
        return (("train", self.train), ("validation", self.validation), ("test", self.test))


@dataclass(frozen=True)
class Answers:
    """What a model answers for n rows.

    Attributes:
        logits: **Shape** `[n, K]` float32, or None where the model keeps them to itself.
        probabilities: **Shape** `[n, K]` float32, columns in class order.
        labels: **Shape** `[n]`, the user's own class values.
    """

    logits: Float32 | None
    probabilities: Float32
    labels: Column


@dataclass(frozen=True)
class Progress:
    """One report of a long step: `n_done` of `n_total` units of `step`."""

    step: str
    n_done: int
    n_total: int


ProgressSink = Callable[[Progress], None]


def ignore_progress(_: Progress) -> None:
    """Report nothing: the default of every long step."""
