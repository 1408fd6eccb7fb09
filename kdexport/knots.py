"""Where a network that reads numbers piece by piece may bend.

Takes columns' training values and where trees split them, gives their knots: ends of the pieces.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kdexport.records import Float32, Float64, Int64

MAX_PER_COLUMN = 32  # pieces at quantiles, where nobody says what splits a column
EVEN_PIECES = 8  # pieces at quantiles at most, where trees say where the others belong
MAX_PIECES = 208  # of all columns together: they are the width of a student's first layer
ROWS_PER_VALUE = 20  # from so many on, a column's values are few: those beside a split become knots
ROWS_PER_SPLIT = 20  # splits of fewer rows than that say more of single rows than of the column

Knots = tuple[tuple[float, ...], ...]
"""Per numeric column its knots in ascending order, as float32 holds them; none where it is
constant, none at all where a table has so many columns that no pieces are left for each."""


class Splits(NamedTuple):
    """Where trees split one column.

    Attributes:
        thresholds: **Shape** `[S]` float64, each once.
        gains: How much of the loss went by each, **Shape** `[S]` float64.
    """

    thresholds: Float64
    gains: Float64


def find_knots(values: Float64, splits: Sequence[Splits] = ()) -> Knots:
    """Choose the knots of all columns.

    Without splits, every column gets as many pieces as any other, or as it has steps; the more
    columns, the fewer. With splits, half of the pieces at most are placed so; the others go where
    trees gain most, whatever the column. Where many rows share each value, both values beside a
    split become knots, so that a network can step from one to the other. There is a split for
    every 20 rows at most.

    Args:
        values: Training cells, **Shape** `[n, F]` float64, NaN where missing.
        splits: One per column, in the unit of `values`; or none.

    Source: bins at quantiles, and bins of trees that know the target, from Gorishniy, Rubachev and
        Babenko, "On Embeddings for Numerical Features in Tabular Deep Learning" (2022).
    """
    columns = [_count(values[:, i].astype(np.float32)) for i in range(values.shape[1])]
    n_steps = np.array([len(seen) - 1 for seen, _ in columns], np.int64)
    most, bound = (EVEN_PIECES, MAX_PIECES // 2) if splits else (MAX_PER_COLUMN, MAX_PIECES)
    for n_pieces in range(most, 1, -1):
        n_all = _count_pieces(np.minimum(n_steps, n_pieces))
        if n_all <= bound or (n_pieces == 2 and n_all <= MAX_PIECES):
            even = [_place(seen, counts, n_pieces) for seen, counts in columns]
            n_splits = len(values) // ROWS_PER_SPLIT if splits else 0
            return _add_splits(even, columns, splits, n_splits) if n_splits else tuple(even)
    return tuple(() for _ in columns)


def _count_pieces(n_steps: Int64) -> int:
    """Each column's pieces, and one over its whole range where there are several."""
    return int((n_steps + (n_steps > 1)).clip(min=0).sum())


def _count(column: Float32) -> tuple[Float32, Int64]:
    return np.unique(column[~np.isnan(column)], return_counts=True)


def _place(seen: Float32, counts: Int64, n_pieces: int) -> tuple[float, ...]:
    """Put knots at quantiles of the capped counts, and at both ends.

    A value that many rows share counts no more than half a piece, so that a column of mostly zeros
    keeps knots for the rest.
    """
    if len(seen) < 2:
        return ()
    reached = np.minimum(counts, counts.sum() / (2 * n_pieces)).cumsum()
    shares = np.linspace(0.0, reached[-1], n_pieces + 1)[1:-1]
    inner = np.searchsorted(reached, shares).clip(max=len(seen) - 1)
    chosen = seen[np.unique([0, *inner, len(seen) - 1])]
    return tuple(float(knot) for knot in chosen)


def _add_splits(
    even: Sequence[tuple[float, ...]],
    columns: Sequence[tuple[Float32, Int64]],
    splits: Sequence[Splits],
    n_most: int,
) -> Knots:
    """Add knots where trees split, those that gain most first, until there are enough pieces.

    Args:
        even: Knots of each column so far.
        columns: Values of each in ascending order, and how many rows have them.
        splits: What trees say of each.
        n_most: Splits that are taken at most.
    """
    knots = [set(own) for own in even]
    n_steps = np.array([len(own) - 1 for own in knots], np.int64)
    offered = [
        (gain, column, threshold)
        for column, (thresholds, gains) in enumerate(splits)
        for threshold, gain in zip(thresholds.tolist(), gains.tolist(), strict=True)
    ]
    n_taken = 0
    for _, column, threshold in sorted(offered, key=lambda offer: -offer[0]):
        if n_taken == n_most:
            break
        wider = knots[column] | _knots_beside(threshold, *columns[column])
        grown = n_steps.copy()
        grown[column] = len(wider) - 1
        if _count_pieces(grown) <= MAX_PIECES:
            n_taken += wider != knots[column]
            knots[column], n_steps = wider, grown
    return tuple(tuple(sorted(own)) for own in knots)


def _knots_beside(threshold: float, seen: Float32, counts: Int64) -> set[float]:
    """Return the split itself, or the values on both sides of it where they are few."""
    above = int(np.searchsorted(seen, threshold, side="right"))
    if not 0 < above < len(seen):
        return set()
    if counts.sum() >= ROWS_PER_VALUE * len(seen):
        return {float(seen[above - 1]), float(seen[above])}
    return {float(np.float32(threshold))}
