"""Boosting on the task's rows: what it reads, when it stops, and what it answers."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from kdexport.errors import DataError
from kdexport.records import Column, Float64, Inputs, Rows
from kdexport.schema import Category, Schema
from kdexport.signature import Signature
from kdexport.training.boosting import split_folds, train_boosting, train_fold_boosting
from kdexport.training.growing import BoostingSettings
from kdexport.training.tree_answers import compute_tree_outputs
from kdexport.training.tree_inputs import rank_categories, read_features
from kdexport.trees import LEAF, Trees
from tests.training.boosting_toys import KINDS, Kind, make_task

# Every split sees every feature, and leaves are drawn to nothing: so that models can be compared.
QUICK = BoostingSettings(
    learning_rate=0.2,
    max_leaf_nodes=8,
    max_features=1.0,
    l2_regularization=0.0,
    max_iter=60,
    patience=5,
)


def measure_loss(outputs: Float64, rows: Rows, schema: Schema) -> float:
    """Log loss of logits, or squared error of a standardised number."""
    if schema.signature.is_regression:
        standardised = (rows.targets - schema.target_center) / schema.target_scale
        return float(np.average(np.square(outputs[:, 0] - standardised), weights=rows.weights))
    norm = np.log(np.exp(outputs - outputs.max(axis=1, keepdims=True)).sum(axis=1))
    logs = outputs[np.arange(len(outputs)), rows.targets] - outputs.max(axis=1) - norm
    return float(-np.average(logs, weights=rows.weights))


def answer(trees: Trees, rows: Rows, schema: Schema) -> Float64:
    """The outputs for rows of the task."""
    return compute_tree_outputs(trees, read_features(rows.inputs, schema, trees.readings))


@pytest.mark.parametrize("kind", KINDS)
def test_learns_the_task(kind: Kind) -> None:
    """Trees find what the numbers, their missing cells and the category say of unseen rows."""
    schema, rows = make_task(kind)
    trees = train_boosting(rows.train, rows.validation, schema, QUICK, seed=0)
    outputs = answer(trees, rows.test, schema)
    assert outputs.shape == (rows.test.n_rows, {"binary": 2, "multiclass": 3}.get(kind, 1))
    chance = {"binary": 0.69, "multiclass": 1.0, "regression": 1.0}[kind]
    assert measure_loss(outputs, rows.test, schema) < 0.55 * chance
    assert trees.meaning == ("number" if kind == "regression" else "logits")
    assert set(trees.feature.tolist()) > {LEAF, 0, 3}
    assert trees.missing_left[trees.feature == 0].any()


@pytest.mark.parametrize("kind", KINDS)
def test_stops_at_the_best_validation_loss(kind: Kind) -> None:
    """The rounds kept are those with the lowest loss on the validation rows, no more, no fewer."""
    schema, rows = make_task(kind, n_train=300)
    trees = train_boosting(rows.train, rows.validation, schema, QUICK, seed=0)
    per_round = 3 if kind == "multiclass" else 1
    kept = trees.n_trees // per_round
    assert 0 < kept < QUICK.max_iter - QUICK.patience
    losses = []
    for n in range(1, kept + QUICK.patience + 1):
        longer = replace(QUICK, max_iter=n, patience=1000)
        shorter = train_boosting(rows.train, rows.validation, schema, longer, seed=0)
        losses.append(
            measure_loss(answer(shorter, rows.validation, schema), rows.validation, schema)
        )
    assert int(np.argmin(losses)) == kept - 1


def test_same_seed_same_trees() -> None:
    """The same rows, settings and seed give the same arrays; another seed draws others."""
    schema, rows = make_task("binary")
    settings = replace(QUICK, max_features=0.5)
    first, again, other = (
        train_boosting(rows.train, rows.validation, schema, settings, seed=seed)
        for seed in (3, 3, 4)
    )
    for name, values in first.to_arrays().items():
        assert values.tobytes() == again.to_arrays()[name].tobytes()
    assert first.threshold.tobytes() != other.threshold.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_weights_count(kind: Kind) -> None:
    """A row of weight 3 counts as three rows do; unregularised, only ratios of weights count."""
    schema, rows = make_task(kind, n_train=400)
    heavy = np.where(np.arange(400) % 3 == 0, 3.0, 1.0)
    weighted = replace(rows.train, weights=heavy / heavy.mean())
    settings = replace(QUICK, min_samples_leaf=1, max_iter=5)
    repeats = np.repeat(np.arange(400), heavy.astype(int))
    repeated = Rows(
        rows.train.inputs.take(repeats),
        rows.train.targets[repeats],
        np.ones(len(repeats)),
        np.arange(len(repeats)),
    )
    answers = [
        answer(train_boosting(part, rows.validation, schema, settings, seed=0), rows.test, schema)
        for part in (weighted, repeated, replace(weighted, weights=10 * weighted.weights))
    ]
    np.testing.assert_array_equal(np.sign(answers[0]), np.sign(answers[1]))
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-3)
    np.testing.assert_allclose(answers[0], answers[2], atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_folds_answer_unseen_rows(kind: Kind) -> None:
    """A training row is answered by a model that never saw its label, the mean by all of them."""
    schema, rows = make_task(kind)
    settings = replace(QUICK, max_leaf_nodes=31, min_samples_leaf=2, patience=60)
    mean, held_out = train_fold_boosting(
        rows.train, rows.validation, schema, settings, n_folds=3, seed=0
    )
    seen = answer(mean, rows.train, schema)
    assert held_out.shape == seen.shape
    on_test = measure_loss(answer(mean, rows.test, schema), rows.test, schema)
    on_held_out = measure_loss(held_out, rows.train, schema)
    on_seen = measure_loss(seen, rows.train, schema)
    assert on_seen < 0.8 * on_held_out
    assert on_held_out == pytest.approx(on_test, rel=0.25)


def test_mean_of_folds() -> None:
    """The mean has every fold's trees, the same bits however many folds train at a time."""
    schema, rows = make_task("regression")
    mean, held_out = train_fold_boosting(
        rows.train, rows.validation, schema, QUICK, n_folds=2, seed=1
    )
    again, _ = train_fold_boosting(
        rows.train, rows.validation, schema, QUICK, n_folds=2, seed=1, n_threads=2
    )
    assert mean.values.tobytes() == again.values.tobytes()
    assert np.isfinite(held_out).all()
    single = train_boosting(rows.train, rows.validation, schema, QUICK, seed=1)
    assert mean.n_trees > 1.2 * single.n_trees
    apart = np.abs(answer(mean, rows.test, schema) - answer(single, rows.test, schema))
    assert apart.mean() < 0.15


def test_class_without_training_rows() -> None:
    """A class that only validation rows have gets an answer: it is improbable, and finite."""
    schema, rows = make_task("multiclass")
    lacking = replace(rows.train, targets=np.minimum(rows.train.targets, 1))
    outputs = answer(
        train_boosting(lacking, rows.validation, schema, QUICK, seed=0), rows.test, schema
    )
    assert outputs.shape[1] == len(schema.signature.classes)
    assert np.isfinite(outputs).all()
    shares = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    assert 0 < shares[:, 2].max() < 0.01
    assert (outputs.argmax(axis=1) == np.minimum(rows.test.targets, 1)).mean() > 0.85


def test_one_class_alone() -> None:
    """With rows of one class alone there are no trees: its share is the answer."""
    schema, rows = make_task("binary")
    alone = replace(rows.train, targets=np.zeros_like(rows.train.targets))
    trees = train_boosting(alone, rows.validation, schema, QUICK, seed=0)
    outputs = answer(trees, rows.test, schema)
    assert trees.n_trees == 0
    assert (outputs.argmax(axis=1) == 0).all()


def cells(color: object, number: float = 0.0) -> Inputs:
    """One row."""
    return Inputs(np.array([[number, 0, 0]], np.float32), np.array([[color]], object))


@pytest.mark.parametrize("kind", KINDS)
def test_odd_cells(kind: Kind) -> None:
    """An infinite number counts as the largest, an unseen category has an answer of its own."""
    schema, rows = make_task(kind)
    trees = train_boosting(rows.train, rows.validation, schema, QUICK, seed=0)

    def ask(inputs: Inputs) -> list[float]:
        return compute_tree_outputs(trees, read_features(inputs, schema, trees.readings))[
            0
        ].tolist()

    assert ask(cells("red", np.inf)) == ask(cells("red", 1e30))
    assert ask(cells("red", -np.inf)) == ask(cells("red", -1e30))
    assert ask(cells("red", np.nan)) != ask(cells("red", -1e30))
    assert np.isfinite(ask(cells("never seen"))).all()
    assert ask(cells("never seen")) not in (ask(cells("red")), ask(cells("green")))


def make_rows(texts: list[str], targets: Column, weights: list[float] | None = None) -> Rows:
    """Rows of one category and no number."""
    n = len(texts)
    inputs = Inputs(np.empty((n, 0), np.float32), np.array(texts, object)[:, None])
    return Rows(inputs, targets, np.array(weights or [1.0] * n), np.arange(n))


def make_schema(kept: tuple[str, ...], classes: tuple[int, ...] = ()) -> Schema:
    """One categorical column."""
    category = Category(kept=kept, shares=(1 / len(kept),) * len(kept), has_other=False)
    signature = Signature(numeric=(), categorical=("s",), classes=classes, target="y")
    return Schema(signature=signature, center=(), scale=(), categories=(category,))


def test_ranks_follow_the_target() -> None:
    """Categories stand in the order of their mean target; one that is not met, in the middle."""
    schema = make_schema(("a", "b", "c", "d"))
    targets = np.repeat([5.0, -5.0, 9.0, -9.0], 20)
    rows = make_rows([*"a" * 20, *"b" * 20, *"c" * 20, *"d" * 20], targets)
    assert rank_categories(rows, schema)[:, 0].tolist() == [2, 3, 1, 4, 0]
    reversed_ranks = rank_categories(replace(rows, targets=-targets), schema)
    assert reversed_ranks[:, 0].tolist() == [2, 1, 3, 0, 4]


def test_ranks_of_rare_categories() -> None:
    """One row says less of a category than many rows do, and a heavy row more than a light one."""
    schema = make_schema(("a", "b"))
    texts, targets = ["a", *"b" * 30, *"zz"], np.array([9.0] + [5.0] * 30 + [-80.0] * 2)
    assert rank_categories(make_rows(texts, targets), schema)[:, 0].tolist() == [0, 1, 2]
    heavy = make_rows(texts, targets, [60.0] + [1.0] * 32)
    assert rank_categories(heavy, schema)[:, 0].tolist() == [0, 2, 1]


def test_ranks_of_classes() -> None:
    """With several classes, categories that have the same classes stand beside each other."""
    schema = make_schema(tuple("abcdef"), classes=(0, 1, 2))
    classes = np.array([0, 1, 2, 0, 1, 2])
    rows = make_rows([*"abcdef"] * 20, np.tile(classes, 20))
    ranks = rank_categories(rows, schema)[1:, 0]
    for k in range(3):
        assert np.ptp(ranks[classes == k]) in (1, 2)  # the code never met may stand between them
    assert rank_categories(rows, schema).tobytes() == rank_categories(rows, schema).tobytes()


def test_features_of_float64_tables() -> None:
    """Where float32 loses detail, trees read the distance from the centre; huge ones overflow."""
    signature = Signature(numeric=("t",), precision="float64", target="y")
    schema = Schema(signature=signature, center=(1.6e12,), scale=(1.0,))
    numbers = np.array([[1.6e12 + 0.25], [np.nan], [1e300], [-np.inf]])
    features = read_features(
        Inputs(numbers, np.empty((4, 0), object)), schema, np.empty((0, 1), np.float32)
    )
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features[:, 0], [0.25, np.nan, np.inf, -np.inf])


def test_outputs_are_the_estimators_own() -> None:
    """The trees answer as the model that scikit-learn fitted, up to the rounding of leaves."""
    schema, rows = make_task("binary")
    trees = train_boosting(rows.train, rows.validation, schema, QUICK, seed=0)
    features = read_features(rows.train.inputs, schema, trees.readings)
    model = HistGradientBoostingClassifier(
        learning_rate=QUICK.learning_rate,
        max_leaf_nodes=QUICK.max_leaf_nodes,
        max_iter=trees.n_trees,
        early_stopping=False,
        random_state=0,
    ).fit(features, rows.train.targets)
    outputs = answer(trees, rows.test, schema)
    asked = read_features(rows.test.inputs, schema, trees.readings)
    np.testing.assert_allclose(outputs[:, 1], model.decision_function(asked), rtol=0, atol=2e-6)
    assert (outputs[:, 0] == 0).all()


def test_too_few_features() -> None:
    """Rows with fewer features than the trees ask for are refused, not read beyond their end."""
    schema, rows = make_task("binary")
    trees = train_boosting(rows.train, rows.validation, schema, QUICK, seed=0)
    with pytest.raises(DataError, match=r"features of shape \(2, 3\), trees over 4"):
        compute_tree_outputs(trees, np.zeros((2, 3), np.float32))


def test_bounds_on_trees() -> None:
    """Rounds are bounded, and so are trees, of which every round takes one per class."""
    settings = BoostingSettings(max_iter=50, max_trees=90)
    assert [settings.count_rounds(n) for n in (0, 2, 3, 200)] == [50, 50, 30, 1]
    schema, rows = make_task("multiclass")
    few = replace(QUICK, max_trees=7)
    assert train_boosting(rows.train, rows.validation, schema, few, seed=0).n_trees == 6


@pytest.mark.parametrize(("n_classes", "n_each"), [(60, 3), (3, 2), (2, 40)])
def test_folds_of_small_classes(n_classes: int, n_each: int) -> None:
    """Classes of fewer rows than folds, all of them: every row is in one fold still."""
    targets = np.repeat(np.arange(n_classes), n_each)
    train = SimpleNamespace(targets=targets, n_rows=len(targets))
    schema = SimpleNamespace(signature=SimpleNamespace(is_regression=False))
    folds = split_folds(train, schema, 5, 0)  # type: ignore[arg-type]
    assert len(folds) == 5
    assert sorted(np.concatenate(folds)) == [*range(len(targets))]


def test_one_row_has_no_folds() -> None:
    """A model cannot be fitted on some rows and asked about others."""
    schema, rows = make_task("regression", n_train=300)
    with pytest.raises(DataError, match="1 training rows"):
        split_folds(rows.train.take(np.array([3])), schema, 5, 0)
