"""Latency percentiles."""

import numpy as np

from kdexport.evidence.latency import calls_needed, percentile_interval


def test_percentile_needs_calls() -> None:
    """A percentile that the sample cannot bound on both sides is not given."""
    assert percentile_interval(np.arange(100.0), 0.99) is None
    assert percentile_interval(np.arange(float(calls_needed(0.99))) + 1, 0.5) is not None
    assert calls_needed(0.5) < calls_needed(0.9) < calls_needed(0.99) < calls_needed(0.999)


def test_order_statistic_interval_covers() -> None:
    """The 99 % interval of p90 holds the true value in nearly all samples."""
    rng = np.random.default_rng(0)
    truth = -np.log(0.1)
    found = [percentile_interval(rng.exponential(size=500), 0.9) for _ in range(300)]
    covered = [f is not None and f.low <= truth <= f.high for f in found]
    assert np.mean(covered) >= 0.97
