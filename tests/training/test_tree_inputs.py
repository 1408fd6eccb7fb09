"""What trees read of a table."""

import numpy as np
import pytest

from kdexport.training.tree_inputs import MAX_BINS, round_to_quantiles

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "column",
    [
        RNG.normal(size=5000),
        RNG.normal(size=100),
        np.exp(5 * RNG.normal(size=5000)),
        np.where(RNG.random(5000) < 0.9, 0.0, RNG.normal(size=5000)),
        np.repeat([1.0, 2.0, np.nan], 400),
        np.append(RNG.normal(size=1000), np.finfo(np.float32).max),
    ],
    ids=["many", "few", "skewed", "mostly zero", "missing", "huge"],
)
def test_rounding_moves_no_row_across_a_split(column: np.ndarray) -> None:
    """Between two values that are left, rows stand on the side that they stood on before."""
    features = column.astype(np.float32)[:, None]
    rounded = round_to_quantiles(features)
    left = np.unique(rounded[~np.isnan(rounded)]).astype(np.float64)
    assert len(left) <= MAX_BINS
    assert np.isin(left, features).all()
    splits = (left[1:] + left[:-1]) / 2
    assert ((rounded <= splits) == (features <= splits)).all()
    assert (np.isnan(rounded) == np.isnan(features)).all()


def test_few_values_stay() -> None:
    """Rare codes, and columns that are missing throughout, are what they were."""
    codes = np.minimum(RNG.geometric(0.05, size=4000), 200).astype(np.float32)
    features = np.stack([codes, np.full(4000, np.nan, np.float32)], axis=1)
    np.testing.assert_array_equal(round_to_quantiles(features), features)
