"""Scores of rows, and the intervals that come from them."""

import numpy as np
import pytest

from kdexport.evidence.edge import measure_edge
from kdexport.evidence.few_rows import count_effective, count_rarest
from kdexport.evidence.metrics import (
    METRICS,
    measure_ece,
    measure_fidelity,
    measure_quality,
    score_rows,
)
from kdexport.evidence.resample import interval_of, resample_means
from kdexport.records import Answers, Column, Float64

N_RUNS = 200
Z_95 = 1.96


def answer_numbers(predictions: Float64) -> Answers:
    """Answers of a regression."""
    return Answers(predictions, np.empty((len(predictions), 0), np.float32))


def answer_second(probability: Float64) -> Answers:
    """Answers of two classes."""
    shares = np.stack([1 - probability, probability], axis=1).astype(np.float32)
    return Answers(shares.argmax(axis=1), shares)


def cover(name: str, answers: Answers, targets: Column, weights: Float64, seed: int) -> Float64:
    """The ends of the resampled 95 % interval of a metric."""
    by_row = score_rows({name: METRICS[name]}, answers, targets, weights)[name]
    finish = METRICS[name].finish
    rng = np.random.default_rng(seed)
    drawn = finish(resample_means(by_row[None], weights, 200, rng)[:, 0])
    found = interval_of(float(finish(np.average(by_row, weights=weights))), drawn)
    return np.array([found.low, found.high])


def test_explained_variance() -> None:
    """R2 of 0.92: the variance that it is a share of is resampled too."""
    ends = []
    for run in range(N_RUNS):
        rng = np.random.default_rng(run)
        targets = rng.normal(size=500)
        answers = answer_numbers(targets + 0.3 * rng.normal(size=500))
        ends.append(cover("r2", answers, targets, np.ones(500), run))
    low, high = np.array(ends).T
    assert 0.9 <= ((low <= 0.91) & (high >= 0.91)).mean() <= 0.99


def test_weighted_rows() -> None:
    """Weights that differ are no reason to doubt the mean as if they were errors of it."""
    ends = []
    for run in range(N_RUNS):
        rng = np.random.default_rng(run)
        weights = rng.lognormal(size=300)
        targets = (rng.random(300) < 0.9).astype(np.int64)
        answers = answer_second(np.full(300, 0.9))
        ends.append(cover("accuracy", answers, targets, weights / weights.mean(), run))
    low, high = np.array(ends).T
    assert 0.88 <= ((low <= 0.9) & (high >= 0.9)).mean() <= 0.98
    assert (high - low).mean() < 4 * Z_95 * 0.3 / np.sqrt(300)


def test_heavy_rows() -> None:
    """However much single rows weigh, no resample of errors has a negative mean of squares."""
    rng = np.random.default_rng(0)
    weights = rng.lognormal(sigma=2.5, size=200)
    weights /= weights.mean()
    scores = {
        role: {"rmse": np.square(size * rng.standard_normal((1 if role == "teacher" else 5, 200)))}
        for role, size in (("teacher", 1.0), ("control", 1.5), ("student", 1.1))
    }
    found = measure_edge(
        scores,
        {"rmse": METRICS["rmse"]},
        asked_share=0.9,
        n_draws=1000,
        seed=0,
        weights=weights,
    )
    for interval in (found.edge["rmse"], found.recovered["rmse"], found.quality["teacher"]["rmse"]):
        assert interval.low <= interval.value <= interval.high
    assert found.quality["teacher"]["rmse"].low >= 0


def test_intervals_stay_in_range() -> None:
    """Replicates that differ a lot say nothing of accuracies beyond 1."""
    rng = np.random.default_rng(0)
    right = {"teacher": [1.0], "control": [0.95, 1.0], "student": [1.0, 0.99]}
    scores = {
        role: {"accuracy": (rng.random((len(shares), 200)) < np.array(shares)[:, None]) * 1.0}
        for role, shares in right.items()
    }
    metrics = {"accuracy": METRICS["accuracy"]}
    found = measure_edge(scores, metrics, asked_share=0.9, n_draws=500, seed=0)
    for role, by_metric in found.quality.items():
        assert 0 <= by_metric["accuracy"].low <= by_metric["accuracy"].high <= 1, role


def test_scores_of_equal_weights_stay() -> None:
    """Without weights, a row's score is what its answer alone says, to the last bit."""
    targets = np.array([0, 1, 1])
    answers = answer_second(np.array([0.2, 0.7, 0.4]))
    by_row = score_rows(METRICS, answers, targets, np.ones(3))["accuracy"]
    assert by_row.tolist() == [1, 1, 0]


@pytest.mark.parametrize("sharpness", [1.0, 1.3, 2.0])
def test_calibration_error(sharpness: float) -> None:
    """Its interval holds what a great many rows show, calibrated or not, nearly always."""

    def draw(n_rows: int, seed: int) -> tuple[Answers, Column, Float64]:
        rng = np.random.default_rng(seed)
        logits = 1.5 * rng.normal(size=n_rows)
        answers = answer_second(1 / (1 + np.exp(-sharpness * logits)))
        targets = (rng.random(n_rows) < 1 / (1 + np.exp(-logits))).astype(np.int64)
        return answers, targets, np.ones(n_rows)

    truth = measure_ece(*draw(400_000, 0)).value
    found = [measure_ece(*draw(1000, seed)) for seed in range(1, 201)]
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.92
    assert all(one.low <= one.value <= one.high for one in found)


def test_fidelity_counts_weights() -> None:
    """A row of weight 3 counts as three rows, of classes and of numbers."""
    weights = np.array([1.5, 0.5])
    student, teacher = answer_second(np.array([0.2, 0.9])), answer_second(np.array([0.2, 0.1]))
    found = measure_fidelity(student, teacher, weights)
    assert found["agreement"] == pytest.approx(0.75)
    apart = 0.9 * np.log(0.9 / 0.1) + 0.1 * np.log(0.1 / 0.9)
    assert found["kl"] == pytest.approx(apart / 4, rel=1e-5)
    numbers = answer_numbers(np.array([1.0, 4.0])), answer_numbers(np.array([1.0, 2.0]))
    assert measure_fidelity(*numbers, weights)["rmse"] == pytest.approx(1.0)


@pytest.mark.parametrize(("n_rows", "quantile"), [(10, 2.2622), (20, 2.0930), (1001, 1.9623)])
def test_quality_of_few_rows(n_rows: int, quantile: float) -> None:
    """The interval of one file's mean error is Student's, whose quantiles are in every table."""
    errors = 10 + np.random.default_rng(0).standard_normal(n_rows)
    found = measure_quality(answer_numbers(errors), np.zeros(n_rows), np.ones(n_rows))["mae"]
    margin = quantile * errors.std(ddof=1) / n_rows**0.5
    assert found.high - found.value == pytest.approx(margin, rel=1e-3)
    assert found.value - found.low == pytest.approx(margin, rel=1e-3)


@pytest.mark.filterwarnings("error")
def test_rows_of_next_to_no_weight_are_counted() -> None:
    """Weights whose squares float64 cannot hold leave a class as many rows as any others do."""
    targets, weights = np.array([0, 0, 1, 1, 1]), np.array([1e-200, 1e-200, 1.0, 1.0, 1.0])
    assert count_rarest(targets, weights) == pytest.approx(2.0)
    assert count_effective(weights) == pytest.approx(3.0)
    assert count_effective(weights[:2]) == pytest.approx(2.0)
