"""Synthetic rows."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from kdexport.records import Column, Float32, Inputs, Rows
from kdexport.schema import Category
from kdexport.sections import TransferRecipe
from kdexport.training.augment import make_synthetic_inputs
from kdexport.training.encode import Encoder
from tests.training.toys import make_encoder

METHODS = pytest.mark.parametrize(
    "method", ["munge", "jitter", "marginal", "gaussian_mixture", "mixed"]
)


def make_features() -> Float32:
    """A fraction, a count, a flag and a constant, on different scales."""
    rng = np.random.default_rng(0)
    columns = [rng.normal(size=80) * 1e-3, rng.integers(0, 500, 80), rng.random(80) < 0.5]
    return np.column_stack([*columns, np.full(80, 0.1)]).astype(np.float32)


FEATURES = make_features()


def label(inputs: Inputs, targets: Column | None = None) -> Rows:
    """Rows of these classes, of one where none are given."""
    n = inputs.n_rows
    targets = np.zeros(n, np.int64) if targets is None else targets
    return Rows(inputs, targets, np.ones(n), np.arange(n))


def make(
    method: str,
    *,
    n: int = 300,
    seed: int = 0,
    features: Float32 = FEATURES,
    targets: Column | None = None,
) -> Float32:
    """Make synthetic rows of numbers."""
    rows = label(Inputs(features, np.empty((len(features), 0), object)), targets)
    recipe = TransferRecipe(n_synthetic=n, method=method)
    made, _ = make_synthetic_inputs(rows, make_encoder(features.shape[1]), recipe, seed=seed)
    return made.numeric


@METHODS
def test_range(method: str) -> None:
    """No cell leaves the range its column has in training."""
    made = make(method)
    assert made.shape == (300, 4)
    assert made.dtype == np.float32
    assert (made >= FEATURES.min(axis=0)).all()
    assert (made <= FEATURES.max(axis=0)).all()


@METHODS
def test_whole_columns(method: str) -> None:
    """A column of whole numbers stays whole, one of fractions does not, a constant stays one."""
    made = make(method)
    assert (made[:, 1:3] == np.round(made[:, 1:3])).all()
    assert set(made[:, 2].tolist()) == {0.0, 1.0}
    assert (made[:, 0] != np.round(made[:, 0])).any()
    assert (made[:, 3] == np.float32(0.1)).all()


@METHODS
def test_seeded(method: str) -> None:
    """One seed always makes the same rows, another seed others."""
    np.testing.assert_array_equal(make(method), make(method))
    assert (make(method) != make(method, seed=1)).any()


@METHODS
def test_new_rows(method: str) -> None:
    """Most rows made are none of the training rows."""
    known = {row.tobytes() for row in FEATURES}
    made = make(method)
    most = 0.5 if method == "mixed" else 0.3  # a quarter of the mixed ones swap few cells
    assert np.mean([row.tobytes() in known for row in made]) < most


@METHODS
@pytest.mark.parametrize("n", [0, 1, 79, 81])
def test_number(method: str, n: int) -> None:
    """As many rows are made as are asked for."""
    assert make(method, n=n).shape == (n, 4)


@METHODS
@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_few_rows(method: str, n_rows: int) -> None:
    """A handful of training rows is no error; a single one gives nothing to walk towards."""
    made = make(method, n=10, features=FEATURES[:n_rows])
    assert made.shape == (0 if n_rows == 1 else 10, 4)
    assert np.isfinite(made).all()


@METHODS
def test_training_rows_untouched(method: str) -> None:
    """The training rows are not changed."""
    before = FEATURES.copy()
    make(method)
    np.testing.assert_array_equal(FEATURES, before)


def test_munge_keeps_neighbourhoods() -> None:
    """Munge walks to near rows only: two far clusters stay apart."""
    rng = np.random.default_rng(0)
    clusters = rng.normal(size=(60, 2)) + np.where(np.arange(60) < 30, -50, 50)[:, None]
    made = make("munge", features=clusters.astype(np.float32))
    assert (np.sign(made[:, 0]) == np.sign(made[:, 1])).all()
    assert (np.abs(made) > 30).all()
    assert (made[:, 0] > 0).mean() == pytest.approx(0.5, abs=0.02)


def test_munge_walks_to_another_row() -> None:
    """No row is its own neighbour: with every cell swapped, none stays where it was."""
    features = np.random.default_rng(2).normal(size=(60, 3)).astype(np.float32)
    rows = label(Inputs(features, np.empty((60, 0), object)))
    recipe = TransferRecipe(n_synthetic=600, method="munge", swap_probability=1.0)
    made, sources = make_synthetic_inputs(rows, make_encoder(3), recipe, seed=0)
    assert (made.numeric != features[sources]).any(axis=1).all()


def test_mixture_keeps_what_hangs_together() -> None:
    """A sum of two columns is still their sum, and clusters are as far apart as they were."""
    rng = np.random.default_rng(0)
    far = np.where(np.arange(400) < 100, -5, 5)[:, None]
    pairs = rng.normal(size=(400, 2)) + far
    features = np.column_stack([pairs, pairs.sum(axis=1)]).astype(np.float32)
    made = make("gaussian_mixture", n=4000, features=features)
    lowest, highest = features.min(axis=0), features.max(axis=0)
    inside = ((made > lowest) & (made < highest)).all(axis=1)  # others were bounded
    np.testing.assert_allclose(made[inside, :2].sum(axis=1), made[inside, 2], atol=0.02)
    assert (np.sign(made[:, 0]) == np.sign(made[:, 1])).mean() > 0.99
    assert (made[:, 0] < 0).mean() == pytest.approx(0.25, abs=0.01)


def test_mixture_of_each_class() -> None:
    """A class is drawn as its own rows are spread; one of a single row is repeated."""
    rng = np.random.default_rng(0)
    targets = np.repeat([0, 1, 2], [200, 200, 1])
    spreads = np.array([1.0, 100.0, 1.0])[targets]
    features = (rng.normal(size=401) * spreads)[:, None].astype(np.float32)
    rows = label(Inputs(features, np.empty((401, 0), object)), targets)
    recipe = TransferRecipe(n_synthetic=8020, method="gaussian_mixture")
    made, sources = make_synthetic_inputs(rows, make_encoder(1), recipe, seed=0)
    for name, spread in enumerate((1, 100)):
        assert made.numeric[targets[sources] == name].std() == pytest.approx(spread, rel=0.15)
    assert (made.numeric[targets[sources] == 2] == features[-1]).all()


def test_mixture_beside_a_constant() -> None:
    """A column of one value, whose scale is 0, keeps it; the others are drawn anew."""
    rng = np.random.default_rng(0)
    features = np.column_stack([np.full(200, 3.0), rng.normal(size=200)]).astype(np.float32)
    rows = label(Inputs(features, np.empty((200, 0), object)))
    encoder = make_encoder(2, scale=0.0, center=3.0)
    recipe = TransferRecipe(n_synthetic=400, method="gaussian_mixture")
    made, _ = make_synthetic_inputs(rows, encoder, recipe, seed=0)
    assert (made.numeric[:, 0] == 3).all()
    assert len(np.unique(made.numeric[:, 1])) > 300


def test_mixture_of_more_classes_than_rows_made() -> None:
    """Where fewer rows are made than there are classes, some classes have none."""
    targets = np.repeat(np.arange(20), 4)
    assert make("gaussian_mixture", n=3, targets=targets).shape == (3, 4)


@pytest.mark.parametrize("far", [1e6, 1e30])
def test_mixture_beside_an_outlier(far: float) -> None:
    """One absurd cell is no error, and the rows made stay finite and within what was seen."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=300)
    features = np.column_stack([first, first * 2, rng.normal(size=300)]).astype(np.float32)
    features[7] = far
    made = make("gaussian_mixture", n=600, features=features)
    assert np.isfinite(made).all()
    assert (made <= features.max(axis=0)).all()


def make_mixed() -> tuple[Inputs, Encoder]:
    """A number with missing cells and two categories, one of which follows the number's sign."""
    rng = np.random.default_rng(1)
    numbers = rng.normal(size=(200, 1)).astype(np.float32)
    sides = np.where(numbers[:, 0] > 0, "right", "left")
    numbers[::9] = np.nan
    texts = np.column_stack([sides, rng.choice(["", "u", "v"], 200)]).astype(object)
    categories = (
        Category(kept=("left", "right"), shares=(0.5, 0.5), has_other=False),
        Category(kept=("", "u", "v"), shares=(0.3, 0.3, 0.4), has_other=False),
    )
    return Inputs(numbers, texts), make_encoder(1, categories=categories, indicators=(0,))


@METHODS
def test_categories(method: str) -> None:
    """Categories made are those of the column; missing numbers stay as frequent as they were."""
    inputs, encoder = make_mixed()
    recipe = TransferRecipe(n_synthetic=2000, method=method)
    made, sources = make_synthetic_inputs(label(inputs), encoder, recipe, seed=0)
    assert set(made.categorical[:, 0]) == {"left", "right"}
    assert set(made.categorical[:, 1]) == {"", "u", "v"}
    share = np.isnan(inputs.numeric).mean()
    assert np.isnan(made.numeric).mean() == pytest.approx(share, abs=0.03)
    assert sources.shape == (2000,)
    if method in ("jitter", "gaussian_mixture"):
        np.testing.assert_array_equal(made.categorical, inputs.categorical[sources])


@pytest.mark.parametrize("n", [301, 4, 1])
def test_mixed_rows_are_those_of_each_way(n: int) -> None:
    """As many rows as asked for, each way its share, as that way makes them alone."""
    rows = label(Inputs(FEATURES, np.empty((len(FEATURES), 0), object)))
    recipe = TransferRecipe(n_synthetic=n, method="mixed")
    made, sources = make_synthetic_inputs(rows, make_encoder(4), recipe, seed=5)
    assert len(sources) == made.n_rows == n
    n_last = (n + 4) // 5
    last = TransferRecipe(n_synthetic=n_last, method="marginal", swap_probability=0.1)
    alone, _ = make_synthetic_inputs(rows, make_encoder(4), last, seed=9)
    np.testing.assert_array_equal(made.numeric[n - n_last :], alone.numeric)


def test_marginal_draws_from_the_whole_column() -> None:
    """A share of the cells is anyone's: columns stay as they are, what ties them is cut there."""
    inputs, encoder = make_mixed()
    recipe = TransferRecipe(n_synthetic=20_000, method="marginal", swap_probability=0.4)
    made, sources = make_synthetic_inputs(label(inputs), encoder, recipe, seed=0)
    assert set(np.unique(made.numeric[~np.isnan(made.numeric)])) <= set(inputs.numeric[:, 0])
    is_right = inputs.categorical[:, 0] == "right"
    changed = made.categorical[:, 0] != inputs.categorical[sources, 0]
    expected = 0.4 * 2 * is_right.mean() * (1 - is_right.mean())
    assert changed.mean() == pytest.approx(expected, abs=0.02)
    assert (made.categorical[:, 0] == "right").mean() == pytest.approx(is_right.mean(), abs=0.02)


def test_munge_keeps_categories_together() -> None:
    """Near neighbours share categories, so munge seldom makes a combination that is not there."""
    inputs, encoder = make_mixed()
    recipe = TransferRecipe(n_synthetic=2000, method="munge")
    made, _ = make_synthetic_inputs(label(inputs), encoder, recipe, seed=0)
    known = ~np.isnan(made.numeric[:, 0])
    agrees = (made.numeric[:, 0] > 0) == (made.categorical[:, 0] == "right")
    assert agrees[known].mean() > 0.9


def test_neighbours_do_not_depend_on_threads() -> None:
    """Of rows that are as near, the same ones are found by one thread and by two."""
    counts = np.random.default_rng(0).integers(0, 3, (600, 18)).astype(np.float32)
    found = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads, user_api="openmp"):
            found.append(make("munge", n=2000, features=counts))
    assert np.array_equal(*found)
