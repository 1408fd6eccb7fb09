"""What a file lost against the one it was made of, and what evidence is worth after it.

Takes answers of both to the same rows, gives the loss with its interval; takes evidence and a loss,
gives students, gain, recovered edge and lead at that loss.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kdexport.evidence.edge import HANG_ON_OTHERS, decide_verdict
from kdexport.evidence.facts import Evidence
from kdexport.evidence.few_rows import (
    LEAST_OTHERS,
    count_effective,
    count_others,
    count_rarest,
    reach_zero,
)
from kdexport.evidence.metrics import (
    METRICS,
    bound_difference,
    find_metrics,
    improvement,
    score_rows,
)
from kdexport.evidence.resample import estimate_means, interval_of
from kdexport.evidence.rival import judge_rival
from kdexport.evidence.shape import Interval, Quality, Recovered
from kdexport.records import Answers, Rows

Loss = Mapping[str, Interval]
"""Metric to how much worse the file is: positive is worse."""


def measure_loss(rows: Rows, before: Answers, after: Answers, *, n_draws: int, seed: int) -> Loss:
    """Return how much worse a file became, both on the same resampled rows."""
    metrics = find_metrics(before.probabilities.shape[1], rows.targets)
    scores = {
        role: {
            name: values[None]
            for name, values in score_rows(metrics, answers, rows.targets, rows.weights).items()
        }
        for role, answers in (("before", before), ("after", after))
    }
    rng = np.random.default_rng(seed)
    n_rows, n_rarest = count_effective(rows.weights), count_rarest(rows.targets, rows.weights)
    found = estimate_means(
        scores, metrics, weights=rows.weights, n_draws=n_draws, rng=rng, n_rarest=n_rarest
    )
    is_regression = not before.probabilities.shape[1]
    has_few = not is_regression and count_others(rows.targets) < LEAST_OTHERS
    loss = {}
    for name, metric in metrics.items():
        first, second = found["before"][name], found["after"][name]
        value = improvement(metric, np.asarray(first.value), np.asarray(second.value))
        drawn = improvement(metric, first.moved, second.moved)
        cost = interval_of(float(value), drawn)
        cost = bound_difference(metric, cost, metric.count_rows(n_rows, n_rarest))
        loss[name] = reach_zero(cost) if has_few and name in HANG_ON_OTHERS else cost
    return loss


def lower_claims(old: Evidence, loss: Loss) -> dict[str, Any]:
    """Return students, gain, recovered edge and lead at the loss, their bounds widened by its.

    Evidence of an earlier version may lack a metric: what it does not state stays unstated.
    """
    quality = {role: dict(by_metric) for role, by_metric in old.quality.items()}
    replicates = {role: dict(by_metric) for role, by_metric in old.replicates.items()}
    gained, recovered, lead = dict(old.gained), dict(old.recovered), {}
    quality["student"] = lower_quality(quality["student"], loss)
    for name, cost in loss.items():
        shift = -cost.value if METRICS[name].higher_is_better else cost.value
        if name in replicates["student"]:
            replicates["student"][name] = [v + shift for v in replicates["student"][name]]
        if name in gained:
            gained[name] = _less(gained[name], cost)
        if old.rival is not None and name in old.rival.lead:
            lead[name] = _less(old.rival.lead[name], cost)
        if name in recovered:
            recovered[name] = lower_share(recovered[name], cost, old.edge[name])
    rival = judge_rival(old.rival.name, lead) if old.rival is not None else None
    return {
        "quality": quality,
        "replicates": replicates,
        "gained": gained,
        "recovered": recovered,
        "rival": rival,
    }


def lower_quality(quality: Quality, loss: Loss) -> Quality:
    """Return students' quality at the loss, the bounds widened by its."""
    lowered = dict(quality)
    for name in quality.keys() & loss.keys():
        cost = loss[name]
        if not METRICS[name].higher_is_better:
            cost = Interval(value=-cost.value, low=-cost.high, high=-cost.low)
        lowered[name] = METRICS[name].within_range(_less(quality[name], cost))
    return lowered


def _less(interval: Interval, cost: Interval) -> Interval:
    """Subtract a cost, each bound at its worst: no less sure than either says."""
    return Interval(
        value=interval.value - cost.value,
        low=interval.low - cost.high,
        high=interval.high - cost.low,
    )


def lower_share(share: Recovered, cost: Interval, edge: Interval) -> Recovered:
    """Subtract the loss, in shares of the edge, where there is one to have a share of."""
    edges = [edge.low, edge.high] if edge.low > 0 else [edge.value]
    shares = [bound / e for bound in (cost.low, cost.high) for e in edges if e]
    if not shares:
        return share
    lost = Interval(value=cost.value / edge.value, low=min(shares), high=max(shares))
    moved = _less(share, lost)
    return Recovered(
        **moved.model_dump(),
        verdict=decide_verdict(edge, moved, share.asked_share),
        asked_share=share.asked_share,
        rows_to_settle=None,  # what of its bounds is due to rows is not known any more
    )
