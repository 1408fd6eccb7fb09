"""A density of a table's numbers: a mixture of Gaussians for each class, drawn from anew.

Takes standardised numbers, gives as many new ones as are asked for.
"""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from kdexport.records import Column, Float64, Int64

N_COMPONENTS = (1, 2, 4, 8, 16)  # tried in turn while they pay
MAX_FITTED = 10_000  # rows of a group that a mixture is fitted to
MAX_COLUMNS = 128  # beyond, one component: covariances grow with the square


def draw_alike(
    numbers: Float64, groups: Column, sources: Int64, rng: np.random.Generator
) -> Float64:
    """Draw numbers anew for some rows, each from the Gaussian that its row is likely to be of.

    So what a row has besides numbers (its categories, and which cells are missing) goes with
    numbers of the same group and component. The only row of a group keeps its own, and so do all
    of a group whose numbers are too far apart for a covariance in float64.

    Args:
        numbers: Standardised, **Shape** `[n, d]`; NaN where missing, which counts as 0.
        groups: **Shape** `[n]`: each gets a mixture of its own.
        sources: **Shape** `[m]`: positions of the rows to draw for.
        rng: Decides the draws.

    Returns:
        **Shape** `[m, d]`, NaN where the row of `numbers` has it.

    Source: Dempster, Laird and Rubin, "Maximum Likelihood from Incomplete Data via the EM
        Algorithm" (1977); how many components: Schwarz, "Estimating the Dimension of a Model"
        (1978).
    """
    rows = np.where(np.isnan(numbers), 0.0, numbers)
    made = rows[sources]
    with threadpool_limits(1):  # several threads add up in no fixed order
        for group in np.unique(groups[sources]):
            members = np.flatnonzero(groups == group)
            mixture = _fit(rows[members], rng)
            if mixture is not None:
                drawn = np.flatnonzero(groups[sources] == group)
                made[drawn] = _draw(mixture, made[drawn], rng)
    made[np.isnan(numbers[sources])] = np.nan
    return made


def _fit(rows: Float64, rng: np.random.Generator) -> GaussianMixture | None:
    """Fit mixtures of more and more components until the criterion rises; None where none fits."""
    if len(rows) > MAX_FITTED:
        rows = rows[rng.choice(len(rows), MAX_FITTED, replace=False)]
    seed = int(rng.integers(2**31))
    best, lowest = None, np.inf
    fitting = [n for n in N_COMPONENTS if 2 * n <= len(rows) and rows.shape[1]]
    for n_components in fitting if rows.shape[1] <= MAX_COLUMNS else fitting[:1]:
        mixture = GaussianMixture(n_components, init_params="k-means++", random_state=seed)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", ConvergenceWarning)  # the criterion judges all alike
            try:
                criterion = mixture.fit(rows).bic(rows)
            except ValueError:  # no covariance that can be inverted
                break
        if not criterion < lowest:
            break
        best, lowest = mixture, criterion
    return best


def _draw(mixture: GaussianMixture, rows: Float64, rng: np.random.Generator) -> Float64:
    """Draw one row for each given one, from a component that is likely to be its own."""
    shares = np.cumsum(mixture.predict_proba(rows), axis=1)
    drawn = (rng.random((len(rows), 1)) > shares[:, :-1]).sum(axis=1)
    noise, made = rng.standard_normal(rows.shape), np.empty_like(rows)
    for component, root in enumerate(mixture.precisions_cholesky_):
        own = drawn == component
        made[own] = mixture.means_[component] + np.linalg.solve(root.T, noise[own].T).T
    return made
