"""Do a record's times follow from the calls that it keeps?

Takes a `LatencyRecord`, says where its percentiles, floors and ratios contradict the raw times.
How long a call took, nobody can ask again: raw times are believed.
"""

from collections.abc import Mapping

import numpy as np

from kdexport.evidence.compare import compare_rows, estimate_mean
from kdexport.evidence.latency_facts import (
    AGAIN,
    BIN_WIDTH,
    FLOOR,
    NATIVE,
    PERCENTILES,
    Histogram,
    LatencyFact,
    LatencyRecord,
    Percentile,
    RatioFact,
    RawTimes,
    find_block_medians,
    list_percentiles,
    unpack_times,
)
from kdexport.evidence.percentiles import percentile_interval
from kdexport.evidence.shape import Interval

RELATIVE = 1e-6
Key = tuple[str, str, str, int, int]
Stated = Mapping[str, tuple[float, Percentile | None]]


def find_wrong_times(record: LatencyRecord) -> list[str]:
    """Say which rows and ratios do not follow from the calls that the record keeps.

    A teacher's own code is timed in a run of its own, whose floor is not kept.
    """
    problems = [one for row in record.rows for one in _find_wrong_percentiles(row)]
    beside = [row for row in record.rows if row.name != NATIVE]
    stated = [ratio for ratio in record.ratios if ratio.name != NATIVE]
    found: dict[Key, RatioFact] = {}
    for batch, threads in sorted({(row.batch, row.threads) for row in beside}):
        rows = [row for row in beside if (row.batch, row.threads) == (batch, threads)]
        if len({row.raw.blocks for row in rows}) > 1 or not _are_positive(rows):
            problems.append(f"at batch {batch} not every row has the same blocks, above 0 us")
            continue
        problems += _find_wrong_floors(rows)
        for reference in {ratio.reference for ratio in stated}:
            ratios = compare_rows(rows, reference, f"{reference}{AGAIN}")
            found |= {_key(ratio): ratio for ratio in ratios}
    return problems + [_name_ratio(r) for r in stated if not _is_ratio(found.get(_key(r)), r)]


def _find_wrong_percentiles(row: LatencyFact) -> list[str]:
    """Hold a row's percentiles, and how many calls they are of, to its raw times."""
    quantiles = zip(PERCENTILES.values(), list_percentiles(row), strict=True)
    wrong, n_calls = _hold_percentiles(row.raw, dict(zip(PERCENTILES, quantiles, strict=True)))
    others = {"p50 after others": (0.5, row.after_others_p50_us)}
    wrong += _hold_percentiles(row.raw_after_others, others)[0]
    if row.calls != n_calls:
        wrong.append("the number of calls")
    return [f"{key} of {_name(row)} is not that of its calls" for key in wrong]


def _hold_percentiles(raw: RawTimes, stated: Stated) -> tuple[list[str], int]:
    """Return which percentiles are not those of raw times, and how many calls there are."""
    if raw.histogram is not None:
        return [
            key
            for key, (quantile, one) in stated.items()
            if one is not None and not _is_in_bin(raw.histogram, quantile, 1e3 * one.value)
        ], sum(raw.histogram.counts)
    times_us = unpack_times(raw.packed_ns or "", blocks=raw.blocks).ravel() / 1e3
    return [
        key
        for key, (quantile, one) in stated.items()
        if not _are_same(percentile_interval(times_us, quantile), one)
    ], times_us.size


def _is_in_bin(histogram: Histogram, quantile: float, stated_ns: float) -> bool:
    """Whether a percentile lies in the bins of the calls around it."""
    ends = np.cumsum(histogram.counts)
    place = quantile * (int(ends[-1]) - 1)
    first, last = np.searchsorted(ends, [np.floor(place), np.ceil(place)], side="right")
    low, high = (histogram.lowest_ns * BIN_WIDTH ** float(i) for i in (first, last + 1))
    return bool(low * (1 - RELATIVE) <= stated_ns <= high * (1 + RELATIVE))


def _find_wrong_floors(rows: list[LatencyFact]) -> list[str]:
    """Hold what stands beside the floor to the floor's own row, called the same way."""
    floors = {row.path: row for row in rows if row.name == FLOOR}
    problems = []
    for row in rows:
        floor = floors.get("run" if row.path == "call" else row.path)
        if floor is None or floor.p50_us is None:
            problems.append(f"no empty graph was timed beside {_name(row)}")
            continue
        medians = (find_block_medians(row.raw) - find_block_medians(floor.raw)) / 1e3
        if not _are_close(row.floor_p50_us, floor.p50_us.value):
            problems.append(f"the floor beside {_name(row)} is not that of its batch")
        if not _are_same(estimate_mean(medians), row.over_floor_us):
            problems.append(f"{_name(row)} is not as far over the floor as its calls are")
    return problems


def _is_ratio(found: RatioFact | None, stated: RatioFact) -> bool:
    return (
        found is not None
        and _are_same(found.ratio, stated.ratio)
        and _are_close(found.noise or 0.0, stated.noise or 0.0)
        and found.verdict == stated.verdict
    )


def _key(ratio: RatioFact) -> Key:
    return ratio.name, ratio.reference, ratio.path, ratio.batch, ratio.threads


def _name_ratio(ratio: RatioFact) -> str:
    name = f"{ratio.name} over {ratio.reference} at batch {ratio.batch} ({ratio.path})"
    return f"the ratio of {name} is not that of their calls"


def _name(row: LatencyFact) -> str:
    return f"{row.name} at batch {row.batch} ({row.path})"


def _are_positive(rows: list[LatencyFact]) -> bool:
    """Whether ratios can be made of them; none is of the floor."""
    return all(find_block_medians(row.raw).all() for row in rows if row.name != FLOOR)


def _are_same(first: Interval | None, second: Interval | None) -> bool:
    if first is None or second is None:
        return first is second
    return all(_are_close(getattr(first, k), getattr(second, k)) for k in ("value", "low", "high"))


def _are_close(first: float, second: float) -> bool:
    return abs(first - second) <= RELATIVE * max(abs(first), abs(second), 1e-3)
