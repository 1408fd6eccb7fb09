"""Metrics as means of one score per row, so that every interval comes from the same resampling.

Takes answers and targets, gives scores. A new metric is one entry here.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from kdexport.evidence.few_rows import Z_95, bound_share, count_effective, count_rarest, widen_few
from kdexport.evidence.shape import Interval, Quality
from kdexport.records import Answers, Column, Float32, Float64, Int64

N_BINS = 15
N_ECE_DRAWS, ECE_TAIL = 200, 1.0  # resamples, and per cent of them beyond either end
CERTAIN = 1e-12  # what rounding leaves of a difference that is none
RULE_OF_THREE = 3.0  # over n rows: how often may happen what none of them shows
SMALLEST_PROBABILITY = 1e-15  # a float32 softmax can answer 0; its log loss is bounded here


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        score: Answers, targets and weights `[n]` to one score per row, `[n]` float64, whose
            weighted mean is the metric. Only scores that compare rows with each other look at
            the weights.
        finish: The mean score (any shape) to the metric's value.
        higher_is_better: Whether it grows with quality.
        compares_rows: Whether a row's score depends on the other rows.
        is_share: Whether it is a share of rows, or of pairs of them.
        largest: Beyond which no value can be.
        smallest: Below which none can be.
    """

    score: Callable[[Answers, Column, Float64], Float64]
    finish: Callable[[Float64], Float64] = np.asarray
    higher_is_better: bool = False
    compares_rows: bool = False
    is_share: bool = False
    largest: float = math.inf
    smallest: float = 0.0

    def count_rows(self, n_rows: float, n_rarest: float) -> float:
        """Return how many rows carry a value: of pairs, as many as the rarest class has."""
        return n_rarest if self.is_share and self.compares_rows else n_rows

    def within_range(self, found: Interval) -> Interval:
        """Return an interval without what no value of the metric can be."""
        low, high = max(found.low, self.smallest), min(found.high, self.largest)
        return Interval(value=found.value, low=low, high=high)


def score_correct(answers: Answers, targets: Column, _: Float64) -> Float64:
    """1 where the most probable class is the label, else 0."""
    correct: Float64 = (answers.probabilities.argmax(axis=1) == targets).astype(np.float64)
    return correct


def score_log_loss(answers: Answers, targets: Column, _: Float64) -> Float64:
    """Minus the natural log of the label's probability."""
    own = answers.probabilities[np.arange(len(targets)), targets].astype(np.float64)
    return -np.log(np.maximum(own, SMALLEST_PROBABILITY))


def score_brier(answers: Answers, targets: Column, _: Float64) -> Float64:
    """Squared distance to the one-hot label (Brier 1950): 0 to 2."""
    exact = answers.probabilities.astype(np.float64)
    squares: Float64 = np.square(exact).sum(axis=1) - 2 * exact[np.arange(len(targets)), targets]
    return squares + 1


def score_square(answers: Answers, targets: Column, _: Float64) -> Float64:
    """Squared error."""
    return np.square(answers.predictions.astype(np.float64) - targets)


def score_absolute(answers: Answers, targets: Column, _: Float64) -> Float64:
    """Absolute error."""
    return np.abs(answers.predictions.astype(np.float64) - targets)


def score_unexplained(answers: Answers, targets: Column, weights: Float64) -> Float64:
    """Squared error in variances of the targets: its mean is 1 - R2.

    What a row adds to the variance is taken off again, times that mean: so rows can be resampled
    as those of any mean are, to first order.
    """
    spread = np.square(targets - np.average(targets, weights=weights))
    variance = float(np.average(spread, weights=weights)) or 1.0
    shares = score_square(answers, targets, weights) / variance
    unexplained = np.average(shares, weights=weights)
    moved: Float64 = shares - unexplained * (spread / variance - 1)
    return moved


def score_auc(answers: Answers, targets: Column, weights: Float64) -> Float64:
    """Area under the ROC curve, as a mean over rows; ties count half. Takes O(n log n).

    A row's placement is the share of the other class that it is ranked apart from rightly. The
    mean of `A + W / W_class * (placement - A)` is the area A, and its variance over rows is that
    of DeLong: so rows can be resampled as those of any mean are, to first order.

    Source: DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated
    ROC curves", Biometrics 44 (1988).
    """
    levels, level = np.unique(answers.probabilities[:, 1], return_inverse=True)
    is_second = targets == 1
    totals, below = [], []
    for is_own in (is_second, ~is_second):
        own = np.bincount(level, weights=weights * is_own, minlength=len(levels))
        totals.append(own.sum())
        below.append((np.cumsum(own) - own / 2)[level])
    placement = np.where(is_second, below[1] / totals[1], 1 - below[0] / totals[0])
    area = np.average(placement[is_second], weights=weights[is_second])
    shares = np.where(is_second, *totals) / weights.sum()
    moved: Float64 = area + (placement - area) / shares
    return moved


CLASSIFICATION: dict[str, Metric] = {
    "accuracy": Metric(score_correct, higher_is_better=True, is_share=True, largest=1.0),
    "log_loss": Metric(score_log_loss),
    "brier": Metric(score_brier, largest=2.0),
}
BINARY: dict[str, Metric] = {
    **CLASSIFICATION,
    "auc": Metric(score_auc, higher_is_better=True, compares_rows=True, is_share=True, largest=1.0),
}
REGRESSION: dict[str, Metric] = {
    "rmse": Metric(score_square, np.sqrt),
    "mae": Metric(score_absolute),
    "r2": Metric(
        score_unexplained,
        lambda mean: np.asarray(1 - mean),
        higher_is_better=True,
        compares_rows=True,
        largest=1.0,
        smallest=-math.inf,
    ),
}


METRICS: Mapping[str, Metric] = {**BINARY, **REGRESSION}
LEADING = {"accuracy", "log_loss", "rmse"}  # what a verdict on a whole model is made of


def find_metrics(n_classes: int, targets: Column) -> Mapping[str, Metric]:
    """Return the metrics that labelled rows have, by name, the one that leads first.

    Args:
        n_classes: 0 for a regression.
        targets: **Shape** `[n]`: rows of one class alone have no ROC curve.
    """
    if not n_classes:
        return REGRESSION
    return BINARY if n_classes == 2 and len(np.unique(targets)) == 2 else CLASSIFICATION


def score_rows(
    metrics: Mapping[str, Metric], answers: Answers, targets: Column, weights: Float64
) -> dict[str, Float64]:
    """Score every row on every metric.

    **Shape** targets `[n]` (int64 class positions, or numbers), weights `[n]` of mean 1; each
    result `[n]` float64.
    """
    return {name: metric.score(answers, targets, weights) for name, metric in metrics.items()}


def measure_quality(answers: Answers, targets: Column, weights: Float64) -> Quality:
    """Quality of one file, with 95 % intervals over rows (Student's t for a mean).

    Of weighted rows the mean is a ratio of sums, whose error is that of weighted distances to it
    (Hajek).
    """
    metrics = find_metrics(answers.probabilities.shape[1], targets)
    n_effective, n_rarest = count_effective(weights), count_rarest(targets, weights)
    quality = {}
    for name, by_row in score_rows(metrics, answers, targets, weights).items():
        n_rows = metrics[name].count_rows(n_effective, n_rarest)
        mean = float(np.average(by_row, weights=weights))
        apart = weights * (by_row - mean) if (weights != 1).any() else by_row
        margin = Z_95 * widen_few(n_rows) * float(apart.std()) / len(by_row) ** 0.5
        finish = metrics[name].finish
        low, high = sorted(
            float(finish(np.asarray(max(bound, 0.0)))) for bound in (mean - margin, mean + margin)
        )
        found = Interval(value=float(finish(np.asarray(mean))), low=low, high=high)
        quality[name] = bound_interval(metrics[name], found, n_rows)
    if answers.probabilities.shape[1]:
        quality["ece"] = measure_ece(answers, targets, weights)
    return quality


def bin_by_confidence(answers: Answers, targets: Column) -> tuple[Float64, Float64, Int64]:
    """Put rows into bins of equal width by the probability of the most probable class.

    **Shape** returns `[n]` each: that probability, 1 where the class is the label (else 0), and
    the bin's number.
    """
    confidence = answers.probabilities.max(axis=1).astype(np.float64)
    correct = (answers.probabilities.argmax(axis=1) == targets).astype(np.float64)
    return confidence, correct, np.minimum((confidence * N_BINS).astype(np.int64), N_BINS - 1)


def bound_interval(metric: Metric, found: Interval, n_rows: float) -> Interval:
    """Return the interval within what the metric can be, and no narrower than so few rows allow.

    Rows that are all answered alike say the same however they are resampled: an interval of no
    width, which 10 rows cannot carry. Wilson's is that of 10 successes out of 10.

    Args:
        metric: What was measured.
        found: From resampled rows.
        n_rows: How many carry it, in effect.
    """
    is_certain = min(abs(found.value), abs(1 - found.value)) < CERTAIN
    if not metric.is_share or not is_certain or found.high - found.low > CERTAIN:
        return metric.within_range(found)
    bound = bound_share(round(found.value), n_rows)
    return Interval(
        value=found.value, low=min(bound.low, found.value), high=max(bound.high, found.value)
    )


def bound_difference(metric: Metric, found: Interval, n_rows: float) -> Interval:
    """Return the interval of a difference of two shares, no narrower than so few rows allow.

    Where two models differ on no row, resampled rows show no difference either: one that 3 of n
    rows would have would still be missed in a sample of 20.

    Args:
        metric: What was measured of both.
        found: From resampled rows.
        n_rows: How many carry it, in effect.
    """
    if not metric.is_share or found.high - found.low > CERTAIN:
        return found
    reach = RULE_OF_THREE / n_rows
    low, high = max(found.value - reach, -1.0), min(found.value + reach, 1.0)
    return Interval(value=found.value, low=low, high=high)


def measure_ece(answers: Answers, targets: Column, weights: Float64, seed: int = 0) -> Interval:
    """Expected calibration error (Guo et al. 2017), its 95 % interval from resampled rows.

    The mean distance between confidence and accuracy, over equal bins of confidence. Noise can
    only add to a distance: with few rows it is large for a calibrated model too, and larger still
    where rows are resampled. The value is as measured. Its interval is reflected (the basic
    bootstrap), which takes off what noise adds, reaches up to the value at least, and begins at 0
    where a model that means what it says could well have come out like this one (consistency
    resampling). Its ends leave out 1 % of the draws, not 2.5 %: a reflected interval of a sum of
    distances is too narrow, and at these it holds the truth in 92 to 99 % of samples.

    Source: Broecker and Smith, "Increasing the Reliability of Reliability Diagrams" (2007).
    """
    confidence, correct, bins = bin_by_confidence(answers, targets)

    def measure(hits: Float64, counts: Float64) -> float:
        in_bins = np.bincount(bins, weights=counts * (hits - confidence), minlength=N_BINS)
        return float(np.abs(in_bins).sum() / counts.sum())

    rng, n = np.random.default_rng(seed), len(targets)
    drawn = [
        measure(correct, weights * np.bincount(rng.integers(n, size=n), minlength=n))
        for _ in range(N_ECE_DRAWS)
    ]
    calibrated = [
        measure((rng.random(n) < confidence).astype(np.float64), weights)
        for _ in range(N_ECE_DRAWS)
    ]
    measured = measure(correct, weights)
    ends = np.percentile(drawn, [100 - ECE_TAIL, ECE_TAIL], method="weibull")
    low, high = (2 * measured - ends).tolist()
    if measured <= np.percentile(calibrated, 100 - ECE_TAIL, method="weibull"):
        low = 0.0
    return Interval(value=measured, low=max(low, 0.0), high=max(high, measured))


def improvement(metric: Metric, value: Float64, reference: Float64) -> Float64:
    """How much better `value` is than `reference`: positive is better, for every metric.

    What rounding leaves of a difference that is none is none: shares are divided by it.
    """
    apart = (value - reference) if metric.higher_is_better else (reference - value)
    least = CERTAIN * np.maximum(np.abs(value), np.abs(reference))
    return np.where(np.abs(apart) <= least, 0.0, apart)


def measure_fidelity(student: Answers, teacher: Answers, weights: Float64) -> dict[str, float]:
    """How a student answers beside its teacher, right or wrong.

    **Shape** weights `[n]`: how much each row counts.

    Returns:
        Of classes, `agreement`: share of rows with the same most probable class, and `kl`: mean
        KL(teacher || student) in nats. Of numbers, `rmse` between the two.
    """
    if not student.probabilities.shape[1]:
        apart = student.predictions.astype(np.float64) - teacher.predictions
        return {"rmse": float(np.sqrt(np.average(np.square(apart), weights=weights)))}
    p, q = (_bounded(answers.probabilities) for answers in (teacher, student))
    return {
        "agreement": float(np.average(p.argmax(axis=1) == q.argmax(axis=1), weights=weights)),
        "kl": float(np.average((p * np.log(p / q)).sum(axis=1), weights=weights)),
    }


def _bounded(probabilities: Float32) -> Float64:
    return np.maximum(probabilities.astype(np.float64), SMALLEST_PROBABILITY)
