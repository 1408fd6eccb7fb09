"""Rules for what a file answers: to its source, alone, in a crowd, elsewhere."""

from collections.abc import Callable
from functools import cache

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.helper import make_node

from kdexport.contract import expose_logits
from kdexport.evidence.answer_checks import check_answers
from kdexport.evidence.golden import SourceAnswers
from kdexport.evidence.question import Question
from kdexport.records import Float32
from kdexport.runtime import open_session
from tests.export.builders import NEAR, as_inputs, make_file, make_rows

Change = Callable[[np.ndarray], object]


@cache
def clean() -> bytes:
    """A file as kdexport writes it."""
    return make_file()


def edit(content: bytes, op_type: str, position: int, change: Change, i: int = 0) -> bytes:
    """Change the constant at an input of the i-th node of a type, in place."""
    model = onnx.load_from_string(content)
    node = [node for node in model.graph.node if node.op_type == op_type][i]
    tensor = next(t for t in model.graph.initializer if t.name == node.input[position])
    values = numpy_helper.to_array(tensor).copy()
    change(values)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return bytes(model.SerializeToString())


def insert(content: bytes, *nodes: onnx.NodeProto) -> bytes:
    """Put nodes that turn `before` into `logits` behind the network."""
    model = onnx.load_from_string(content)
    position = next(i for i, node in enumerate(model.graph.node) if "logits" in node.output)
    model.graph.node[position].output[0] = "before"
    for offset, node in enumerate(nodes, start=1):
        model.graph.node.insert(position + offset, node)
    model.graph.initializer.append(numpy_helper.from_array(np.array([0]), "axis"))
    return bytes(model.SerializeToString())


def ask(content: bytes, rows: Float32, source: bytes | None = None) -> Question:
    """Ask a file rows whose source answered as the file `source` does."""
    inputs = as_inputs(rows)
    origins = np.array([f"row {i}" for i in range(len(rows))], object)
    if source is None:
        return Question("student.onnx", content, inputs, origins)
    rounded = open_session(expose_logits(source)).answer(inputs)
    assert rounded.logits is not None
    answers = SourceAnswers(rounded, rounded.logits.astype(np.float64))
    return Question("student.onnx", content, inputs, origins, answers)


def failures(question: Question) -> dict[str, str]:
    """The rules that a file breaks, and what is said of each."""
    results = check_answers(question)
    return {r.name.removeprefix("student.onnx/"): r.message for r in results if not r.passed}


ROWS = make_rows(NEAR, 60)


def test_clean_file_passes() -> None:
    """A file beside its own source breaks no rule, and every rule is applied."""
    results = check_answers(ask(clean(), ROWS, clean()))
    assert all(result.passed for result in results)
    names = [result.name.removeprefix("student.onnx/") for result in results]
    assert names[:6] == ["loads", "finite", "probabilities", "label", "source", "float64"]
    assert names[6:10] == ["batch_1", "batch_2", "batch_7", "batch_1000"]
    assert names[10:] == ["repeat", "optimisation", "reference"]


def test_no_rows() -> None:
    """Nothing asked is no pass."""
    assert list(failures(ask(clean(), ROWS[:0]))) == ["rows"]


def test_batch_dependence() -> None:
    """D1: a file whose answer depends on the batch fails, with a line for every batch size."""
    mean = make_node("ReduceMean", ["before", "axis"], ["mean"])
    centred = insert(clean(), mean, make_node("Sub", ["before", "mean"], ["logits"]))
    found = failures(ask(centred, ROWS))
    assert {"batch_1", "batch_2", "batch_7"} <= found.keys()
    assert "the same in batches of 1, however" in found["batch_1"]


def test_rows_without_a_source_may_round() -> None:
    """Nobody knows what such rows sum: they may differ as far as rounding may ever go."""

    def drift(size: float) -> bytes:
        """Logits move with the batch by about `size`, of one class alone."""
        mean = make_node("ReduceMean", ["before", "axis"], ["mean"])
        scaled = make_node("Mul", ["mean", "size"], ["moved"])
        drifting = insert(clean(), mean, scaled, make_node("Add", ["before", "moved"], ["logits"]))
        model = onnx.load_from_string(drifting)
        values = np.array([size, -size], np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, "size"))
        return bytes(model.SerializeToString())

    assert "batch_1" not in failures(ask(drift(4e-6), ROWS))
    assert "batch_1" in failures(ask(drift(4e-6), ROWS, drift(4e-6)))
    assert "batch_1" in failures(ask(drift(4e-4), ROWS))


def test_ties_pass_and_swapped_columns_fail() -> None:
    """D2: two classes with equal outputs are ties; with the columns swapped, other rows flip."""

    def tie(values: np.ndarray) -> None:
        values[:] = values[0]

    tied = edit(edit(clean(), "Gemm", 1, tie, -1), "Gemm", 2, tie, -1)
    results = {r.name: r for r in check_answers(ask(tied, ROWS, tied))}
    assert results["student.onnx/source"].passed
    assert "60 rows" in results["student.onnx/source"].message

    def swap(values: np.ndarray) -> None:
        values[:] = values[::-1].copy()

    swapped = edit(edit(clean(), "Gemm", 1, swap, -1), "Gemm", 2, swap, -1)
    assert "flips" in failures(ask(swapped, ROWS, clean()))["source"]


def test_saturated_probabilities() -> None:
    """D3: with logits so large that probabilities look equal, a moved logit is still found."""

    def steepen(values: np.ndarray) -> None:
        values *= 50

    def move(values: np.ndarray) -> None:
        values[0] += 5

    steep = edit(edit(clean(), "Gemm", 1, steepen, -1), "Gemm", 2, steepen, -1)
    moved = edit(steep, "Gemm", 2, move, -1)
    logits = open_session(expose_logits(steep)).answer(as_inputs(ROWS)).logits
    assert logits is not None
    decided = ROWS[np.abs(logits[:, 0] - logits[:, 1]) > 40]
    assert len(decided)
    found = failures(ask(moved, decided, steep))
    assert list(found) == ["source", "float64"]
    assert "logits of 'no'" in found["source"]


def test_imputation_constant() -> None:
    """D4: an altered imputation constant passes on rows without gaps, fails on those with."""
    model = onnx.load_from_string(clean())
    imputer = next(node for node in model.graph.node if node.op_type == "Imputer")
    filling = next(a for a in imputer.attribute if a.name == "imputed_value_floats")
    filling.floats[1] += 9
    altered = bytes(model.SerializeToString())
    assert failures(ask(altered, ROWS, clean())) == {}
    gaps = ROWS.copy()
    gaps[7, 1] = np.nan
    assert "row 7 (row 7: b=nan" in failures(ask(altered, gaps, clean()))["source"]


@pytest.mark.parametrize(
    ("op_type", "position", "value", "rule", "said"),
    [
        ("Gemm", 1, np.nan, "finite", "probabilities of 'no' is nan in row 0 (row 0: a="),
        ("Gemm", 2, np.inf, "finite", "60 rows"),
    ],
)
def test_not_finite(op_type: str, position: int, value: float, rule: str, said: str) -> None:
    """An answer that is no finite number fails beside a source that says the same."""

    def spoil(values: np.ndarray) -> None:
        values[...] = value

    broken = edit(clean(), op_type, position, spoil, -1)
    assert said in failures(ask(broken, ROWS, broken))[rule]


def test_label_of_another_class() -> None:
    """A label map in another order fails by itself, and names the row and both classes."""

    def rotate(values: np.ndarray) -> None:
        values[:] = np.roll(values, 1)

    message = failures(ask(edit(clean(), "Gather", 0, rotate, -1), ROWS))["label"]
    assert "'no'" in message
    assert "'yes'" in message


def test_noise() -> None:
    """A file that answers differently when asked again fails."""
    noise = make_node("RandomNormalLike", ["before"], ["noise"], scale=0.01)
    noisy = insert(clean(), noise, make_node("Add", ["before", "noise"], ["logits"]))
    assert "two runs" in failures(ask(noisy, ROWS))["repeat"]


def test_file_that_cannot_answer() -> None:
    """A file that onnxruntime refuses fails to load, and that is all that is said."""
    model = onnx.load_from_string(clean())
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    found = failures(ask(bytes(model.SerializeToString()), ROWS))
    assert list(found) == ["loads"]
    assert "numeric (60, 4)" in found["loads"]
