"""The answers of `Trees` by scikit-learn's own code.

Takes records and features, gives outputs that owe nothing to the exported file, which is checked
against them.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

from kdexport.cores import count_cores
from kdexport.errors import DataError
from kdexport.records import Float32, Float64
from kdexport.trees import LEAF, Trees

ROWS_AT_ONCE = 8192  # rows that stay in a core's cache while all trees are asked


def compute_tree_outputs(trees: Trees, features: Float32 | Float64) -> Float64:
    """Answer rows by scikit-learn's own walk through the nodes.

    Where trees sum exactly, the answer rounded to float32 is the one that a file gives.

    **Shape** features `[n, F]`, a missing cell is NaN; returns `[n, K]`.

    Raises:
        DataError: Rows have fewer features than the trees ask for.
    """
    if features.ndim != 2 or features.shape[1] < trees.d_features:
        raise DataError(
            "rows have every feature that the trees ask for",
            found=f"features of shape {features.shape}, trees over {trees.d_features}",
            cure="pass the features that the trees were trained on",
        )
    predictors = _make_predictors(trees)
    columns, d_leaf = trees.columns.tolist(), trees.values.shape[1]
    no_categories = np.empty((0, 8), np.uint32)
    no_positions = np.zeros(features.shape[1], np.uint32)
    outputs = np.zeros((trees.n_outputs, len(features)))

    def answer_part(start: int) -> None:
        rows = np.ascontiguousarray(features[start : start + ROWS_AT_ONCE], np.float64)
        part = outputs[:, start : start + ROWS_AT_ONCE]
        for predictor, column in zip(predictors, columns, strict=True):
            found = predictor.predict(rows, no_categories, no_positions, 1)
            if d_leaf > 1:  # found are positions of leaves
                part[column : column + d_leaf] += trees.values[found.astype(np.int64)].T
            else:
                part[column] += found

    # Parts of the rows wait for nobody; scikit-learn's own threads would, at every tree.
    with ThreadPoolExecutor(count_cores()) as pool:
        list(pool.map(answer_part, range(0, len(features), ROWS_AT_ONCE)))
    exact: Float64 = outputs.T + trees.base.astype(np.float64)
    return exact


def _make_predictors(trees: Trees) -> list[TreePredictor]:
    """Rebuild what scikit-learn predicts with; leaves of several values answer their position."""
    nodes = np.zeros(trees.n_nodes, PREDICTOR_RECORD_DTYPE)
    first = trees.roots[trees.tree_of_node]
    is_leaf = trees.feature == LEAF
    is_wide = trees.values.shape[1] > 1
    nodes["value"] = np.arange(trees.n_nodes) if is_wide else trees.values[:, 0]
    nodes["feature_idx"] = np.where(is_leaf, 0, trees.feature)
    nodes["num_threshold"] = trees.threshold
    nodes["missing_go_to_left"] = trees.missing_left
    nodes["left"] = np.where(is_leaf, 0, trees.left - first)
    nodes["right"] = np.where(is_leaf, 0, trees.right - first)
    nodes["is_leaf"] = is_leaf
    no_bits = np.empty((0, 8), np.uint32)
    ends = (trees.roots + trees.sizes).tolist()
    return [
        TreePredictor(nodes[root:end], no_bits, no_bits)
        for root, end in zip(trees.roots.tolist(), ends, strict=True)
    ]
