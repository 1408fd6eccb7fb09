"""Is a model file what the contract says, before it answers anything?

Takes the bytes of one file, gives one `CheckResult` per rule. Runs nothing: knows onnx, not
onnxruntime.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import onnx

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
    copy_model,
    onnx_opset,
    parse_model,
    read_metadata,
)
from kdexport.errors import DataError, one_line
from kdexport.evidence.facts import FileFact
from kdexport.records import CheckResult
from kdexport.signature import Signature, listed
from kdexport.sound import check_sound, location_of, walk_nodes, walk_tensors

RANDOM = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}
TRAINING = {"Adagrad", "Adam", "Dropout", "Gradient", "Momentum", "SoftmaxCrossEntropyLoss"}
PATH = re.compile(
    rb"/home/|/Users/|/root/|/tmp/|/var/|[A-Za-z]:\\\\?(?:Users|Windows)|site-packages"
)
USER_TEXT = ("kdexport.schema", "kdexport.classes", "kdexport.recipe")
OVERHEAD_BASE, OVERHEAD_PER_ITEM = 512, 64  # bytes of structure that a graph may need

Type = onnx.TensorProto.DataType
ELEMENTS = {"float32": Type.FLOAT, "float64": Type.DOUBLE, "bool": Type.BOOL}
ELEMENTS |= {"int64": Type.INT64, "string": Type.STRING}


@dataclass(frozen=True)
class ModelFile:
    """A parsed file, and what its evidence says of it, where there is any."""

    name: str
    content: bytes
    model: onnx.ModelProto
    fact: FileFact | None = None

    @property
    def signature(self) -> Signature:
        return Signature.from_metadata(read_metadata(self.model))


Rule = Callable[[ModelFile], tuple[list[str], str]]
"""From a file to what breaks the rule, and what to say where nothing does."""


def check_file(name: str, content: bytes, fact: FileFact | None = None) -> list[CheckResult]:
    """Check one model file by every rule; one that cannot be parsed fails that rule alone."""
    try:
        file = ModelFile(name, content, parse_model(content, name), fact)
        check_sound(file.model, name)
    except DataError as error:
        return [CheckResult(f"{name}/parse", False, str(error))]
    results = [CheckResult(f"{name}/parse", True, f"{len(file.model.graph.node)} nodes")]
    for title, (sentence, rule) in RULES.items():
        problems, fine = rule(file)
        found = f"{sentence}, however: {listed_plainly(problems)}"
        message = one_line(found if problems else fine)
        results.append(CheckResult(f"{name}/{title}", not problems, message))
    return results


def find_external(model: onnx.ModelProto) -> Iterator[str]:
    """Say of each weight that is not inside the file where it lies."""
    for tensor in walk_tensors(model.graph):
        if (location := location_of(tensor)) is not None:
            yield f"{tensor.name!r} lies in {location!r}"


def listed_plainly(problems: list[str]) -> str:
    """Return the first problems and how many more there are."""
    rest = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
    return "; ".join(problems[:3]) + rest


def _find_onnx_faults(file: ModelFile) -> tuple[list[str], str]:
    try:
        onnx.checker.check_model(file.model, full_check=True)
    except (
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
        RuntimeError,
        ValueError,
        TypeError,
    ) as error:
        return [" ".join(str(error).split())[:300]], ""
    return [], "onnx.checker with full shape inference"


def _find_external(file: ModelFile) -> tuple[list[str], str]:
    return list(find_external(file.model)), "every weight is inside"


def _find_late_versions(file: ModelFile) -> tuple[list[str], str]:
    declared = file.fact
    limits = {"": OPSET, "ai.onnx": OPSET, "ai.onnx.ml": ML_OPSET}
    if declared is not None and declared.opset:
        limits[""] = limits["ai.onnx"] = min(OPSET, declared.opset)
    ir = min(IR_VERSION, (declared.ir_version if declared else None) or IR_VERSION)
    problems = [
        f"domain {entry.domain or 'ai.onnx'!r} is at {entry.version}, "
        f"declared {limits.get(entry.domain, 'not at all')}"
        for entry in file.model.opset_import
        if entry.version > limits.get(entry.domain, 0)
    ]
    if file.model.ir_version > ir:
        problems.append(f"IR version {file.model.ir_version}, declared {ir}")
    return problems, f"opset {onnx_opset(file.model)}, IR {file.model.ir_version}"


def _find_fixed_axes(file: ModelFile) -> tuple[list[str], str]:
    problems, names = [], set()
    for value in (*file.model.graph.input, *file.model.graph.output):
        sizes = value.type.tensor_type.shape.dim
        if not sizes or not sizes[0].dim_param:
            problems.append(f"{value.name!r} has {sizes[0].dim_value if sizes else 'no'} rows")
        else:
            names.add(sizes[0].dim_param)
    if len(names) > 1:
        problems.append(f"it has the names {listed(sorted(names))}")
    return problems, f"named {listed(sorted(names))} on every input and output"


def _find_foreign_values(file: ModelFile) -> tuple[list[str], str]:
    """Compare names, types and widths of inputs and outputs with the file's own signature."""
    try:
        signature = file.signature
    except DataError as error:
        return [error.found], ""
    d_numeric, d_text = len(signature.numeric), len(signature.categorical)
    wanted: dict[str, dict[str, tuple[int, ...]]] = {
        "input": {},
        "output": {PREDICTION: (Type.FLOAT,)},
    }
    if d_numeric:
        wanted["input"][NUMERIC] = (ELEMENTS[signature.precision], d_numeric)
    if d_text:
        wanted["input"][CATEGORICAL] = (Type.STRING, d_text)
    if signature.classes:
        wanted["output"] = {
            LABEL: (ELEMENTS[signature.label_dtype],),
            PROBABILITIES: (Type.FLOAT, len(signature.classes)),
        }
    problems = []
    for side, values in (("input", file.model.graph.input), ("output", file.model.graph.output)):
        found = {value.name: _describe(value) for value in values}
        names = list(wanted[side])
        if list(found) != names:
            problems.append(f"its {side}s are {listed(list(found))}, the schema's {listed(names)}")
        for name in found.keys() & wanted[side].keys():
            if found[name] != wanted[side][name]:
                problems.append(
                    f"{side} {name!r} is {_in_words(found[name])}, "
                    f"the schema's {_in_words(wanted[side][name])}"
                )
    nodes = file.model.graph.node
    kinds = {node.op_type for node in nodes}
    # The trees of a forest sum to probabilities: there are no logits to tell.
    is_forest = "TreeEnsembleRegressor" in kinds and "Softmax" not in kinds
    if signature.classes and not is_forest and not any(LOGITS in node.output for node in nodes):
        problems.append(f"no tensor is named {LOGITS!r}, so that none can be compared")
    return problems, f"{d_numeric} numbers and {d_text} texts per row, as its schema says"


def _find_training_nodes(file: ModelFile) -> tuple[list[str], str]:
    problems = ["it holds training information"] if file.model.training_info else []
    for node in walk_nodes(file.model.graph):
        modes = [a.i for a in node.attribute if a.name == "training_mode"]
        if node.op_type in TRAINING | RANDOM or any(modes):
            problems.append(f"a node {node.op_type} that gives {listed(list(node.output))}")
    return problems, "no training, dropout or random node"


def _find_leftovers(file: ModelFile) -> tuple[list[str], str]:
    model, problems = file.model, []
    graph = model.graph
    named: list[tuple[str, Any]] = [("the model", model), ("the graph", graph)]
    named += [(f"node {node.op_type}", node) for node in walk_nodes(graph)]
    named += [(repr(item.name), item) for item in (*graph.input, *graph.output)]
    named += [(repr(tensor.name), tensor) for tensor in walk_tensors(graph)]
    for title, item in named:
        if item.doc_string:
            problems.append(f"{title} has a doc string")
        if item is not model and len(item.metadata_props):
            problems.append(f"{title} has metadata")
    if match := PATH.search(_text_of(model)):
        problems.append(f"a path of the machine that made it: {match.group().decode()!r}")
    return problems, "no doc strings, node metadata or paths"


def _find_overhead(file: ModelFile) -> tuple[list[str], str]:
    """What the file holds beside weights that a node reads, and metadata."""
    graph = file.model.graph
    read = {name for node in walk_nodes(graph) for name in node.input}
    read |= {value.name for value in graph.output}
    problems = [f"no node reads {t.name!r}" for t in graph.initializer if t.name not in read]
    payload = sum(tensor.ByteSize() for tensor in graph.initializer)
    payload += sum(a.ByteSize() for node in walk_nodes(graph) for a in node.attribute)
    payload += sum(entry.ByteSize() for entry in file.model.metadata_props)
    overhead = len(file.content) - payload
    n_items = len(graph.node) + len(graph.initializer) + len(graph.input) + len(graph.output)
    allowed = OVERHEAD_BASE + OVERHEAD_PER_ITEM * n_items
    if overhead > allowed:
        problems.append(f"{overhead:,} bytes beside weights and metadata, at most {allowed:,}")
    return problems, f"{overhead:,} of {len(file.content):,} bytes beside weights and metadata"


RULES: dict[str, tuple[str, Rule]] = {
    "onnx": ("a file is valid ONNX", _find_onnx_faults),
    "self_contained": ("a file needs no other file", _find_external),
    "versions": ("opsets and IR are at most those declared", _find_late_versions),
    "batch_axis": ("the first axis of every input and output is one name", _find_fixed_axes),
    "signature": ("inputs and outputs are those of the schema", _find_foreign_values),
    "inference_only": ("a file that answers has no training nodes", _find_training_nodes),
    "tidy": ("a file carries no traces of its making", _find_leftovers),
    "overhead": ("a file holds what it answers with, and little else", _find_overhead),
}


def _describe(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    tensor = value.type.tensor_type
    return (tensor.elem_type, *[size.dim_value for size in tensor.shape.dim[1:]])


def _in_words(described: tuple[int, ...]) -> str:
    element, *sizes = described
    return f"{Type.Name(element).lower()} [batch{''.join(f', {size}' for size in sizes)}]"


def _text_of(model: onnx.ModelProto) -> bytes:
    """The file without weights and the user's own words."""
    bare = copy_model(model)
    for tensor in walk_tensors(bare.graph):
        for field in ("raw_data", "float_data", "string_data", "external_data"):
            tensor.ClearField(field)
    for node in walk_nodes(bare.graph):
        for attribute in node.attribute:
            attribute.ClearField("strings")
            attribute.ClearField("floats")
    kept = [entry for entry in bare.metadata_props if entry.key not in USER_TEXT]
    bare.ClearField("metadata_props")
    bare.metadata_props.extend(kept)
    return bytes(bare.SerializeToString())
