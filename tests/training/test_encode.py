"""From raw inputs to what networks read."""

import numpy as np
import pytest
import torch

from kdexport.records import Inputs
from kdexport.schema import Category
from kdexport.training.encode import Encoder
from kdexport.training.nets import StackedMLP
from tests.training.toys import make_encoder

COLOURS = Category(kept=("", "blue", "red"), shares=(0.2, 0.3, 0.5), has_other=False)
SIZES = Category(kept=("big",), shares=(1.0,), has_other=True)


def numbers(*cells: float) -> Inputs:
    """One column of numbers."""
    return Inputs(np.array(cells, np.float32)[:, None], np.empty((len(cells), 0), object))


def standardize(encoder: Encoder, *cells: float) -> list[float]:
    """What a network reads for each cell."""
    values: list[float] = encoder(encoder.prepare(numbers(*cells)))[:, 0].tolist()
    return values


def test_standardized() -> None:
    """A cell becomes its distance to the centre in scales."""
    assert standardize(make_encoder(1, center=1.0, scale=2.0), 5.0, 0.0) == [2.0, -0.5]


def test_missing_is_mean() -> None:
    """A missing number counts as the column's mean, which is 0 once standardised."""
    assert standardize(make_encoder(1, center=1.0, scale=2.0), np.nan) == [0.0]


@pytest.mark.parametrize("cell", [np.inf, -np.inf, 3.4e38, -3.4e38])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_extreme_is_finite(cell: float, scale: float) -> None:
    """An infinite or absurd cell keeps its sign and overflows nothing behind it."""
    encoder = make_encoder(1, scale=scale)
    (value,) = standardize(encoder, cell)
    assert np.isfinite(np.float32(value))
    assert np.sign(value) == np.sign(cell)
    stack = StackedMLP(encoder, hidden=(64,), d_out=2, seeds=[0])
    assert stack(torch.tensor([[value]])).isfinite().all()


@pytest.mark.parametrize("cell", [5.0, 6.0, -1e30, np.inf, np.nan])
def test_constant_column(cell: float) -> None:
    """A column that was constant in training is 0 whatever it holds."""
    assert standardize(make_encoder(1, center=5.0, scale=0.0), cell) == [0.0]


def test_indicator() -> None:
    """Columns with missing cells in training have an indicator, others have none."""
    encoder = make_encoder(2, indicators=(1,))
    inputs = Inputs(np.array([[np.nan, 1], [2, np.nan]], np.float32), np.empty((2, 0), object))
    assert encoder.prepare(inputs).tolist() == [[0, 1, 0], [2, 0, 1]]


def test_categories_spread() -> None:
    """A category is 1 in its own place among its column's, and every other place is 0."""
    encoder = make_encoder(1, categories=(COLOURS, SIZES))
    texts = np.array([["red", "big"], ["", "tiny"], ["green", ""]], object)
    rows = encoder(encoder.prepare(Inputs(np.zeros((3, 1), np.float32), texts)))
    # other, missing, blue, red | other, big
    assert rows[:, 1:].tolist() == [
        [0, 0, 0, 1, 0, 1],
        [0, 1, 0, 0, 1, 0],
        [1, 0, 0, 0, 1, 0],
    ]
    assert encoder.d_out == rows.shape[1] == 7
    assert encoder.d_in == 3


def test_unseen_counts_as_average() -> None:
    """Where training had no rare category, an unseen one answers as the mean of the known."""
    encoder = make_encoder(0, categories=(COLOURS,))
    stack = StackedMLP(encoder, hidden=(), d_out=2, seeds=[3])
    stack.fill_fallbacks()
    texts = np.array([["green"], [""], ["blue"], ["red"]], object)
    unseen, *known = stack(encoder.prepare(Inputs(np.empty((4, 0), np.float32), texts)))[0]
    shares = torch.tensor(COLOURS.shares)
    torch.testing.assert_close(unseen, shares @ torch.stack(known))


def test_rare_keeps_its_own_weight() -> None:
    """Where training had rare categories, their weight is left as it was learned."""
    encoder = make_encoder(0, categories=(SIZES,))
    stack = StackedMLP(encoder, hidden=(), d_out=2, seeds=[3])
    before = stack.weights[0].detach().clone()
    stack.fill_fallbacks()
    assert torch.equal(stack.weights[0], before)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_far_centres_are_read_as_a_file_reads_them(precision: str) -> None:
    """Beyond a deviation from 0, one float32 difference times a power of two is all there is."""
    rng = np.random.default_rng(3)
    cells = rng.normal(17.3, 0.83, size=(1000, 1)).astype(precision)
    encoder = make_encoder(1, center=17.3, scale=0.83, precision=precision)
    assert not encoder.is_folded
    center = np.array(encoder.center, precision)
    in_file = (cells - center).astype(np.float32) * np.float32(encoder.inverse_scale)
    np.testing.assert_array_equal(encoder.standardize(cells), in_file)
    assert np.frexp(encoder.inverse_scale)[0] == 0.5  # a power of two: the product is exact


def test_near_centres_are_folded() -> None:
    """Where every centre is near 0, the scale is the deviation itself."""
    encoder = make_encoder(2, center=0.5, scale=0.83)
    assert encoder.is_folded
    np.testing.assert_array_equal(encoder.inverse_scale, 1 / np.array([0.83, 0.83]))
