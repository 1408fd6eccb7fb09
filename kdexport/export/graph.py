"""The graph around a network: raw columns in, label and probabilities (or a number) out.

Takes the ONNX model of a network, gives a finished file by the contract: missing and extreme
cells and category codes before it, softmax and label map behind it, names and metadata tidy. Knows
spox and onnx, not torch.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import onnx
import spox.opset.ai.onnx.ml.v3 as ml
import spox.opset.ai.onnx.v18 as op
from spox import Tensor, Var, argument, build, inline

from kdexport.contract import (
    CATEGORICAL,
    IR_VERSION,
    LABEL,
    LOGITS,
    ML_OPSET,
    NUMERIC,
    OPSET,
    PREDICTION,
    PROBABILITIES,
    set_metadata,
)
from kdexport.records import Float32, Float64
from kdexport.schema import OTHER, Schema
from kdexport.signature import Signature

BATCH = "batch"
ML_DOMAIN = "ai.onnx.ml"
UNKNOWN = 0  # position of every text that no column knows, in the vocabulary


@dataclass(frozen=True)
class Filling:
    """How raw numbers become finite ones.

    Attributes:
        center: **Shape** `[F]`: what a missing cell is replaced by; float64 inputs are also
            centred by it.
        limit: **Shape** `[F]`: numbers beyond +-limit, infinite ones too, are moved onto it.
    """

    center: Float64
    limit: Float64


def build_model(network: onnx.ModelProto, schema: Schema, filling: Filling) -> onnx.ModelProto:
    """Wrap a network into a file that takes raw columns.

    Args:
        network: From `features` `[n, F + I]` float32 and `codes` `[n, C]` int64, those that the
            schema has, to `outputs` `[n, K]` float32.
        schema: Columns, categories and classes of the file.
        filling: How missing and extreme numbers are read.
    """
    signature = schema.signature
    inputs, filled = {}, {}
    if signature.numeric:
        dtype = np.dtype(signature.precision)
        inputs[NUMERIC] = argument(Tensor(dtype, (BATCH, len(signature.numeric))))
        filled["features"] = _fill_numbers(inputs[NUMERIC], schema, filling)
    if signature.categorical:
        inputs[CATEGORICAL] = argument(Tensor(np.str_, (BATCH, len(signature.categorical))))
        filled["codes"] = _find_codes(inputs[CATEGORICAL], schema)
    (result,) = inline(network)(**filled).values()
    model = build(inputs=inputs, outputs=_answers(result, signature))
    return tidy_model(model, signature)


def _fill_numbers(raw: Var, schema: Schema, filling: Filling) -> Var:
    """Replace missing cells by the mean, bound extreme ones, and append the indicators."""
    if schema.signature.precision == "float64":  # centred while it is exact, then narrowed
        numbers = op.cast(op.sub(raw, op.const(filling.center)), to=np.float32)
        substitute = np.zeros(1, np.float32)
    else:
        numbers, substitute = raw, filling.center.astype(np.float32)
    # One node, where IsNaN and Where would be two and cost a microsecond more.
    known = ml.imputer(numbers, imputed_value_floats=substitute, replaced_value_float=np.nan)
    filled = _bound(known, filling.limit.astype(np.float32))
    if not schema.indicators:
        return filled
    watched = op.gather(numbers, op.const(np.array(schema.indicators, np.int64)), axis=1)
    return op.concat([filled, op.cast(op.isnan(watched), to=np.float32)], axis=1)


def _bound(numbers: Var, limit: Float32) -> Var:
    """Move numbers beyond +-limit onto it: in one node where all columns share one."""
    if (limit == limit[0]).all():
        return op.clip(numbers, op.const(-limit[0]), op.const(limit[0]))
    return op.max([op.min([numbers, op.const(limit)]), op.const(-limit)])


def _find_codes(raw: Var, schema: Schema) -> Var:
    """Turn texts into row numbers: one look-up for all columns, then one map per column.

    The vocabulary is common to all columns, so what a text stands for depends on its column: the
    map has a row number for every column and text.
    """
    vocabulary = sorted({text for category in schema.categories for text in category.kept})
    position = {text: i for i, text in enumerate(vocabulary, start=UNKNOWN + 1)}
    n_texts = 1 + len(vocabulary)
    rows = np.empty((len(schema.categories), n_texts), np.int64)
    first = 0
    for column, category in enumerate(schema.categories):
        rows[column] = first + OTHER
        for code, text in enumerate(category.kept, start=OTHER + 1):
            rows[column, position[text]] = first + code
        first += category.n_codes
    found = ml.label_encoder(
        raw,
        keys_strings=vocabulary,
        values_int64s=list(position.values()),
        default_int64=UNKNOWN,
    )
    offsets = np.arange(len(schema.categories), dtype=np.int64) * n_texts
    return op.gather(op.const(rows.ravel()), op.add(found, op.const(offsets)))


def _answers(result: Var, signature: Signature) -> dict[str, Var]:
    if signature.is_regression:
        return {PREDICTION: op.squeeze(result, op.const(np.array([1], np.int64)))}
    return {LABEL: _label(result, signature), PROBABILITIES: op.softmax(result, axis=-1)}


def tidy_model(model: onnx.ModelProto, signature: Signature) -> onnx.ModelProto:
    """Return the model with short names, no leftovers of its making, and its fixed versions.

    Removed: node names, doc strings, metadata of nodes and values, intermediate shapes. The
    tensor before the softmax is called `logits`, so that a parity check can ask for it.
    """
    tidy = onnx.ModelProto()
    tidy.CopyFrom(model)
    graph = tidy.graph
    _drop_identities(graph)
    _turn_constants_into_initializers(graph)
    _rename_tensors(graph)
    for node in graph.node:
        node.ClearField("name")
    named: Iterable[onnx.NodeProto | onnx.ValueInfoProto | onnx.TensorProto] = itertools.chain(
        graph.node, graph.input, graph.output, graph.initializer
    )
    for item in named:
        item.ClearField("doc_string")
        item.ClearField("metadata_props")
    for field in ("doc_string", "metadata_props", "value_info", "quantization_annotation"):
        graph.ClearField(field)
    graph.name = "kdexport"
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    tidy.ClearField("doc_string")
    tidy.ClearField("functions")
    tidy.ClearField("opset_import")
    tidy.opset_import.append(onnx.helper.make_opsetid("", OPSET))
    if any(node.domain == ML_DOMAIN for node in graph.node):
        tidy.opset_import.append(onnx.helper.make_opsetid(ML_DOMAIN, ML_OPSET))
    tidy.ir_version = IR_VERSION
    tidy.producer_name, tidy.producer_version = "kdexport", version("kdexport")
    set_metadata(tidy, signature.to_metadata())
    onnx.checker.check_model(tidy, full_check=True)
    return tidy


def _label(logits: Var, signature: Signature) -> Var:
    position = op.arg_max(logits, axis=-1, keepdims=0)
    positions = tuple(range(len(signature.classes)))
    if signature.label_dtype == "int64" and signature.classes == positions:
        return position  # int64 already, and equal to its own class value
    values = signature.label_values
    if signature.label_dtype == "string":
        values = values.astype(np.str_)
    return op.gather(op.const(values), position)


def _drop_identities(graph: onnx.GraphProto) -> None:
    """Remove nodes that only rename a tensor; a graph output keeps its name."""
    for identity in [node for node in graph.node if node.op_type == "Identity"]:
        (old,), (new,) = identity.input, identity.output
        for node in graph.node:
            node.output[:] = [new if name == old else name for name in node.output]
            node.input[:] = [new if name == old else name for name in node.input]
        graph.node.remove(identity)


def _turn_constants_into_initializers(graph: onnx.GraphProto) -> None:
    """Move the value of every Constant node to where runtimes and tools look for weights."""
    for constant in [node for node in graph.node if node.op_type == "Constant"]:
        tensor = graph.initializer.add()
        tensor.CopyFrom(constant.attribute[0].t)
        tensor.name = constant.output[0]
        graph.node.remove(constant)


def _rename_tensors(graph: onnx.GraphProto) -> None:
    """Give every inner tensor a short name: w0, w1, ... for constants, t0, t1, ... for others."""
    kept = {value.name for value in (*graph.input, *graph.output)}
    names = {name: name for name in kept}
    for i, tensor in enumerate(graph.initializer):
        names[tensor.name] = f"w{i}"
        tensor.name = f"w{i}"
    counter = itertools.count()
    for node in graph.node:
        if node.op_type == "Softmax" and node.output[0] == PROBABILITIES:
            names[node.input[0]] = LOGITS
    for node in graph.node:
        for name in node.output:
            if name not in names:
                names[name] = f"t{next(counter)}"
    for node in graph.node:
        node.input[:] = [names[name] if name else "" for name in node.input]
        node.output[:] = [names[name] for name in node.output]
