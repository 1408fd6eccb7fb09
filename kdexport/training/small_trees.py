"""Few small boosted trees as students: fitted to what the teacher answers, or to labels alone.

Takes a lesson and its transfer set, gives `Trees` in the networks' unit. One boosted model through
ONNX is what answers fastest beside a small network, so a search tries some.
"""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from kdexport.records import Float32, Float64
from kdexport.schema import FLOAT32_MAX
from kdexport.training.boosting import BoostingSettings, train_boosting
from kdexport.training.estimators import compute_tree_outputs, trees_of
from kdexport.training.transfer import Lesson, TransferSet
from kdexport.training.tree_inputs import rank_categories, read_features
from kdexport.trees import Trees, sum_of

LEARNING_RATE = 0.4  # few rounds have to go far
MAX_FEATURES = 0.5  # what a split may look at, drawn anew: replicates differ by it
MAX_ROWS = 60_000  # of the transfer set


@dataclass(frozen=True)
class Grove:
    """How many trees, and how large: for each class where there are more than two."""

    n_trees: int
    n_leaves: int

    @property
    def name(self) -> str:
        return f"{self.n_trees} trees of {self.n_leaves} leaves"


GROVES = (Grove(4, 8), Grove(8, 8), Grove(16, 8), Grove(16, 16), Grove(32, 16))


def train_taught_trees(lesson: Lesson, transfer: TransferSet, grove: Grove, *, seed: int) -> Trees:
    """Fit trees to the teacher's outputs: the log-odds of each class, or standardised numbers.

    With two classes one model answers their difference; with more, one answers each class's
    outputs less their mean, which softmax does not see.

    Args:
        lesson: Schema and training rows, whose targets rank the categories.
        transfer: Rows and the teacher's answers; at most 60,000 of them are drawn.
        grove: How many trees of how many leaves.
        seed: Decides the rows and the features that splits may look at.
    """
    schema = lesson.schema
    ranks = rank_categories(lesson.rows.train, schema)
    pool = transfer.pools[0].cpu().numpy()
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(pool)[:MAX_ROWS]
    features = read_features(transfer.inputs.take(drawn), schema, ranks)
    outputs = transfer.outputs.cpu().numpy()[drawn].astype(np.float64)
    weights = transfer.weights.cpu().numpy()[drawn]
    n_classes = len(schema.signature.classes)
    if not n_classes:
        return _regress(features, outputs[:, 0], weights, grove, seed).with_ranks(ranks)
    if n_classes == 2:
        difference = outputs[:, 1] - outputs[:, 0]
        models = [_place(_regress(features, difference, weights, grove, seed), 1, 2)]
    else:
        centred = outputs - outputs.mean(axis=1, keepdims=True)
        models = [
            _place(_regress(features, centred[:, k], weights, grove, seed), k, n_classes)
            for k in range(n_classes)
        ]
    return sum_of(models).with_ranks(ranks)


def train_untaught_trees(lesson: Lesson, grove: Grove, *, seed: int) -> Trees:
    """Fit as many trees of the same size to the labels alone: the control of taught ones."""
    settings = BoostingSettings(
        learning_rate=LEARNING_RATE,
        max_leaf_nodes=grove.n_leaves,
        max_features=MAX_FEATURES,
        max_iter=grove.n_trees,
    )
    rows = lesson.rows
    return train_boosting(rows.train, rows.validation, lesson.schema, settings, seed=seed)


def answer_trees(lesson: Lesson, trees: Trees) -> Float64:
    """Outputs of trees on the validation rows, **Shape** `[v, K]` float64."""
    features = read_features(lesson.rows.validation.inputs, lesson.schema, trees.ranks)
    return compute_tree_outputs(trees, features)


def _regress(
    features: Float32, targets: Float64, weights: Float32, grove: Grove, seed: int
) -> Trees:
    model = HistGradientBoostingRegressor(
        learning_rate=LEARNING_RATE,
        max_iter=grove.n_trees,
        max_leaf_nodes=grove.n_leaves,
        max_features=MAX_FEATURES,
        early_stopping=False,
        categorical_features=None,
        random_state=seed,
    )
    with threadpool_limits(1, user_api="openmp"):
        model.fit(np.clip(features, -FLOAT32_MAX, FLOAT32_MAX), targets, sample_weight=weights)
    return trees_of(model).rounded()


def _place(trees: Trees, column: int, n_classes: int) -> Trees:
    """Make the answer of a number that of one class among several."""
    base = np.zeros(n_classes, np.float32)
    base[column] = trees.base[0]
    return replace(trees, columns=np.full_like(trees.columns, column), base=base, meaning="logits")
