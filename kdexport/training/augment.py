"""Synthetic rows for the transfer set, made in the user's own columns.

Takes training features, gives new ones without labels: the teacher labels them. Columns that are
whole numbers in training stay whole numbers, and nothing leaves the range seen in training.
"""

import numpy as np
from sklearn.neighbors import NearestNeighbors

from kdexport.recipe import TransferRecipe
from kdexport.records import Float32

N_NEIGHBOURS = 5
LOCAL_NOISE = 0.5  # standard deviations of munge's noise, in distances to the neighbour


def make_synthetic_rows(features: Float32, recipe: TransferRecipe, *, seed: int) -> Float32:
    """Make `recipe.n_synthetic` rows that look like the training rows but are none of them.

    "munge" walks from each row towards one of its near neighbours: a share of its cells takes the
    neighbour's value, blurred by noise as wide as the two differ. "jitter" adds Gaussian noise to
    every cell.

    **Shape** input `[n, F]` float32, output `[n_synthetic, F]` float32.

    Args:
        features: Raw training features, all finite.
        recipe: Number of rows, method and strength.
        seed: Decides every draw.

    Source: Bucila, Caruana and Niculescu-Mizil, "Model Compression" (2006), algorithm 1 (MUNGE);
        neighbours are searched among the training rows alone, and drawn from the nearest few.
    """
    rng = np.random.default_rng(seed)
    n = recipe.n_synthetic
    if n == 0 or len(features) < 2:
        return np.empty((0, features.shape[1]), np.float32)
    scale = features.std(axis=0, dtype=np.float64)
    scale[scale == 0] = 1.0
    source = _draw_evenly(len(features), n, rng)
    if recipe.method == "jitter":
        made = features[source] + rng.standard_normal((n, features.shape[1])) * (
            recipe.noise * scale
        )
    else:
        neighbour = _draw_neighbours(features / scale, source, rng)
        own, other = features[source].astype(np.float64), features[neighbour].astype(np.float64)
        noise = rng.standard_normal(own.shape) * (LOCAL_NOISE * np.abs(own - other))
        made = np.where(rng.random(own.shape) < recipe.swap_probability, other + noise, own)
    whole = (features == np.round(features)).all(axis=0)
    made[:, whole] = np.round(made[:, whole])
    bounded: Float32 = np.clip(made, features.min(axis=0), features.max(axis=0)).astype(np.float32)
    return bounded


def _draw_evenly(
    n_from: int, n: int, rng: np.random.Generator
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Draw n of n_from positions, each as often as the others give or take one."""
    repeats = -(-n // n_from)
    return np.concatenate([rng.permutation(n_from) for _ in range(repeats)])[:n]


def _draw_neighbours(
    standardised: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    source: np.ndarray[tuple[int], np.dtype[np.int64]],
    rng: np.random.Generator,
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return, for each source row, one of its nearest other rows at random."""
    n_neighbours = min(N_NEIGHBOURS, len(standardised) - 1)
    search = NearestNeighbors(n_neighbors=n_neighbours).fit(standardised)
    nearest = search.kneighbors(return_distance=False)  # of the fitted rows, themselves left out
    chosen: np.ndarray[tuple[int], np.dtype[np.int64]] = nearest[
        source, rng.integers(n_neighbours, size=len(source))
    ]
    return chosen
