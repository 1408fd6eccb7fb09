"""A sum of decision trees as flat arrays: what boosting and forests are, whoever trained them.

Takes and gives arrays, so that a checkpoint needs no pickle. Leaf values can be rounded to whole
multiples of one power of two, so few of them that every sum is exact in float32: a file then
answers as its source to the last bit, in whatever order a runtime adds. Imports numpy and the
rooms above it only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from kdexport.errors import DataError
from kdexport.records import Bools, Column, Float32, Float64, Int64

Int32 = npt.NDArray[np.int32]
Meaning = Literal["logits", "probabilities", "number"]
MEANINGS: tuple[Meaning, ...] = get_args(Meaning)

LEAF = -1  # the feature of a node that asks for none
MANTISSA_BITS = 24  # whole numbers up to 2^24 are exact in float32
SMALLEST_EXPONENT = -126  # below it, float32 has fewer bits
ARRAYS = ("feature", "threshold", "left", "right", "missing_left", "values", "roots", "columns")
DTYPES = dict(zip(ARRAYS, ["i4", "f8", "i4", "i4", "?", "f4", "i4", "i4"], strict=True)) | {
    "base": "f4",
    "readings": "f4",
}


@dataclass(frozen=True)
class Trees:
    """A sum of decision trees over numbers.

    A row takes the left branch of a node where its feature is at most the threshold, or where the
    feature is missing and the node sends missing ones left. The nodes of a tree stand together,
    its root first and every child behind its parent.

    Attributes:
        feature: What each node compares, -1 for a leaf. **Shape** `[N]` int32.
        threshold: What it is compared with; infinity sends all but missing cells left.
            **Shape** `[N]` float64.
        left: Position of the left child, 0 for a leaf. **Shape** `[N]` int32.
        right: Position of the right child, 0 for a leaf. **Shape** `[N]` int32.
        missing_left: Whether a missing cell goes left. **Shape** `[N]` bool.
        values: What a leaf adds, 0 for other nodes. **Shape** `[N, D]` float32.
        roots: Position of each tree's root. **Shape** `[T]` int32.
        columns: The first of the D outputs that each tree adds to. **Shape** `[T]` int32.
        base: What the trees' sum is added to. **Shape** `[K]` float32.
        meaning: What the K outputs are.
        readings: What is read of each category code, one column of a table after the other, where
            the features end in categories: W of them for every such column.
            **Shape** `[codes of all columns, W]` float32.
    """

    feature: Int32
    threshold: Float64
    left: Int32
    right: Int32
    missing_left: Bools
    values: Float32
    roots: Int32
    columns: Int32
    base: Float32
    meaning: Meaning
    readings: Float32 = field(default_factory=lambda: np.empty((0, 1), np.float32))

    def __post_init__(self) -> None:
        for name, dtype in DTYPES.items():
            if getattr(self, name).dtype != np.dtype(dtype):
                raise _broken(f"{name} is {np.dtype(dtype)}", f"{getattr(self, name).dtype}")
        n = len(self.feature)
        if self.values.ndim != 2 or self.base.ndim != 1 or not self.base.size:
            raise _broken("values are [N, D] and base is [K]", f"{self.values.shape}")
        per_node = ("threshold", "left", "right", "missing_left")
        shapes = {getattr(self, name).shape for name in per_node} | {self.values.shape[:1]}
        if shapes != {(n,)} or self.roots.shape != self.columns.shape or self.readings.ndim != 2:
            raise _broken("every node and every tree has one entry in each array", f"{shapes}")
        self._check_structure()
        highest = self.columns.max(initial=0) + self.values.shape[1]
        if self.n_trees and (self.columns.min() < 0 or highest > self.n_outputs):
            raise _broken("every tree adds to outputs that there are", f"column {highest - 1}")
        finite = [np.isfinite(v).all() for v in (self.values, self.base, self.readings)]
        if not all(finite) or np.isnan(self.threshold).any():
            raise _broken("numbers are finite, thresholds are no NaN", "others")
        if self.meaning not in MEANINGS:
            raise _broken("outputs are logits, probabilities or a number", f"{self.meaning!r}")

    def _check_structure(self) -> None:
        n, inner = len(self.feature), self.feature != LEAF
        starts = self.roots.tolist()
        ascends = bool((np.diff([*starts, n]) > 0).all())
        if (starts or n) and (not starts or starts[0] != 0 or not ascends):
            raise _broken("trees stand behind each other from the first node on", f"{starts[:3]}")
        position = np.arange(n)
        children = np.stack([self.left[inner], self.right[inner]])
        end = np.append(self.roots[1:], n)[self.tree_of_node][inner]
        if (self.feature[inner] < 0).any() or not (
            (children > position[inner]).all() and (children < end).all()
        ):
            raise _broken("children stand behind their parent, in its tree", "others")
        parented = np.sort(np.concatenate([children.ravel(), self.roots]))
        if not np.array_equal(parented, position):
            raise _broken("every node but a root has one parent", "others")

    @cached_property
    def sums_exactly(self) -> bool:
        """Whether every sum of leaves, in any order, is exact in float32."""
        whole = self.values.astype(np.float64) / self._find_step()
        return bool((whole == np.round(whole)).all())

    def rounded(self) -> "Trees":
        """Return trees that sum exactly.

        Leaves move by at most 2^-24 of the largest sum there can be, one leaf of each tree.
        """
        if self.sums_exactly:
            return self
        values, step = self.values.astype(np.float64), self._find_step()
        narrow = replace(self, values=(np.round(values / step) * step).astype(np.float32))
        if narrow.sums_exactly:
            return narrow
        step *= 2  # rounding up went past the last whole number that float32 holds
        return replace(self, values=(np.round(values / step) * step).astype(np.float32))

    def _find_step(self) -> float:
        """The smallest power of two of which no sum of leaves is more than 2^24."""
        totals = np.zeros(self.n_outputs)
        if self.n_trees:
            largest = np.maximum.reduceat(np.abs(self.values), self.roots, axis=0)
            outputs = self.columns[:, None] + np.arange(self.values.shape[1])
            np.add.at(totals, outputs, largest)
        mantissa, exponent = np.frexp(totals.max())  # mantissa * 2^exponent, mantissa < 1
        exponent = int(exponent) - (1 if mantissa == 0.5 else 0)
        return float(2.0 ** max(exponent - MANTISSA_BITS, SMALLEST_EXPONENT))

    @property
    def n_trees(self) -> int:
        return len(self.roots)

    @property
    def n_nodes(self) -> int:
        return len(self.feature)

    @property
    def sizes(self) -> Int64:
        """Nodes of each tree, **Shape** `[T]`."""
        return np.diff(self.roots, append=self.n_nodes).astype(np.int64)

    @property
    def tree_of_node(self) -> Int64:
        """Which tree each node stands in, **Shape** `[N]`."""
        return np.repeat(np.arange(self.n_trees), self.sizes)

    @property
    def n_outputs(self) -> int:
        return len(self.base)

    @property
    def d_features(self) -> int:
        """Features that rows must have at least: up to the last one that a node asks for."""
        return int(self.feature.max(initial=LEAF)) + 1

    def scaled(self, weight: float, *, offset: float = 0.0) -> "Trees":
        """Return trees that answer `weight` times as much, and `offset` more.

        Trees that sum exactly still do.

        Raises:
            DataError: The answer would not fit float32.
        """
        values, base = self.values.astype(np.float64), self.base.astype(np.float64)
        return _narrowed(self, values * weight, base * weight + offset, exact=self.sums_exactly)

    def with_readings(self, readings: Float32) -> "Trees":
        """Return the same trees over features that end in what these say of categories."""
        return replace(self, readings=readings)

    def to_arrays(self) -> dict[str, Column]:
        """Return the arrays of a checkpoint, by name."""
        arrays: dict[str, Column] = {name: getattr(self, name) for name in DTYPES}
        return {**arrays, "meaning": np.array([MEANINGS.index(self.meaning)], np.int32)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Column]) -> "Trees":
        """Read the arrays of a checkpoint.

        Raises:
            DataError: They hold no trees.
        """
        try:
            meaning = MEANINGS[int(arrays["meaning"][0])]
            return cls(**{name: arrays[name] for name in DTYPES}, meaning=meaning)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise _broken("a checkpoint has every array", f"{error!r}") from error


def mean_of(parts: Sequence[Trees]) -> Trees:
    """Return one sum of trees that answers the mean of several, such as fold models.

    Raises:
        DataError: There are none, or they answer different things.
    """
    return sum_of(parts, weight=1 / max(len(parts), 1))


def sum_of(parts: Sequence[Trees], *, weight: float = 1.0) -> Trees:
    """Return one sum of trees that answers `weight` times the sum of several.

    Parts that all sum exactly make one that does.

    Raises:
        DataError: There are none, or they answer different things.
    """
    kinds = {
        (part.meaning, part.n_outputs, part.values.shape[1], part.readings.tobytes())
        for part in parts
    }
    if len(kinds) != 1:
        raise DataError(
            "trees that are added have outputs, leaves and categories of one kind",
            found=f"{len(parts)} sums of {len(kinds)} kinds",
            cure="add sums of trees that were trained alike",
        )
    starts = np.cumsum([0, *(part.n_nodes for part in parts)])[:-1].astype(np.int32)
    moved = [_move(part, start) for part, start in zip(parts, starts.tolist(), strict=True)]
    arrays = {name: np.concatenate([part[name] for part in moved]) for name in ARRAYS}
    values, first = arrays["values"].astype(np.float64), parts[0]
    joined = Trees(**arrays, base=first.base, meaning=first.meaning, readings=first.readings)
    base: Float64 = np.stack([part.base for part in parts]).astype(np.float64).sum(axis=0)
    exact = all(part.sums_exactly for part in parts)
    return _narrowed(joined, values * weight, base * weight, exact=exact)


def _narrowed(trees: Trees, values: Float64, base: Float64, *, exact: bool) -> Trees:
    """Put other numbers into trees, which become infinite, and are refused, beyond float32."""
    with np.errstate(over="ignore"):
        narrow = replace(trees, values=values.astype(np.float32), base=base.astype(np.float32))
    return narrow.rounded() if exact else narrow


def _move(part: Trees, start: int) -> dict[str, Column]:
    """The arrays of a sum whose nodes begin at `start`."""
    arrays: dict[str, Column] = {name: getattr(part, name) for name in ARRAYS}
    inner = part.feature != LEAF
    for name in ("left", "right"):
        arrays[name] = np.where(inner, arrays[name] + start, 0).astype(np.int32)
    return {**arrays, "roots": (part.roots + start).astype(np.int32)}


def _broken(rule: str, found: str) -> DataError:
    return DataError(
        f"in a sum of trees, {rule}", found=found, cure="train or convert the model again"
    )
