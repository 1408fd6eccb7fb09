"""Files of trees, alone or beside a network: the same contract, and the answers of their source."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

from kdexport.contract import count_parameters, expose_logits, parse_model, serialize_model
from kdexport.errors import DataError
from kdexport.evidence.parity import compare_answers
from kdexport.evidence.reference import answer_in_reference
from kdexport.evidence.stress import make_stress_inputs
from kdexport.export.graph import Filling, build_model
from kdexport.export.network import build_student, export_network
from kdexport.records import Answers, Float64, Inputs, Parts, Rows
from kdexport.runtime import open_session
from kdexport.schema import Category, Schema
from kdexport.training.boosting import train_boosting
from kdexport.training.encode import Encoder
from kdexport.training.growing import BoostingSettings
from kdexport.training.nets import StackedMLP
from kdexport.training.tree_answers import compute_tree_outputs
from kdexport.training.tree_inputs import read_features
from kdexport.trees import Trees
from tests.training.boosting_toys import KINDS, Kind, make_task

QUICK = BoostingSettings(learning_rate=0.2, max_leaf_nodes=8, max_iter=40, patience=5)
NETWORK_SHARE = 0.25


@cache
def make_trained(kind: Kind) -> tuple[Schema, Parts[Rows], Trees]:
    """A task and trees in the unit of its file's outputs."""
    schema, rows = make_task(kind)
    trees = train_boosting(rows.train, rows.validation, schema, QUICK, seed=0)
    return schema, rows, trees


def in_units(trees: Trees, schema: Schema, weight: float = 1.0) -> Trees:
    """Trees whose number is in the unit of the target, counted by their weight."""
    return trees.scaled(weight * schema.target_scale, offset=weight * schema.target_center)


def make_stack(schema: Schema) -> StackedMLP:
    """An untrained network."""
    d_out = max(len(schema.signature.classes), 1)
    stack = StackedMLP(Encoder(schema), hidden=(8,), d_out=d_out, seeds=[1], dropout=0.0)
    stack.eval()
    return stack


def export(stack: StackedMLP) -> onnx.ModelProto:
    """The network as ONNX."""
    encoder = stack.encoder
    n_categorical = len(encoder.schema.categories)
    return export_network(
        build_student(stack, 0), d_features=encoder.d_dense, n_categorical=n_categorical
    )


def build(schema: Schema, network: onnx.ModelProto | None, trees: Trees | None) -> bytes:
    """The bytes of a file."""
    encoder = Encoder(schema)
    filling = Filling(encoder.center, encoder.limit)
    return serialize_model(build_model(network, schema, filling, trees))


def as_answers(outputs: Float64, schema: Schema) -> Answers:
    """Outputs in the file's unit as answers."""
    if schema.signature.is_regression:
        return Answers(outputs[:, 0].astype(np.float32), np.empty((len(outputs), 0), np.float32))
    logits = outputs.astype(np.float32)
    probabilities = torch.softmax(torch.from_numpy(logits), dim=-1).numpy()
    labels = schema.signature.label_values[probabilities.argmax(axis=1)]
    return Answers(labels, probabilities, logits)


def altered(rows: Rows) -> Inputs:
    """Test rows, and copies with a cell blank, unseen, infinite or huge."""
    return rows.inputs.joined_with(make_stress_inputs(rows.inputs, max_rows=200))


@pytest.mark.parametrize("kind", KINDS)
def test_rival(kind: Kind) -> None:
    """A file of trees alone answers its source's bits, odd cells included."""
    schema, rows, trees = make_trained(kind)
    scaled = in_units(trees, schema)
    inputs = altered(rows.test)
    outputs = compute_tree_outputs(scaled, read_features(inputs, schema, trees.readings))
    source = as_answers(outputs, schema)
    file = open_session(expose_logits(build(schema, None, scaled))).answer(inputs)
    assert compare_answers(source, file).passed
    answered = file.predictions if kind == "regression" else file.logits
    np.testing.assert_array_equal(
        answered, source.logits if source.logits is not None else source.predictions
    )
    assert (file.predictions == source.predictions).all()


def test_no_known_text() -> None:
    """Where no column has a text of its own, the file answers every text as a rare one."""
    schema, rows, _ = make_trained("binary")
    rare = Category(kept=(), shares=(), has_other=True)
    schema = schema.model_copy(update={"categories": (rare,) * len(schema.categories)})
    stack = make_stack(schema)
    content = expose_logits(build(schema, export(stack), None))
    with torch.no_grad():
        expected = stack(stack.encoder.prepare(rows.test.inputs))[0].numpy()
    inputs = rows.test.inputs
    for answers in (open_session(content).answer(inputs), answer_in_reference(content, inputs, "")):
        assert answers.logits is not None
        np.testing.assert_allclose(answers.logits, expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_mixture(kind: Kind) -> None:
    """A file of a network and trees answers their weighted sum, odd cells included."""
    schema, rows, trees = make_trained(kind)
    stack = make_stack(schema)
    stack.divide_outputs(torch.full((1,), 1 / NETWORK_SHARE))
    # A regression's centre comes with the network's last layer, so it is not added again.
    weight = (1 - NETWORK_SHARE) * schema.target_scale
    weighted = trees.scaled(weight)
    inputs = altered(rows.test)
    with torch.no_grad():
        network: Tensor = stack(stack.encoder.prepare(inputs))[0]
    outputs = network.double().numpy() * schema.target_scale + schema.target_center
    features = read_features(inputs, schema, trees.readings)
    outputs = outputs + compute_tree_outputs(weighted, features)
    source = as_answers(outputs, schema)
    if kind == "regression":
        source = replace(source, terms=np.abs(outputs[:, 0]))
    file = open_session(expose_logits(build(schema, export(stack), weighted))).answer(inputs)
    assert compare_answers(source, file).passed
    assert np.isfinite(outputs).all()


def test_contract() -> None:
    """Files of trees have the inputs, outputs, names and versions of any other."""
    schema, _, trees = make_trained("binary")
    files = [
        parse_model(build(schema, network, summed))
        for network, summed in (
            (export(make_stack(schema)), None),
            (None, trees),
            (export(make_stack(schema)), trees),
        )
    ]
    for model in files[1:]:
        assert model.graph.input == files[0].graph.input
        assert model.graph.output == files[0].graph.output
        assert model.opset_import == files[0].opset_import
        assert model.metadata_props == files[0].metadata_props
        assert {node.name for node in model.graph.node} == {""}
        assert any("logits" in node.output for node in model.graph.node)


def count_nodes(content: bytes) -> list[str]:
    """The operators of a file, in order."""
    return [node.op_type for node in parse_model(content).graph.node]


def test_few_nodes() -> None:
    """Trees over numbers need no node before them, categories four, and a mixture shares two."""
    schema, _, trees = make_trained("binary")
    alone = count_nodes(build(schema, None, trees))
    before = ["LabelEncoder", "Add", "Gather", "Concat"]
    behind = ["TreeEnsembleRegressor", "Mul", "ArgMax", "Gather", "Softmax"]
    assert sorted(alone) == sorted(before + behind)
    network = count_nodes(build(schema, export(make_stack(schema)), None))
    both = count_nodes(build(schema, export(make_stack(schema)), trees))
    added = ["Gather", "Concat", "TreeEnsembleRegressor", "Mul", "Add"]
    assert sorted(both) == sorted(network + added)
    numbers = schema.model_copy(
        update={
            "signature": schema.signature.model_copy(update={"categorical": ()}),
            "categories": (),
        }
    )
    few = replace(
        trees, feature=np.minimum(trees.feature, 2), readings=np.empty((0, 1), np.float32)
    )
    assert sorted(count_nodes(build(numbers, None, few))) == sorted(behind)


def test_parameters() -> None:
    """The numbers of trees are their thresholds and leaf values, the network's come on top."""
    schema, _, trees = make_trained("multiclass")
    n_ranks = len(schema.categories) * (1 + len({t for c in schema.categories for t in c.kept}))
    n_network = count_parameters(parse_model(build(schema, export(make_stack(schema)), None)))
    alone = count_parameters(parse_model(build(schema, None, trees)))
    both = count_parameters(parse_model(build(schema, export(make_stack(schema)), trees)))
    assert alone == trees.n_nodes + n_ranks
    assert both == n_network + alone


def test_float64_table() -> None:
    """Where float32 loses detail, a file subtracts the centre in float64 before trees compare."""
    schema, rows, trees = make_trained("regression")
    far = 1.6e12
    shifted = schema.model_copy(
        update={
            "signature": schema.signature.model_copy(update={"precision": "float64"}),
            "center": (far, far, far),
        }
    )
    inputs = altered(rows.test)
    moved = Inputs(inputs.numeric.astype(np.float64) + far, inputs.categorical)
    outputs = compute_tree_outputs(trees, read_features(moved, shifted, trees.readings))
    file = open_session(build(shifted, None, trees)).answer(moved)
    np.testing.assert_array_equal(file.predictions, outputs[:, 0].astype(np.float32))
    assert np.ptp(outputs) > 1


def test_forest() -> None:
    """Trees that answer probabilities keep them, without logits, and take no network beside."""
    schema, rows, trees = make_trained("binary")
    ones = np.zeros((trees.n_nodes, 2), np.float32)
    is_leaf = trees.feature < 0
    ones[is_leaf, 1] = (trees.values[is_leaf, 0] > 0) / trees.n_trees
    ones[is_leaf, 0] = 1 / trees.n_trees - ones[is_leaf, 1]
    base, columns = np.zeros(2, np.float32), np.zeros_like(trees.columns)
    forest = replace(trees, values=ones, base=base, columns=columns, meaning="probabilities")
    content = build(schema, None, forest)
    inputs = altered(rows.test)
    expected = compute_tree_outputs(forest, read_features(inputs, schema, trees.readings))
    file = open_session(expose_logits(content)).answer(inputs)
    np.testing.assert_allclose(file.probabilities, expected, atol=1e-7)
    assert file.logits is None
    with pytest.raises(DataError, match="answer 2 x logits"):
        build(schema, export(make_stack(schema)), forest)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"meaning": "number"}, "2 x number from 4 features with 5 codes"),
        ({"base": np.zeros(3, np.float32)}, "3 x logits"),
        ({"readings": np.zeros((4, 1), np.float32)}, "with 4 codes"),
    ],
)
def test_trees_of_another_table(changes: dict[str, Any], found: str) -> None:
    """Trees that do not fit the schema are refused."""
    schema, _, trees = make_trained("binary")
    with pytest.raises(DataError, match=found):
        build(schema, None, replace(trees, **changes))
