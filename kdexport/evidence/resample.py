"""Means over test rows and training replicates, resampled together; intervals of what is made of
them.

Takes one score per row and replicate, gives draws and 95 % intervals. Knows no metric's meaning
and no verdict.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kdexport.evidence.few_rows import count_effective, widen_few
from kdexport.evidence.metrics import Metric
from kdexport.evidence.shape import Interval
from kdexport.records import Float64

SMALLEST_SHARE = 1e-9  # of the variance; less than that from replicates is none
DRAWS_AT_ONCE = 8


@dataclass(frozen=True)
class Estimate:
    """One role's value in one metric, and what is known of its error.

    Attributes:
        value: Mean over the replicates.
        replicates: Each replicate's own value. **Shape** `[R]`.
        rows: The value under resampled rows. **Shape** `[n_draws]`.
        moved: The same, with the replicates' mean moved too, by a normal. **Shape** `[n_draws]`.
        spread: Variance of the mean as the replicates alone show it, s^2 / R; 0 where R is 1.
        own: What `spread` owes to the finite test rows, which `rows` has in it already.
    """

    value: float
    replicates: Float64
    rows: Float64
    moved: Float64
    spread: float
    own: float


def estimate_means(
    scores: Mapping[str, Mapping[str, Float64]],
    metrics: Mapping[str, Metric],
    *,
    weights: Float64,
    n_draws: int,
    rng: np.random.Generator,
    n_rarest: float | None = None,
) -> dict[str, dict[str, Estimate]]:
    """Estimate every metric of every role, all under the same resampled rows.

    What rows move a value by is widened where they are few.

    Args:
        scores: Role to metric to row scores, **Shape** `[R, n]` float64.
        metrics: What the scores are of.
        weights: **Shape** `[n]`: how much each row counts.
        n_draws: Resamples.
        rng: Decides them.
        n_rarest: Rows of the rarest class, in effect; None: as many as of all.
    """
    n_rows = count_effective(weights)
    normals = {role: rng.standard_normal(n_draws) for role in scores}
    stacked = np.concatenate([scores[role][name] for role in scores for name in metrics])
    resampled = resample_means(stacked, weights, n_draws, rng)
    estimates: dict[str, dict[str, Estimate]] = {role: {} for role in scores}
    position = 0
    for role, by_metric in scores.items():
        for name, metric in metrics.items():
            replicates = metric.finish(np.average(by_metric[name], axis=1, weights=weights))
            drawn = metric.finish(resampled[:, position : position + len(replicates)])
            position += len(replicates)
            factor = widen_few(metric.count_rows(n_rows, n_rarest or n_rows))
            drawn = replicates + factor * (drawn - replicates)
            estimates[role][name] = _estimate(replicates, drawn, normals[role])
    return estimates


def _estimate(replicates: Float64, drawn: Float64, normal: Float64) -> Estimate:
    n_replicates, rows = len(replicates), drawn.mean(axis=1)
    spread = own = 0.0
    if n_replicates > 1:
        spread = float(replicates.var(ddof=1)) / n_replicates
        # How rows move one replicate against the others: the test set's part in their spread.
        apart = (drawn - rows[:, None]).var(axis=0).sum() / (n_replicates - 1)
        own = float(apart) / n_replicates
    moved = rows + normal * np.sqrt(max(0.0, spread - own))
    return Estimate(float(replicates.mean()), replicates, rows, moved, spread, own)


def stretch(
    weights: Mapping[str, float], parts: Mapping[str, Estimate], rng: np.random.Generator
) -> Float64:
    """Return what deviations are multiplied by, so that few replicates are paid for.

    For a sum of roles, each with its weight, normal deviations become Student's t with the
    degrees of freedom that its variance is known with: rows are many, replicates few. Their size
    is set by the variance in which what rows and replicates share is counted once.

    Args:
        weights: Role to its weight in the sum.
        parts: Role to its estimate, in one metric.
        rng: Decides the draws.

    Returns:
        **Shape** `[n_draws]` float64, all 1 where no role has replicates that differ.

    Source: Hillis, "A comparison of denominator degrees of freedom methods for multiple observer
    ROC analysis", Statistics in Medicine 26 (2007): replicates are its readers, rows its cases.
    """
    used = {role: weight for role, weight in weights.items() if weight}
    spreads = {role: weight**2 * parts[role].spread for role, weight in used.items()}
    from_spread = sum(spreads.values())
    from_rows = _vary_rows(used, parts)
    shared = {role: used[role] ** 2 * parts[role].own for role in used}
    wanted = from_spread + max(0.0, from_rows - sum(shared.values()))
    drawn = from_rows + sum(max(0.0, spreads[role] - shared[role]) for role in used)
    n_draws = len(next(iter(parts.values())).rows)
    if not from_spread or not drawn:
        return np.ones(n_draws)
    # Shares, not variances: the square of a tiny one would be 0.
    known = sum(
        (spread / wanted) ** 2 / (len(parts[role].replicates) - 1)
        for role, spread in spreads.items()
        if spread
    )
    freedom = 1 / max(known, SMALLEST_SHARE)
    stretched: Float64 = np.sqrt(wanted / drawn * freedom / rng.chisquare(freedom, n_draws))
    return stretched


def share_of_rows(weights: Mapping[str, float], parts: Mapping[str, Estimate]) -> float:
    """Return the share of a sum's variance that more rows would take away; the rest is of
    replicates.

    Args:
        weights: Role to its weight in the sum.
        parts: Role to its estimate, in one metric.
    """
    from_rows = _vary_rows(weights, parts)
    from_replicates = sum(
        weight**2 * max(0.0, parts[role].spread - parts[role].own)
        for role, weight in weights.items()
    )
    whole = from_rows + from_replicates
    return from_rows / whole if whole else 1.0


def _vary_rows(weights: Mapping[str, float], parts: Mapping[str, Estimate]) -> float:
    """Variance of a sum of roles under resampled rows."""
    rows = np.sum([weight * parts[role].rows for role, weight in weights.items()], axis=0)
    return float(rows.var())


def resample_means(
    scores: Float64, weights: Float64, n_draws: int, rng: np.random.Generator
) -> Float64:
    """Weighted mean of each line of `[S, n]` scores over n rows drawn with replacement.

    Rows are drawn alike, whatever they weigh: sum and weight of a mean are both of the rows drawn.

    **Shape** weights `[n]`; returns `[n_draws, S]`.
    """
    n_rows = scores.shape[1]
    by_row = np.ascontiguousarray(scores.T * weights[:, None])
    means = np.empty((n_draws, len(scores)))
    counts = np.empty((DRAWS_AT_ONCE, n_rows))
    # A product reads all scores: a few draws share it, as few as fit beside them in memory.
    for start in range(0, n_draws, DRAWS_AT_ONCE):
        drawn = counts[: n_draws - start]
        for one in drawn:
            one[:] = np.bincount(rng.integers(n_rows, size=n_rows), minlength=n_rows)
        means[start : start + len(drawn)] = drawn @ by_row / (drawn @ weights)[:, None]
    return means


def interval_of(value: float, draws: Float64) -> Interval:
    """Return the 95 % percentile interval of draws around a value.

    Of n draws and one more, the k-th smallest has k / (n + 1) below it (Weibull's positions).
    The usual positions give up 0.6 % of coverage at 300 draws.
    """
    low, high = np.percentile(draws, [2.5, 97.5], method="weibull")
    return Interval(value=value, low=float(low), high=float(high))
