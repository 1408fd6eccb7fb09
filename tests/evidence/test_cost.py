"""What a file lost against the one it was made of, and what claims are worth after it."""

import numpy as np
import pytest

from kdexport.evidence.cost import lower_quality, lower_share, measure_loss
from kdexport.evidence.shape import Interval, Recovered
from kdexport.records import Answers, Inputs, Rows


def make_answers(second: np.ndarray) -> Answers:
    """Answers of two classes, from the probabilities of the second."""
    probabilities = np.stack([1 - second, second], axis=1).astype(np.float32)
    return Answers(probabilities.argmax(axis=1), probabilities)


@pytest.mark.parametrize(("n_others", "reaches"), [(4, True), (5, False)])
def test_a_gain_that_hangs_on_rows_hardly_there_is_none(n_others: int, reaches: bool) -> None:
    """A file that gives a rare class less is better on every row of the others, and no surer."""
    targets = np.zeros(600, np.int64)
    targets[:n_others] = 1
    inputs = Inputs(np.zeros((600, 1), np.float32), np.empty((600, 0), object))
    rows = Rows(inputs, targets, np.ones(600), np.arange(600))
    second = np.where(targets == 1, 0.9, 0.02)
    less = np.where(targets == 1, 0.9, 0.01)
    loss = measure_loss(rows, make_answers(second), make_answers(less), n_draws=200, seed=0)
    for name in ("log_loss", "brier"):
        assert loss[name].value < 0
        assert (loss[name].high >= 0) == reaches
    assert not loss["accuracy"].high < 0


def test_rows_that_would_settle_a_lowered_share_are_not_known() -> None:
    """A share that a loss has moved keeps no number of rows: it was that of other bounds."""
    share = Recovered(
        value=0.85,
        low=0.75,
        high=0.95,
        verdict="INCONCLUSIVE",
        asked_share=0.9,
        rows_to_settle=2300,
    )
    edge, cost = (
        Interval(value=0.1, low=0.08, high=0.12),
        Interval(value=1e-3, low=0.0, high=2e-3),
    )
    lowered = lower_share(share, cost, edge)
    assert lowered.verdict == "INCONCLUSIVE"
    assert (lowered.value, lowered.low) == (pytest.approx(0.84), pytest.approx(0.725))
    assert lowered.high == pytest.approx(0.95)  # the least that may have been lost is nothing
    assert lowered.rows_to_settle is None


def test_what_is_lost_makes_quality_worse() -> None:
    """Higher or lower by the metric, each bound at its worst, and no share above 1."""
    cost = Interval(value=0.01, low=-0.01, high=0.02)
    quality = {
        "accuracy": Interval(value=0.95, low=0.9, high=0.995),
        "log_loss": Interval(value=0.3, low=0.2, high=0.4),
    }
    lowered = lower_quality(quality, dict.fromkeys(quality, cost))
    found = [lowered[name].model_dump().values() for name in quality]
    assert [*found[0]] == pytest.approx([0.94, 0.88, 1.0])
    assert [*found[1]] == pytest.approx([0.31, 0.19, 0.42])


def test_no_row_that_changed_is_not_none_that_could() -> None:
    """Where no test row changes its class, some of others still might: both bounds say so."""
    targets = np.arange(600) % 2
    inputs = Inputs(np.zeros((600, 1), np.float32), np.empty((600, 0), object))
    answers = make_answers(np.where(targets == 1, 0.9, 0.1))
    rows = Rows(inputs, targets, np.ones(600), np.arange(600))
    cost = measure_loss(rows, answers, answers, n_draws=200, seed=0)["accuracy"]
    assert cost.value == 0
    assert cost.low < 0 < cost.high < 0.01
