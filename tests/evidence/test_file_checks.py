"""Rules for a model file, before it answers anything."""

from collections.abc import Callable
from functools import cache

import numpy as np
import onnx
import pytest
from onnx import ModelProto, numpy_helper
from onnx.helper import make_node, make_opsetid

from kdexport.evidence.facts import FileFact
from kdexport.evidence.file_checks import check_file
from tests.export.builders import make_file


@cache
def clean() -> bytes:
    """A file as kdexport writes it."""
    return make_file()


def failures(content: bytes, fact: FileFact | None = None) -> dict[str, str]:
    """The rules that a file breaks, and what is said of each."""
    results = check_file("student.onnx", content, fact)
    return {r.name.removeprefix("student.onnx/"): r.message for r in results if not r.passed}


def put_between(model: ModelProto, *nodes: onnx.NodeProto) -> None:
    """Put nodes that turn `before` into `logits` behind the network."""
    position = next(i for i, node in enumerate(model.graph.node) if "logits" in node.output)
    model.graph.node[position].output[0] = "before"
    for offset, node in enumerate(nodes, start=1):
        model.graph.node.insert(position + offset, node)


def _add_doc_string(model: ModelProto) -> None:
    model.graph.node[0].doc_string = "File 'x.py', line 3"


def _add_node_metadata(model: ModelProto) -> None:
    model.graph.node[0].metadata_props.add(key="pkg.torch.onnx", value="x")


def _add_path(model: ModelProto) -> None:
    model.metadata_props.add(key="made_by", value="/home/someone/net.py")


def _add_dropout(model: ModelProto) -> None:
    put_between(model, make_node("Dropout", ["before"], ["logits"]))


def _add_noise(model: ModelProto) -> None:
    noise = make_node("RandomNormalLike", ["before"], ["noise"])
    put_between(model, noise, make_node("Add", ["before", "noise"], ["logits"]))


def _fix_batch(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _name_batch_twice(model: ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "rows"


def _raise_opset(model: ModelProto) -> None:
    model.opset_import[0].version = 21


def _raise_ir(model: ModelProto) -> None:
    model.ir_version = 11


def _add_domain(model: ModelProto) -> None:
    model.opset_import.append(make_opsetid("com.example", 1))


def _rename_input(model: ModelProto) -> None:
    model.graph.input[0].name = "x"


def _drop_output(model: ModelProto) -> None:
    del model.graph.output[0]


def _drop_schema(model: ModelProto) -> None:
    del model.metadata_props[:]


def _move_weights(model: ModelProto) -> None:
    tensor = next(t for t in model.graph.initializer if t.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../elsewhere.data")


def _add_unread_weight(model: ModelProto) -> None:
    spare = numpy_helper.from_array(np.ones(9, np.float32), "spare")
    model.graph.initializer.append(spare)


def test_clean_file_passes() -> None:
    """A file as it was exported breaks no rule."""
    assert failures(clean()) == {}


@pytest.mark.parametrize(
    ("damage", "rule", "said"),
    [
        (_add_doc_string, "tidy", "doc string"),
        (_add_node_metadata, "tidy", "metadata"),
        (_add_path, "tidy", "/home/"),
        (_add_dropout, "inference_only", "Dropout"),
        (_add_noise, "inference_only", "RandomNormalLike"),
        (_fix_batch, "batch_axis", "'numeric' has 1 rows"),
        (_name_batch_twice, "batch_axis", "'batch', 'rows'"),
        (_raise_opset, "versions", "is at 21, declared 18"),
        (_raise_ir, "versions", "IR version 11, declared 8"),
        (_add_domain, "versions", "com.example"),
        (_rename_input, "signature", "'x'"),
        (_drop_output, "signature", "'label'"),
        (_drop_schema, "signature", "kdexport.schema"),
        (_move_weights, "self_contained", "../elsewhere.data"),
        (_add_unread_weight, "overhead", "spare"),
    ],
)
def test_damage_is_named(damage: Callable[[ModelProto], None], rule: str, said: str) -> None:
    """A damaged file fails the rule that it breaks, and the message says what was found."""
    model = onnx.load_from_string(clean())
    damage(model)
    assert said in failures(model.SerializeToString())[rule]


@pytest.mark.parametrize("content", [b"", clean()[:500], b"\x89PNG\r\n"])
def test_unreadable_file(content: bytes) -> None:
    """What cannot be parsed fails that rule alone: nothing else can be said of it."""
    assert list(failures(content)) == ["parse"]


def test_padding() -> None:
    """Bytes that every parser skips are found by their number."""
    padded = clean() + b"\xfa\x7f\x90\x4e" + bytes(10_000)
    assert onnx.load_from_string(padded)
    assert "bytes beside weights" in failures(padded)["overhead"]


def test_declared_versions_bind() -> None:
    """A file declared for an older runtime may not use a later opset or IR than it declares."""
    fact = FileFact(sha256="", bytes=0, opset=15, ir_version=7)
    message = failures(clean(), fact)["versions"]
    assert "is at 18, declared 15" in message
    assert "IR version 8, declared 7" in message


def test_users_own_words_are_no_paths() -> None:
    """Classes and columns may look like a machine's paths."""
    assert failures(make_file(classes=("/home/a", "C:\\Users\\b"))) == {}
