"""Few small boosted trees as students: fitted to what the teacher answers, or to labels alone.

Takes a lesson and its transfer set, gives `Trees` in the networks' unit. One boosted model through
ONNX is what answers fastest beside a small network, so a search tries some.
"""

import sys
from dataclasses import dataclass

import numpy as np

from kdexport.records import Float64
from kdexport.schema import FLOAT32_MAX
from kdexport.training.boosting import train_boosting, widen_classes
from kdexport.training.estimators import trees_of
from kdexport.training.growing import BoostingSettings, fit_booster
from kdexport.training.objective import find_objective
from kdexport.training.transfer import Lesson, TransferSet
from kdexport.training.tree_answers import compute_tree_outputs
from kdexport.training.tree_inputs import rank_categories, read_features, round_to_quantiles
from kdexport.trees import Trees

LEARNING_RATE = 0.4  # few rounds have to go far
MAX_FEATURES = 0.5  # what a split may look at, drawn anew: replicates differ by it
MAX_ROWS = 60_000  # of the transfer set
LEAST_PROBABILITY = 1e-3  # of a class that a row stands for


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
    """Fit trees to the teacher's probabilities, or to its numbers.

    A row stands once for each class, with the teacher's probability as its weight: the mean of
    log losses over such rows is the cross entropy beside the teacher, whose gradient in the log
    odds is that of soft targets. Squared errors in the log odds themselves spend few leaves on
    rows that the teacher is sure of, and came out behind trees that learn from labels alone.

    Args:
        lesson: Schema and training rows, whose targets rank the categories.
        transfer: Rows and the teacher's answers; at most 60,000 of them are drawn.
        grove: How many trees of how many leaves.
        seed: Decides the rows and the features that splits may look at.
    """
    schema, objective = lesson.schema, find_objective(lesson.schema)
    ranks = rank_categories(lesson.rows.train, schema)
    pool = transfer.pools[0].cpu().numpy()
    drawn = np.random.default_rng(seed).permutation(pool)[:MAX_ROWS]
    features = read_features(transfer.inputs.take(drawn), schema, ranks)
    features = round_to_quantiles(np.clip(features, -FLOAT32_MAX, FLOAT32_MAX))
    soft = objective.soften(transfer.outputs[drawn]).cpu().numpy().astype(np.float64)
    weights = transfer.weights.cpu().numpy()[drawn].astype(np.float64)
    settings = BoostingSettings(
        learning_rate=LEARNING_RATE,
        max_leaf_nodes=grove.n_leaves,
        l2_regularization=0.0,
        max_features=MAX_FEATURES,
        max_iter=grove.n_trees,
        max_trees=sys.maxsize,  # a grove says how many
    )
    if schema.signature.is_regression:
        fitted = fit_booster(
            settings, features, soft[:, 0], weights, n_classes=0, seed=seed, early_stopping=False
        )
        return trees_of(fitted).rounded().with_readings(ranks)
    rows, classes = np.nonzero(soft >= LEAST_PROBABILITY)
    model = fit_booster(
        settings,
        features[rows],
        classes,
        weights[rows] * soft[rows, classes],
        n_classes=soft.shape[1],
        seed=seed,
        early_stopping=False,
    )
    present = model.classes_.astype(np.int64)
    log_means = np.log(np.maximum(soft.mean(axis=0), LEAST_PROBABILITY))
    return widen_classes(trees_of(model).rounded(), present, log_means).with_readings(ranks)


def train_untaught_trees(lesson: Lesson, grove: Grove, *, seed: int) -> Trees:
    """Fit trees of the same size to the labels alone: the control of taught ones.

    There are at most as many: like every control they stop where validation rows are answered best.
    """
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
    features = read_features(lesson.rows.validation.inputs, lesson.schema, trees.readings)
    return compute_tree_outputs(trees, features)
