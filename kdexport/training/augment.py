"""Synthetic rows for the transfer set, made in the user's own columns.

Takes training inputs, gives new ones without labels: the teacher labels them. Columns that are
whole numbers in training stay whole numbers, categories are those seen in training, and nothing
leaves the range seen there.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from kdexport.records import Float32, Float64, Inputs, Int64, Rows
from kdexport.sections import TransferRecipe
from kdexport.training.encode import Encoder
from kdexport.training.gaussians import draw_alike

N_NEIGHBOURS = 20
LOCAL_NOISE = 0.5  # standard deviations of munge's noise, in distances to the neighbour
MAX_SEARCHED = 10_000  # rows among which neighbours are searched: the search grows with it
ROWS_AT_ONCE = 10_000  # rows whose neighbours are asked for together
# Ways to make synthetic rows: close to the training rows where classes lie close together, farther
# where the teacher is smooth, a tenth of the cells anyone's where columns hardly depend on each
# other. Students of rows made in several of them are better than those of
# one that a few hundred validation rows chose.
MIXED: tuple[Mapping[str, object], ...] = (
    {"method": "munge", "swap_probability": 0.15},
    {"method": "munge", "swap_probability": 0.3},
    {"method": "munge", "swap_probability": 0.5},
    {"method": "jitter", "noise": 0.15},
    {"method": "marginal", "swap_probability": 0.1},
)
MAX_CELLS = 30_000_000  # of synthetic rows: 240 MB of float64
CATEGORY_DISTANCE = 2**-0.5  # of two unequal categories, in deviations: sqrt(2) * this = 1


def make_synthetic_inputs(
    rows: Rows, encoder: Encoder, recipe: TransferRecipe, *, seed: int
) -> tuple[Inputs, Int64]:
    """Make rows that look like the training rows.

    Some are copies of them: where no cell was swapped, or only for one that is equal.

    "munge" walks from each row towards one of its near neighbours: a share of its cells takes the
    neighbour's value, numbers blurred by noise as wide as the two differ. "jitter" adds Gaussian
    noise to every number, "gaussian_mixture" draws all numbers anew from a density fitted to each
    class; both keep the categories. "marginal" draws a share of the cells anew, each from all
    training cells of its column. "mixed" makes as many rows in each of five such ways.

    Args:
        rows: Training rows.
        encoder: Says how far apart two rows are.
        recipe: Number of rows, method and strength, settled.
        seed: Decides every draw.

    Returns:
        `recipe.n_synthetic` rows (fewer on very wide tables, whose cells memory bounds), and for
        each the position of the training row it was made from, `[n]`.

    Source: Bucila, Caruana and Niculescu-Mizil, "Model Compression" (2006), algorithm 1 (MUNGE);
        neighbours are searched among the training rows alone (at most 10,000 of them), and drawn
        from the nearest few. Cells of anyone's: Bahri, Jiang, Tay and Metzler, "SCARF" (2022).
    """
    rng, inputs = np.random.default_rng(seed), rows.inputs
    if recipe.method == "mixed":
        return _make_mixed(rows, encoder, recipe, seed=seed)
    if inputs.n_rows < 2 or recipe.n_synthetic == 0:
        return inputs.take(slice(0)), np.empty(0, np.int64)
    n = _bound_number(inputs, recipe)
    sources = _draw_evenly(inputs.n_rows, n, rng)
    seen, scale = inputs.numeric.astype(np.float64), np.array(encoder.schema.scale)
    own, categorical = seen[sources], inputs.categorical[sources]
    if recipe.method == "gaussian_mixture":
        groups = rows.targets if encoder.schema.signature.classes else np.zeros(rows.n_rows)
        center, unit = np.array(encoder.schema.center), np.where(scale > 0, scale, 1.0)
        numeric = center + unit * draw_alike((seen - center) / unit, groups, sources, rng)
    elif recipe.method == "jitter":
        numeric = own + rng.standard_normal(own.shape) * (recipe.noise * scale)
    elif recipe.method == "marginal":
        numeric = _swap_with_anyone(own, seen, recipe.swap_probability, rng)
        everyone = inputs.categorical
        categorical = _swap_with_anyone(categorical, everyone, recipe.swap_probability, rng)
    else:
        neighbours = _draw_neighbours(encoder, inputs, sources, rng)
        other = seen[neighbours]
        noise = rng.standard_normal(own.shape) * (LOCAL_NOISE * np.abs(own - other))
        swapped = rng.random(own.shape) < recipe.swap_probability
        numeric = np.where(swapped, other + np.nan_to_num(noise), own)
        swapped = rng.random(categorical.shape) < recipe.swap_probability
        categorical = np.where(swapped, inputs.categorical[neighbours], categorical)
    return inputs.like(_bound(numeric, seen), categorical), sources


def _swap_with_anyone(
    own: npt.NDArray[Any], seen: npt.NDArray[Any], share: float, rng: np.random.Generator
) -> npt.NDArray[Any]:
    """Give a share of the cells the value that any row has in that column."""
    donors = rng.integers(len(seen), size=own.shape)
    return np.where(rng.random(own.shape) < share, np.take_along_axis(seen, donors, axis=0), own)


def _make_mixed(
    rows: Rows, encoder: Encoder, recipe: TransferRecipe, *, seed: int
) -> tuple[Inputs, Int64]:
    """Make rows in several ways, as many in each but for what is left over."""
    inputs, sources = rows.inputs.take(slice(0)), np.empty(0, np.int64)
    n, n_ways = _bound_number(rows.inputs, recipe), len(MIXED)
    for i, way in enumerate(MIXED):
        share = (n + i) // n_ways
        one = recipe.model_copy(update={**way, "n_synthetic": share})
        made, of_these = make_synthetic_inputs(rows, encoder, one, seed=seed + i)
        inputs, sources = inputs.joined_with(made), np.concatenate([sources, of_these])
    return inputs, sources


def _bound_number(inputs: Inputs, recipe: TransferRecipe) -> int:
    """How many rows there may be."""
    d_inputs: int = inputs.numeric.shape[1] + inputs.categorical.shape[1]
    return min(recipe.n_synthetic, MAX_CELLS // d_inputs)


def _bound(made: Float64, seen: Float64) -> Float64:
    """Keep whole columns whole and every column in the range seen in training."""
    known = ~np.isnan(seen)
    whole = ((seen == np.round(seen)) | ~known).all(axis=0)
    made[:, whole] = np.round(made[:, whole])
    lowest = np.where(known, seen, np.inf).min(axis=0)
    highest = np.where(known, seen, -np.inf).max(axis=0)
    return np.clip(made, lowest, highest)


def _draw_evenly(n_from: int, n: int, rng: np.random.Generator) -> Int64:
    """Draw n of n_from positions, each as often as the others give or take one."""
    repeats = -(-n // n_from)
    return np.concatenate([rng.permutation(n_from) for _ in range(repeats)])[:n]


def _draw_neighbours(
    encoder: Encoder, inputs: Inputs, sources: Int64, rng: np.random.Generator
) -> Int64:
    """Return, for each source row, one of its nearest other rows at random."""
    used, positions = np.unique(sources, return_inverse=True)
    searched = np.arange(inputs.n_rows)
    if len(searched) > MAX_SEARCHED:
        searched = np.sort(rng.choice(searched, MAX_SEARCHED, replace=False))
    n_neighbours = min(N_NEIGHBOURS, len(searched) - 1)

    def place(positions: Int64) -> Float32:
        rows: Float32 = encoder(encoder.prepare(inputs.take(positions))).numpy()
        rows[:, encoder.d_dense :] *= CATEGORY_DISTANCE
        return rows

    parts = np.split(used, range(ROWS_AT_ONCE, len(used), ROWS_AT_ONCE))
    # Which of several rows that are as near is found depends on the number of threads.
    with threadpool_limits(1, user_api="openmp"):
        search = NearestNeighbors(n_neighbors=n_neighbours + 1).fit(place(searched))
        found = [search.kneighbors(place(part), return_distance=False) for part in parts]
    nearest = searched[np.concatenate(found)]
    # A row found as its own neighbour is moved to the end, which is never drawn.
    nearest = np.take_along_axis(
        nearest, np.argsort(nearest == used[:, None], axis=1, kind="stable"), axis=1
    )
    chosen: Int64 = nearest[positions, rng.integers(n_neighbours, size=len(sources))]
    return chosen
