"""The finished file: what it takes, what it answers, and what it does not carry."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import kdexport
from kdexport import open_session
from kdexport.contract import (
    IR_VERSION,
    ML_OPSET,
    OPSET,
    expose_logits,
    parse_model,
    serialize_model,
)
from kdexport.export.graph import tidy_model
from kdexport.export.network import build_student, export_network
from kdexport.signature import Classes, Signature
from tests.export.builders import (
    COLUMNS,
    CONSTANT,
    FAR,
    NEAR,
    Scaling,
    answer_in_torch,
    as_inputs,
    export_member,
    make_file,
    make_rows,
    make_stack,
    wrap,
)

N_CLASSES = 2


def test_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model is one file: it keeps no weight elsewhere and answers from any folder."""
    content = make_file()
    for tensor in parse_model(content).graph.initializer:
        assert tensor.data_location == onnx.TensorProto.DEFAULT
        assert not tensor.external_data
    (tmp_path / "student.onnx").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    session = open_session(Path("student.onnx"))
    assert session.answer(as_inputs(make_rows(NEAR, 3))).probabilities.shape == (3, N_CLASSES)


def test_names_and_shapes() -> None:
    """Inputs and outputs are those of the contract, the first axis of each is called batch."""
    graph = parse_model(make_file()).graph
    values = {value.name: value.type.tensor_type for value in (*graph.input, *graph.output)}
    float32, string = onnx.TensorProto.FLOAT, onnx.TensorProto.STRING
    assert {name: value.elem_type for name, value in values.items()} == {
        "numeric": float32,
        "label": string,
        "probabilities": float32,
    }
    sizes = {n: [d.dim_param or d.dim_value for d in v.shape.dim] for n, v in values.items()}
    assert sizes == {
        "numeric": ["batch", len(COLUMNS)],
        "label": ["batch"],
        "probabilities": ["batch", N_CLASSES],
    }


@pytest.mark.parametrize("n_rows", [1, 2, 7, 1000])
def test_batches_answer_as_single_rows(n_rows: int) -> None:
    """A row's answer does not depend on how many rows are asked with it."""
    session, rows = open_session(make_file()), make_rows(NEAR, n_rows)
    together = session.answer(as_inputs(rows))
    alone = [session.answer(as_inputs(rows[i : i + 1])) for i in range(n_rows)]
    for i, single in enumerate(alone):
        np.testing.assert_allclose(
            together.probabilities[i], single.probabilities[0], rtol=0, atol=1e-6
        )
        assert together.predictions[i] == single.predictions[0]


@pytest.mark.parametrize(
    "classes",
    [("no", "yes"), ("c", "a", "größe"), (-1, 1), (3, 5, 900), (0, 1), (0, 1, 2), (1, 2)],
)
def test_label_is_the_best_class(classes: Classes) -> None:
    """The label is the user's own value of the most probable class, text or int64."""
    session = open_session(make_file(classes=classes))
    answers = session.answer(as_inputs(make_rows(NEAR, 300)))
    expected = [classes[i] for i in answers.probabilities.argmax(axis=1)]
    assert answers.predictions.tolist() == expected
    assert set(expected) == set(classes)
    assert answers.predictions.dtype == (object if isinstance(classes[0], str) else np.int64)
    assert session.signature.classes == classes


@pytest.mark.parametrize("cell", [np.nan, np.inf, -np.inf, 1e38, -1e38])
@pytest.mark.parametrize("scaling", [NEAR, FAR], ids=["folded", "not folded"])
@pytest.mark.parametrize("column", range(len(COLUMNS)))
def test_odd_cells(cell: float, scaling: Scaling, column: int) -> None:
    """A missing or extreme cell is answered as in training, and moves no other row by one bit."""
    rows = make_rows(scaling, 9)
    odd = rows.copy()
    odd[4, column] = cell
    session = open_session(make_file(scaling))
    before, after = session.answer(as_inputs(rows)), session.answer(as_inputs(odd))
    logits = answer_in_torch(make_stack(scaling), odd)[0]
    assert np.isfinite(after.probabilities).all()
    np.testing.assert_allclose(
        after.probabilities, torch.softmax(logits, dim=-1).numpy(), rtol=0, atol=1e-6
    )
    others = np.arange(len(rows)) != 4
    assert before.probabilities[others].tobytes() == after.probabilities[others].tobytes()
    if column != CONSTANT:
        assert before.probabilities[4].tobytes() != after.probabilities[4].tobytes()


@pytest.mark.parametrize("scaling", [NEAR, FAR], ids=["folded", "not folded"])
def test_constant_column(scaling: Scaling) -> None:
    """A column that was 14.62 in every training row moves no answer, whatever it holds later."""
    session, rows = open_session(make_file(scaling)), make_rows(scaling, 50)
    assert (rows[:, CONSTANT] == np.float32(14.62)).all()
    before = session.answer(as_inputs(rows)).probabilities
    for cell in (14.63, 1e6):
        rows[:, CONSTANT] = cell
        after = session.answer(as_inputs(rows)).probabilities
        assert np.isfinite(after).all()
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-3)


def test_column_without_effect() -> None:
    """A file declares every column, also those that its network does not look at."""

    class FirstColumn(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            return torch.cat([features[:, :1], -features[:, :1]], dim=1)

    network = export_network(FirstColumn(), d_features=len(COLUMNS), n_categorical=0)
    session = open_session(serialize_model(wrap(network, NEAR)))
    assert session.input_names == ["numeric"]
    assert session.signature.numeric == COLUMNS
    rows = make_rows(NEAR, 5)
    rows[:, 0] = [-2, -1, 0.5, 1, 2]
    assert session.answer(as_inputs(rows)).predictions.tolist() == ["yes", "yes", "no", "no", "no"]


def test_nothing_is_left_of_its_making() -> None:
    """A file has no node names, doc strings, inner metadata or shapes, and no path of a machine."""
    network = export_member()
    assert all(node.name and node.metadata_props for node in network.graph.node)
    assert network.graph.value_info
    content = make_file()
    model = parse_model(content)
    graph = model.graph
    assert {node.name for node in graph.node} == {""}
    for item in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        assert not item.doc_string
    for item in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        assert not item.metadata_props
    assert not graph.value_info
    assert not model.functions
    assert {node.op_type for node in graph.node}.isdisjoint({"Identity", "Constant", "Dropout"})
    assert model.producer_name == "kdexport"
    assert {entry.key for entry in model.metadata_props} == {"kdexport.schema", "kdexport.classes"}
    for trace in ("torch", "spox", str(Path(kdexport.__file__).parent), str(Path.home())):
        assert trace.encode() not in content


def test_leftovers_are_removed() -> None:
    """Tidying gives the same bytes whatever names, notes, shapes and versions a model came with."""
    dirty = onnx.shape_inference.infer_shapes(parse_model(make_file()))
    graph = dirty.graph
    assert graph.value_info
    for item in (dirty, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        item.doc_string = "made at home"
        note = item.metadata_props.add()
        note.key, note.value = "kdexport.schema", "made at home"
    for node in graph.node:
        node.name = "somewhere"
    graph.name = "main"
    graph.quantization_annotation.add().tensor_name = "w0"
    dirty.opset_import.append(onnx.helper.make_opsetid("ai.onnx.ml", 3))
    dirty.ir_version = IR_VERSION + 1
    dirty.producer_name = "somebody"
    tidy = tidy_model(dirty, Signature(numeric=COLUMNS, classes=("no", "yes"), target="y"))
    assert serialize_model(tidy) == make_file()


def test_versions() -> None:
    """A file states the contract's opset and IR, no others, and passes onnx's full check."""
    model = parse_model(make_file())
    stated = [(o.domain, o.version) for o in model.opset_import]
    assert stated == [("", OPSET), ("ai.onnx.ml", ML_OPSET)]
    assert model.ir_version == IR_VERSION
    onnx.checker.check_model(model, full_check=True)


def test_same_bytes() -> None:
    """The same network makes the same file again."""
    again = export_network(build_student(make_stack(), 0), d_features=len(COLUMNS), n_categorical=0)
    assert serialize_model(wrap(again, NEAR)) == make_file()


def test_logits_can_be_asked_for() -> None:
    """The tensor before the softmax is called logits: probabilities are its softmax."""
    rows = make_rows(NEAR, 20)
    answers = open_session(expose_logits(make_file())).answer(as_inputs(rows))
    assert answers.logits is not None
    expected = torch.softmax(torch.from_numpy(answers.logits), dim=-1).numpy()
    np.testing.assert_allclose(answers.probabilities, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        answers.logits, answer_in_torch(make_stack(), rows)[0], rtol=1e-4, atol=1e-5
    )
