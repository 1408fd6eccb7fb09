"""The ONNX contract: names, versions and metadata of every file kdexport writes.

Takes and gives `onnx.ModelProto`s and bytes. Knows onnx; knows neither spox nor torch, so that
checking and timing a file need neither.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import onnx
from google.protobuf.message import DecodeError, Message

from kdexport.errors import DataError

# Conservative on purpose: every operator used has been the same since opset 13 or so, and any
# onnxruntime from 1.14 (February 2023) on reads these.
OPSET = 18
ML_OPSET = 3
IR_VERSION = 8

ML_DOMAIN = "ai.onnx.ml"


@dataclass(frozen=True)
class Release:
    """What one release of onnxruntime reads: at most these versions."""

    opset: int
    ml_opset: int
    ir_version: int


# Release of onnxruntime to what it reads, from its own compatibility table. Those before 1.8 lack
# operators that every file has; what later ones read on top is of no use to a file of OPSET.
RELEASES = {
    (1, 8): Release(14, 2, 7),
    (1, 9): Release(15, 2, 7),
    (1, 10): Release(15, 2, 7),
    (1, 11): Release(16, 2, 7),
    (1, 12): Release(17, 3, 8),
    (1, 13): Release(17, 3, 8),
    (1, 14): Release(OPSET, ML_OPSET, IR_VERSION),
}

NUMERIC, CATEGORICAL = "numeric", "categorical"
FEATURES, CODES, OUTPUTS = "features", "codes", "outputs"  # between the parts of a file
BATCH = "batch"  # the first axis of every input and output
LABEL, PROBABILITIES, LOGITS, PREDICTION = "label", "probabilities", "logits", "prediction"


def parse_model(content: bytes, name: str = "the model") -> onnx.ModelProto:
    """Parse the bytes of a model file.

    Raises:
        DataError: They are no ONNX model.
    """
    try:
        model = onnx.load_from_string(content)
    except DecodeError as error:
        raise DataError(
            "a model is an ONNX file", found=f"{name} cannot be parsed", cure="pass another file"
        ) from error
    if not model.graph.output:
        raise DataError(
            "a model is an ONNX file", found=f"{name} has no outputs", cure="pass another file"
        )
    if _has_broken_text(model):
        raise DataError(
            "the names and texts of a model are UTF-8",
            found=f"some of {name} are not",
            cure="pass another file",
        )
    return model


def _has_broken_text(message: Message) -> bool:
    """Say whether a text is none: protobuf hands such fields out as bytes."""
    for field, value in message.ListFields():
        if field.type not in (field.TYPE_STRING, field.TYPE_MESSAGE):
            continue
        values = [value] if isinstance(value, str | bytes | Message) else value
        for one in values:
            if isinstance(one, bytes) or (isinstance(one, Message) and _has_broken_text(one)):
                return True
    return False


def onnx_opset(model: onnx.ModelProto) -> int:
    """Return the version of ONNX's own operators."""
    return max((e.version for e in model.opset_import if e.domain in ("", "ai.onnx")), default=0)


def count_parameters(model: onnx.ModelProto) -> int:
    """Return how many numbers the nodes with weights hold: products, tables of rows, trees."""
    weights = {n for node in model.graph.node if node.op_type in WEIGHTED for n in node.input}
    # Those that are stored as float16 or int8 reach their node through those that widen them.
    for node in reversed(model.graph.node):
        if node.op_type in WIDENING and node.output[0] in weights:
            weights.add(node.input[0])
    counted = [
        tensor
        for tensor in model.graph.initializer
        if tensor.name in weights and tensor.data_type in STORED
    ]
    return sum(_n_elements(tensor) for tensor in counted) + sum(
        _count_tree_numbers(node) for node in model.graph.node
    )


def _count_tree_numbers(node: onnx.NodeProto) -> int:
    """Thresholds and leaf values of a node that holds trees, 0 for any other."""
    n_numbers: int = 0
    for attribute in node.attribute if node.op_type in TREES else ():
        if attribute.name == "nodes_modes":
            n_numbers += sum(mode != b"LEAF" for mode in attribute.strings)
        elif attribute.name in ("target_weights", "class_weights"):
            n_numbers += len(attribute.floats)
    return n_numbers


TREES = {"TreeEnsembleRegressor", "TreeEnsembleClassifier"}
STORED = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8)
WIDENING = {"Cast", "Mul"}
WEIGHTED = {"Gemm", "MatMul", "Gather"}


def _n_elements(tensor: onnx.TensorProto) -> int:
    n = 1
    for size in tensor.dims:
        n *= size
    return n


def read_metadata(model: onnx.ModelProto) -> dict[str, str]:
    """Return metadata_props by key."""
    return {entry.key: entry.value for entry in model.metadata_props}


def set_metadata(model: onnx.ModelProto, entries: Mapping[str, str]) -> None:
    """Set metadata_props, in sorted order; entries already there and not named stay."""
    merged = read_metadata(model) | dict(entries)
    model.ClearField("metadata_props")
    onnx.helper.set_model_props(model, dict(sorted(merged.items())))


def copy_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that shares nothing with the model."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def serialize_model(model: onnx.ModelProto) -> bytes:
    """Return the file's bytes, the same for the same model."""
    return bytes(model.SerializeToString(deterministic=True))


def expose_logits(content: bytes) -> bytes:
    """Return a copy of a kdexport file that also gives its `logits`, for a parity check."""
    model = parse_model(content)
    has_logits = any(LOGITS in node.output for node in model.graph.node)
    if not has_logits or len(model.graph.output) < 2:  # a regression only has its prediction
        return content
    n_classes = model.graph.output[1].type.tensor_type.shape.dim[1].dim_value
    logits = onnx.helper.make_tensor_value_info(LOGITS, onnx.TensorProto.FLOAT, (BATCH, n_classes))
    model.graph.output.append(logits)
    return serialize_model(model)
