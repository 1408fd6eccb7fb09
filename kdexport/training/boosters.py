"""Fitted models of LightGBM, XGBoost and CatBoost as `Trees`, without loading their libraries.

Takes a fitted scikit-learn wrapper, reads what it writes of itself, gives records. What is no
plain sum of trees over numbers is refused with the reason; whoever exports the record compares it
with the model on rows, whatever version wrote it.
"""

import json
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from kdexport.records import Float64
from kdexport.training.estimators import (
    Arrays,
    join_trees,
    refuse_estimator,
)
from kdexport.training.sets import BETWEEN, Codes, FittedTrees, SetColumns, number_cells
from kdexport.trees import LEAF, Meaning, Trees

ENCODE = "fit it on ranks or codes as plain numbers"
ZERO = float(np.float32(1e-35))  # what LightGBM does not tell from 0
# Objectives whose raw sum is a logit, logits, or the number itself.
MEANINGS: dict[str, Meaning] = {
    **dict.fromkeys(["binary", "multiclass"], "logits"),  # LightGBM
    **dict.fromkeys(["regression", "regression_l1", "huber", "fair", "quantile", "mape"], "number"),
    **dict.fromkeys(["binary:logistic", "multi:softprob", "multi:softmax"], "logits"),  # XGBoost
    **dict.fromkeys(["reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror"], "number"),
    **dict.fromkeys(["Logloss", "CrossEntropy", "MultiClass"], "logits"),  # CatBoost
    **dict.fromkeys(["RMSE", "MAE", "Quantile", "Huber", "MAPE"], "number"),
}


def _read_lightgbm(model: Any) -> FittedTrees:
    dump = model.booster_.dump_model()
    objective, *settings = dump["objective"].split(" ")
    known = [text for text in settings if text.split(":")[0] in ("sigmoid", "num_class")]
    if known != settings:
        raise refuse_estimator(model, f"its objective is {dump['objective']!r}")
    factor = float(dict(text.split(":") for text in settings).get("sigmoid", 1.0))
    n_columns = dump["num_tree_per_iteration"]
    if dump.get("average_output"):  # a forest answers the mean of its rounds
        factor *= n_columns / max(len(dump["tree_info"]), 1)
    sets = SetColumns(model.n_features_in_)
    trees = [
        _read_leafwise(model, tree["tree_structure"], factor, sets) for tree in dump["tree_info"]
    ]
    columns = [i % n_columns for i in range(len(trees))]
    joined = _join(model, trees, columns, np.zeros(n_columns), objective)
    return FittedTrees(joined, sets.n_columns, sets.sets, _name_lightgbm_codes(model))


def _name_lightgbm_codes(model: Any) -> dict[int, Codes]:
    """The categories of a pandas frame, in order; nothing of a table whose cells were codes."""
    known = model.booster_.pandas_categorical
    if not known:
        return {}
    columns = model.booster_.params.get("categorical_column", [])
    if len(columns) != len(known):
        raise refuse_estimator(
            model, "it takes some columns of categories for ordered ones", "ordered=False in pandas"
        )
    return {column: number_cells(cells) for column, cells in zip(columns, known, strict=True)}


def _read_leafwise(model: Any, root: dict[str, Any], factor: float, sets: SetColumns) -> Arrays:
    """One of LightGBM's trees: a missing number is 0 where training had none, a missing category
    is in no set.
    """

    def read(node: dict[str, Any]) -> "Split | float":
        if "leaf_value" in node:
            if node.get("leaf_coeff"):
                raise refuse_estimator(model, "its leaves are linear models")
            return float(node["leaf_value"]) * factor
        children = (node["left_child"], node["right_child"])
        if node["decision_type"] == "==":
            codes = map(int, node["threshold"].split("||"))
            return _ask(sets, node["split_feature"], codes, children[::-1], has_missing=False)
        if node["missing_type"] == "Zero":
            raise refuse_estimator(model, "it takes 0 for a missing cell", "zero_as_missing=False")
        threshold = float(node["threshold"])
        if -ZERO <= threshold < ZERO:  # whatever lies within is 0 to it
            threshold = ZERO if threshold >= 0 else math.nextafter(-ZERO, -math.inf)
        is_left = threshold >= 0 if node["missing_type"] == "None" else node["default_left"]
        return int(node["split_feature"]), threshold, bool(is_left), children

    return _flatten(root, read)


def _read_xgboost(model: Any) -> FittedTrees:
    booster, best = model.get_booster(), getattr(model, "best_iteration", None)
    if best is not None:
        booster = booster[: best + 1]
    if not np.isnan(model.missing):
        raise refuse_estimator(model, f"it takes {model.missing!r} for a missing cell")
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    kind, objective = learner["gradient_booster"]["name"], learner["objective"]["name"]
    if kind != "gbtree":
        raise refuse_estimator(model, f"its booster is {kind!r}", "booster='gbtree'")
    parameters, stored = learner["learner_model_param"], learner["gradient_booster"]["model"]
    n_columns = max(int(parameters["num_class"]), 1)
    base = np.broadcast_to(np.array(json.loads(f"[{parameters['base_score']}]")).ravel(), n_columns)
    if objective == "binary:logistic":
        base = np.log(base) - np.log1p(-base)  # it is stored as a probability
    sets = SetColumns(int(parameters["num_feature"]))
    trees = [_read_depthwise(model, tree, sets) for tree in stored["trees"]]
    joined = _join(model, trees, stored["tree_info"], base, objective)
    return FittedTrees(joined, sets.n_columns, sets.sets, _name_xgboost_codes(stored))


def _name_xgboost_codes(stored: dict[str, Any]) -> dict[int, Codes]:
    """The categories of a frame, in order; nothing of a table whose cells were codes.

    Texts stand behind each other in UTF-8, with where each one starts.
    """
    codes: dict[int, Codes] = {}
    for column, one in enumerate(stored.get("cats", {}).get("enc", [])):
        cells: list[object] = one["values"]
        if "offsets" in one:
            joined, starts = bytes(v % 256 for v in one["values"]), one["offsets"]
            cells = [joined[a:b].decode() for a, b in pairwise(starts)]
        if cells:
            codes[column] = number_cells(cells)
    return codes


def _read_depthwise(model: Any, tree: dict[str, Any], sets: SetColumns) -> Arrays:
    """One of XGBoost's trees: a row goes left below the threshold, not at it; and right where its
    category is in the set.
    """
    if int(tree["tree_param"]["size_leaf_vector"]) > 1:
        raise refuse_estimator(
            model, "its leaves hold vectors", "multi_strategy='one_output_per_tree'"
        )
    values = np.array(tree["split_conditions"], np.float32)
    below = np.nextafter(values, np.float32(-np.inf))

    members = {
        node: tree["categories"][start : start + size]
        for node, start, size in zip(
            tree["categories_nodes"],
            tree["categories_segments"],
            tree["categories_sizes"],
            strict=True,
        )
    }

    def read(node: int) -> "Split | float":
        if tree["left_children"][node] < 0:
            return float(values[node])
        is_left, children = (
            bool(tree["default_left"][node]),
            (tree["left_children"][node], tree["right_children"][node]),
        )
        if node in members:
            column = tree["split_indices"][node]
            return _ask(sets, column, members[node], children, has_missing=not is_left)
        return int(tree["split_indices"][node]), float(below[node]), is_left, children

    return _flatten(0, read)


def _read_catboost(model: Any) -> FittedTrees:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json")
        stored = json.loads(path.read_text(encoding="utf-8"))
    if "oblivious_trees" not in stored:
        raise refuse_estimator(model, "its trees are not symmetric", "grow_policy='SymmetricTree'")
    scale, base = stored["scale_and_bias"]
    objective = stored["model_info"]["params"]["loss_function"]["type"]
    base = np.atleast_1d(np.array(base, np.float64))
    features = {
        one["feature_index"]: (one["flat_feature_index"], one["nan_value_treatment"] != "AsTrue")
        for one in stored["features_info"].get("float_features", [])
    }
    trees = []
    for tree in stored["oblivious_trees"]:
        if any(split["split_type"] != "FloatFeature" for split in tree["splits"]):
            raise refuse_estimator(model, "it splits on statistics of categories", ENCODE)
        asked = [features[split["float_feature_index"]] for split in tree["splits"]]
        borders = [split["border"] for split in tree["splits"]]
        values = np.array(tree["leaf_values"], np.float64).reshape(-1, len(base)) * scale
        trees.append(_read_symmetric(asked, borders, values))
    joined = _join(model, trees, [0] * len(trees), base, objective)
    return FittedTrees(joined, model.n_features_in_)


def _read_symmetric(
    asked: Sequence[tuple[int, bool]], borders: Sequence[float], values: Float64
) -> Arrays:
    """One of CatBoost's trees: every node of a level asks the same, the first split at the bottom.

    Args:
        asked: Each split's feature, and whether a missing cell is at most its border.
        borders: What it is compared with.
        values: **Shape** `[2^splits, K]`, bit i of a leaf's position is the answer of split i.
    """
    depth = len(borders)
    level = np.repeat(np.arange(depth), 2 ** np.arange(depth))
    split = depth - 1 - level
    n_inner, n_leaves = len(level), 2**depth
    none = np.zeros(n_leaves)
    first = 2 * np.arange(n_inner) + 1
    return {
        "feature": np.concatenate([np.array(asked, int).reshape(-1, 2)[split, 0], none + LEAF]),
        "threshold": np.concatenate([np.array(borders, float)[split], none]),
        "left": np.concatenate([first, none]),
        "right": np.concatenate([first + 1, none]),
        "missing_left": np.concatenate(
            [np.array(asked, int).reshape(-1, 2)[split, 1] > 0, none > 0]
        ),
        "values": np.concatenate([np.zeros((n_inner, values.shape[1])), values]),
    }


Split = tuple[int, float, bool, tuple[Any, Any]]
"""What a node asks: feature, threshold, whether a missing cell goes left, and both children."""


def _ask(
    sets: SetColumns,
    column: int,
    codes: Iterable[int],
    children: tuple[Any, Any],
    *,
    has_missing: bool,
) -> Split:
    """A node whose second child is for the rows whose category is one of these."""
    return sets.find_codes(column, codes, has_missing=has_missing), BETWEEN, False, children


def _flatten(root: Any, read: Callable[[Any], Split | float]) -> Arrays:
    """Lay a tree's nodes out in a row, each behind its parent."""
    nodes = list(_walk(root, read))
    names = ("feature", "threshold", "missing_left", "left", "right", "values")
    arrays = {
        name: np.array(one) for name, one in zip(names, zip(*nodes, strict=True), strict=True)
    }
    return {**arrays, "values": arrays["values"].astype(np.float64)[:, None]}


def _walk(
    root: Any, read: Callable[[Any], Split | float]
) -> Iterator[tuple[int, float, bool, int, int, float]]:
    waiting, n_known = [root], 1
    for node in waiting:  # grows while it is read
        found = read(node)
        if isinstance(found, float):
            yield LEAF, 0.0, False, 0, 0, found
            continue
        feature, threshold, is_left, children = found
        waiting += children
        yield feature, threshold, is_left, n_known, n_known + 1, 0.0
        n_known += 2


def _join(
    model: Any, trees: Sequence[Arrays], columns: Sequence[int], base: Float64, objective: str
) -> Trees:
    if objective not in MEANINGS:
        raise refuse_estimator(model, f"with {objective!r} it answers no plain sum of its trees")
    if not trees or not all(math.isfinite(value) for value in base):
        raise refuse_estimator(model, "it has no trees, or starts from no finite number")
    meaning = MEANINGS[objective]
    is_binary = meaning == "logits" and len(base) == 1
    return join_trees(trees, columns, base, meaning, is_binary=is_binary)


READERS: dict[str, Callable[[Any], FittedTrees]] = {
    "lightgbm": _read_lightgbm,
    "xgboost": _read_xgboost,
    "catboost": _read_catboost,
}
