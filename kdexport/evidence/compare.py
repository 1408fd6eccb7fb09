"""Comparisons: is one candidate faster than another?

Takes block medians, gives ratios with intervals and verdicts. Knows no clock.

A block opens every candidate afresh, so two sessions of one file are exchangeable: whatever luck
with memory one has in a block, the other may have in the next. Blocks, not calls, are what an
interval is made of.
"""

import math
from collections.abc import Sequence

import numpy as np

from kdexport.evidence.few_rows import widen_few
from kdexport.evidence.latency_facts import (
    FLOOR,
    Difference,
    LatencyFact,
    RatioFact,
    find_block_medians,
)
from kdexport.evidence.shape import Interval
from kdexport.records import Float64

N_DRAWS = 4000
CONFIDENCE, Z = 0.99, 2.5758


def estimate_mean(values: Float64, *, seed: int = 0) -> Interval:
    """Return the mean over blocks with a 99 % bootstrap interval, widened for few blocks.

    Args:
        values: **Shape** `[blocks]` float64, at least two.
        seed: Of the resampling.
    """
    n, mean = len(values), float(values.mean())
    draws = values[np.random.default_rng(seed).integers(n, size=(N_DRAWS, n))].mean(axis=1)
    margin = float(np.quantile(np.abs(draws - mean), CONFIDENCE))
    margin *= widen_few(n, Z)
    return Interval(value=mean, low=mean - margin, high=mean + margin)


def estimate_ratio(times: Float64, reference: Float64, *, seed: int = 0) -> Interval:
    """Return the geometric mean of paired blocks' ratios with a 99 % interval."""
    logs = estimate_mean(np.log(times) - np.log(reference), seed=seed)
    return Interval(**{key: math.exp(value) for key, value in logs.model_dump().items()})


def judge_ratio(ratio: Interval, noise: float | None) -> Difference:
    """Say faster or slower only where the interval excludes 1 and the effect exceeds the noise."""
    effect = math.exp(abs(math.log(ratio.value)))
    if ratio.low <= 1 <= ratio.high or (noise is not None and effect <= noise):
        return "NO_DIFFERENCE"
    return "FASTER" if ratio.value < 1 else "SLOWER"


def bound_noise(ratio: Interval) -> float:
    """Return the farthest from 1 that a ratio's interval reaches, as a ratio above 1."""
    return max(1 / ratio.low, ratio.high)


def compare_rows(rows: Sequence[LatencyFact], reference: str, again: str) -> list[RatioFact]:
    """Compare every candidate with the reference, each where it is called the same way.

    A function stands beside the plain calls of files.

    Args:
        rows: One setting's facts (one batch size, one number of threads).
        reference: The candidate that the others are compared with.
        again: The same file opened a second time: what chance alone shows.
    """
    facts = []
    for base in [row for row in rows if row.name == reference]:
        others = {
            row.name: row
            for row in rows
            if _is_bound(row) == _is_bound(base) and row.name not in (reference, FLOOR)
        }
        noise: float | None = None
        for name in sorted(others, key=lambda name: name != again):
            ratio = estimate_ratio(
                find_block_medians(others[name].raw), find_block_medians(base.raw)
            )
            facts.append(
                RatioFact(
                    name=name,
                    reference=reference,
                    path=others[name].path,
                    batch=base.batch,
                    threads=base.threads,
                    ratio=ratio,
                    noise=noise,
                    verdict=judge_ratio(ratio, noise),
                )
            )
            if name == again:
                noise = bound_noise(ratio)
    return facts


def _is_bound(row: LatencyFact) -> bool:
    return row.path == "io_binding"
