"""Boosted trees on the task's own rows, stopped early by its validation rows.

Takes `Rows`, gives `Trees`: one model, or the mean of fold models beside what each answered for
the rows of its fold, which it had not seen.
"""

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from kdexport.errors import DataError
from kdexport.records import (
    Column,
    Float32,
    Float64,
    Int64,
    Progress,
    ProgressSink,
    Rows,
    ignore_progress,
)
from kdexport.schema import Schema
from kdexport.training.estimators import trees_of
from kdexport.training.growing import BoostingSettings, fit_booster, weigh
from kdexport.training.tree_answers import compute_tree_outputs
from kdexport.training.tree_inputs import rank_categories, read_features
from kdexport.trees import Trees, mean_of


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
            train.take(kept),
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
        sample_weight_val=weigh(validation.weights[known]),
    )
    del model._predictors[int(np.argmax(model.validation_score_)) :]  # entry i: after i rounds
    trees = trees_of(model).rounded()
    return widen_classes(trees, present, _log_shares(train, n_classes)) if n_classes else trees


def encode_targets(rows: Rows, schema: Schema) -> Column:
    """Return classes as they are, numbers standardised: **Shape** `[n]`."""
    if not schema.signature.is_regression:
        return rows.targets
    return schema.standardise(rows.targets)


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
