"""Percentiles from order statistics: given only where the sample can carry them.

Takes values, gives a percentile with an interval that assumes nothing about their distribution
(only that each call was drawn like the others). Imports numpy and `latency_facts` only.
"""

import math

import numpy as np

from kdexport.evidence.latency_facts import PERCENTILES, Percentile
from kdexport.records import Float64

CONFIDENCE = 0.99


def estimate_percentiles(
    values: Float64,
) -> tuple[dict[str, Percentile | None], dict[str, int]]:
    """Return p50, p90, p99 and p99.9, and for those that are None how many calls they need.

    Args:
        values: **Shape** `[n]`.
    """
    found = {name: percentile_interval(values, q) for name, q in PERCENTILES.items()}
    needed = {name: count_calls_needed(PERCENTILES[name]) for name, p in found.items() if p is None}
    return found, needed


def percentile_interval(values: Float64, quantile: float) -> Percentile | None:
    """Return a percentile with its 99 % order-statistic interval.

    None where the interval is not bounded inside the sample: then the sample is too small to say.

    Args:
        values: **Shape** `[n]`.
        quantile: 0 to 1.
    """
    n = len(values)
    if n < count_calls_needed(quantile):
        return None
    tail = (1 - CONFIDENCE) / 2
    cumulative = np.cumsum(_binomial_probabilities(n, quantile))
    low = int(np.searchsorted(cumulative, tail, side="right")) - 1
    high = int(np.searchsorted(cumulative, 1 - tail, side="left"))
    if low < 0 or high >= n:
        return None
    ordered = np.sort(values)
    value = float(np.quantile(values, quantile))
    return Percentile(value=value, low=float(ordered[low]), high=float(ordered[high]))


def count_calls_needed(quantile: float) -> int:
    """Return the smallest sample whose extremes bound the quantile on both sides."""
    tail = (1 - CONFIDENCE) / 2
    return math.ceil(math.log(tail) / math.log(max(quantile, 1 - quantile)))


def _binomial_probabilities(n: int, p: float) -> Float64:
    k = np.arange(n + 1)
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    log_choose = log_factorials[n] - log_factorials[k] - log_factorials[n - k]
    probabilities: Float64 = np.exp(log_choose + k * math.log(p) + (n - k) * math.log1p(-p))
    return probabilities
