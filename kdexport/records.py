"""Frozen records that cross rooms: tables, model inputs, labelled rows, answers and progress.

Takes arrays, checks them at birth and never changes them. Imports numpy and `errors` only.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from kdexport.errors import DataError

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Column = npt.NDArray[Any]
Positions = Int64 | Bools
Part = TypeVar("Part")

HASHED_AT_ONCE = 65_536  # rows whose cells stand as Python objects


def spread_rows(n_rows: int, at_most: int) -> Int64:
    """Return positions of at most so many of n rows, evenly spread from the first to the last."""
    return np.linspace(0, n_rows - 1, min(n_rows, at_most)).astype(np.int64)


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

    def take(self, positions: Positions) -> "Table":
        """Return the rows at `positions` (or where a mask is true), in that order."""
        columns = {name: values[positions] for name, values in self.columns.items()}
        return Table(columns, self.row_ids[positions], self.source)

    def without(self, *names: str) -> "Table":
        """Return the table without the columns in `names`."""
        columns = {name: v for name, v in self.columns.items() if name not in names}
        return Table(columns, self.row_ids, self.source)

    def replacing(self, name: str, values: Column) -> "Table":
        """Return the table with other values in one column."""
        return Table({**self.columns, name: values}, self.row_ids, self.source)

    def joined_with(self, other: "Table") -> "Table":
        """Return these rows, then those of `other`, which has the same columns."""
        columns = {
            name: np.concatenate([values, other.columns[name]])
            for name, values in self.columns.items()
        }
        return Table(columns, np.concatenate([self.row_ids, other.row_ids]), self.source)

    def hash(self) -> str:
        """Return the sha256 of names and values, in the table's own order."""
        digest = hashlib.sha256()
        for name, values in self.columns.items():
            digest.update(f"{name}\0{values.dtype.str}\0".encode())
            if values.dtype.kind == "O":
                digest.update("\0".join("" if v is None else f"={v}" for v in values).encode())
            else:
                digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Inputs:
    """What a model takes for n rows, as its file's inputs take it.

    Attributes:
        numeric: **Shape** `[n, F]` float32 or float64, raw values in the signature's order; a
            missing cell is NaN.
        categorical: **Shape** `[n, C]` object (text) in the signature's order; a missing cell is
            the empty text.
    """

    numeric: Float32 | Float64
    categorical: Column

    def __post_init__(self) -> None:
        shapes = self.numeric.shape, self.categorical.shape
        if [len(shape) for shape in shapes] != [2, 2] or shapes[0][0] != shapes[1][0]:
            raise DataError(
                "numeric and categorical inputs describe the same rows",
                found=f"shapes {shapes[0]} and {shapes[1]}",
                cure="pass numeric [n, F] and categorical [n, C]",
            )

    @property
    def n_rows(self) -> int:
        return len(self.numeric)

    def take(self, positions: Positions | slice) -> "Inputs":
        """Return the rows at `positions`, in that order."""
        return Inputs(self.numeric[positions], self.categorical[positions])

    def joined_with(self, other: "Inputs") -> "Inputs":
        """Return these rows, then those of `other`."""
        return Inputs(
            np.concatenate([self.numeric, other.numeric]),
            np.concatenate([self.categorical, other.categorical]),
        )

    def like(self, numeric: Float64, categorical: Column) -> "Inputs":
        """Return other values in this record's precision."""
        is_narrow = self.numeric.dtype == np.float32
        return Inputs(numeric.astype(np.float32) if is_narrow else numeric, categorical)

    def hash_rows(self) -> Iterator[bytes]:
        """Yield a hash of each row's content: rows that a model cannot tell apart share it."""
        for start in range(0, self.n_rows, HASHED_AT_ONCE):
            part = self.take(slice(start, start + HASHED_AT_ONCE))
            texts: list[list[str]] = part.categorical.tolist()
            for numbers, cells in zip(np.ascontiguousarray(part.numeric), texts, strict=True):
                yield hashlib.sha256(numbers.tobytes() + "\0".join(cells).encode()).digest()

    def count_in(self, *others: "Inputs") -> int:
        """Return how many of these rows have the inputs of one of the others' rows.

        The hashes of the fewer rows are kept, those of the more pass by.
        """
        others_hashes = chain.from_iterable(other.hash_rows() for other in others)
        if self.n_rows > sum(other.n_rows for other in others):
            known = set(others_hashes)
            return sum(key in known for key in self.hash_rows())
        own = Counter(self.hash_rows())
        return sum(own.pop(key, 0) for key in others_hashes)

    def feeds(self) -> dict[str, Column]:
        """Return the arrays by the name of the file's input, only those that have columns."""
        both = {"numeric": self.numeric, "categorical": self.categorical}
        return {name: values for name, values in both.items() if values.shape[1]}


@dataclass(frozen=True)
class Rows:
    """Labelled rows.

    Attributes:
        inputs: What a model takes.
        targets: **Shape** `[n]`: int64 positions in the signature's classes, or the float64
            numbers of a regression.
        weights: **Shape** `[n]` float64: how much each row counts, 1 on average over the part.
        row_ids: **Shape** `[n]` int64, positions in the source table.
    """

    inputs: Inputs
    targets: Column
    weights: Float64
    row_ids: Int64

    def __post_init__(self) -> None:
        lengths = [len(self.targets), len(self.weights), len(self.row_ids)]
        if lengths != 3 * [self.inputs.n_rows]:
            raise DataError(
                "inputs, targets, weights and row ids describe the same rows",
                found=f"lengths {self.inputs.n_rows}, {', '.join(map(str, lengths))}",
                cure="pass one target, weight and row id per row",
            )

    @property
    def n_rows(self) -> int:
        return len(self.targets)

    def take(self, positions: Positions) -> "Rows":
        """Return the rows at `positions`, in that order, with their weights as they are."""
        return Rows(
            self.inputs.take(positions),
            self.targets[positions],
            self.weights[positions],
            self.row_ids[positions],
        )


@dataclass(frozen=True)
class Unlabeled:
    """Rows without labels: a teacher labels them, students learn from them.

    Attributes:
        inputs: What a model takes.
        source: What messages call them, such as a file name.
        sha256: Of the table that they came from.
        n_in_test: How many of them have the inputs of a test row.
    """

    inputs: Inputs
    source: str
    sha256: str
    n_in_test: int


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
        predictions: **Shape** `[n]`: the user's own class values, or float32 numbers.
        probabilities: **Shape** `[n, K]` float32, columns in class order; K is 0 for a regression.
        logits: **Shape** `[n, K]` float32, or None where the model keeps them to itself.
        terms: Size of the terms whose sum the logits or numbers are, where the model tells it:
            what float32 rounds by. **Shape** `[n]` float64.
    """

    predictions: Column
    probabilities: Float32
    logits: Float32 | None = None
    terms: Float64 | None = None

    @classmethod
    def of_numbers(cls, numbers: Column, terms: Float64 | None = None) -> "Answers":
        """Return a regression's answers, **Shape** `[n]` float32: they have no classes."""
        return cls(numbers, np.empty((len(numbers), 0), np.float32), terms=terms)

    @classmethod
    def joined(cls, chunks: Sequence["Answers"]) -> "Answers":
        """Return the answers of several batches behind each other, without their terms."""
        logits = [chunk.logits for chunk in chunks if chunk.logits is not None]
        return cls(
            np.concatenate([chunk.predictions for chunk in chunks]),
            np.concatenate([chunk.probabilities for chunk in chunks]),
            np.concatenate(logits) if logits else None,
        )

    @property
    def n_rows(self) -> int:
        return len(self.predictions)

    def take(self, positions: Positions) -> "Answers":
        """Return the answers at `positions`, in that order."""
        logits = None if self.logits is None else self.logits[positions]
        terms = None if self.terms is None else self.terms[positions]
        return Answers(self.predictions[positions], self.probabilities[positions], logits, terms)


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    Attributes:
        name: `SUBJECT/RULE`: the file, `bundle` or `budget`, and what was checked of it.
        passed: Whether the rule holds.
        message: One line: what was found, and on failure the rule and where it is broken.
    """

    name: str
    passed: bool
    message: str

    @property
    def subject(self) -> str:
        """What was checked, which may have a '/' of its own."""
        return self.name.rpartition("/")[0]

    @property
    def rule(self) -> str:
        """What was checked of it."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True)
class Progress:
    """One report of a long step: `n_done` of `n_total` units of `step`."""

    step: str
    n_done: int
    n_total: int


ProgressSink = Callable[[Progress], None]


def ignore_progress(_: Progress) -> None:
    """Report nothing: the default of every long step."""
