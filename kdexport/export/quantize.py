"""A finished file with its weights stored as int8: for flash, not for speed.

Takes a model and real raw rows, gives a model of the same contract. Each table of weights becomes
whole numbers, one scale per row or column, widened again by a `Cast` and a `Mul` of constants,
which a runtime computes once, when it loads the file: answers do not depend on the batch, and a
call costs what it did. Knows onnx; knows neither spox nor torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper

from kdexport.contract import TREES, copy_model, onnx_opset, serialize_model
from kdexport.errors import DataError
from kdexport.records import Column, Float32, Float64, spread_rows
from kdexport.runtime import open_session

LARGEST = 127  # symmetric: -128 is not used, so that no zero point is needed
MIN_OPSET = 13
MIN_SAVED = 96  # bytes: what two nodes and the names of their tensors take
MIN_SHARE = 0.2  # of the file, below which int8 is not worth a second file
MAX_ROWS = 2000
SMALLEST = 1e-30
WORTH = 0.25  # of a mean square: half of the change
POSITIONS = {"Gemm": 1, "MatMul": 1, "Gather": 0}
"""Node with weights to the input that they are; the other one reads the rows."""

Int8 = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Weight:
    """One table of weights, and the node that reads it.

    Attributes:
        name: The tensor that the node reads.
        stored: The initializer that it is made of: itself, or one in float16.
        values: **Shape** `[a, b]`.
        reader: The node.
    """

    name: str
    stored: TensorProto
    values: Float32
    reader: onnx.NodeProto


def quantize_model(model: onnx.ModelProto, rows: Mapping[str, Column]) -> onnx.ModelProto:
    """Store the weights of a file as int8.

    A table shares its scales by row or by column: the way that takes fewer of them, unless the
    other changes what the layer answers to the rows by less than half as much. Tables whose bytes
    would not pay for it stay as they are; biases always do.

    Args:
        model: A file that kdexport wrote.
        rows: Its inputs by name, raw, as `Inputs.feeds` gives them.

    Raises:
        DataError: It holds no weights that int8 would make smaller, is older than opset 13, or
            there are no rows.
    """
    _refuse(model, rows)
    small = copy_model(model)
    weights = find_weights(small.graph)
    seen = _watch(model, weights, rows)
    before = len(serialize_model(model))
    for weight in weights:
        _replace(small.graph, weight, seen[weight.name])
    n_saved = before - len(serialize_model(small))
    if n_saved < MIN_SHARE * before:
        raise _nothing(f"int8 would save {max(n_saved, 0):,} of {before:,} bytes")
    return small


def is_quantized(model: onnx.ModelProto) -> bool:
    """Say whether a file holds weights in int8."""
    return any(tensor.data_type == TensorProto.INT8 for tensor in model.graph.initializer)


def find_weights(graph: onnx.GraphProto) -> list[Weight]:
    """Return every table of float weights that one node reads."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    widened = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Cast"}
    found = []
    for node in graph.node:
        if node.op_type not in POSITIONS:
            continue
        name = node.input[POSITIONS[node.op_type]]
        stored = tensors.get(widened.get(name, name))
        floats = (TensorProto.FLOAT, TensorProto.FLOAT16)
        if stored is None or stored.data_type not in floats or len(stored.dims) != 2:
            continue
        n_readers = sum(list(other.input).count(name) for other in graph.node)
        if n_readers == 1:
            values = numpy_helper.to_array(stored).astype(np.float32)
            found.append(Weight(name, stored, values, node))
    return found


def round_weights(values: Float32, axis: int) -> tuple[Int8, Float32]:
    """Round a table to whole numbers of at most 127, one scale per position along `axis`.

    A line of zeros and one size, as those of a piecewise first layer are, is stored exactly.

    Returns:
        **Shape** `[a, b]` int8, and its scales, `[a, 1]` or `[1, b]` float32.
    """
    sizes = np.abs(values)
    largest = sizes.max(axis=1 - axis, keepdims=True)
    is_exact = ((sizes == 0) | (sizes == largest)).all(axis=1 - axis, keepdims=True)
    scale = np.where(is_exact, largest, largest / LARGEST).astype(np.float32)
    scale[scale == 0] = 1.0
    rounded = np.rint(values.astype(np.float64) / scale).clip(-LARGEST, LARGEST)
    return rounded.astype(np.int8), scale


def _refuse(model: onnx.ModelProto, rows: Mapping[str, Column]) -> None:
    if onnx_opset(model) < MIN_OPSET:
        raise DataError(
            f"weights have a scale per channel from opset {MIN_OPSET} on",
            found=f"a file of opset {onnx_opset(model)}",
            cure="quantize the bundle's own file, then pack it with --target-ort",
        )
    if is_quantized(model):
        raise _nothing("its weights are int8 already")
    if not find_weights(model.graph):
        has_trees = any(node.op_type in TREES for node in model.graph.node)
        raise _nothing("a tree ensemble" if has_trees else "no table of weights")
    if not all(len(values) for values in rows.values()) or not rows:
        raise DataError("int8 is calibrated on real rows", found="none", cure="pass some")


def _nothing(found: str) -> DataError:
    return DataError(
        "int8 makes tables of weights smaller",
        found=f"nothing to quantize: {found}",
        cure="ship the file as it is",
    )


def _watch(
    model: onnx.ModelProto, weights: list[Weight], rows: Mapping[str, Column]
) -> dict[str, Column]:
    """Run rows through the graph; return what each table's node reads them as, by the table."""
    watched = copy_model(model)
    read = {w.name: w.reader.input[1 - POSITIONS[w.reader.op_type]] for w in weights}
    kinds = {w.name: TensorProto.INT64 if w.reader.op_type == "Gather" else 1 for w in weights}
    outputs = {read[name]: kind for name, kind in kinds.items()}
    given = {value.name for value in (*watched.graph.input, *watched.graph.output)}
    for name, kind in outputs.items():
        if name not in given:
            watched.graph.output.append(onnx.helper.make_tensor_value_info(name, kind, None))
    n_rows = len(next(iter(rows.values())))
    kept = np.unique(spread_rows(n_rows, MAX_ROWS))
    feeds = {name: values[kept] for name, values in rows.items()}
    told = {**feeds, **open_session(serialize_model(watched)).run(feeds)}
    return {table: told[name] for table, name in read.items()}


def _measure_error(weight: Weight, other: Float64, inputs: Column) -> float:
    """Mean over rows of how much a layer's answers change where its weights are `other`.

    In squares of each row's own size, so that one row with an outlier counts as one row.
    """
    changed = _apply(weight, other - weight.values, inputs)
    own = _apply(weight, weight.values, inputs)
    return float((np.square(changed).mean(1) / (np.square(own).mean(1) + SMALLEST)).mean())


def _apply(weight: Weight, values: Column, inputs: Column) -> Float64:
    """What a layer makes of rows without its bias, **Shape** `[n, out]`."""
    exact = values.astype(np.float64)
    if weight.reader.op_type == "Gather":
        picked: Float64 = exact[inputs].sum(axis=1)
        return picked
    is_turned = any(a.name == "transB" and a.i for a in weight.reader.attribute)
    finite = np.where(np.isfinite(inputs), inputs, 0.0).astype(np.float64)
    made: Float64 = finite @ (exact.T if is_turned else exact)
    return made


def _replace(graph: onnx.GraphProto, weight: Weight, inputs: Column) -> None:
    """Put int8, its scales and what widens them in a table's place, where that is smaller."""
    ways = [round_weights(weight.values, axis) for axis in (0, 1)]
    errors = [_measure_error(weight, q.astype(np.float64) * s, inputs) for q, s in ways]
    few = int(np.argmin([scale.size for _, scale in ways]))
    rounded, scale = ways[1 - few if errors[1 - few] < WORTH * errors[few] else few]
    name = weight.name
    new = [
        numpy_helper.from_array(rounded, f"{name}q"),
        numpy_helper.from_array(scale, f"{name}s"),
    ]
    if weight.stored.ByteSize() - sum(tensor.ByteSize() for tensor in new) < MIN_SAVED:
        return
    makers = [node for node in graph.node if name in node.output]  # what widened float16
    for node in makers:
        graph.node.remove(node)
    position = [tensor.name for tensor in graph.initializer].index(weight.stored.name)
    del graph.initializer[position]
    graph.initializer.extend(new)
    make: Any = onnx.helper.make_node
    widen = make("Cast", [f"{name}q"], [f"{name}f"], to=TensorProto.FLOAT)
    graph.node.insert(0, make("Mul", [f"{name}f", f"{name}s"], [name]))
    graph.node.insert(0, widen)
