"""Metrics as means of one score per row, so that every interval comes from the same resampling.

Takes probabilities and class positions, gives scores. A new metric is one function here.
"""

from collections.abc import Callable

import numpy as np

from kdexport.records import Float32, Float64, Int64

SMALLEST_PROBABILITY = 1e-15  # a float32 softmax can answer 0; its log loss is bounded here

RowScore = Callable[[Float64, Int64], Float64]


def score_correct(probabilities: Float64, labels: Int64) -> Float64:
    """1 where the most probable class is the label, else 0."""
    correct: Float64 = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    return correct


def score_log_loss(probabilities: Float64, labels: Int64) -> Float64:
    """Minus the natural log of the label's probability."""
    own = probabilities[np.arange(len(labels)), labels]
    return -np.log(np.maximum(own, SMALLEST_PROBABILITY))


def score_brier(probabilities: Float64, labels: Int64) -> Float64:
    """Squared distance to the one-hot label (Brier 1950): 0 to 2."""
    own = probabilities[np.arange(len(labels)), labels]
    squares: Float64 = np.square(probabilities).sum(axis=1) - 2 * own + 1
    return squares


METRICS: dict[str, RowScore] = {
    "accuracy": score_correct,
    "log_loss": score_log_loss,
    "brier": score_brier,
}
HIGHER_IS_BETTER = {"accuracy"}


def score_rows(probabilities: Float32, labels: Int64) -> dict[str, Float64]:
    """Score every row on every metric.

    **Shape** probabilities `[n, K]` float32, labels `[n]` int64 positions; each result `[n]`.
    """
    exact = probabilities.astype(np.float64)
    return {name: score(exact, labels) for name, score in METRICS.items()}


def improvement(metric: str, value: float | Float64, reference: float | Float64) -> Float64:
    """How much better `value` is than `reference`: positive is better, for every metric."""
    sign = 1.0 if metric in HIGHER_IS_BETTER else -1.0
    return np.asarray(sign * (np.asarray(value) - np.asarray(reference)))


def measure_fidelity(student: Float32, teacher: Float32) -> dict[str, float]:
    """How a student answers beside its teacher, right or wrong.

    **Shape** both `[n, K]` float32 probabilities.

    Returns:
        `agreement`: share of rows with the same most probable class; `kl`: mean
        KL(teacher || student) in nats.
    """
    p = np.maximum(teacher.astype(np.float64), SMALLEST_PROBABILITY)
    q = np.maximum(student.astype(np.float64), SMALLEST_PROBABILITY)
    return {
        "agreement": float((p.argmax(axis=1) == q.argmax(axis=1)).mean()),
        "kl": float((p * np.log(p / q)).sum(axis=1).mean()),
    }
