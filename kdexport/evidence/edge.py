"""Edge and recovered edge, with intervals over test rows and training replicates together.

Takes one score per row for teacher, controls and students; gives estimates, 95 % intervals and a
verdict. Rows are resampled with replacement. With only a handful of replicates, resampling them
understates their spread, so their mean moves by Student's t instead: t(R - 1) s / sqrt(R).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kdexport.evidence.facts import Interval, Quality, Recovered, Verdict
from kdexport.evidence.metrics import Metric, improvement
from kdexport.records import Float64

Z_95 = 1.96


@dataclass(frozen=True)
class EdgeResult:
    """Quality of the three, edge, and recovered edge, each by metric."""

    quality: dict[str, Quality]
    edge: dict[str, Interval]
    recovered: dict[str, Recovered]


def measure_edge(
    scores: Mapping[str, Mapping[str, Float64]],
    metrics: Mapping[str, Metric],
    *,
    asked_share: float,
    n_draws: int,
    seed: int,
) -> EdgeResult:
    """Estimate edge and recovered edge.

    The control and the student stand for their replicates: each value is the mean over them.

    Args:
        scores: Role (teacher, control, student) to metric to row scores, **Shape** `[R, n]`
            float64; R is 1 for the teacher and at least 2 for the others.
        metrics: What the scores are of.
        asked_share: The share of the edge that counts as recovered.
        n_draws: Resamples.
        seed: Decides them.
    """
    first = next(iter(metrics))
    n_rows = scores["teacher"][first].shape[1]
    rng = np.random.default_rng(seed)
    shifts = {
        role: rng.standard_t(len(by_metric[first]) - 1, n_draws)
        for role, by_metric in scores.items()
        if len(by_metric[first]) > 1
    }
    stacked = np.concatenate([scores[role][name] for role in scores for name in metrics])
    resampled = _resample_means(stacked, n_draws, rng)
    quality: dict[str, Quality] = {role: {} for role in scores}
    draws: dict[str, dict[str, Float64]] = {role: {} for role in scores}
    rows_only: dict[str, dict[str, Float64]] = {role: {} for role in scores}
    position = 0
    for role, by_metric in scores.items():
        for name, metric in metrics.items():
            replicates = metric.finish(by_metric[name].mean(axis=1))
            own = resampled[:, position : position + len(replicates)]
            position += len(replicates)
            rows_only[role][name] = metric.finish(own).mean(axis=1)
            draws[role][name] = rows_only[role][name]
            if role in shifts:
                spread = replicates.std(ddof=1) / np.sqrt(len(replicates))
                draws[role][name] = draws[role][name] + shifts[role] * spread
            quality[role][name] = _interval(float(replicates.mean()), draws[role][name])
    edge, recovered = {}, {}
    for name, metric in metrics.items():
        value = {role: np.asarray(quality[role][name].value) for role in scores}
        edge[name] = _interval(
            float(improvement(metric, value["teacher"], value["control"])),
            improvement(metric, draws["teacher"][name], draws["control"][name]),
        )
        recovered[name] = _judge(
            _share(metric, value),
            _share(metric, {role: draws[role][name] for role in scores}),
            _share(metric, {role: rows_only[role][name] for role in scores}),
            edge[name],
            asked_share,
            n_rows,
        )
    return EdgeResult(quality, edge, recovered)


def _share(metric: Metric, value: Mapping[str, Float64]) -> Float64:
    gained = improvement(metric, value["student"], value["control"])
    edge = improvement(metric, value["teacher"], value["control"])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Float64 = np.divide(gained, edge)
    return ratio


def _judge(
    value: Float64,
    draws: Float64,
    rows_only: Float64,
    edge: Interval,
    asked_share: float,
    n_rows: int,
) -> Recovered:
    # An edge of exactly 0 leaves nothing to recover; JSON has no NaN, so its share is written as 0.
    finite = draws[np.isfinite(draws)]
    share = float(value) if np.isfinite(value) else 0.0
    interval = _interval(share, finite) if len(finite) else Interval(value=share, low=0.0, high=0.0)
    verdict = decide_verdict(edge, interval, asked_share)
    rows_to_settle = None
    if verdict == "INCONCLUSIVE":
        rows_to_settle = _rows_to_settle(share - asked_share, finite, rows_only, n_rows)
    return Recovered(
        **interval.model_dump(),
        verdict=verdict,
        asked_share=asked_share,
        rows_to_settle=rows_to_settle,
    )


def decide_verdict(edge: Interval, share: Interval, asked_share: float) -> Verdict:
    """Say what the interval of the edge and of its recovered share allow to say."""
    if edge.low <= 0:
        return "NO_EDGE"
    if share.low >= asked_share:
        return "RECOVERED"
    return "NOT_RECOVERED" if share.high < asked_share else "INCONCLUSIVE"


def _rows_to_settle(gap: float, draws: Float64, rows_only: Float64, n_rows: int) -> int | None:
    """Return how many test rows would move the interval clear of the asked share.

    The variance from rows shrinks with their number, that from replicates does not.
    """
    from_rows = float(rows_only[np.isfinite(rows_only)].var())
    from_replicates = max(0.0, float(draws.var()) - from_rows)
    allowed = (gap / Z_95) ** 2 - from_replicates
    return int(np.ceil(n_rows * from_rows / allowed)) if allowed > 0 else None


def _interval(value: float, draws: Float64) -> Interval:
    low, high = np.percentile(draws, [2.5, 97.5])
    return Interval(value=value, low=float(low), high=float(high))


def _resample_means(scores: Float64, n_draws: int, rng: np.random.Generator) -> Float64:
    """Mean of each line of `[S, n]` scores over n rows drawn with replacement: `[n_draws, S]`."""
    n_rows = scores.shape[1]
    by_row = np.ascontiguousarray(scores.T)
    means = np.empty((n_draws, len(scores)))
    for draw in range(n_draws):
        counts = np.bincount(rng.integers(n_rows, size=n_rows), minlength=n_rows)
        means[draw] = counts @ by_row / n_rows
    return means
