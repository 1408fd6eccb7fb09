"""A sum of trees as one node of a file.

Takes `Trees` and the tensor of their features, gives the tensor of their outputs. Knows spox;
thresholds become float32 without moving a row, and no sum is rounded before its end.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import spox.opset.ai.onnx.ml.v3 as ml
import spox.opset.ai.onnx.v18 as op
from spox import Var

from kdexport.records import Float32, Float64
from kdexport.trees import LEAF, Trees, sum_of

PER_NODE = ("feature", "threshold", "left", "right", "missing_left", "values")


def build_tree_outputs(trees: Trees, features: Var) -> Var:
    """Return the outputs of a sum of trees, **Shape** `[n, F]` to `[n, K]`, both float32.

    Where all trees add to one of several outputs, as with two classes, a node with one output
    and a product that sets the others to 0 are faster than a node with several.
    """
    trees = _grow_lone_leaves(_reach_outputs(trees))
    first = int(trees.columns[0])
    one_for_all = (trees.columns == first).all() and trees.values.shape[1] == 1
    if trees.n_outputs == 1 or not one_for_all:
        return _build_node(trees, features)
    columns = np.zeros_like(trees.columns)
    alone = _build_node(replace(trees, columns=columns, base=trees.base[[first]]), features)
    return op.mul(alone, op.const(np.eye(trees.n_outputs, dtype=np.float32)[first]))


def _build_node(trees: Trees, features: Var) -> Var:
    """One node, which adds in the type of its features: float32 where sums are exact in it.

    Its answer is float32 by the specification. onnx's own evaluator gives float64 for float64, so
    the type is said again, which onnxruntime drops.
    """
    if trees.sums_exactly:
        return _build_ensemble(trees, features)
    exact = _build_ensemble(trees, op.cast(features, to=np.float64))
    return op.cast(exact, to=np.float32)


def _build_ensemble(trees: Trees, features: Var) -> Var:
    d_leaf = trees.values.shape[1]
    tree_ids = trees.tree_of_node
    root = trees.roots[tree_ids]
    node_ids = np.arange(trees.n_nodes) - root
    is_leaf = trees.feature == LEAF
    leaf_columns = trees.columns[tree_ids][is_leaf]
    missing_left = trees.missing_left.astype(int).tolist() if trees.missing_left.any() else None
    return ml.tree_ensemble_regressor(
        features,
        n_targets=trees.n_outputs,
        base_values=trees.base.tolist() if trees.base.any() else None,
        nodes_treeids=tree_ids.tolist(),
        nodes_nodeids=node_ids.tolist(),
        nodes_modes=np.where(is_leaf, "LEAF", "BRANCH_LEQ").tolist(),
        nodes_featureids=np.where(is_leaf, 0, trees.feature).tolist(),
        nodes_values=np.where(is_leaf, 0, narrow_thresholds(trees.threshold)).tolist(),
        nodes_truenodeids=np.where(is_leaf, 0, trees.left - root).tolist(),
        nodes_falsenodeids=np.where(is_leaf, 0, trees.right - root).tolist(),
        nodes_missing_value_tracks_true=missing_left,
        target_treeids=np.repeat(tree_ids[is_leaf], d_leaf).tolist(),
        target_nodeids=np.repeat(node_ids[is_leaf], d_leaf).tolist(),
        target_ids=(leaf_columns[:, None] + np.arange(d_leaf)).ravel().tolist(),
        target_weights=trees.values[is_leaf].ravel().tolist(),
    )


def narrow_thresholds(thresholds: Float64) -> Float32:
    """Round down to float32: a float32 number is at most the one where it is at most the other."""
    with np.errstate(over="ignore"):
        nearest = thresholds.astype(np.float32)
    lower = np.nextafter(nearest, np.float32(-np.inf))
    rounded: Float32 = np.where(nearest > thresholds, lower, nearest)
    return rounded


def _reach_outputs(trees: Trees) -> Trees:
    """Add a leaf of 0 to every output that has a base and no tree: onnxruntime would leave it 0."""
    d_leaf = trees.values.shape[1]
    reached = np.unique(trees.columns[:, None] + np.arange(d_leaf))
    lacking = np.setdiff1d(np.flatnonzero(trees.base), reached)
    if not trees.n_trees and not lacking.size:
        lacking = np.zeros(1, np.int64)  # a node has a tree at least
    if not lacking.size:
        return trees
    n = len(lacking)
    zeros = np.zeros(n, np.int32)
    leaves = replace(
        trees,
        feature=zeros + np.int32(LEAF),
        threshold=np.zeros(n),
        left=zeros,
        right=zeros,
        missing_left=np.zeros(n, np.bool_),
        values=np.zeros((n, d_leaf), np.float32),
        roots=np.arange(n, dtype=np.int32),
        columns=np.minimum(lacking, trees.n_outputs - d_leaf).astype(np.int32),
        base=np.zeros_like(trees.base),
    )
    return sum_of([trees, leaves])


def _grow_lone_leaves(trees: Trees) -> Trees:
    """Turn trees of one leaf into stumps of two equal ones: runtimes differ on what they are."""
    lone = trees.roots[trees.sizes == 1]
    copies = np.ones(trees.n_nodes, np.int64)
    copies[lone] = 3  # itself, as the stump's root, and its two leaves
    arrays: dict[str, Any] = {
        name: np.repeat(getattr(trees, name), copies, axis=0) for name in PER_NODE
    }
    moved = np.cumsum(copies) - copies
    for name in ("left", "right"):
        arrays[name] = np.where(arrays["feature"] == LEAF, 0, moved[arrays[name]]).astype(np.int32)
    root = moved[lone]
    arrays["feature"][root] = 0
    arrays["values"][root] = 0
    arrays["left"][root], arrays["right"][root] = root + 1, root + 2
    return Trees(
        **arrays,
        roots=moved[trees.roots].astype(np.int32),
        columns=trees.columns,
        base=trees.base,
        meaning=trees.meaning,
    )
