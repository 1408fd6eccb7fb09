"""Weights as int8: the same contract, nearly the same answers, or one line that says why not."""

import copy
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from kdexport.contract import count_parameters, serialize_model
from kdexport.errors import DataError
from kdexport.export.quantize import quantize_model, round_weights
from kdexport.records import Answers, Float32
from kdexport.runtime import open_session
from tests.export.builders import as_inputs

N_COLUMNS, WIDTH = 20, 64


def make_network(widths: tuple[int, ...] = (WIDTH, 32)) -> onnx.ModelProto:
    """An untrained student over raw numbers, its first layer folded with scales of 1 to 1e4."""
    rng = np.random.default_rng(1)
    sizes = (N_COLUMNS, *widths, 2)
    scale = np.logspace(0, 4, N_COLUMNS)[:, None]
    nodes, tensors, read = [], [], "numeric"
    for i, (d_in, d_out) in enumerate(pairwise(sizes)):
        weights = rng.normal(size=(d_in, d_out)) * np.sqrt(2 / d_in) / (scale if not i else 1.0)
        tensors.append(numpy_helper.from_array(weights.astype(np.float32), f"w{i}"))
        is_last = i == len(sizes) - 2
        made = "logits" if is_last else f"g{i}"
        nodes.append(helper.make_node("Gemm", [read, f"w{i}"], [made]))
        if not is_last:
            nodes.append(helper.make_node("Relu", [made], [f"r{i}"]))
        read = f"r{i}"
    nodes += [
        helper.make_node("ArgMax", ["logits"], ["label"], axis=-1, keepdims=0),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    values = [
        helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in (
            ("numeric", TensorProto.FLOAT, ("batch", N_COLUMNS)),
            ("label", TensorProto.INT64, ("batch",)),
            ("probabilities", TensorProto.FLOAT, ("batch", 2)),
        )
    ]
    graph = helper.make_graph(nodes, "kdexport", values[:1], values[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 8
    return model


def draw_rows(n_rows: int = 1000) -> Float32:
    """Real rows, **Shape** `[n, 20]` float32."""
    rows = np.random.default_rng(2).normal(size=(n_rows, N_COLUMNS))
    return (rows * np.logspace(0, 4, N_COLUMNS)).astype(np.float32)


def answer(model: onnx.ModelProto, rows: Float32) -> Answers:
    """What a file answers."""
    return open_session(serialize_model(model)).answer(as_inputs(rows))


def test_int8_is_a_third_of_the_bytes_and_answers_nearly_alike() -> None:
    """Columns of sizes 1 to 1e4 keep their weights: a scale is shared by what is alike."""
    model, rows = make_network(), draw_rows()
    small = quantize_model(model, {"numeric": rows})
    before, after = answer(model, rows), answer(small, rows)
    assert len(serialize_model(small)) < 0.36 * len(serialize_model(model))
    assert (before.predictions == after.predictions).mean() > 0.98
    assert np.abs(before.probabilities - after.probabilities).max() < 0.05
    assert count_parameters(small) == count_parameters(model)
    onnx.checker.check_model(small, full_check=True)


@pytest.mark.parametrize("row", [0, 500, 999])
def test_an_outlier_of_a_million_spoils_no_other_row(row: int) -> None:
    """Case F: one cell of 1e6 in 1,000 rows, among those that calibrate."""
    model, rows = make_network(), draw_rows()
    rows[row, 0] = 1e6
    small = quantize_model(model, {"numeric": rows})
    same = answer(model, rows).predictions == answer(small, rows).predictions
    assert same.mean() >= 0.98


def test_a_row_answers_the_same_alone_and_beside_an_outlier() -> None:
    """Nothing is scaled by what else is in the batch."""
    small = quantize_model(make_network(), {"numeric": draw_rows()})
    rows = draw_rows(7)
    crowd = np.concatenate([rows, np.full((1, N_COLUMNS), 1e6, np.float32)])
    alone = np.concatenate([answer(small, row[None]).probabilities for row in rows])
    np.testing.assert_allclose(answer(small, crowd).probabilities[:7], alone, atol=1e-6)


def test_the_same_rows_give_the_same_bytes() -> None:
    """Nothing is drawn."""
    twice = [
        serialize_model(quantize_model(make_network(), {"numeric": draw_rows()})) for _ in range(2)
    ]
    assert twice[0] == twice[1]


def test_the_model_that_is_given_stays_as_it_is() -> None:
    """A float32 file is quantized into another one."""
    model = make_network()
    before = copy.deepcopy(model)
    quantize_model(model, {"numeric": draw_rows()})
    assert model == before


def test_a_line_of_zeros_and_one_size_is_exact() -> None:
    """The slopes of a piecewise first layer are powers of two, and stay so."""
    values = np.zeros((3, 4), np.float32)
    values[[0, 1], [2, 0]] = [2.0**-9, -(2.0**20)]
    rounded, scale = round_weights(values, axis=0)
    np.testing.assert_array_equal(rounded * scale, values)


def lower_opset(model: onnx.ModelProto) -> None:
    """An older file."""
    model.opset_import[0].version = 12


def narrow(model: onnx.ModelProto) -> None:
    """A tiny student."""
    model.CopyFrom(make_network((4,)))


def quantize(model: onnx.ModelProto) -> None:
    """A file that is int8 already."""
    model.CopyFrom(quantize_model(model, {"numeric": draw_rows()}))


def plant_trees(model: onnx.ModelProto) -> None:
    """A tree ensemble."""
    leaf = {"nodes_modes": ["LEAF"], "target_weights": [1.0]}
    node = helper.make_node(
        "TreeEnsembleRegressor", ["numeric"], ["logits"], domain="ai.onnx.ml", **leaf
    )
    del model.graph.initializer[:]
    del model.graph.node[:-2]
    model.graph.node.insert(0, node)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lower_opset, "a file of opset 12"),
        (narrow, "int8 would save"),
        (quantize, "int8 already"),
        (plant_trees, "nothing to quantize: a tree ensemble"),
    ],
)
def test_what_int8_is_no_use_to_is_refused(
    change: Callable[[onnx.ModelProto], None], words: str
) -> None:
    """Case F: in one line, with what to do instead."""
    model = make_network()
    change(model)
    with pytest.raises(DataError, match=words) as refused:
        quantize_model(model, {"numeric": draw_rows()})
    assert "\n" not in str(refused.value)
