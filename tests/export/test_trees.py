"""Trees in a file: every row takes the branch, and every sum the bits, of the source."""

from typing import Any

import numpy as np
import onnx
import pytest
import spox.opset.ai.onnx.v18 as op
from onnx.reference import ReferenceEvaluator
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
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from spox import Tensor, argument, build

from kdexport.contract import IR_VERSION, serialize_model
from kdexport.export.trees import build_tree_outputs, narrow_thresholds
from kdexport.records import Column, Float32, Float64
from kdexport.runtime import open_session
from kdexport.training.estimators import trees_of
from kdexport.training.tree_answers import compute_tree_outputs
from kdexport.trees import LEAF, Trees, sum_of

CLASSIFIERS = [
    HistGradientBoostingClassifier(max_iter=30),
    GradientBoostingClassifier(n_estimators=30, random_state=0),
    GradientBoostingClassifier(n_estimators=20, loss="exponential", random_state=0),
    RandomForestClassifier(20, random_state=0),
    ExtraTreesClassifier(20, random_state=0),
    DecisionTreeClassifier(random_state=0),
]
REGRESSORS = [
    HistGradientBoostingRegressor(max_iter=30),
    HistGradientBoostingRegressor(max_iter=30, loss="quantile", quantile=0.8),
    GradientBoostingRegressor(n_estimators=30, random_state=0),
    GradientBoostingRegressor(n_estimators=20, loss="huber", init="zero", random_state=0),
    RandomForestRegressor(20, random_state=0),
    ExtraTreesRegressor(20, random_state=0),
    DecisionTreeRegressor(random_state=0),
]


def name_of(estimator: object) -> str:
    """The estimator with what is not its default."""
    return "".join(str(estimator).split())


def draw(n_rows: int = 600, *, missing: float = 0.0) -> tuple[Float32, Float64]:
    """Three features of different sizes, some cells missing, and a score that depends on them."""
    rng = np.random.default_rng(8)
    features = (rng.normal(size=(n_rows, 3)) * [1, 1e-3, 1e4]).astype(np.float32)
    is_missing = rng.random(features.shape) < missing
    score = features @ [1.0, 1e3, 1e-4] + is_missing @ [2.0, -1.0, 1.0]
    features[is_missing] = np.nan
    return features, score + 0.3 * rng.normal(size=n_rows)


def allows_missing(estimator: object) -> bool:
    """Gradient boosting without histograms refuses missing cells."""
    return "GradientBoosting" not in type(estimator).__name__ or hasattr(estimator, "max_bins")


def make_model(trees: Trees, n_features: int) -> onnx.ModelProto:
    """A model of the trees alone."""
    features = argument(Tensor(np.float32, ("n", n_features)))
    outputs = {"outputs": op.identity(build_tree_outputs(trees, features))}
    model = build(inputs={"features": features}, outputs=outputs)
    model.ir_version = IR_VERSION
    return model


def ask_file(trees: Trees, features: Float32) -> Float32:
    """Answer rows with onnxruntime."""
    session = open_session(serialize_model(make_model(trees, features.shape[1])))
    outputs: Float32 = session.run({"features": features})["outputs"]
    return outputs


def rows_on_thresholds(trees: Trees, features: Float32) -> Float32:
    """For every threshold a row on it, and one on either side, as near as float32 allows."""
    inner = (trees.feature != LEAF) & np.isfinite(trees.threshold)
    pairs = np.unique(np.stack([trees.feature[inner], trees.threshold[inner]]), axis=1)
    feature, near = pairs[0].astype(int), pairs[1].astype(np.float32)
    around = [near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf))]
    rows = np.resize(features, (3 * len(near), features.shape[1]))
    rows[np.arange(len(rows)), np.tile(feature, 3)] = np.concatenate(around)
    return rows


def mark_leaves(trees: Trees) -> Trees:
    """One output per tree, which says in what leaf a row ends."""
    sizes = np.diff(np.append(trees.roots, trees.n_nodes))
    position = np.arange(trees.n_nodes) - np.repeat(trees.roots, sizes)
    return Trees(
        **{
            name: getattr(trees, name)
            for name in ("feature", "threshold", "left", "right", "missing_left", "roots")
        },
        values=np.where(trees.feature == LEAF, position, 0)[:, None].astype(np.float32),
        columns=np.arange(trees.n_trees, dtype=np.int32),
        base=np.zeros(trees.n_trees, np.float32),
        meaning="number",
    )


def find_leaves(estimator: Any, features: Float32) -> Column:
    """The leaf of every row in every tree, by the estimator's own nodes, **Shape** `[n, T]`."""
    if hasattr(estimator, "_predictors"):
        leaves = []
        rows = features.astype(np.float64)
        for predictor in (p for stage in estimator._predictors for p in stage):
            nodes = predictor.nodes.copy()
            nodes["value"] = np.arange(len(nodes))
            own = type(predictor)(
                nodes, predictor.binned_left_cat_bitsets, predictor.raw_left_cat_bitsets
            )
            none = np.empty((0, 8), np.uint32)
            leaves.append(own.predict(rows, none, np.zeros(3, np.uint32), 1))
        return np.stack(leaves, axis=1)
    if isinstance(estimator, (DecisionTreeClassifier, DecisionTreeRegressor)):
        return estimator.apply(features)[:, None]
    return estimator.apply(features).reshape(len(features), -1)


@pytest.mark.parametrize("estimator", CLASSIFIERS + REGRESSORS, ids=name_of)
def test_no_leaf_differs(estimator: Any) -> None:
    """Rows on every threshold, next to it, missing or infinite end in the estimator's leaves."""
    missing = 0.1 if allows_missing(estimator) else 0.0
    features, score = draw(missing=missing)
    targets = score if estimator in REGRESSORS else (score > 0).astype(int)
    estimator.fit(features, targets)
    trees = trees_of(estimator)
    asked = np.concatenate([features, rows_on_thresholds(trees, features)])
    if not missing:
        asked = np.nan_to_num(asked)
    elif hasattr(estimator, "max_bins"):  # the others refuse infinite numbers
        odd = np.array([np.nan, np.inf, -np.inf], np.float32)
        asked = np.concatenate([asked, np.stack(np.meshgrid(odd, odd, odd), -1).reshape(-1, 3)])
    assert (ask_file(mark_leaves(trees), asked) == find_leaves(estimator, asked)).all()


def test_whole_numbers_to_ten_million() -> None:
    """Thresholds between whole numbers up to 1e7, half of which float32 lacks, move no row."""
    rng = np.random.default_rng(0)
    features = rng.integers(1, 10**7, (3000, 3)).astype(np.float32)
    features[:1000] = np.round(10 ** rng.uniform(0, 7, (1000, 3)))
    features[1000:2000] = 10**7 - rng.integers(0, 600, (1000, 3))
    tree = DecisionTreeRegressor(random_state=0).fit(features, rng.normal(size=3000))
    trees = trees_of(tree)
    inner = trees.feature != LEAF
    naive = trees.threshold[inner].astype(np.float32)
    assert (naive != narrow_thresholds(trees.threshold[inner])).sum() > 100
    asked = np.concatenate([features, rows_on_thresholds(trees, features)])
    assert (ask_file(mark_leaves(trees), asked) == find_leaves(tree, asked)).all()


def test_thresholds_are_rounded_down() -> None:
    """A narrowed threshold is the largest float32 number that is not above the exact one."""
    exact = np.array([0.1, -0.1, 1e300, -1e300, np.inf, 16777217.0, 1e-60, -1e-60, 2.5])
    narrow = narrow_thresholds(exact)
    assert (narrow <= exact).all()
    with np.errstate(over="ignore"):
        up = np.nextafter(narrow, np.float32(np.inf))
    assert ((up > exact) | np.isinf(exact)).all()
    assert narrow[[4, 5, 6, 8]].tolist() == [np.inf, 16777216.0, 0.0, 2.5]


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=name_of)
def test_classifiers(estimator: Any, n_classes: int) -> None:
    """Probabilities are the library's to 1e-6, and forests answer them as they are."""
    if getattr(estimator, "loss", "") == "exponential" and n_classes > 2:
        pytest.skip("it is for two classes")
    features, score = draw(missing=0.1 if allows_missing(estimator) else 0.0)
    estimator.fit(features, np.digitize(score, [-0.7, 0.7][: n_classes - 1]))
    trees = trees_of(estimator)
    outputs = ask_file(trees, features).astype(np.float64)
    if trees.meaning == "logits":
        outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        outputs /= outputs.sum(axis=1, keepdims=True)
    assert (trees.meaning == "logits") == ("Boosting" in type(estimator).__name__)
    np.testing.assert_allclose(outputs, estimator.predict_proba(features), rtol=0, atol=1e-6)


@pytest.mark.parametrize("estimator", REGRESSORS, ids=name_of)
def test_regressors(estimator: Any) -> None:
    """Numbers are the library's to 1e-6 of their size."""
    features, score = draw(missing=0.1 if allows_missing(estimator) else 0.0)
    estimator.fit(features, score * 1000 + 5000)
    outputs = ask_file(trees_of(estimator), features)
    np.testing.assert_allclose(outputs[:, 0], estimator.predict(features), rtol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_rounded_trees_answer_to_the_bit(n_classes: int) -> None:
    """A thousand rounded trees answer as the source does, bit for bit, in batches of any size."""
    features, score = draw(3000, missing=0.1)
    classes = np.digitize(score, np.linspace(-1, 1, n_classes - 1))
    estimator = HistGradientBoostingClassifier(max_iter=1000 // n_classes, early_stopping=False)
    trees = trees_of(estimator.fit(features, classes)).rounded()
    expected = compute_tree_outputs(trees, features).astype(np.float32)
    session = open_session(serialize_model(make_model(trees, 3)))
    for size in (1, 7, 3000):
        for start in range(0, min(40 * size, len(features)), size):
            rows = slice(start, start + size)
            got = session.run({"features": features[rows]})["outputs"]
            np.testing.assert_array_equal(got, expected[rows])


def test_sums_that_are_not_exact() -> None:
    """Leaves of any size are added in float64: the answer is the source's, rounded once."""
    features, score = draw(3000)
    estimator = HistGradientBoostingClassifier(max_iter=1000, early_stopping=False)
    trees = trees_of(estimator.fit(features, score > 0))
    assert not trees.sums_exactly
    expected = compute_tree_outputs(trees, features)
    np.testing.assert_allclose(ask_file(trees, features), expected, rtol=2.0**-23)
    np.testing.assert_allclose(expected[:, 1], estimator.decision_function(features), atol=1e-6)


def test_one_leaf_alone() -> None:
    """A tree that is one leaf adds it to every row, beside others and on its own."""
    features, score = draw()
    constant = DecisionTreeRegressor().fit(features, np.full(len(features), 2.5))
    stump = DecisionTreeRegressor(max_depth=1).fit(features, score)
    only, both = trees_of(constant), sum_of([trees_of(m) for m in (constant, stump, constant)])
    assert only.n_nodes == 1
    np.testing.assert_array_equal(ask_file(only, features), np.full((len(features), 1), 2.5))
    expected = stump.predict(features)[:, None] + 5
    np.testing.assert_allclose(ask_file(both, features), expected, rtol=1e-6)


@pytest.mark.parametrize("base", [(0.0, 1.5), (-0.5, 1.5), (0.5, 0.25, -2.0), (7.0,)])
def test_no_trees_at_all(base: tuple[float, ...]) -> None:
    """Without trees, the base is the answer."""
    none = np.empty(0, np.int32)
    trees = Trees(
        feature=none,
        threshold=np.empty(0),
        left=none,
        right=none,
        missing_left=np.empty(0, np.bool_),
        values=np.empty((0, 1), np.float32),
        roots=none,
        columns=none,
        base=np.array(base, np.float32),
        meaning="number",
    )
    features, _ = draw(5)
    expected = np.tile(np.array(base, np.float32), (5, 1))
    np.testing.assert_array_equal(ask_file(trees, features), expected)
    np.testing.assert_array_equal(compute_tree_outputs(trees, features), expected)


@pytest.mark.parametrize("estimator", [CLASSIFIERS[0], CLASSIFIERS[3], REGRESSORS[0]], ids=name_of)
def test_a_second_implementation(estimator: Any) -> None:
    """The evaluator of onnx itself, which knows nothing of onnxruntime, answers the same."""
    features, score = draw(missing=0.1)
    estimator.fit(features, score if estimator in REGRESSORS else score > 0)
    for trees in (trees_of(estimator), trees_of(estimator).rounded()):
        model = make_model(trees, 3)
        (outputs,) = ReferenceEvaluator(model).run(None, {"features": features[:60]})
        np.testing.assert_allclose(outputs, ask_file(trees, features[:60]), rtol=1e-6, atol=1e-7)


def test_one_node() -> None:
    """Exact sums are one node; two classes take a product more, other sums two casts more."""
    features, score = draw()
    regressor = trees_of(HistGradientBoostingRegressor(max_iter=5).fit(features, score))
    binary = trees_of(HistGradientBoostingClassifier(max_iter=5).fit(features, score > 0))

    def nodes(trees: Trees) -> list[str]:
        made = [node.op_type for node in make_model(trees, 3).graph.node]
        return [name for name in made if name not in ("Constant", "Identity")]

    assert nodes(regressor.rounded()) == ["TreeEnsembleRegressor"]
    assert nodes(binary.rounded()) == ["TreeEnsembleRegressor", "Mul"]
    assert nodes(regressor) == ["Cast", "TreeEnsembleRegressor", "Cast"]
