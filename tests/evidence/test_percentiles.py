"""Latency percentiles."""

import numpy as np

from kdexport.evidence.percentiles import (
    count_calls_needed,
    estimate_percentiles,
    percentile_interval,
)


def test_percentile_needs_calls() -> None:
    """A percentile that the sample cannot bound on both sides is not given."""
    assert percentile_interval(np.arange(100.0), 0.99) is None
    enough = count_calls_needed(0.99)
    assert percentile_interval(np.arange(float(enough - 1)), 0.99) is None
    assert percentile_interval(np.arange(float(enough)), 0.99) is not None
    needed = [count_calls_needed(q) for q in (0.5, 0.9, 0.99, 0.999)]
    assert needed == sorted(needed)


def test_what_is_not_given_says_what_it_takes() -> None:
    """For a percentile that is withheld, the number of calls that it needs is given."""
    found, needed = estimate_percentiles(np.arange(1000.0))
    assert found["p99"] is not None
    assert found["p999"] is None
    assert needed == {"p999": count_calls_needed(0.999)}


def test_order_statistic_interval_covers() -> None:
    """The 99 % interval of p90 holds the true value in nearly all samples."""
    rng = np.random.default_rng(0)
    truth = -np.log(0.1)
    found = [percentile_interval(rng.exponential(size=500), 0.9) for _ in range(300)]
    covered = [f is not None and f.low <= truth <= f.high for f in found]
    assert np.mean(covered) >= 0.97
