"""Metrics as means of one score per row, so that every interval comes from the same resampling.

Takes answers and targets, gives scores. A new metric is one entry here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from kdexport.evidence.facts import Interval, Quality
from kdexport.records import Answers, Column, Float32, Float64

N_BINS = 15
N_ECE_DRAWS = 200
SMALLEST_PROBABILITY = 1e-15  # a float32 softmax can answer 0; its log loss is bounded here


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        score: Answers and targets `[n]` to one score per row, `[n]` float64.
        finish: The mean score (any shape) to the metric's value.
        higher_is_better: Whether it grows with quality.
    """

    score: Callable[[Answers, Column], Float64]
    finish: Callable[[Float64], Float64] = np.asarray
    higher_is_better: bool = False


def score_correct(answers: Answers, targets: Column) -> Float64:
    """1 where the most probable class is the label, else 0."""
    correct: Float64 = (answers.probabilities.argmax(axis=1) == targets).astype(np.float64)
    return correct


def score_log_loss(answers: Answers, targets: Column) -> Float64:
    """Minus the natural log of the label's probability."""
    own = answers.probabilities[np.arange(len(targets)), targets].astype(np.float64)
    return -np.log(np.maximum(own, SMALLEST_PROBABILITY))


def score_brier(answers: Answers, targets: Column) -> Float64:
    """Squared distance to the one-hot label (Brier 1950): 0 to 2."""
    exact = answers.probabilities.astype(np.float64)
    squares: Float64 = np.square(exact).sum(axis=1) - 2 * exact[np.arange(len(targets)), targets]
    return squares + 1


def score_square(answers: Answers, targets: Column) -> Float64:
    """Squared error."""
    return np.square(answers.predictions.astype(np.float64) - targets)


def score_absolute(answers: Answers, targets: Column) -> Float64:
    """Absolute error."""
    return np.abs(answers.predictions.astype(np.float64) - targets)


def score_unexplained(answers: Answers, targets: Column) -> Float64:
    """Squared error in variances of the targets: its mean is 1 - R2."""
    variance = float(np.var(targets)) or 1.0
    return score_square(answers, targets) / variance


CLASSIFICATION: dict[str, Metric] = {
    "accuracy": Metric(score_correct, higher_is_better=True),
    "log_loss": Metric(score_log_loss),
    "brier": Metric(score_brier),
}
REGRESSION: dict[str, Metric] = {
    "rmse": Metric(score_square, np.sqrt),
    "mae": Metric(score_absolute),
    "r2": Metric(score_unexplained, lambda mean: np.asarray(1 - mean), higher_is_better=True),
}


def find_metrics(*, is_regression: bool) -> Mapping[str, Metric]:
    """Return the metrics of a task by name, the one that leads first."""
    return REGRESSION if is_regression else CLASSIFICATION


def score_rows(
    metrics: Mapping[str, Metric], answers: Answers, targets: Column, weights: Float64
) -> dict[str, Float64]:
    """Score every row on every metric.

    **Shape** targets `[n]` (int64 class positions, or numbers), weights `[n]` of mean 1; each
    result `[n]` float64.
    """
    return {name: metric.score(answers, targets) * weights for name, metric in metrics.items()}


def measure_quality(answers: Answers, targets: Column, weights: Float64) -> Quality:
    """Quality of one file, with 95 % intervals over rows (normal approximation of a mean)."""
    metrics = find_metrics(is_regression=not answers.probabilities.shape[1])
    quality = {}
    for name, by_row in score_rows(metrics, answers, targets, weights).items():
        mean = float(by_row.mean())
        margin = 1.96 * float(by_row.std(ddof=1)) / len(by_row) ** 0.5 if len(by_row) > 1 else 0.0
        finish = metrics[name].finish
        ends = sorted(
            float(finish(np.asarray(max(bound, 0.0)))) for bound in (mean - margin, mean + margin)
        )
        quality[name] = Interval(value=float(finish(np.asarray(mean))), low=ends[0], high=ends[1])
    if answers.probabilities.shape[1]:
        quality["ece"] = measure_ece(answers, targets, weights)
    return quality


def measure_ece(answers: Answers, targets: Column, weights: Float64, seed: int = 0) -> Interval:
    """Expected calibration error (Guo et al. 2017), its 95 % interval from resampled rows.

    The mean distance between confidence and accuracy, over equal bins of confidence. Noise can
    only add to a distance, so with few rows it is large for a calibrated model too.
    """
    confidence = answers.probabilities.max(axis=1).astype(np.float64)
    gap = (answers.probabilities.argmax(axis=1) == targets) - confidence
    bins = np.minimum((confidence * N_BINS).astype(np.int64), N_BINS - 1)

    def measure(counts: Float64) -> float:
        in_bins = np.bincount(bins, weights=counts * gap, minlength=N_BINS)
        return float(np.abs(in_bins).sum() / counts.sum())

    rng, n = np.random.default_rng(seed), len(targets)
    drawn = [
        measure(weights * np.bincount(rng.integers(n, size=n), minlength=n))
        for _ in range(N_ECE_DRAWS)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(value=measure(weights), low=float(low), high=float(high))


def improvement(metric: Metric, value: Float64, reference: Float64) -> Float64:
    """How much better `value` is than `reference`: positive is better, for every metric."""
    sign = 1.0 if metric.higher_is_better else -1.0
    return np.asarray(sign * (value - reference))


def measure_fidelity(student: Answers, teacher: Answers) -> dict[str, float]:
    """How a student answers beside its teacher, right or wrong.

    Returns:
        Of classes, `agreement`: share of rows with the same most probable class, and `kl`: mean
        KL(teacher || student) in nats. Of numbers, `rmse` between the two.
    """
    if not student.probabilities.shape[1]:
        apart = student.predictions.astype(np.float64) - teacher.predictions
        return {"rmse": float(np.sqrt(np.square(apart).mean()))}
    p, q = (_bounded(answers.probabilities) for answers in (teacher, student))
    return {
        "agreement": float((p.argmax(axis=1) == q.argmax(axis=1)).mean()),
        "kl": float((p * np.log(p / q)).sum(axis=1).mean()),
    }


def _bounded(probabilities: Float32) -> Float64:
    return np.maximum(probabilities.astype(np.float64), SMALLEST_PROBABILITY)
