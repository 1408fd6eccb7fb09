"""Where a network that reads numbers piece by piece may bend."""

import numpy as np
import pytest

from kdexport.knots import MAX_PER_COLUMN, MAX_PIECES, find_knots


def test_knots_lie_at_quantiles() -> None:
    """Both ends and even shares of the rows between them."""
    values = np.arange(1601.0)[:, None] ** 2
    (knots,) = find_knots(values)
    np.testing.assert_allclose(np.sqrt(knots), np.linspace(0, 1600, MAX_PER_COLUMN + 1), atol=1)


def test_a_frequent_value_leaves_knots_for_the_rest() -> None:
    """Where nine rows of ten are 0, most knots still lie among the others."""
    values = np.r_[np.zeros(9000), np.random.default_rng(0).exponential(100, 1000)][:, None]
    (knots,) = find_knots(values)
    assert knots[0] == 0.0
    assert len(knots) >= 12
    assert np.quantile(values[values > 0], 0.9) < knots[-2]


@pytest.mark.parametrize("seen", [[3.0], [np.nan], [np.nan, 3.0]])
def test_no_knots_where_nothing_varies(seen: list[float]) -> None:
    """A constant column, one without a number, and one of both."""
    values = np.array([seen * 10, [0.0, 1.0] * (5 * len(seen))]).T
    assert find_knots(values) == ((), (0.0, 1.0))


def test_few_values_few_knots() -> None:
    """A column has no more knots than values, whatever is missing."""
    values = np.array([[1.0], [np.nan], [2.0], [5.0], [2.0]])
    assert find_knots(values) == ((1.0, 2.0, 5.0),)


@pytest.mark.parametrize("n_columns", [1, 11, 12, 57, 64])
def test_more_columns_fewer_pieces(n_columns: int) -> None:
    """The pieces of all columns, with one over each whole range, stay within their number."""
    knots = find_knots(np.random.default_rng(0).normal(size=(1000, n_columns)))
    n_pieces = len(knots[0]) - 1
    assert 2 <= n_pieces <= MAX_PER_COLUMN
    assert n_columns * (n_pieces + 1) <= MAX_PIECES
    assert n_pieces == MAX_PER_COLUMN or n_columns * (n_pieces + 2) > MAX_PIECES


def test_too_many_columns_no_knots() -> None:
    """Where not even two pieces are left for each column, there are none."""
    knots = find_knots(np.random.default_rng(0).normal(size=(100, MAX_PIECES)))
    assert knots == ((),) * MAX_PIECES


def test_knots_are_float32() -> None:
    """Every knot is a number that float32 holds: a training value as the file reads it."""
    values = np.random.default_rng(0).normal(size=(100, 1)) / 3
    (knots,) = find_knots(values)
    assert np.array_equal(np.float32(knots).astype(float), knots)
    assert set(knots) <= set(values[:, 0].astype(np.float32).astype(float))
