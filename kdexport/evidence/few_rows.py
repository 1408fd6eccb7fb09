"""What few rows allow: how many they are in effect, and how much wider an interval of them is.

Takes counts, shares and weights, gives numbers and intervals. Imports numpy, `records` and `shape`
alone.
"""

import math

import numpy as np

from kdexport.evidence.shape import Interval
from kdexport.records import Column, Float64

Z_95 = 1.96
LEAST_OTHERS = 5  # rows of other classes than the most frequent one that losses are compared on


def count_effective(weights: Float64) -> float:
    """Return how many rows of equal weight say as much as rows of **Shape** `[n]` weights.

    Source: Kish, "Survey Sampling" (1965).
    """
    shares = weights / weights.max()  # squares of tiny weights would be 0
    return float(shares.sum() ** 2 / np.square(shares).sum())


def count_rarest(targets: Column, weights: Float64) -> float:
    """Return how many rows, in effect, the class has that has the fewest of them.

    **Shape** targets `[n]` class positions, weights `[n]`. A class without rows does not count.
    """
    classes, position = np.unique(targets, return_inverse=True)
    largest = np.zeros(len(classes))
    np.maximum.at(largest, position, weights)
    shares = weights / largest[position]  # of its class: squares of tiny weights would be 0
    sums, squares = (np.bincount(position, weights=w) for w in (shares, np.square(shares)))
    return float((np.square(sums) / squares).min())


def count_others(targets: Column) -> int:
    """Return the rows outside the most frequent class of **Shape** `[n]` class positions."""
    return len(targets) - int(np.unique(targets, return_counts=True)[1].max())


def student_quantile(freedom: float, z: float) -> float:
    """Return the quantile of Student's t where the normal one is `z` (Hill's expansion)."""
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def widen_few(n_rows: float, z: float = Z_95) -> float:
    """Return what deviations of a mean of so few rows are multiplied by; 1 for a great many.

    Rows that are resampled, or whose squares are averaged, understate their spread by
    sqrt(1 - 1/n), and know nothing of the heavier tails of small samples. Both are known factors.

    Source: Hesterberg, "What Teachers Should Know About the Bootstrap" (2015), section 5.3.
    """
    n = max(n_rows, 2.0)
    return math.sqrt(n / (n - 1)) * student_quantile(n - 1, z) / z


def reach_zero(found: Interval) -> Interval:
    """Widen the interval of a difference in losses that hangs on rows which are hardly there.

    Where nearly all rows are of one class, the lower log loss and Brier score are those of the
    model that gives the others less, which resamples of these rows can only confirm.
    """
    return Interval(value=found.value, low=min(found.low, 0.0), high=max(found.high, 0.0))


def bound_share(share: float, n_rows: float) -> Interval:
    """Return the 95 % interval of a share of independent rows (Wilson 1927)."""
    square = Z_95 * Z_95 / n_rows
    middle = (share + square / 2) / (1 + square)
    spread = max(0.0, share * (1 - share) * square + square * square / 4)  # evidence may say 3
    margin = spread**0.5 / (1 + square)
    return Interval(value=share, low=middle - margin, high=middle + margin)
