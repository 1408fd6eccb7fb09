"""Boosted trees on the task's own rows, stopped early by its validation rows.

Takes `Rows`, gives `Trees`: one model, or the mean of fold models beside what each answered for
the rows of its fold, which it had not seen.
"""

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.model_selection import KFold, StratifiedKFold
from threadpoolctl import threadpool_limits

from kdexport.errors import DataError
from kdexport.records import (
    Bools,
    Column,
    Float32,
    Float64,
    Int64,
    Progress,
    ProgressSink,
    Rows,
    ignore_progress,
)
from kdexport.schema import FLOAT32_MAX, Schema
from kdexport.training.estimators import compute_tree_outputs, trees_of
from kdexport.training.tree_inputs import rank_categories, read_features
from kdexport.trees import Trees, mean_of

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


def train_boosting(
    train: Rows,
    validation: Rows,
    schema: Schema,
    settings: BoostingSettings | None = None,
    *,
    seed: int,
) -> Trees:
    """Train one boosted model; it keeps the rounds up to its best validation loss.

    Args:
        train: Rows that fit.
        validation: Rows that stop it.
        schema: Columns, categories and target.
        settings: How trees are grown.
        seed: Decides which features a split may look at, and the rows that bins are drawn from
            where there are more than 200,000.

    Returns:
        Trees over `read_features`: logits `[n, K]`, or one standardised number.
    """
    ranks = rank_categories(train, schema)
    fitted = _fit(
        read_features(train.inputs, schema, ranks),
        train,
        read_features(validation.inputs, schema, ranks),
        validation,
        schema,
        settings or BoostingSettings(),
        seed=seed,
    )
    return fitted.with_readings(ranks)


def train_fold_boosting(
    train: Rows,
    validation: Rows,
    schema: Schema,
    settings: BoostingSettings | None = None,
    *,
    n_folds: int,
    seed: int,
    n_threads: int = 1,
    on_progress: ProgressSink = ignore_progress,
) -> tuple[Trees, Float64]:
    """Train one model per fold, each on the other folds, all stopped by the validation rows.

    Boosting answers rows that it has seen more surely than others. What a student learns from
    must not be that, so every training row is answered by the one model that never saw it.
    Ranks of categories come from all training rows, smoothed: a label of its own reaches a row
    through the order of categories alone.

    Args:
        train: Rows that fit, split into folds that hold every class alike.
        validation: Rows that stop each model.
        schema: Columns, categories and target.
        settings: How trees are grown.
        n_folds: Number of folds, at least 2.
        seed: Decides the folds and what `train_boosting` says.
        n_threads: Models that are trained at a time; it changes no bit of them.
        on_progress: Called after each fold.

    Returns:
        The mean of the models, and the outputs of each training row by the model of its fold,
        **Shape** `[n_train, K]` float64.
    """
    ranks = rank_categories(train, schema)
    features = read_features(train.inputs, schema, ranks)
    validation_features = read_features(validation.inputs, schema, ranks)
    outputs = np.empty((train.n_rows, max(len(schema.signature.classes), 1)))
    folds = split_folds(train, schema, n_folds, seed)

    def fit_fold(fold: int) -> Trees:
        kept = np.setdiff1d(np.arange(train.n_rows), folds[fold])
        return _fit(
            features[kept],
            select_rows(train, kept),
            validation_features,
            validation,
            schema,
            settings or BoostingSettings(),
            seed=seed + fold,
        )

    models = []
    with ThreadPoolExecutor(n_threads) as pool:
        for fold, model in enumerate(pool.map(fit_fold, range(len(folds)))):
            outputs[folds[fold]] = compute_tree_outputs(model, features[folds[fold]])
            models.append(model.with_readings(ranks))
            on_progress(Progress(f"boosting ({len(folds)} folds)", fold + 1, len(folds)))
    return mean_of(models), outputs


def split_folds(train: Rows, schema: Schema, n_folds: int, seed: int) -> list[Int64]:
    """Positions of the rows of each fold, every class spread over all of them.

    There are fewer where there are fewer rows, and where no class has as many rows as folds, rows
    fall into them as they come.

    Raises:
        DataError: There is one row.
    """
    n_folds = min(n_folds, train.n_rows)
    if n_folds < 2:
        raise DataError(
            "models are fitted on some training rows and asked about others",
            found=f"{train.n_rows} training rows",
            cure="pass more rows, or a smaller data.test_share",
        )
    is_spread = not schema.signature.is_regression and (
        np.bincount(train.targets.astype(np.int64)).max() >= n_folds
    )
    kind: Any = StratifiedKFold if is_spread else KFold
    splitter = kind(n_folds, shuffle=True, random_state=seed)
    placeholder = np.empty((train.n_rows, 0))
    with warnings.catch_warnings():
        # A class of fewer rows than folds is in some folds only, which is as well as it can be.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        return [held_out for _, held_out in splitter.split(placeholder, train.targets)]


def _fit(
    features: Float32,
    train: Rows,
    validation_features: Float32,
    validation: Rows,
    schema: Schema,
    settings: BoostingSettings,
    *,
    seed: int,
) -> Trees:
    """Fit one model on features that are read already, and cut it at its best round."""
    targets, judged = encode_targets(train, schema), encode_targets(validation, schema)
    n_classes = len(schema.signature.classes)
    known = np.isin(judged, targets) if n_classes else np.ones(len(judged), bool)
    present = np.unique(targets) if n_classes else np.empty(0, np.int64)
    if len(present) == 1 or not known.any():
        return _answer_shares(train, n_classes)
    model = fit_booster(
        settings,
        features,
        targets,
        train.weights,
        n_classes=n_classes,
        seed=seed,
        early_stopping=True,
        n_iter_no_change=settings.patience,
        tol=0.0,
        X_val=validation_features[known],
        y_val=judged[known],
        sample_weight_val=_weigh(validation.weights[known]),
    )
    del model._predictors[int(np.argmax(model.validation_score_)) :]  # entry i: after i rounds
    trees = trees_of(model).rounded()
    return widen_classes(trees, present, _log_shares(train, n_classes)) if n_classes else trees


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
        return model.fit(bounded, targets, sample_weight=_weigh(weights), **judges)


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


def encode_targets(rows: Rows, schema: Schema) -> Column:
    """Return classes as they are, numbers standardised: **Shape** `[n]`."""
    if not schema.signature.is_regression:
        return rows.targets
    return (rows.targets - schema.target_center) / schema.target_scale


def _weigh(weights: Float64) -> Float64 | None:
    """Return weights where they differ: without any, gradients of one size are counted faster."""
    return None if (weights == weights[:1]).all() else weights


def _log_shares(train: Rows, n_classes: int) -> Float64:
    """Log share of each class; one that no row has counts as half a row."""
    counts = np.bincount(train.targets, train.weights, n_classes)
    logs: Float64 = np.log(np.where(counts > 0, counts, 0.5) / train.n_rows)
    return logs


def widen_classes(trees: Trees, present: Int64, log_shares: Float64) -> Trees:
    """Widen the answer to the classes that no row has: they stay rare throughout.

    Args:
        trees: Logits of the classes that there are.
        present: Which those are, in order.
        log_shares: Log share of every class, **Shape** `[K]`.
    """
    if len(present) == len(log_shares):
        return trees
    base = log_shares + (trees.base[0] - log_shares[present[0]])
    base[present] = trees.base
    columns = present[trees.columns].astype(np.int32)
    return replace(trees, columns=columns, base=base.astype(np.float32))


def _answer_shares(train: Rows, n_classes: int) -> Trees:
    """No trees, where there is nothing to tell apart or nothing to judge by."""
    base = _log_shares(train, n_classes) if n_classes else np.zeros(1)
    none = np.empty(0, np.int32)
    return Trees(
        feature=none,
        threshold=np.empty(0),
        left=none,
        right=none,
        missing_left=np.empty(0, np.bool_),
        values=np.empty((0, 1), np.float32),
        roots=none,
        columns=none,
        base=base.astype(np.float32),
        meaning="logits" if n_classes else "number",
    )


def select_rows(rows: Rows, positions: Int64) -> Rows:
    """Return the rows at these positions."""
    taken = rows.weights[positions]
    return Rows(
        rows.inputs.take(positions), rows.targets[positions], taken, rows.row_ids[positions]
    )
