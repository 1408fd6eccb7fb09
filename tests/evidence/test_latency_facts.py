"""How a record keeps its times."""

import numpy as np
import pytest

from kdexport.evidence.latency_facts import (
    BIN_WIDTH,
    MAX_RAW_CALLS,
    find_block_medians,
    pack_times,
    unpack_times,
)


def test_every_call_is_kept() -> None:
    """Up to 20,000 calls come back as they were measured, in order, slow ones too."""
    times_ns = np.random.default_rng(0).integers(1, 10**11, (20, MAX_RAW_CALLS // 20))
    raw = pack_times(times_ns)
    assert raw.histogram is None
    np.testing.assert_array_equal(unpack_times(raw.packed_ns or "", blocks=raw.blocks), times_ns)
    np.testing.assert_array_equal(find_block_medians(raw), np.median(times_ns, axis=1))


def test_more_calls_become_a_histogram() -> None:
    """Beyond that, bins of 1 % hold every call and its time to 1 %, and block medians stay."""
    times_ns = np.random.default_rng(0).lognormal(9, 1, (10, MAX_RAW_CALLS)).astype(np.int64)
    raw = pack_times(times_ns)
    assert raw.packed_ns is None
    assert raw.histogram is not None
    assert sum(raw.histogram.counts) == times_ns.size
    upper = raw.histogram.lowest_ns * BIN_WIDTH ** (1 + np.arange(len(raw.histogram.counts)))
    reached = np.searchsorted(np.cumsum(raw.histogram.counts), 0.9 * times_ns.size)
    assert upper[reached] == pytest.approx(np.quantile(times_ns, 0.9), rel=0.02)
    np.testing.assert_array_equal(find_block_medians(raw), np.median(times_ns, axis=1))
