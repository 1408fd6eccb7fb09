"""Fitted scikit-learn trees as `Trees`: forests, boosting and single trees."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.exceptions import NotFittedError
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils.validation import check_is_fitted

from kdexport.errors import DataError
from kdexport.records import Column, Float64
from kdexport.training.sets import BETWEEN, FittedTrees, SetColumns, number_cells
from kdexport.trees import LEAF, Meaning, Trees

Arrays = dict[str, Column]

FORESTS = (RandomForestClassifier, RandomForestRegressor, ExtraTreesClassifier, ExtraTreesRegressor)
SINGLE = (DecisionTreeClassifier, DecisionTreeRegressor)
GRADIENT = (GradientBoostingClassifier, GradientBoostingRegressor)
HISTOGRAM = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
PLAIN_LOSSES = (
    "log_loss",
    "exponential",
    "squared_error",
    "absolute_error",
    "huber",
    "quantile",
)  # those whose raw sum is the answer, or its logits


def trees_of(estimator: object) -> Trees:
    """Return a fitted scikit-learn model as a sum of trees.

    Forests and single trees answer probabilities or a number, boosting answers logits or a
    number. Two classes of boosting are two logits: 0 and the raw sum. Leaves are rounded to
    float32 and no further.

    Raises:
        DataError: It is not fitted, not one of the models that are known, splits on categories, or
            answers something that is no plain sum of trees.
    """
    fitted = read_estimator(estimator)
    if fitted.sets:
        raise refuse_estimator(
            estimator,
            f"it splits on {len(fitted.sets)} sets of categories",
            "fit it on ranks or codes as plain numbers (categorical_features=None)",
        )
    return fitted.trees


def read_estimator(estimator: object) -> FittedTrees:
    """Return a fitted scikit-learn model as trees, sets of categories as columns of their own.

    Raises:
        DataError: See `trees_of`.
    """
    known = (*FORESTS, *SINGLE, *GRADIENT, *HISTOGRAM)
    if not isinstance(estimator, known):
        raise refuse_estimator(
            estimator, f"it is none of {', '.join(kind.__name__ for kind in known)}"
        )
    try:
        check_is_fitted(estimator)
    except NotFittedError as error:
        raise refuse_estimator(estimator, "it is not fitted", "fit it first") from error
    if isinstance(estimator, HISTOGRAM):
        return _from_histogram(estimator)
    read = _from_gradient if isinstance(estimator, GRADIENT) else _from_forest
    trees: Trees = read(estimator)
    return FittedTrees(trees, estimator.n_features_in_)


def _from_histogram(model: Any) -> FittedTrees:
    _refuse_other_losses(model)
    columns, codes = np.arange(model.n_features_in_), {}
    if model.is_categorical_ is not None and model.is_categorical_.any():
        is_category = model.is_categorical_
        columns = np.concatenate([np.flatnonzero(is_category), np.flatnonzero(~is_category)])
        categories = model._preprocessor.named_transformers_["encoder"].categories_
        codes = {
            int(column): number_cells(known.tolist())
            for column, known in zip(columns, categories, strict=False)
        }
    sets = SetColumns(len(columns))
    predictors = [predictor for stage in model._predictors for predictor in stage]
    trees = [_read_predictor(predictor, columns, sets) for predictor in predictors]
    is_binary = isinstance(model, HistGradientBoostingClassifier) and len(model.classes_) == 2
    base = model._baseline_prediction.ravel()
    outputs = [k for stage in model._predictors for k in range(len(stage))]
    joined = join_trees(trees, outputs, base, _meaning(model, "logits"), is_binary=is_binary)
    return FittedTrees(joined, len(columns), sets.sets, codes)


def _from_gradient(model: Any) -> Trees:
    _refuse_other_losses(model)
    plain = model.init_ == "zero" or type(model.init_) in (DummyClassifier, DummyRegressor)
    if not plain:
        raise refuse_estimator(
            model, f"it starts from a model of its own ({model.init_!r})", "drop init"
        )
    n_features = model.n_features_in_
    base = np.asarray(model._raw_predict_init(np.zeros((1, n_features), np.float32)), float)
    # The exponential loss answers with the logistic function of twice the sum.
    factor = 2.0 if model.loss == "exponential" else 1.0
    trees, columns = [], []
    for stage in model.estimators_:
        for k, tree in enumerate(stage):
            arrays = _read_tree(tree.tree_)
            value = tree.tree_.value[:, 0, :1] * (model.learning_rate * factor)
            trees.append({**arrays, "values": _only_leaves(value, arrays["feature"])})
            columns.append(k)
    is_binary = isinstance(model, GradientBoostingClassifier) and len(model.classes_) == 2
    meaning = _meaning(model, "logits")
    return join_trees(trees, columns, base.ravel() * factor, meaning, is_binary=is_binary)


def _from_forest(model: Any) -> Trees:
    if model.n_outputs_ != 1:
        raise refuse_estimator(
            model, f"it answers {model.n_outputs_} targets", "fit one model per target"
        )
    members = [model] if isinstance(model, SINGLE) else model.estimators_
    meaning = _meaning(model, "probabilities")
    values = [member.tree_.value[:, 0, :] for member in members]
    if meaning == "probabilities":
        values = [value / value.sum(axis=1, keepdims=True) for value in values]
    trees = []
    for member, value in zip(members, values, strict=True):
        arrays = _read_tree(member.tree_)
        trees.append({**arrays, "values": _only_leaves(value / len(values), arrays["feature"])})
    base = np.zeros(values[0].shape[1])
    return join_trees(trees, [0] * len(trees), base, meaning, is_binary=False)


def join_trees(
    trees: Sequence[Arrays],
    columns: Sequence[int],
    base: Float64,
    meaning: Meaning,
    *,
    is_binary: bool,
) -> Trees:
    """Put single trees behind each other; the one sum of two classes becomes the second logit."""
    sizes = [len(tree["feature"]) for tree in trees]
    starts = np.cumsum([0, *sizes])[:-1]
    arrays: dict[str, Any] = {}
    for name, dtype in (
        ("feature", np.int32),
        ("threshold", np.float64),
        ("left", np.int32),
        ("right", np.int32),
        ("missing_left", np.bool_),
    ):
        parts = [tree[name] for tree in trees]
        if name in ("left", "right"):
            parts = [
                np.where(tree["feature"] != LEAF, part + start, 0)
                for part, start, tree in zip(parts, starts, trees, strict=True)
            ]
        arrays[name] = np.concatenate(parts).astype(dtype) if parts else np.empty(0, dtype)
    values = np.concatenate([tree["values"] for tree in trees]) if trees else np.empty((0, 1))
    starting = np.append(0.0, base) if is_binary else base
    with np.errstate(over="ignore"):  # beyond float32 becomes infinite, and is refused
        return Trees(
            **arrays,
            values=values.astype(np.float32),
            base=starting.astype(np.float32),
            roots=starts.astype(np.int32),
            columns=(np.array(columns, np.int32) + is_binary).astype(np.int32),
            meaning=meaning,
        )


def _read_predictor(predictor: TreePredictor, columns: Column, sets: SetColumns) -> Arrays:
    """One tree: rows of a set go left there, and right where they are 1 in a column of its own.

    Args:
        predictor: The tree.
        columns: Where each feature of its nodes stands among the model's columns.
        sets: Numbers the sets that nodes ask for.
    """
    nodes = predictor.nodes
    is_leaf = nodes["is_leaf"].astype(bool)
    feature = np.where(is_leaf, LEAF, columns[nodes["feature_idx"]])
    arrays = {
        "feature": feature,
        "threshold": np.where(is_leaf, 0.0, nodes["num_threshold"]),
        "left": nodes["left"].astype(np.int64),
        "right": nodes["right"].astype(np.int64),
        "missing_left": nodes["missing_go_to_left"].astype(bool) & ~is_leaf,
        "values": _only_leaves(nodes["value"][:, None], feature),
    }
    asks = np.flatnonzero(nodes["is_categorical"].astype(bool) & ~is_leaf)
    for node in asks:
        bits = predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]].astype("<u4")
        codes = np.flatnonzero(np.unpackbits(bits.view(np.uint8), bitorder="little"))
        feature[node] = sets.find_codes(
            feature[node], codes, has_missing=bool(arrays["missing_left"][node])
        )
    arrays["threshold"][asks], arrays["missing_left"][asks] = BETWEEN, False
    arrays["left"][asks], arrays["right"][asks] = arrays["right"][asks], arrays["left"][asks]
    return arrays


def _read_tree(tree: Any) -> Arrays:
    is_leaf = tree.children_left < 0
    return {
        "feature": np.where(is_leaf, LEAF, tree.feature),
        "threshold": np.where(is_leaf, 0.0, tree.threshold),
        "left": tree.children_left,
        "right": tree.children_right,
        "missing_left": tree.missing_go_to_left.astype(bool) & ~is_leaf,
    }


def _only_leaves(values: Float64, feature: Column) -> Float64:
    return np.where((feature == LEAF)[:, None], values, 0.0)


def _meaning(model: Any, of_classes: Meaning) -> Meaning:
    return of_classes if hasattr(model, "classes_") else "number"


def _refuse_other_losses(model: Any) -> None:
    if model.loss not in PLAIN_LOSSES:
        raise refuse_estimator(
            model,
            f"with loss {model.loss!r} it does not answer the plain sum of its trees",
            "fit it with squared_error or log_loss",
        )


def refuse_estimator(model: object, why: str, cure: str = "pass another model") -> DataError:
    """Say why a model is no sum of trees, and what would make it one."""
    return DataError(
        f"a {type(model).__name__} can be turned into a sum of trees", found=why, cure=cure
    )
