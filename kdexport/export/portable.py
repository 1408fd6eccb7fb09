"""A finished file in another form, for runtimes that do not read the one that ships.

Takes and gives `onnx.ModelProto`s: older versions of the same operators, operators of ONNX itself
only, text as whole numbers. Every form answers what the file answers. Knows onnx; knows neither
spox nor torch.
"""

import json
import re
from dataclasses import dataclass

import numpy as np
import onnx

from kdexport.contract import (
    CATEGORICAL,
    LABEL,
    ML_DOMAIN,
    RELEASES,
    Release,
    copy_model,
    set_metadata,
)
from kdexport.errors import DataError, RecipeError
from kdexport.records import Column, Int64

CODES = "kdexport.codes"  # metadata of a file that takes codes
# Operators that were only given more types of numbers since: what the older version computes of
# ours is the same.
ONLY_MORE_TYPES = {("Where", 16): 9}
VERSION = re.compile(r"(\d+)\.(\d+)(?:\.\d+)?")


@dataclass(frozen=True)
class TextCodes:
    """The text part of a file, outside of it.

    Attributes:
        codes: Text to the whole number that the file takes for it, in every column; None where
            the file has no text columns. Texts that are not in it, and missing cells that are
            not, have `unknown`.
        labels: What the class positions that `label` answers stand for; None where `label` is
            what it always was.
        unknown: Code of any other text.
    """

    codes: dict[str, int] | None
    labels: tuple[str, ...] | None
    unknown: int = 0

    def encode(self, texts: Column) -> Int64:
        """Return the code of each cell, **Shape** `[n, C]` object to `[n, C]` int64."""
        codes = self.codes or {}
        flat = [codes.get(text, self.unknown) for text in texts.ravel().tolist()]
        return np.array(flat, np.int64).reshape(texts.shape)


def find_release(version: str) -> Release:
    """Return what a release of onnxruntime reads.

    Args:
        version: Such as `1.14` or `1.14.1`.

    Raises:
        RecipeError: It is no version, or one that no file of ours can be lowered to.
    """
    found = VERSION.fullmatch(version)
    oldest, newest = min(RELEASES), max(RELEASES)
    release = (int(found[1]), int(found[2])) if found else (0, 0)
    if release < oldest:
        raise RecipeError(
            f"--target-ort takes a release of onnxruntime from {_spell(oldest)} on",
            found=repr(version),
            cure=f"such as {_spell(newest)}",
        )
    return RELEASES[min(release, newest)]


def lower_versions(model: onnx.ModelProto, release: Release, name: str) -> onnx.ModelProto:
    """Return the model at versions that a release reads, never at later ones than it has.

    Nothing is converted: each operator has to be the same at the lower version, by the very
    schema, so that the file answers what it did.

    Raises:
        DataError: An operator is not.
    """
    lowered = copy_model(model)
    limits = {"": release.opset, ML_DOMAIN: release.ml_opset}
    versions = {entry.domain: entry.version for entry in model.opset_import}
    for node in model.graph.node:
        version, limit = versions[node.domain], limits[node.domain]
        since = _since(node, version)
        if version > limit and since > limit:
            older = [spelled for spelled, r in RELEASES.items() if _limit(r, node.domain) >= since]
            raise DataError(
                f"the operators of a file are those of the release, opset {limit}",
                found=f"{name} has {node.op_type} of opset {since}",
                cure=f"pass --target-ort {_spell(min(older))} or later, or another --model",
            )
    for entry in lowered.opset_import:
        entry.version = min(entry.version, limits[entry.domain])
    lowered.ir_version = min(lowered.ir_version, release.ir_version)
    return lowered


def use_core_operators(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """Return the model without operators of `ai.onnx.ml`: for runtimes that know only ONNX's own.

    `Imputer` becomes `IsNaN` and `Where`.

    Raises:
        DataError: It looks up texts or sums trees, which ONNX itself has no operator for.
    """
    core = copy_model(model)
    nodes: list[onnx.NodeProto] = []
    for i, node in enumerate(model.graph.node):
        if node.domain != ML_DOMAIN:
            nodes.append(node)
        elif node.op_type == "Imputer":
            nodes += _fill_missing(core.graph, node, f"imputer{i}")
        else:
            raise DataError(
                "a file of ONNX's own operators has numbers and networks alone",
                found=f"{name} has {node.op_type}",
                cure="pass --split-text" if node.op_type == "LabelEncoder" else "pack a network",
            )
    del core.graph.node[:]
    core.graph.node.extend(nodes)
    kept = [entry for entry in core.opset_import if entry.domain != ML_DOMAIN]
    del core.opset_import[:]
    core.opset_import.extend(kept)
    return core


def split_text(model: onnx.ModelProto) -> tuple[onnx.ModelProto, TextCodes]:
    """Take the text part out: codes in, class positions out, and what both stand for.

    Returns:
        A model whose `categorical` is int64 and whose `label`, where it was text, is the class
        position; and the tables. Without text in it, an equal model and empty tables.
    """
    split = copy_model(model)
    codes = _cut_text_inputs(split.graph)
    labels = _cut_text_labels(split.graph)
    texts = TextCodes(codes, labels)
    table = {"codes": codes, "labels": labels, "unknown": texts.unknown}
    if codes is not None or labels is not None:
        entry = json.dumps(table, separators=(",", ":"), ensure_ascii=False)
        set_metadata(split, {CODES: entry})
    _drop_unused(split.graph)
    return split, texts


def _fill_missing(graph: onnx.GraphProto, node: onnx.NodeProto, stem: str) -> list[onnx.NodeProto]:
    values = {a.name: a for a in node.attribute}["imputed_value_floats"].floats
    fill = onnx.numpy_helper.from_array(np.array(values, np.float32), f"{stem}_fill")
    graph.initializer.append(fill)
    source, mask = node.input[0], f"{stem}_missing"
    return [
        onnx.helper.make_node("IsNaN", [source], [mask]),
        onnx.helper.make_node("Where", [mask, fill.name, source], [node.output[0]]),
    ]


def _cut_text_inputs(graph: onnx.GraphProto) -> dict[str, int] | None:
    """Let the file take what its one look-up of texts gives."""
    lookups = [node for node in graph.node if node.op_type == "LabelEncoder"]
    if not lookups:
        return None
    (lookup,) = lookups
    attributes = {a.name: a for a in lookup.attribute}
    texts = [text.decode() for text in attributes["keys_strings"].strings]
    codes = dict(zip(texts, list(attributes["values_int64s"].ints), strict=True))
    _rename(graph, lookup.output[0], CATEGORICAL)
    graph.node.remove(lookup)
    _retype(next(value for value in graph.input if value.name == CATEGORICAL))
    return codes


def _cut_text_labels(graph: onnx.GraphProto) -> tuple[str, ...] | None:
    """Let the file answer the position that it looks the label up by."""
    labels = [value for value in graph.output if value.name == LABEL]
    if not labels or labels[0].type.tensor_type.elem_type != onnx.TensorProto.STRING:
        return None
    (lookup,) = (node for node in graph.node if LABEL in node.output)
    values = {tensor.name: tensor for tensor in graph.initializer}[lookup.input[0]]
    position = lookup.input[1]
    graph.node.remove(lookup)
    _rename(graph, position, LABEL)
    _retype(labels[0])
    return tuple(text.decode() for text in values.string_data)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]


def _retype(value: onnx.ValueInfoProto) -> None:
    value.type.tensor_type.elem_type = onnx.TensorProto.INT64


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _since(node: onnx.NodeProto, version: int) -> int:
    """The version from which on the operator is what it is in this one."""
    since = int(onnx.defs.get_schema(node.op_type, version, node.domain).since_version)
    return ONLY_MORE_TYPES.get((node.op_type, since), since)


def _limit(release: Release, domain: str) -> int:
    return release.ml_opset if domain == ML_DOMAIN else release.opset


def _spell(release: tuple[int, int]) -> str:
    return ".".join(map(str, release))
