"""A user's own teachers: what they are asked, and what is taken from their answers."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import polars as pl
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from kdexport.errors import DataError
from kdexport.records import Inputs, Progress
from kdexport.restore import Layout, Restorer
from kdexport.schema import Schema
from kdexport.sections import ColumnsRecipe
from kdexport.tables import as_table
from kdexport.training.own_teacher import (
    ROWS_AT_ONCE,
    OwnTeacher,
    mix_teachers,
    refuse_other_columns,
)

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {"a": RNG.normal(size=60), "b": RNG.integers(0, 9, 60), "c": RNG.choice(["x", "y"], 60)}
)
LABELS = np.where(FRAME["a"] + (FRAME["c"] == "x") > 0.5, "yes", "no")


def make_schema(frame: pd.DataFrame, labels: Any = LABELS) -> Schema:
    """The schema of a frame whose target is `labels`."""
    labels = np.asarray(labels)
    table = as_table(frame).replacing(
        "y", labels.astype(object) if labels.dtype.kind in "U" else labels
    )
    classes = () if labels.dtype.kind == "f" else tuple(np.unique(labels).tolist())
    return Schema.fit(table, "y", ColumnsRecipe(), classes=classes)


def mix(things: Any, frame: pd.DataFrame, labels: Any = LABELS, **options: Any) -> OwnTeacher:
    """Own teachers of the frame's task."""
    schema = make_schema(frame, labels)
    restorer = Restorer.fit(as_table(frame), schema.signature)
    return mix_teachers(things, schema, restorer, Layout(frame), **options)


def answer(teacher: OwnTeacher, frame: pd.DataFrame) -> np.ndarray:
    """What it answers for the frame's inputs, as probabilities or numbers."""
    inputs = teacher.schema.signature.take_inputs(as_table(frame))
    return teacher.answer(teacher.restorer.restore(inputs))


def make_file(path: Path, *, keys: list[int], external: bool = False) -> Path:
    """An ONNX file of two numbers that answers through ZipMap, its keys in the order given."""
    weight = numpy_helper.from_array(np.array([[1.0, -1.0], [0.5, 0.0]], np.float32), "w")
    zipmap = helper.make_node(
        "ZipMap", ["p"], ["probabilities"], domain="ai.onnx.ml", classlabels_int64s=keys
    )
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["l"]),
        helper.make_node("Softmax", ["l"], ["p"], axis=1),
        zipmap,
    ]
    maps = helper.make_sequence_type_proto(
        helper.make_map_type_proto(
            TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, ())
        )
    )
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (None, 2))],
        [helper.make_value_info("probabilities", maps)],
        [weight],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    if external:
        onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    else:
        onnx.save(model, path)
    return path


def test_models_are_fed_the_frame_they_were_fitted_on() -> None:
    """A pipeline on named columns of mixed kinds answers as it does on the user's frame."""
    encode = make_column_transformer(
        (OneHotEncoder(), ["c"]), (OneHotEncoder(handle_unknown="ignore"), ["b"]),
        remainder="passthrough",
    )  # fmt: skip
    model = make_pipeline(encode, LogisticRegression()).fit(FRAME, LABELS)
    expected = model.predict_proba(FRAME)
    assert np.abs(answer(mix(model, FRAME), FRAME) - expected).max() < 1e-6


def test_models_of_arrays_are_fed_arrays(recwarn: pytest.WarningsRecorder) -> None:
    """A model fitted on an array gets one, without a warning of scikit-learn's."""
    numbers = FRAME[["a", "b"]]
    model = RandomForestClassifier(5, random_state=0).fit(numbers.to_numpy(), LABELS)
    found = answer(mix(model, numbers), numbers)
    assert np.array_equal(found, model.predict_proba(numbers.to_numpy()))
    assert not len(recwarn)


def test_regressors_answer_numbers_in_the_target_s_unit() -> None:
    """A regressor's numbers are standardised for the students, and nothing else."""
    numbers, target = FRAME[["a", "b"]], FRAME["a"] * 100.0 + 7
    model = RandomForestRegressor(5, random_state=0).fit(numbers, target)
    teacher = mix(model, numbers, target.to_numpy())
    outputs = teacher.compute_outputs(teacher.schema.signature.take_inputs(as_table(numbers)))
    back = outputs * teacher.schema.target_scale + teacher.schema.target_center
    assert np.abs(back[:, 0] - model.predict(numbers)).max() < 1e-3


def test_modules_answer_in_evaluation_mode() -> None:
    """A module in train mode with dropout answers the same twice; each part keeps its mode (B4)."""
    parts = [torch.nn.Linear(2, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.5)]
    module = torch.nn.Sequential(*parts, torch.nn.Linear(8, 2)).train()
    module[1].eval()
    teacher = mix(module, FRAME[["a", "b"]])
    first, second = (answer(teacher, FRAME[["a", "b"]]) for _ in range(2))
    assert np.array_equal(first, second)
    assert [part.training for part in module] == [True, False, True, True]
    assert module.training


def test_a_single_logit_is_the_second_class_s() -> None:
    """A module of one output gives the probability of the second class by the logistic function."""
    module = torch.nn.Linear(2, 1)
    found = answer(mix(module, FRAME[["a", "b"]]), FRAME[["a", "b"]])
    with torch.no_grad():
        rows = torch.tensor(FRAME[["a", "b"]].to_numpy(), dtype=torch.float32)
        expected = torch.sigmoid(module(rows))[:, 0].numpy()
    assert np.abs(found[:, 1] - expected).max() < 1e-6


def test_maps_of_files_are_read_by_their_keys(tmp_path: Path) -> None:
    """ZipMap with keys in the order 1, 0 gives columns in class order (C4)."""
    numbers, labels = FRAME[["a", "b"]], (LABELS == "yes").astype(np.int64)
    straight = mix(str(make_file(tmp_path / "s.onnx", keys=[0, 1])), numbers, labels)
    turned = mix(make_file(tmp_path / "t.onnx", keys=[1, 0]), numbers, labels)
    assert np.array_equal(answer(straight, numbers), answer(turned, numbers)[:, ::-1])
    with pytest.raises(DataError, match=r"other\.onnx also answers 7"):
        answer(mix(make_file(tmp_path / "other.onnx", keys=[7, 0]), numbers, labels), numbers)


def test_files_with_weights_beside_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights in a file beside the model are found from another folder (H2)."""
    (tmp_path / "model").mkdir()
    (tmp_path / "elsewhere").mkdir()
    path = make_file(tmp_path / "model" / "m.onnx", keys=[0, 1], external=True)
    assert (path.parent / "weights.bin").exists()
    monkeypatch.chdir(tmp_path / "elsewhere")
    labels = (LABELS == "yes").astype(np.int64)
    found = answer(mix(Path("../model/m.onnx"), FRAME[["a", "b"]], labels), FRAME[["a", "b"]])
    assert np.allclose(found.sum(axis=1), 1)


def test_mixtures_are_aligned_by_label() -> None:
    """Teachers with classes [no, yes] and [yes, no] are averaged label by label (G3)."""

    def straight(frame: pd.DataFrame) -> np.ndarray:
        return np.tile([0.9, 0.1], (len(frame), 1))

    def turned(frame: pd.DataFrame) -> np.ndarray:
        return np.tile([0.3, 0.7], (len(frame), 1))

    turned.classes_ = ["yes", "no"]
    found = answer(mix([straight, turned], FRAME, weights=[3, 1]), FRAME)
    assert np.allclose(found, [0.75 * 0.9 + 0.25 * 0.7, 0.75 * 0.1 + 0.25 * 0.3])


def test_a_class_that_a_teacher_never_saw_is_never_answered() -> None:
    """A teacher of two of three classes gives the third 0."""
    labels = np.array(["no", "yes", "new"] * 20)
    model = LogisticRegression().fit(FRAME[["a", "b"]], LABELS)
    found = answer(mix(model, FRAME[["a", "b"]], labels), FRAME[["a", "b"]])
    assert (found[:, 0] == 0).all()
    assert np.allclose(found[:, 1:], model.predict_proba(FRAME[["a", "b"]]))


def test_exact_zeros_and_ones_give_finite_logits() -> None:
    """Probabilities of exactly 0 and 1 become finite outputs that say nearly the same (G6)."""
    teacher = mix(lambda frame: np.tile([0.0, 1.0], (len(frame), 1)), FRAME)
    outputs = teacher.compute_outputs(teacher.schema.signature.take_inputs(as_table(FRAME)))
    assert np.isfinite(outputs).all()
    assert np.allclose(np.exp(outputs), [0, 1], atol=2e-6)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (lambda n: np.full((n, 3), 1 / 3), r"the teacher wrong answers shape \(60, 3\)"),
        (lambda n: np.full(n, 0.5), r"the teacher wrong answers shape \(60,\)"),
        (lambda n: spoil(n, 7, np.nan), "the teacher wrong answers .*nan.* for row 7"),
        (lambda n: spoil(n, 4, 0.9), r"sum to 1, however: .*\[0.9, 0.5\] for row 4"),
        (lambda n: spoil(n, 5, 1 / 0), "the teacher wrong raised ZeroDivisionError"),
    ],
)
def test_bad_answers_get_one_line(answers: Any, said: str) -> None:
    """A wrong shape, NaN, a sum beside 1 or an exception names the teacher and the first row."""

    def wrong(frame: pd.DataFrame) -> np.ndarray:
        return answers(len(frame))

    with pytest.raises(DataError, match=said) as caught:
        answer(mix(wrong, FRAME), FRAME)
    assert "\n" not in str(caught.value)


def spoil(n: int, row: int, value: float) -> np.ndarray:
    """Answers of one half, but for one cell."""
    answers = np.full((n, 2), 0.5)
    answers[row, 0] = value
    return answers


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [np.nan, 1.0]])
def test_weights_fit_the_teachers(weights: list[float]) -> None:
    """Weights are one per teacher, none negative, not all 0."""
    with pytest.raises(DataError, match="one weight of 0 or more for each"):
        mix([np.mean, np.mean], FRAME, weights=weights)


def test_what_is_no_teacher_is_refused(tmp_path: Path) -> None:
    """A pickle is not read: whatever it would do when loaded is not done (H3)."""
    marker = tmp_path / "marker"
    pickle = tmp_path / "model.pkl"
    pickle.write_bytes(b"cposix\nsystem\n(V" + f"touch {marker}".encode() + b"\ntR.")
    with pytest.raises(DataError, match=re.escape("pickles are not read")):
        mix(str(pickle), FRAME)
    assert not marker.exists()


def test_another_number_of_columns_is_refused() -> None:
    """A model fitted on other columns is named before it can raise something of its own."""
    model = LogisticRegression().fit(FRAME[["a"]].assign(z=1.0, q=2.0), LABELS)
    with pytest.raises(DataError, match=r"LogisticRegression takes 3.*'z', 'q'"):
        answer(mix(model, FRAME[["a", "b"]]), FRAME[["a", "b"]])


def test_synthetic_rows_are_labelled_as_the_user_s_own() -> None:
    """Rows that no table held reach the teacher in the user's types."""
    seen = []

    def watch(frame: pd.DataFrame) -> np.ndarray:
        seen.append(frame)
        return np.full((len(frame), 2), 0.5)

    teacher = mix(watch, FRAME)
    made = Inputs(np.array([[0.25, 3.0]], np.float32), np.array([["y"]], dtype=object))
    teacher.compute_outputs(made)
    assert seen[0].dtypes.equals(FRAME.dtypes)
    assert seen[0].iloc[0].tolist() == [0.25, 3, "y"]


def test_float64_tables_reach_the_teacher_as_they_are() -> None:
    """Numbers that float32 cannot hold are not centred for a teacher: a model, a module and a file
    get the user's own.
    """
    stamps = 1_700_000_000_000_000 + RNG.integers(0, 10**7, 60) * 1000
    frame = pd.DataFrame({"stamp": stamps, "x": RNG.normal(size=60)})
    seen = []

    class Watch(LogisticRegression):
        def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
            seen.append(rows)
            return super().predict_proba(rows)

    own = mix(Watch().fit(frame, LABELS), frame)
    assert own.schema.signature.precision == "float64"
    answer(own, frame)
    pd.testing.assert_frame_equal(seen[0], frame)

    class Module(torch.nn.Module):
        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            seen.append(rows)
            return rows

    module = Module()
    module.register_parameter("w", torch.nn.Parameter(torch.zeros(1, dtype=torch.float64)))
    answer(mix(module, frame), frame)
    assert np.array_equal(seen[1].numpy(), frame.to_numpy(np.float64))


def test_many_rows_are_labelled_in_parts_and_told() -> None:
    """Answers come part by part, the same as at once, and how many there are is reported; a bad
    row keeps its number.
    """
    n = 2 * ROWS_AT_ONCE + 10
    frame = pd.DataFrame({"a": np.linspace(-1, 1, n), "b": np.arange(n) % 9})
    labels = np.where(frame["a"] > 0, "yes", "no")
    model = LogisticRegression().fit(frame, labels)
    teacher = mix([model, model], frame, labels)
    told: list[Progress] = []
    inputs = teacher.schema.signature.take_inputs(as_table(frame))
    outputs = teacher.compute_outputs(inputs, told.append)
    assert np.abs(np.exp(outputs) - model.predict_proba(frame)).max() < 1e-5
    assert [one.n_done for one in told] == sorted({one.n_done for one in told})
    assert [one.n_total for one in told] == [2 * n] * 6
    assert told[-1].n_done == 2 * n
    few = inputs.take(slice(0, 100))
    teacher.compute_outputs(few, told.append)
    assert len(told) == 6

    def wrong(rows: pd.DataFrame) -> np.ndarray:
        return np.where(rows[["a"]] == 1.0, np.nan, 0.5) * np.ones((1, 2))

    with pytest.raises(DataError, match=f"for row {n - 1}, the first of 1"):
        answer(mix(wrong, frame, labels), frame)


def test_columns_that_are_left_out() -> None:
    """A teacher that reads what the student does not take is asked about rows mixed up: refused."""
    frame = FRAME.assign(note=[f"note {i} of {label}" for i, label in enumerate(LABELS)])
    schema = make_schema(frame)
    assert "note" not in schema.signature.columns

    def read_note(rows: Any) -> Any:
        is_yes = np.array([str(note).endswith("yes") for note in rows["note"]])
        return np.stack([~is_yes, is_yes], axis=1).astype(float)

    def read_others(rows: Any) -> Any:
        return np.stack([rows["a"] > 0, rows["a"] <= 0], axis=1).astype(float)

    inputs = schema.signature.take_inputs(as_table(frame))
    refuse_other_columns(mix(read_others, frame), inputs)
    with pytest.raises(DataError, match="change with what is left out: note"):
        refuse_other_columns(mix(read_note, frame), inputs)


def test_named_answers_are_taken_by_their_names() -> None:
    """A frame's columns that are named by the classes are no others than those, in any order."""
    yes = pd.Series(np.linspace(0.1, 0.9, len(FRAME)))

    class Model:  # such as AutoGluon's: it has predict_proba, and no classes_
        def predict_proba(self, frame: pd.DataFrame) -> pd.DataFrame:
            return pd.DataFrame({"yes": yes, "no": 1 - yes})

        def predict(self, frame: pd.DataFrame) -> np.ndarray:
            return np.full(len(frame), "yes")

    things = [
        lambda _: pd.DataFrame({"yes": yes, "no": 1 - yes}),
        lambda _: pl.DataFrame({"yes": yes.to_numpy(), "no": 1 - yes.to_numpy()}),
        lambda _: pd.DataFrame({"n": 1 - yes, "y": yes}),  # other names: the sorted classes
        Model(),
    ]
    for thing in things:
        np.testing.assert_allclose(answer(mix(thing, FRAME), FRAME)[:, 1], yes)


def test_a_class_is_named_once() -> None:
    """Two columns of one class would be taken for one of them."""

    def thrice(frame: pd.DataFrame) -> np.ndarray:
        return np.full((len(frame), 3), 1 / 3)

    thrice.classes_ = ["no", "yes", "no"]
    with pytest.raises(DataError, match=r"each of its classes once.*'no', 'yes', 'no'"):
        answer(mix(thrice, FRAME), FRAME)


@pytest.mark.parametrize("names", [[7, "b", 0], [("a", "x"), ("a", "y"), ("c", "")]])
def test_functions_get_names_that_are_no_text(names: list[Any]) -> None:
    """A function is asked with the frame that it knows, whatever its columns are called."""
    own = FRAME.astype({"c": "category"}).set_axis(pd.Index(names), axis=1)

    def look(frame: pd.DataFrame) -> np.ndarray:
        pd.testing.assert_index_equal(frame.columns, own.columns)
        assert frame.dtypes.tolist() == own.dtypes.tolist()
        yes = (frame[names[2]] == "x").to_numpy(float)
        return np.stack([1 - yes, yes], axis=1)

    np.testing.assert_array_equal(answer(mix(look, own), own)[:, 1], FRAME["c"] == "x")


@pytest.mark.parametrize("size", [1, 7, 60, 64])
def test_files_of_a_fixed_batch(size: int, tmp_path: Path) -> None:
    """A file that takes so many rows and no others is asked in batches of them."""
    frame = FRAME[["a", "b"]].assign(b=FRAME["b"] / 8)
    path = make_file(tmp_path / "any.onnx", keys=[0, 1])
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = size
    onnx.save(model, tmp_path / "fixed.ONNX")
    labels = (LABELS == "yes").astype(np.int64)
    any_size, fixed = (mix(one, frame, labels) for one in (path, tmp_path / "fixed.ONNX"))
    np.testing.assert_allclose(answer(fixed, frame), answer(any_size, frame), rtol=1e-6)
    table = as_table(frame)
    (one,) = fixed.teachers
    np.testing.assert_array_equal(one.prepare_call(table)(), one.answer(table))
