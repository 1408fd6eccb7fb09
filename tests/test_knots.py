"""Where a network that reads numbers piece by piece may bend."""

import numpy as np
import pytest

from kdexport.knots import EVEN_PIECES, MAX_PER_COLUMN, MAX_PIECES, Splits, find_knots


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


def no_splits() -> Splits:
    """A column that no tree splits."""
    return Splits(np.empty(0), np.empty(0))


def test_few_values_have_knots_on_both_sides_of_a_split() -> None:
    """Where values repeat, a network can step between the two that a tree parts."""
    values = np.repeat(np.arange(0.0, 400.0, 4.0), 30)[:, None]
    (knots,) = find_knots(values, [Splits(np.array([101.9, 203.0]), np.array([2.0, 1.0]))])
    assert {100.0, 104.0, 200.0, 204.0} <= set(knots)
    assert len(knots) <= EVEN_PIECES + 1 + 4


def test_many_values_have_a_knot_at_a_split() -> None:
    """Where every value differs, the split itself is the knot; one outside the range is none."""
    values = np.linspace(0.0, 1.0, 500)[:, None]
    (knots,) = find_knots(values, [Splits(np.array([0.3141, 7.0]), np.array([1.0, 1.0]))])
    assert float(np.float32(0.3141)) in knots
    assert (knots[0], knots[-1]) == (0.0, 1.0)


@pytest.mark.parametrize("n_columns", [1, 3, 20, 60, 69])
def test_best_splits_come_first(n_columns: int) -> None:
    """What gains most is in, until all columns together have their pieces."""
    rng = np.random.default_rng(0)
    values = rng.random((6000, n_columns))
    thresholds = np.linspace(0.01, 0.99, 300)
    splits = [Splits(thresholds, rng.random(300)) for _ in range(n_columns)]
    knots = find_knots(values, splits)
    n_pieces = [len(own) - 1 for own in knots]
    assert MAX_PIECES - 1 <= sum(n + (n > 1) for n in n_pieces) <= MAX_PIECES
    taken = [np.isin(thresholds.astype(np.float32), own) for own in knots]
    gains = [split.gains for split in splits]
    left = max(gain[~there].max() for gain, there in zip(gains, taken, strict=True))
    assert all((gain[there] >= left).all() for gain, there in zip(gains, taken, strict=True))


def test_a_column_without_splits_keeps_its_quantiles() -> None:
    """Pieces go where trees split, and every column still has a few."""
    rng = np.random.default_rng(0)
    split = Splits(np.linspace(0.01, 0.99, 400), np.ones(400))
    first, second = find_knots(rng.random((9000, 2)), [split, no_splits()])
    assert len(second) == EVEN_PIECES + 1
    assert len(first) + len(second) > MAX_PIECES - 4


@pytest.mark.parametrize(("n_rows", "n_added"), [(19, 0), (200, 10), (230, 11)])
def test_few_rows_have_few_splits(n_rows: int, n_added: int) -> None:
    """What a handful of rows says of a column is no reason to bend there."""
    values = np.linspace(0.0, 1.0, n_rows)[:, None]
    (even,) = find_knots(values, [no_splits()])
    (knots,) = find_knots(values, [Splits(np.linspace(0.013, 0.987, 300), np.arange(300.0))])
    assert len(knots) == len(even) + n_added
