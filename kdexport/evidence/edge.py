"""Edge and recovered edge, with intervals over test rows and training replicates together.

Takes one score per row for teacher, controls and students; gives estimates, 95 % intervals and a
verdict. How rows and replicates are resampled: `resample`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kdexport.evidence.facts import ControlRole
from kdexport.evidence.few_rows import LEAST_OTHERS, count_effective, reach_zero
from kdexport.evidence.metrics import Metric, bound_difference, bound_interval, improvement
from kdexport.evidence.resample import (
    Estimate,
    estimate_means,
    interval_of,
    share_of_rows,
    stretch,
)
from kdexport.evidence.shape import Interval, Quality, Recovered, Verdict
from kdexport.records import Float64

TEACHER, CONTROL, STUDENT = "teacher", "control", "student"
PLAIN_CONTROL, RIVAL = "plain_control", "rival"
CONTROLS: tuple[ControlRole, ...] = ("control", "plain_control")
MOST_ROWS = 10**12  # beyond: no table settles it
HANG_ON_OTHERS = {"log_loss", "brier"}  # what rows outside the most frequent class decide


@dataclass(frozen=True)
class EdgeResult:
    """What was estimated, each by metric.

    Attributes:
        quality: Role to metric to the mean over its replicates.
        edge: How much better the teacher is than the control that counts.
        recovered: The student's share of the edge.
        controls: Which control counts: the better one. Both were scored on the rows that chose
            between them, so the choice favours the control: it can only make the edge smaller and
            the share of a student below its teacher too.
        lead: How much better the student is than the rival; empty where there is no rival.
        gained: How much better the student is than the control that counts.
    """

    quality: dict[str, Quality]
    edge: dict[str, Interval]
    recovered: dict[str, Recovered]
    controls: dict[str, ControlRole]
    lead: dict[str, Interval]
    gained: dict[str, Interval]


def measure_edge(
    scores: Mapping[str, Mapping[str, Float64]],
    metrics: Mapping[str, Metric],
    *,
    asked_share: float,
    n_draws: int,
    seed: int,
    n_rarest: float | None = None,
    n_others: int | None = None,
    weights: Float64 | None = None,
) -> EdgeResult:
    """Estimate edge and recovered edge, and the student's lead over a rival.

    Control and student stand for their replicates: each value is the mean over them.

    Args:
        scores: Role to metric to row scores, **Shape** `[R, n]` float64. Roles are teacher,
            control and student, and if they were trained plain_control and rival; R is 1 for the
            teacher and the rival and at least 2 for the others.
        metrics: What the scores are of.
        asked_share: The share of the edge that counts as recovered.
        n_draws: Resamples.
        seed: Decides them.
        n_rarest: Test rows of the rarest class, in effect; None: as many as of all.
        n_others: Test rows of all classes but the most frequent one; None: enough of them.
        weights: **Shape** `[n]`: how much each row counts; None: all alike.
    """
    has_few = n_others is not None and n_others < LEAST_OTHERS
    rng = np.random.default_rng(seed)
    n_rows = scores[TEACHER][next(iter(metrics))].shape[1]
    weights = np.ones(n_rows) if weights is None else weights
    estimates = estimate_means(
        scores, metrics, weights=weights, n_draws=n_draws, rng=rng, n_rarest=n_rarest
    )
    n_effective = count_effective(weights)
    n_carrying = {
        name: metric.count_rows(n_effective, n_rarest or n_effective)
        for name, metric in metrics.items()
    }

    parts_of = {
        name: {role: by_metric[name] for role, by_metric in estimates.items()} for name in metrics
    }

    def compare(name: str, role: str, reference: str) -> Interval:
        found = _compare(metrics[name], parts_of[name], role, reference, rng)
        found = bound_difference(metrics[name], found, n_carrying[name])
        return reach_zero(found) if has_few and name in HANG_ON_OTHERS else found

    quality: dict[str, Quality] = {role: {} for role in scores}
    edge: dict[str, Interval] = {}
    recovered: dict[str, Recovered] = {}
    controls: dict[str, ControlRole] = {}
    lead: dict[str, Interval] = {}
    for name, metric in metrics.items():
        parts = parts_of[name]
        for role, part in parts.items():
            factor = stretch({role: 1.0}, parts, rng)
            draws = part.value + factor * (part.moved - part.value)
            found = interval_of(part.value, draws)
            quality[role][name] = bound_interval(metric, found, n_carrying[name])
        control = choose_control(metric, {role: part.value for role, part in parts.items()})
        controls[name] = control
        edge[name] = compare(name, TEACHER, control)
        recovered[name] = _measure_share(
            metric, parts, control, edge[name], asked_share, n_rows, rng
        )
        if RIVAL in parts:
            lead[name] = compare(name, STUDENT, RIVAL)
    # Last: these draws are of no other figure.
    gained = {name: compare(name, STUDENT, controls[name]) for name in metrics}
    return EdgeResult(quality, edge, recovered, controls, lead, gained)


def choose_control(metric: Metric, values: Mapping[str, float]) -> ControlRole:
    """Return the control that counts in a metric: the better one."""
    there: list[ControlRole] = [role for role in CONTROLS if role in values]
    sign = 1.0 if metric.higher_is_better else -1.0
    return max(there, key=lambda role: sign * values[role])


def _compare(
    metric: Metric,
    parts: Mapping[str, Estimate],
    role: str,
    reference: str,
    rng: np.random.Generator,
) -> Interval:
    """How much better one role is than another."""
    first, second = parts[role], parts[reference]
    value = improvement(metric, np.asarray(first.value), np.asarray(second.value))
    drawn = improvement(metric, first.moved, second.moved)
    factor = stretch({role: 1.0, reference: -1.0}, parts, rng)
    return interval_of(float(value), value + factor * (drawn - value))


def _measure_share(
    metric: Metric,
    parts: Mapping[str, Estimate],
    control: ControlRole,
    edge: Interval,
    asked_share: float,
    n_rows: int,
    rng: np.random.Generator,
) -> Recovered:
    """Judge the student's share of the edge.

    Its draws are ratios of draws. Where the edge is clear of 0, their interval is Fieller's: the
    shares f for which student - control - f (teacher - control) does not differ from 0. That sum
    says how far deviations are stretched.
    """

    def share_of(values: Mapping[str, Float64]) -> Float64:
        gained = improvement(metric, values[STUDENT], values[control])
        whole = improvement(metric, values[TEACHER], values[control])
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio: Float64 = np.divide(gained, whole)
        return ratio

    exact = {role: np.asarray(part.value) for role, part in parts.items()}
    value = float(share_of(exact))
    # An edge of exactly 0 leaves nothing to recover; JSON has no NaN, so its share is written as 0.
    value = value if np.isfinite(value) else 0.0
    weights = {STUDENT: 1.0, control: value - 1.0, TEACHER: -value}
    factor = stretch(weights, parts, rng)
    draws = share_of({r: exact[r] + factor * (p.moved - exact[r]) for r, p in parts.items()})
    finite = draws[np.isfinite(draws)]
    interval = interval_of(value, finite if len(finite) else np.array([value]))
    verdict = decide_verdict(edge, interval, asked_share)
    rows_to_settle = None
    if verdict == "INCONCLUSIVE":
        from_rows = share_of_rows(weights, parts)
        rows_to_settle = _rows_to_settle(interval, asked_share, from_rows, n_rows)
    return Recovered(
        **interval.model_dump(),
        verdict=verdict,
        asked_share=asked_share,
        rows_to_settle=rows_to_settle,
    )


def decide_verdict(edge: Interval, share: Interval, asked_share: float) -> Verdict:
    """Say what the interval of the edge and of its recovered share allow to say."""
    if not edge.low > 0:
        return "NO_EDGE"
    if share.low >= asked_share:
        return "RECOVERED"
    return "NOT_RECOVERED" if share.high < asked_share else "INCONCLUSIVE"


def _rows_to_settle(
    share: Interval, asked_share: float, from_rows: float, n_rows: int
) -> int | None:
    """Return how many test rows would move the interval clear of the asked share, were its value
    to stay: more than there are.

    The variance from rows (`from_rows` is its part) shrinks with their number, that from
    replicates does not. None where no number would, or none that anybody has.
    """
    is_below = share.value < asked_share
    reach = share.high - share.value if is_below else share.value - share.low
    allowed = (share.value - asked_share) ** 2 - (1 - from_rows) * reach**2
    asked = n_rows * from_rows * reach**2 / allowed if allowed > 0 else math.inf
    return math.ceil(asked) if asked <= MOST_ROWS else None
