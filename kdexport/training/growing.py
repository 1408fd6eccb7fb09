"""scikit-learn's boosting as we fit it: on one thread, and without columns that hold nothing.

Takes features, targets and weights, gives the fitted model.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from kdexport.records import Bools, Column, Float32, Float64
from kdexport.schema import FLOAT32_MAX

JUDGES = ("X_val", "y_val", "sample_weight_val")  # what `fit` takes of early stopping
BINNED_ROWS = 200_000  # that scikit-learn draws of more to find bins
LEAST_KNOWN = 40  # known cells among those: none is met where so many are expected by e^-40


@dataclass(frozen=True)
class BoostingSettings:
    """How one boosted model is grown; the defaults were chosen on validation rows.

    Attributes:
        learning_rate: What share of a tree's correction is taken.
        max_leaf_nodes: Leaves of a tree at most.
        min_samples_leaf: Rows of a leaf at least.
        l2_regularization: How much leaves are drawn to 0.
        max_features: Share of the features that each split may look at, drawn anew.
        max_iter: Rounds at most: one tree each, or one per class where there are more than two.
        max_trees: Trees at most, which bounds the rounds where there are many classes.
        patience: Rounds without a better validation loss before it stops; those are cut off.
    """

    learning_rate: float = 0.1
    max_leaf_nodes: int = 31
    min_samples_leaf: int = 20
    l2_regularization: float = 1.0
    max_features: float = 0.5
    max_iter: int = 1000
    max_trees: int = 6000
    patience: int = 20

    def count_rounds(self, n_classes: int) -> int:
        """Rounds at most, for so many classes; 0 is a regression."""
        trees_per_round = n_classes if n_classes > 2 else 1
        return max(min(self.max_iter, self.max_trees // trees_per_round), 1)


def fit_booster(
    settings: BoostingSettings,
    features: Float32,
    targets: Column,
    weights: Float64,
    *,
    n_classes: int,
    seed: int,
    **stopping: Any,
) -> Any:
    """Fit scikit-learn's boosting on one thread.

    Its threads wait for each other at every node of a tree, so that beside busy neighbours on two
    cores two of them took 13 to 20 times as long as one.

    Args:
        settings: How trees are grown.
        features: **Shape** `[n, F]` float32; a missing cell is NaN. A column without a known cell
            splits nothing; scikit-learn fails on it, so 0 stands in all of it.
        targets: **Shape** `[n]`: classes, or standardised numbers.
        weights: **Shape** `[n]` float64: how much each row counts.
        n_classes: How many classes there are; 0 is a regression.
        seed: See `train_boosting`.
        stopping: What scikit-learn's model and its `fit` take of early stopping.

    Returns:
        The fitted model.
    """
    kind: Any = HistGradientBoostingClassifier if n_classes else HistGradientBoostingRegressor
    judges = {name: stopping.pop(name) for name in JUDGES if name in stopping}
    model = kind(
        learning_rate=settings.learning_rate,
        max_iter=settings.count_rounds(n_classes),
        max_leaf_nodes=settings.max_leaf_nodes,
        min_samples_leaf=settings.min_samples_leaf,
        l2_regularization=settings.l2_regularization,
        max_features=float(settings.max_features),  # 1 would be one feature
        categorical_features=None,
        random_state=seed,
        **stopping,
    )
    bounded = np.clip(features, -FLOAT32_MAX, FLOAT32_MAX)  # bins have finite ends
    bounded[:, _find_empty(features, weights)] = 0.0
    with threadpool_limits(1, user_api="openmp"):
        return model.fit(bounded, targets, sample_weight=weigh(weights), **judges)


def _find_empty(features: Float32, weights: Float64) -> Bools:
    """Say which columns have no known cell where scikit-learn looks: **Shape** `[F]`.

    Of many rows it draws some to find bins. A column counts as empty if those are expected to
    hold so few known cells that they may hold none.
    """
    missing = np.isnan(features)
    if len(features) <= BINNED_ROWS:
        return np.array(missing.all(axis=0))
    shares = [1 - np.average(column, weights=weights) for column in missing.T]
    return np.array(shares) * BINNED_ROWS < LEAST_KNOWN


def weigh(weights: Float64) -> Float64 | None:
    """Return weights where they differ: without any, gradients of one size are counted faster."""
    return None if (weights == weights[:1]).all() else weights
