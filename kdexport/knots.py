"""Where a network that reads numbers piece by piece may bend.

Takes a column's training values, gives its knots: ends of the pieces. A value that many rows share
counts no more than half a piece, so that a column of mostly zeros keeps knots for the rest.
"""

import numpy as np

from kdexport.records import Float32, Float64, Int64

MAX_PER_COLUMN = 32
MAX_PIECES = 256  # of all columns together: they are the width of a student's first layer

Knots = tuple[tuple[float, ...], ...]
"""Per numeric column its knots in ascending order, as float32 holds them; none where it is
constant, none at all where a table has so many columns that no pieces are left for each."""


def find_knots(values: Float64) -> Knots:
    """Choose the knots of all columns.

    Every column gets as many pieces as any other, or as it has steps; the more columns, the fewer.

    Args:
        values: Training cells, **Shape** `[n, F]` float64, NaN where missing.

    Source: bins at quantiles, from Gorishniy, Rubachev and Babenko, "On Embeddings for Numerical
        Features in Tabular Deep Learning" (2022).
    """
    columns = [_count(values[:, i].astype(np.float32)) for i in range(values.shape[1])]
    n_steps = np.array([len(seen) - 1 for seen, _ in columns], np.int64)
    for n_pieces in range(MAX_PER_COLUMN, 1, -1):
        if _count_pieces(np.minimum(n_steps, n_pieces)) <= MAX_PIECES:
            return tuple(_place(seen, counts, n_pieces) for seen, counts in columns)
    return tuple(() for _ in columns)


def _count_pieces(n_steps: Int64) -> int:
    """Each column's pieces, and one over its whole range where there are several."""
    return int((n_steps + (n_steps > 1)).clip(min=0).sum())


def _count(column: Float32) -> tuple[Float32, Int64]:
    return np.unique(column[~np.isnan(column)], return_counts=True)


def _place(seen: Float32, counts: Int64, n_pieces: int) -> tuple[float, ...]:
    """Put knots at quantiles of the capped counts, and at both ends."""
    if len(seen) < 2:
        return ()
    reached = np.minimum(counts, counts.sum() / (2 * n_pieces)).cumsum()
    shares = np.linspace(0.0, reached[-1], n_pieces + 1)[1:-1]
    inner = np.searchsorted(reached, shares).clip(max=len(seen) - 1)
    chosen = seen[np.unique([0, *inner, len(seen) - 1])]
    return tuple(float(knot) for knot in chosen)
