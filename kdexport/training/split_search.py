"""Where boosted trees split the numbers of a table: there a small network has to bend.

Takes training rows, gives thresholds and what each of them gained.
"""

from typing import Any

import numpy as np

from kdexport.knots import Splits
from kdexport.records import Float64, Rows
from kdexport.schema import Schema
from kdexport.training.boosting import encode_targets
from kdexport.training.growing import BoostingSettings, fit_booster
from kdexport.training.tree_inputs import rank_categories, read_features

SETTINGS = BoostingSettings(l2_regularization=0.0, max_iter=60, max_trees=300)
MAX_ROWS = 50_000  # more say little more of where a column has to be split


def find_splits(train: Rows, schema: Schema, *, seed: int) -> tuple[Splits, ...]:
    """Boost a few trees on the training rows' labels and note where they split each number.

    Args:
        train: Rows; at most 50,000 of them are read.
        schema: Columns, categories and target.
        seed: Decides which rows are read and which features a split may look at.

    Returns:
        One per numeric column, thresholds in the unit of `read_features`; none where no tree can
        be grown, since there are no numbers or one class alone.
    """
    n_numeric = len(schema.signature.numeric)
    if train.n_rows > MAX_ROWS:
        chosen = np.random.default_rng(seed).choice(train.n_rows, MAX_ROWS, replace=False)
        train = train.take(np.sort(chosen))
    targets = encode_targets(train, schema)
    n_different = len(np.unique(targets))
    if not n_numeric or n_different < 2:
        return ()
    features = read_features(train.inputs, schema, rank_categories(train, schema))
    n_classes = n_different if schema.signature.classes else 0
    model = fit_booster(
        SETTINGS,
        features,
        targets,
        train.weights,
        n_classes=n_classes,
        seed=seed,
        early_stopping=False,
    )
    nodes = np.concatenate([tree.nodes for grown in model._predictors for tree in grown])
    inner = nodes[nodes["is_leaf"] == 0]
    return tuple(_gather(inner[inner["feature_idx"] == column]) for column in range(n_numeric))


def _gather(nodes: Any) -> Splits:
    """Sum the gains of the nodes that share a threshold, but for those of missing cells alone."""
    nodes = nodes[np.isfinite(nodes["num_threshold"])]
    thresholds, positions = np.unique(nodes["num_threshold"], return_inverse=True)
    gains: Float64 = np.zeros(len(thresholds))
    np.add.at(gains, positions, nodes["gain"])
    return Splits(thresholds, gains)
