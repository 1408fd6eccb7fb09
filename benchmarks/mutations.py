"""Ways to damage a bundle; which check has to catch each: `mutation_table`."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.helper import make_node, make_opsetid

from benchmarks.damage import (
    Damage,
    Draft,
    edit,
    find,
    on_model,
)
from kdexport.bundle import RECIPE, STUDENT, TEACHER

FILE = f"{STUDENT}/"
GOLDEN_OUTPUT = "golden/test_data_set_0/output_1.pb"
GOLDEN_LOGITS = "golden/source/student.logits.pb"


def rename_output(model: onnx.ModelProto, name: str, new: str) -> onnx.NodeProto:
    """Let the node that gives `name` give `new`, for another node to stand between them."""
    (node,) = [node for node in model.graph.node if name in node.output]
    node.output[list(node.output).index(name)] = new
    return node


def insert_behind(name: str, *nodes: onnx.NodeProto, **constants: Any) -> Damage:
    """Put nodes between the one that gives `name` (now `before`) and those that read it."""

    def change(model: onnx.ModelProto) -> None:
        producer = rename_output(model, name, "before")
        position = list(model.graph.node).index(producer) + 1
        for offset, node in enumerate(nodes):
            model.graph.node.insert(position + offset, node)
        for constant, values in constants.items():
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(values), constant))

    return on_model(change)


def replace_op(old: str, new: str, i: int = 0) -> Damage:
    def change(model: onnx.ModelProto) -> None:
        find(model, old, i).op_type = new

    return on_model(change)


def set_axis(op_type: str, axis: int) -> Damage:
    def change(model: onnx.ModelProto) -> None:
        (attribute,) = [a for a in find(model, op_type).attribute if a.name == "axis"]
        attribute.i = axis

    return on_model(change)


def fix_axis(side: str) -> Damage:
    def change(model: onnx.ModelProto) -> None:
        value = getattr(model.graph, side)[0]
        value.type.tensor_type.shape.dim[0].dim_value = 1

    return on_model(change)


def remove_softmax(model: onnx.ModelProto) -> None:
    softmax = find(model, "Softmax")
    softmax.CopyFrom(make_node("Identity", list(softmax.input), list(softmax.output)))


def keep_missing(model: onnx.ModelProto) -> None:
    imputer = find(model, "Imputer")
    imputer.CopyFrom(make_node("Identity", list(imputer.input), list(imputer.output)))


def impute_more(model: onnx.ModelProto) -> None:
    (filling,) = [a for a in find(model, "Imputer").attribute if a.name == "imputed_value_floats"]
    filling.floats[1] += 3


def swap_outputs(model: onnx.ModelProto) -> None:
    last = find(model, "Gemm", -1)
    for name in list(last.input)[1:]:
        edit(model, name, lambda v: v[[1, 0, *range(2, len(v))]])


def rename_input(model: onnx.ModelProto) -> None:
    old = model.graph.input[0].name
    model.graph.input[0].name = "x"
    for node in model.graph.node:
        node.input[:] = ["x" if name == old else name for name in node.input]


def fix_categories(model: onnx.ModelProto) -> None:
    """Remove the texts' input: every row has the same ones."""
    del model.graph.input[1]
    texts = np.array([["basic", "Ulm"]], object)
    model.graph.initializer.append(numpy_helper.from_array(texts, "categorical"))


def drop_label(model: onnx.ModelProto) -> None:
    del model.graph.output[0]


def widen_probabilities(model: onnx.ModelProto) -> None:
    rename_output(model, "probabilities", "narrow")
    model.graph.node.append(make_node("Cast", ["narrow"], ["probabilities"], to=11))
    model.graph.output[1].type.tensor_type.elem_type = 11


def halve_precision(model: onnx.ModelProto) -> None:
    for node in [node for node in model.graph.node if node.op_type == "Gemm"]:
        edit(model, node.input[1], lambda v: v.astype(np.float16).astype(np.float32))


def set_metadata(key: str, change: Callable[[str], str]) -> Damage:
    def damage(model: onnx.ModelProto) -> None:
        (entry,) = [e for e in model.metadata_props if e.key == key]
        entry.value = change(entry.value)

    return on_model(damage)


def on_json(change: Callable[[Any], Any]) -> Callable[[str], str]:
    def edit_text(text: str) -> str:
        value = json.loads(text)
        changed = change(value)
        return json.dumps(value if changed is None else changed)

    return edit_text


def swap_columns(schema: dict[str, Any]) -> None:
    schema["numeric"][:2] = schema["numeric"][1::-1]


def drop_column(schema: dict[str, Any]) -> None:
    schema["numeric"].pop()


def move_codes(model: onnx.ModelProto) -> None:
    """Swap what the first two codes of the first text column stand for."""
    table = find(model, "Gather", -2).input[0]
    edit(model, table, lambda v: v[[0, 2, 1, *range(3, len(v))]])


def edit_vocabulary(model: onnx.ModelProto) -> None:
    (keys,) = [a for a in find(model, "LabelEncoder").attribute if a.name == "keys_strings"]
    keys.strings[0] = b"Bonn"


def move_outside(draft: Draft) -> None:
    """Let the first weight lie in a file beside the model."""
    model = draft.model()
    weight = find(model, "Gemm").input[1]
    (tensor,) = [t for t in model.graph.initializer if t.name == weight]
    draft.extra["student.onnx.data"] = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="student.onnx.data")
    draft.keep(model)


def train_batch_norm(model: onnx.ModelProto) -> None:
    k = model.graph.output[1].type.tensor_type.shape.dim[1].dim_value
    producer = rename_output(model, "logits", "before")
    node = make_node(
        "BatchNormalization",
        ["before", "one", "zero", "zero", "one"],
        ["logits", "mean", "variance"],
        training_mode=1,
    )
    model.graph.node.insert(list(model.graph.node).index(producer) + 1, node)
    for name, value in (("one", 1), ("zero", 0)):
        values = np.full(k, value, np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))


def bloat(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.ones(9999, np.float32), "spare"))


def pad(draft: Draft) -> None:
    """Append a field that no reader knows: protobuf skips it."""
    draft.files[STUDENT] += b"\xfa\x7f\x90\x4e" + bytes(10_000)


def truncate(draft: Draft) -> None:
    draft.files[STUDENT] = draft.files[STUDENT][: len(draft.files[STUDENT]) // 2]


def flip_byte(draft: Draft) -> None:
    draft.is_stamped = False
    content = bytearray(draft.files[STUDENT])
    content[len(content) // 2] ^= 1
    draft.files[STUDENT] = bytes(content)


def lose(name: str) -> Damage:
    def damage(draft: Draft) -> None:
        draft.is_stamped = False
        del draft.files[name]

    return damage


def restate(field_name: str, value: int) -> Damage:
    def damage(draft: Draft) -> None:
        draft.is_stamped = False
        draft.evidence["files"][STUDENT][field_name] = value

    return damage


def ship_teacher(draft: Draft) -> None:
    draft.files[STUDENT] = draft.files[TEACHER]


def edit_recipe(draft: Draft) -> None:
    draft.files[RECIPE] = draft.files[RECIPE].replace(b"seed = ", b"seed = 7")


def drop_golden(draft: Draft) -> None:
    draft.files = {n: c for n, c in draft.files.items() if not n.startswith("golden/")}


def opset(version: int, domain: str = "") -> Damage:
    def change(model: onnx.ModelProto) -> None:
        kept = [e for e in model.opset_import if e.domain != domain]
        model.ClearField("opset_import")
        model.opset_import.extend([*kept, make_opsetid(domain, version)])

    return on_model(change)


def center_by_batch(draft: Draft) -> None:
    mean = make_node("ReduceMean", ["before", "axis"], ["mean"])
    subtract = make_node("Sub", ["before", "mean"], ["logits"])
    insert_behind("logits", mean, subtract, axis=[0])(draft)


def add_noise(draft: Draft) -> None:
    noise = make_node("RandomNormalLike", ["before"], ["noise"], scale=0.01)
    insert_behind("logits", noise, make_node("Add", ["before", "noise"], ["logits"]))(draft)


def drop_in_training(draft: Draft) -> None:
    dropout = make_node("Dropout", ["before", "rate", "on"], ["logits"])
    insert_behind("logits", dropout, rate=np.float32(0.5), on=True)(draft)
