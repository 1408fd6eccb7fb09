"""Parity between a source and a file."""

from dataclasses import replace

import numpy as np
import pytest

from kdexport.errors import ParityError
from kdexport.evidence.parity import Tolerance, compare_answers
from kdexport.records import Answers

CLASSES = np.array(["a", "b"], dtype=object)


def answer(logits: np.ndarray) -> Answers:
    """Softmax answers of logits."""
    exact = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    probabilities = (exact / exact.sum(axis=1, keepdims=True)).astype(np.float32)
    return Answers(CLASSES[probabilities.argmax(axis=1)], probabilities, logits)


LOGITS = np.array([[2.0, -1.0], [0.0, 0.0], [-3.0, 1.0]], np.float32)


def test_equal_answers_pass_and_ties_are_counted() -> None:
    """A source beside itself passes; a row with two equal classes is a tie, no flip."""
    fact = compare_answers(answer(LOGITS), answer(LOGITS))
    assert fact.passed
    assert (fact.flips, fact.ties, fact.rows) == (0, 1, 3)


def test_swapped_columns_fail() -> None:
    """A file whose two outputs are swapped fails with flips."""
    fact = compare_answers(answer(LOGITS), answer(LOGITS[:, ::-1]))
    assert not fact.passed
    assert fact.flips == 2


def test_saturated_probabilities_fail_on_logits() -> None:
    """Logits so large that probabilities look equal are still compared."""
    moved = 50 * LOGITS
    moved[0, 0] += 5
    fact = compare_answers(answer(50 * LOGITS), answer(moved))
    assert fact.max_probability_difference is not None
    assert fact.max_probability_difference < 1e-6
    assert not fact.passed


def test_nan_never_passes() -> None:
    """An answer that is no number fails whatever the other side says."""
    broken = answer(LOGITS)
    broken.probabilities[1, 0] = np.nan
    assert not compare_answers(broken, broken).passed


def test_zero_rows_are_refused() -> None:
    """Nothing compared is no pass."""
    with pytest.raises(ParityError, match="at least one row"):
        compare_answers(answer(LOGITS[:1]), Answers(CLASSES[:0], LOGITS[:0], LOGITS[:0]))


def predict(values: list[float]) -> Answers:
    """Answers of a regression."""
    return Answers(np.array(values, np.float32), np.empty((len(values), 0), np.float32))


def test_numbers_within_rounding_pass() -> None:
    """Predicted numbers may differ by a hundred-thousandth of their size, whatever the unit."""
    for unit in (1e-6, 1.0, 1e9):
        source = predict([unit, 2 * unit, -3 * unit])
        assert compare_answers(source, predict([unit, 2.000001 * unit, -3 * unit])).passed
        fact = compare_answers(source, predict([unit, 2.0001 * unit, -3 * unit]))
        assert not fact.passed
        assert fact.worst_row == 1


@pytest.mark.parametrize("ratio", [0.0, 100.0, -1e5])
def test_numbers_far_from_zero(ratio: float) -> None:
    """A constant in a target excuses no more than its rounding: neither a file that answers the
    mean nor one with its last layer's sign turned passes, and one that rounds once more does.
    """
    drawn = np.random.default_rng(0).normal(size=500)
    source = predict((drawn + ratio).tolist())
    step = np.spacing(source.predictions)
    assert compare_answers(source, replace(source, predictions=source.predictions + step)).passed
    for others in (np.full(500, ratio), ratio - drawn, ratio + 1.2 * drawn):
        assert compare_answers(source, predict(others.tolist())).failed_rows > 400


def test_numbers_that_are_mostly_equal() -> None:
    """Where most answers are one number, large terms behind it may round as float32 does."""
    numbers = np.array([*[0.0] * 90, *[1000.0] * 10], np.float32)
    source = replace(predict(numbers.tolist()), terms=np.full(100, 2000.0))
    assert compare_answers(source, replace(source, predictions=numbers + np.float32(2e-4))).passed
    fact = compare_answers(source, replace(source, predictions=numbers + np.float32(2e-3)))
    assert fact.failed_rows == 90


def test_number_beside_huge_ones() -> None:
    """A huge prediction in one row excuses no difference in another."""
    source = predict([1.0, 2.0, 3.0, 1e20])
    assert not compare_answers(source, predict([1.0, 2.01, 3.0, 1e20])).passed


def test_logits_beside_huge_ones() -> None:
    """Huge logits in one row excuse no difference in another."""
    logits = np.concatenate([LOGITS, [[1e20, -1e20]]]).astype(np.float32)
    moved = logits.copy()
    moved[0] += 1
    fact = compare_answers(answer(logits), answer(moved))
    assert fact.max_probability_difference is not None
    assert fact.max_probability_difference < 1e-6
    assert not fact.passed
    assert fact.worst_row == 0


def test_absurd_rows_excuse_nothing() -> None:
    """Absurdly large numbers in most rows do not become what is usual for the others."""
    numbers = np.array([1.0, 2.0, 3.0, *[1e15] * 9], np.float32)
    terms = np.abs(numbers).astype(np.float64)
    source = replace(predict(numbers.tolist()), terms=terms)
    moved = numbers.copy()
    moved[0] += 0.01
    fact = compare_answers(source, predict(moved.tolist()))
    assert not fact.passed
    assert (fact.worst_row, fact.failed_rows) == (0, 1)


def test_rounded_weights_on_rows_that_are_mostly_absurd() -> None:
    """However many rows have an absurd cell, rounded weights may answer them as they do."""
    logits = np.concatenate([LOGITS, [[1e15, -1e15]] * 9]).astype(np.float32)
    source = replace(answer(logits), terms=np.abs(logits).max(axis=1).astype(np.float64) + 1)
    moved = logits.copy()
    moved[3:] = -moved[3:]
    coarse = Tolerance(probability=0.1, relative=0.1, is_coarse=True)
    assert compare_answers(source, answer(moved), coarse).passed
    moved[0] -= 5
    assert compare_answers(source, answer(moved), coarse).failed_rows == 1


def test_absurd_terms_that_cancel() -> None:
    """Where absurdly large terms cancel, rounding is a share of the terms, not of what is left."""
    numbers = [1.0, 2.0, 3.0, 6.70637e15]
    source = replace(predict(numbers), terms=np.array([1.0, 2.0, 3.0, 1.7e18]))
    assert compare_answers(source, predict([*numbers[:3], 6.706249e15])).passed
    assert not compare_answers(predict(numbers), predict([*numbers[:3], 6.706249e15])).passed
    assert not compare_answers(source, predict([*numbers[:3], 1e15])).passed


def test_nan_prediction_never_passes() -> None:
    """A predicted NaN fails even beside a NaN."""
    assert not compare_answers(predict([1.0, np.nan]), predict([1.0, np.nan])).passed


def test_an_infinite_logit_of_the_source_allows_nothing() -> None:
    """A row whose size is infinite is no licence for any difference."""
    infinite = LOGITS.copy()
    infinite[0, 1] = -np.inf
    assert not compare_answers(answer(infinite), replace(answer(infinite), logits=LOGITS)).passed
