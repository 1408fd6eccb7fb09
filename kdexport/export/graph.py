"""The graph around a network: raw features in, label and probabilities out.

Takes the ONNX model of a network (features to logits), gives a finished file by the contract:
missing and extreme cells before it, softmax and label map behind it, names and metadata tidy.
Knows spox and onnx, not torch.
"""

import itertools
from collections.abc import Iterable, Sequence
from importlib.metadata import version

import numpy as np
import onnx
import spox.opset.ai.onnx.v18 as op
from spox import Tensor, Var, argument, build, inline

from kdexport.contract import (
    INPUT,
    IR_VERSION,
    LABEL,
    LOGITS,
    OPSET,
    PROBABILITIES,
    set_metadata,
)
from kdexport.schema import Signature


def build_model(
    network: onnx.ModelProto,
    signature: Signature,
    *,
    center: Sequence[float],
    limit: float,
) -> onnx.ModelProto:
    """Wrap a network into a file that takes raw features.

    Args:
        network: From `features` `[n, F]` float32 to `logits` `[n, K]` float32.
        signature: Columns and classes of the file.
        center: What a missing cell of each column is replaced by, `[F]`.
        limit: Cells beyond +-limit, infinite ones too, are moved onto it.
    """
    batch, n_features = "batch", len(signature.numeric)
    raw = argument(Tensor(np.float32, (batch, n_features)))
    known = op.where(op.isnan(raw), op.const(np.asarray(center, np.float32)), raw)
    filled = op.clip(known, op.const(np.float32(-limit)), op.const(np.float32(limit)))
    (logits,) = inline(network)(filled).values()
    outputs = {LABEL: _label(logits, signature), PROBABILITIES: op.softmax(logits, axis=-1)}
    model = build(inputs={INPUT: raw}, outputs=outputs)
    return tidy_model(model, signature)


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
    tidy.ir_version = IR_VERSION
    tidy.producer_name, tidy.producer_version = "kdexport", version("kdexport")
    set_metadata(tidy, signature.to_metadata())
    onnx.checker.check_model(tidy, full_check=True)
    return tidy


def _label(logits: Var, signature: Signature) -> Var:
    position = op.arg_max(logits, axis=-1, keepdims=0)
    if signature.classes == tuple(range(len(signature.classes))):
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
