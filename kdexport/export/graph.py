"""The graph around a network or trees: raw columns in, label and probabilities (or a number) out.

Takes the ONNX model of a network, a sum of trees, or both, gives a finished file by the contract:
missing and extreme cells and categories before them, softmax and label map behind them, names and
metadata tidy. Knows spox and onnx, not torch.
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
    BATCH,
    CATEGORICAL,
    CODES,
    FEATURES,
    IR_VERSION,
    LABEL,
    LOGITS,
    ML_DOMAIN,
    ML_OPSET,
    NUMERIC,
    OPSET,
    PREDICTION,
    PROBABILITIES,
    copy_model,
    set_metadata,
)
from kdexport.errors import DataError
from kdexport.export.trees import build_tree_outputs
from kdexport.records import Float32, Float64, Int64
from kdexport.schema import MISSING, OTHER, Schema
from kdexport.signature import Signature
from kdexport.trees import Meaning, Trees

MIN_HALVED = 256  # values of a tensor that is worth a node to widen it
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


def build_model(
    network: onnx.ModelProto | None,
    schema: Schema,
    filling: Filling,
    trees: Trees | None = None,
) -> onnx.ModelProto:
    """Wrap a network, trees, or the sum of both into a file that takes raw columns.

    Args:
        network: From `features` `[n, F + I]` float32 and `codes` `[n, C]` int64, those that the
            schema has, to `outputs` `[n, K]` float32.
        schema: Columns, categories and classes of the file.
        filling: How missing and extreme numbers are read.
        trees: Over numbers and what they read of categories, in the unit of the network's outputs:
            of a regression, the target's own.

    Raises:
        DataError: The trees do not answer what the schema asks for.
    """
    if trees is not None:
        _refuse_other_trees(trees, schema, is_alone=network is None)
    signature = schema.signature
    inputs, filled, read_by_trees = {}, {}, []
    if signature.numeric:
        dtype = np.dtype(signature.precision)
        inputs[NUMERIC] = argument(Tensor(dtype, (BATCH, len(signature.numeric))))
        numbers = _narrow_numbers(inputs[NUMERIC], schema, filling)
        if network is not None:
            filled[FEATURES] = _fill_numbers(numbers, schema, filling)
        read_by_trees.append(numbers)
    if signature.categorical:
        inputs[CATEGORICAL] = argument(Tensor(np.str_, (BATCH, len(signature.categorical))))
        found, codes = _find_texts(inputs[CATEGORICAL], schema)
        if network is not None:
            filled[CODES] = op.gather(op.const(codes), found)
        if trees is not None:
            read_by_trees.append(_read_texts(found, codes, trees.readings))
    results = [] if network is None else [*inline(network)(**filled).values()]
    if trees is not None:
        several = len(read_by_trees) > 1
        features = op.concat(read_by_trees, axis=1) if several else read_by_trees[0]
        results.append(build_tree_outputs(trees, features))
    result = results[0] if len(results) == 1 else op.add(results[0], results[1])
    has_probabilities = trees is not None and trees.meaning == "probabilities"
    answers = _answers(result, signature, has_probabilities=has_probabilities)
    return tidy_model(build(inputs=inputs, outputs=answers), signature)


def _refuse_other_trees(trees: Trees, schema: Schema, *, is_alone: bool) -> None:
    """Trees must fit the columns and the target, and add up with a network beside them."""
    signature, width = schema.signature, trees.readings.shape[1]
    n_classes = len(signature.classes)
    n_features = len(signature.numeric) + width * len(signature.categorical)
    meanings: tuple[Meaning, ...] = ("number",)
    if n_classes:
        meanings = ("logits", "probabilities") if is_alone else ("logits",)
    asked = f"{max(n_classes, 1)} x {' or '.join(meanings)} from {n_features} features"
    given = f"{trees.n_outputs} x {trees.meaning} from {trees.d_features} features"
    fits = trees.meaning in meanings and trees.n_outputs == max(n_classes, 1)
    if not fits or trees.d_features > n_features or len(trees.readings) != schema.n_codes:
        raise DataError(
            f"trees for this table answer {asked} with {schema.n_codes} category codes",
            found=f"{given} with {len(trees.readings)} codes",
            cure="pass trees that were trained on the same schema",
        )


def _narrow_numbers(raw: Var, schema: Schema, filling: Filling) -> Var:
    """Return numbers in float32: where it would lose detail, centred before they are narrowed.

    This is all that trees need: an infinite number lies beyond every threshold, a missing one has
    its branch in every node.
    """
    if schema.signature.precision == "float64":
        return op.cast(op.sub(raw, op.const(filling.center)), to=np.float32)
    return raw


def _fill_numbers(numbers: Var, schema: Schema, filling: Filling) -> Var:
    """Replace missing cells by the mean, bound extreme ones, and append the indicators."""
    is_centred = schema.signature.precision == "float64"
    substitute = np.zeros(1, np.float32) if is_centred else filling.center.astype(np.float32)
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


def _find_texts(raw: Var, schema: Schema) -> tuple[Var, Int64]:
    """Look up the texts of all columns at once.

    The vocabulary is common to all columns, so what a text stands for depends on its column: a map
    has a place for every column and text.

    Returns:
        The place of each cell, **Shape** `[n, C]` int64, and the row number of its category at
        each place: its position among the codes of all columns.
    """
    kept = {text for category in schema.categories for text in category.kept}
    vocabulary = sorted(kept) or [MISSING]  # a LabelEncoder without a key is none
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
    return op.add(found, op.const(offsets)), rows.ravel()


def _read_texts(found: Var, codes: Int64, readings: Float32) -> Var:
    """Return what trees read of texts, **Shape** `[n, C * W]` float32."""
    width = readings.shape[1]
    if width == 1:
        return op.gather(op.const(readings[codes, 0]), found)
    # Two steps: a place for every column and text is much more than a row for every category.
    read = op.gather(op.const(readings), op.gather(op.const(codes), found))
    return op.flatten(read, axis=1)


def _answers(result: Var, signature: Signature, *, has_probabilities: bool) -> dict[str, Var]:
    if signature.is_regression:
        return {PREDICTION: op.squeeze(result, op.const(np.array([1], np.int64)))}
    probabilities = result if has_probabilities else op.softmax(result, axis=-1)
    return {LABEL: _label(result, signature), PROBABILITIES: probabilities}


def tidy_model(model: onnx.ModelProto, signature: Signature) -> onnx.ModelProto:
    """Return the model with short names, no leftovers of its making, and its fixed versions.

    Removed: node names, doc strings, metadata of nodes and values, intermediate shapes. Tensors
    that float16 holds exactly are stored so. The tensor before the softmax is called `logits`, so
    that a parity check can ask for it.
    """
    tidy = copy_model(model)
    graph = tidy.graph
    _drop_identities(graph)
    _turn_constants_into_initializers(graph)
    _rename_tensors(graph)
    _store_in_half(graph)
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
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
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


def _store_in_half(graph: onnx.GraphProto) -> None:
    """Store as float16 what loses nothing by it: runtimes widen it once, when they load a file."""
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if values.size < MIN_HALVED or not np.array_equal(half.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}h"))
        widen = onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT)
        graph.node.insert(0, widen)


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
