"""Altered rows for the parity check."""

import numpy as np

from kdexport.evidence.stress import UNSEEN, make_stress_inputs
from kdexport.records import Inputs

N_ROWS = 12
NUMBERS = np.arange(2 * N_ROWS, dtype=np.float32).reshape(N_ROWS, 2)
TEXTS = np.full((N_ROWS, 3), "known", object)


def count_altered(made: Inputs) -> np.ndarray:
    """Altered cells of each row."""
    rounds = made.n_rows // N_ROWS
    numeric = made.numeric != np.tile(NUMBERS, (rounds, 1))
    categorical = made.categorical != np.tile(TEXTS, (rounds, 1))
    return numeric.sum(axis=1) + categorical.sum(axis=1)


def test_one_cell_each() -> None:
    """Every copy has exactly one cell altered: blank, unseen, infinite or huge."""
    made = make_stress_inputs(Inputs(NUMBERS, TEXTS), max_rows=100)
    assert made.n_rows == 4 * N_ROWS
    assert (count_altered(made) == 1).all()


def test_every_column_has_its_turn() -> None:
    """Each column is blanked, each text unseen, each number infinite and huge of either sign."""
    made = make_stress_inputs(Inputs(NUMBERS, TEXTS), max_rows=100)
    assert np.isnan(made.numeric).any(axis=0).all()
    assert (made.categorical == "").any(axis=0).all()
    assert (made.categorical == UNSEEN).any(axis=0).all()
    for sign in (1, -1):
        assert (made.numeric == sign * np.inf).any(axis=0).all()
        assert (made.numeric == sign * np.float32(1e30)).any(axis=0).all()


def test_kinds_that_are_there() -> None:
    """Without texts no text is altered, without numbers no number."""
    no_texts, no_numbers = np.empty((N_ROWS, 0), object), np.empty((N_ROWS, 0), np.float32)
    assert make_stress_inputs(Inputs(NUMBERS, no_texts), max_rows=100).n_rows == 3 * N_ROWS
    assert make_stress_inputs(Inputs(no_numbers, TEXTS), max_rows=100).n_rows == 2 * N_ROWS


def test_bounded() -> None:
    """No more rows are altered than asked for, spread over all of them, and none is changed."""
    before = NUMBERS.copy()
    made = make_stress_inputs(Inputs(NUMBERS, TEXTS), max_rows=2)
    assert made.n_rows == 8
    assert made.numeric[1, 0] == NUMBERS[-1, 0]
    np.testing.assert_array_equal(NUMBERS, before)


def test_more_columns_than_rows() -> None:
    """Where rows are fewer than columns, they share them: each is blanked, unseen, infinite and
    huge of either sign all the same.
    """
    numbers, texts = np.zeros((4, 30), np.float32), np.full((4, 9), "known", object)
    made = make_stress_inputs(Inputs(numbers, texts), max_rows=100)
    assert made.n_rows == 16
    assert np.isnan(made.numeric).any(axis=0).all()
    for text in ("", UNSEEN):
        assert (made.categorical == text).any(axis=0).all()
    for value in (np.inf, -np.inf, np.float32(1e30), np.float32(-1e30)):
        assert (made.numeric == value).any(axis=0).all()
