"""Bins of confidence, and what they have to agree with."""

from pathlib import Path

import numpy as np
import pytest

from kdexport.bundle import load_bundle
from kdexport.evidence.calibration import find_wrong_bins, measure_bins
from kdexport.evidence.facts import Evidence
from kdexport.evidence.learning_facts import BinFact
from kdexport.evidence.metrics import measure_quality
from kdexport.records import Answers


def answer(probabilities: np.ndarray) -> Answers:
    """Answers with these probabilities."""
    return Answers(probabilities.argmax(axis=1), probabilities.astype(np.float32))


def test_bins_of_hand_made_rows() -> None:
    """Rows of like confidence share a bin; a row that weighs more counts for more."""
    sure = np.array([0.95, 0.97, 0.55, 1.0])
    answers = answer(np.stack([1 - sure, sure], axis=1))
    low, high = measure_bins(answers, np.array([1, 0, 0, 1]), np.array([0.5, 1.5, 1.0, 1.0]))
    assert (low.rows, low.share, low.accuracy.value) == (1, 0.25, 0.0)
    assert (high.rows, high.share, high.accuracy.value) == (3, 0.75, 0.5)
    assert high.confidence == pytest.approx((0.5 * 0.95 + 1.5 * 0.97 + 1.0) / 3)
    assert 0 < high.accuracy.low < 0.5 < high.accuracy.high < 1


@pytest.mark.parametrize("n_classes", [2, 3])
def test_bins_give_accuracy_and_calibration_error(n_classes: int) -> None:
    """Summed over the bins they are those measured on the rows, whatever rows weigh."""
    rng = np.random.default_rng(0)
    answers = answer(rng.dirichlet(np.ones(n_classes), 500))
    targets, weights = rng.integers(n_classes, size=500), rng.gamma(2, size=500)
    weights /= weights.mean()
    quality = measure_quality(answers, targets, weights)
    bins = measure_bins(answers, targets, weights)
    assert sum(one.rows for one in bins) == 500
    accuracy = sum(one.share * one.accuracy.value for one in bins)
    assert accuracy == pytest.approx(quality["accuracy"].value)
    ece = sum(one.share * abs(one.accuracy.value - one.confidence) for one in bins)
    assert ece == pytest.approx(quality["ece"].value)


def test_numbers_have_no_confidence() -> None:
    """A regression has no bins."""
    answers = Answers(np.zeros(3, np.float32), np.empty((3, 0), np.float32))
    assert measure_bins(answers, np.zeros(3), np.ones(3)) == []


def test_a_regression_has_curves_alone(dates_path: Path) -> None:
    """Its evidence has no bins, and its curves and gains nonetheless."""
    evidence = load_bundle(dates_path).evidence
    assert evidence.calibration == {}
    assert set(evidence.curves) == {"teacher", "student", "control"}
    assert set(evidence.gained) == set(evidence.edge)


@pytest.mark.parametrize(
    ("role", "change", "said"),
    [
        ("student", {"rows": 10**6}, "the bins of the student hold 1,000,"),
        ("student", {"confidence": 0.1}, "ece by the bins of the student"),
        ("teacher", {"share": 1.5}, "accuracy by the bins of the teacher"),
    ],
)
def test_wrong_bins(bundle_path: Path, role: str, change: dict[str, float], said: str) -> None:
    """Bins of a real run are right; one that was edited contradicts what it was made with."""
    evidence: Evidence = load_bundle(bundle_path).evidence
    assert set(evidence.calibration) == {"teacher", "student"}
    assert find_wrong_bins(evidence) == []
    *others, last = evidence.calibration[role]
    edited: list[BinFact] = [*others, last.model_copy(update=change)]
    calibration = {**evidence.calibration, role: edited}
    (problem,) = find_wrong_bins(evidence.model_copy(update={"calibration": calibration}))[:1]
    assert said in problem
