"""The area under the ROC curve, as a mean of row scores."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from kdexport.evidence.metrics import BINARY, CLASSIFICATION, find_metrics, measure_quality
from kdexport.records import Answers

AUC = BINARY["auc"]


def make_answers(second: np.ndarray) -> Answers:
    """Answers whose second class has these probabilities."""
    return Answers(np.zeros(len(second), np.int64), np.stack([1 - second, second], axis=1))


def draw(rng: np.random.Generator, n_rows: int) -> tuple[Answers, np.ndarray, np.ndarray]:
    """Rounded probabilities, so that there are ties, with targets and weights of mean 1."""
    targets = (rng.random(n_rows) < 0.3).astype(np.int64)
    second = np.round(np.clip(rng.normal(0.4 + 0.2 * targets, 0.2), 0, 1), 1)
    weights = rng.uniform(0.2, 3.0, n_rows)
    return make_answers(second), targets, weights / weights.mean()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_mean_is_the_area(seed: int) -> None:
    """The weighted mean of the scores is scikit-learn's area, ties and weights included."""
    answers, targets, weights = draw(np.random.default_rng(seed), 500)
    for own in (np.ones(500), weights):
        expected = roc_auc_score(targets, answers.probabilities[:, 1], sample_weight=own)
        mean = (AUC.score(answers, targets, own) * own).mean()
        assert mean == pytest.approx(expected, abs=1e-12)


def test_by_hand() -> None:
    """Of two by two rows, three pairs in order and one tie make 3.5 of 4."""
    answers = make_answers(np.array([0.1, 0.4, 0.4, 0.9]))
    scores = AUC.score(answers, np.array([0, 0, 1, 1]), np.ones(4))
    assert scores.mean() == pytest.approx(3.5 / 4)


def test_variance_is_that_of_draws() -> None:
    """The spread of the scores says how the area varies between test sets."""
    rng = np.random.default_rng(3)
    areas, stated = [], []
    for _ in range(400):
        answers, targets, _ = draw(rng, 300)
        scores = AUC.score(answers, targets, np.ones(300))
        areas.append(scores.mean())
        stated.append(scores.std() / 300**0.5)
    assert np.mean(stated) == pytest.approx(np.std(areas), rel=0.1)


def test_where_it_is() -> None:
    """Two classes have an area, more or rows of one class alone have none."""
    assert find_metrics(2, np.array([0, 1])) == BINARY
    assert find_metrics(3, np.array([0, 1])) == CLASSIFICATION
    assert find_metrics(2, np.array([1, 1])) == CLASSIFICATION
    answers = make_answers(np.array([0.2, 0.7]))
    assert "auc" not in measure_quality(answers, np.array([1, 1]), np.ones(2))
    assert measure_quality(answers, np.array([0, 1]), np.ones(2))["auc"].value == 1.0
