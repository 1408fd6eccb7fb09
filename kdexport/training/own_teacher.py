"""A user's teachers as one that labels inputs: asked, checked, aligned by class, averaged.

Takes `Teacher`s and inputs, gives what networks are trained on. A teacher that answers otherwise
than it should gets one line that names it and the first bad row.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from kdexport.errors import DataError, running_user_code
from kdexport.records import (
    Answers,
    Column,
    Float32,
    Float64,
    Inputs,
    Progress,
    ProgressSink,
    Table,
    ignore_progress,
)
from kdexport.restore import Layout, Restorer
from kdexport.runtime import open_session
from kdexport.schema import Schema
from kdexport.signature import listed
from kdexport.training.file_teacher import FileTeacher
from kdexport.training.teachers import (
    Ask,
    EstimatorTeacher,
    FunctionTeacher,
    Labels,
    Teacher,
    TorchTeacher,
    ask_now,
    plain_labels,
    refuse_strangers,
)

ROWS_AT_ONCE = 16_384
SMALLEST_PROBABILITY = 1e-6  # exact 0 and 1 become it and what it leaves: logits stay finite
N_MOVED = 200  # rows on which teachers show whether they look at columns that are left out
MOVED = 1e-6  # of a probability, or of a target's usual size: less is rounding
SUM_TOLERANCE = 1e-3  # how far from 1 probabilities may sum: those of a file can be rounded


@dataclass(frozen=True)
class OwnTeacher:
    """A user's teachers as one that labels inputs: their weighted mean, aligned by class label.

    Attributes:
        teachers: At least one.
        weights: One each, positive, summing to 1.
        schema: Classes and scaling of the outputs.
        restorer: Turns inputs back into the columns that the teachers know.
        own_outputs: What stands for the outputs on the training rows, where the teachers have seen
            them. **Shape** `[n, K]` float64.
        temperature: What students are taught is the answers' logarithms over it; the answers
            themselves are as they are.
        recall: Takes a teacher's number, rows and the call that asks it about them: gives what it
            answered for these rows before, or makes the call.
    """

    teachers: tuple[Teacher, ...]
    weights: tuple[float, ...]
    schema: Schema
    restorer: Restorer
    own_outputs: Float64 | None = None
    temperature: float = 1.0
    recall: Callable[[int, Table, Ask], Float64] = ask_now

    def compute_outputs(
        self, inputs: Inputs, on_progress: ProgressSink = ignore_progress
    ) -> Float32:
        """Answer for inputs: log probabilities or standardised numbers, **Shape** `[n, K]`."""
        return self.to_outputs(self.answer(self.restorer.restore(inputs), on_progress))

    def answer(self, table: Table, on_progress: ProgressSink = ignore_progress) -> Float64:
        """Answer for the user's columns, **Shape** `[n, K]` float64: probabilities or numbers.

        Where there are many rows, how many of them have their answers is told.
        """
        classes, n_rows = self.schema.signature.classes, table.n_rows
        step = f"{n_rows:,} rows to label"
        mean: Float64 = np.zeros(())
        for i, teacher in enumerate(self.teachers):

            def tell(n_done: int, i: int = i) -> None:
                if n_rows > ROWS_AT_ONCE:
                    n_all = len(self.teachers) * n_rows
                    on_progress(Progress(step, i * n_rows + n_done, n_all))

            answers = ask_teacher(
                teacher, table, classes, on_rows=tell, recall=partial(self.recall, i)
            )
            mean = mean + self.weights[i] * answers
        return mean

    def make_answers(self, inputs: Inputs) -> Answers:
        """Answer for inputs as a file would: labels and probabilities, or numbers."""
        exact, signature = self.answer(self.restorer.restore(inputs)), self.schema.signature
        if signature.is_regression:
            return Answers.of_numbers(exact[:, 0].astype(np.float32))
        labels = signature.label_values[exact.argmax(axis=1)]
        return Answers(labels, exact.astype(np.float32))

    def to_outputs(self, answers: Float64) -> Float32:
        """Turn answers into what networks are trained to give, **Shape** `[n, K]` float32."""
        if self.schema.signature.is_regression:
            return self.schema.standardise(answers).astype(np.float32)
        clipped = np.clip(answers, SMALLEST_PROBABILITY, None)
        logs = np.log(clipped) / self.temperature
        outputs: Float64 = logs - np.logaddexp.reduce(logs, axis=1, keepdims=True)
        return outputs.astype(np.float32)


def refuse_other_columns(own: OwnTeacher, train: Inputs) -> None:
    """Refuse teachers whose answers rest on columns that the student leaves out.

    Such a column's cells are no inputs, so a teacher is given those of other rows. Of the first
    training rows they are the rows' own: in another order, answers that do not look there stay.

    Raises:
        DataError: They do not; the message names the columns.
    """
    left_out = [name for name in own.restorer.examples if name not in own.schema.signature.columns]
    order = np.arange(min(train.n_rows, N_MOVED))
    if not left_out or len(order) < 2:
        return
    answers = own.answer(own.restorer.restore(train.take(order)))
    moved = np.roll(order, 1)
    apart = np.abs(own.answer(own.restorer.restore(train.take(moved))) - answers[moved])
    scale = own.schema.target_scale if own.schema.signature.is_regression else 1.0
    if apart.max() > MOVED * scale:
        raise DataError(
            "a teacher looks at columns that the student takes",
            found=f"its answers change with what is left out: {', '.join(left_out)}",
            cure="take them in (--categorical, --numeric), or fit the teacher without them",
        )


def ask_teacher(
    teacher: Teacher,
    table: Table,
    classes: Labels,
    *,
    on_rows: Callable[[int], None] = lambda _: None,
    recall: Callable[[Table, Ask], Float64] = lambda _, ask: ask(),
) -> Float64:
    """Ask a teacher about rows, check what it answers, and put its columns in the classes' order.

    **Shape** returns `[n, K]` float64: probabilities, or one column of numbers of a regression.

    Args:
        teacher: Whom to ask.
        table: The user's feature columns.
        classes: Those of the task, none for a regression.
        on_rows: Told how many rows have been answered, part by part.
        recall: See `OwnTeacher`.

    Raises:
        DataError: It failed, or answers something else.
    """
    with running_user_code(
        teacher.name,
        rule="a teacher answers the rows of its table",
        cure="try it on the same table by itself",
    ):
        parts = []
        for start in range(0, max(table.n_rows, 1), ROWS_AT_ONCE):
            rows = np.arange(start, min(start + ROWS_AT_ONCE, table.n_rows))
            part = table.take(rows)

            def ask(part: Table = part) -> Float64:
                answer = _as_array(teacher.answer(part), teacher.classes or classes)
                return answer.astype(np.float64)

            parts.append(recall(part, ask))
            on_rows(start + len(rows))
        raw = np.concatenate(parts) if len(parts) > 1 else parts[0]
    return check_answers(raw, teacher.name, teacher.classes or classes, classes, table.n_rows)


def check_answers(raw: Column, name: str, own: Labels, classes: Labels, n_rows: int) -> Float64:
    """Check a teacher's answers and put its columns in the classes' order.

    **Shape** returns `[n, K]` float64: probabilities, or one column of numbers of a regression.

    Args:
        raw: What it answered.
        name: What messages call it.
        own: What its columns stand for.
        classes: Those of the task, none for a regression.
        n_rows: Rows that were asked.

    Raises:
        DataError: They are no such answers; the message names the first bad row.
    """
    answers = raw.astype(np.float64)
    if not classes and answers.ndim == 1:
        answers = answers[:, None]
    shape = (n_rows, len(own) if classes else 1)
    if answers.shape != shape:
        raise DataError(
            "a teacher answers one row of probabilities, or one number, per row",
            found=f"{name} answers shape {raw.shape} where {shape} was expected",
            cure="pass one that answers every class of the task",
        )
    _refuse_rows(name, ~np.isfinite(answers).all(axis=1), answers, "finite numbers")
    if not classes:
        return answers
    wrong = (answers < -SUM_TOLERANCE).any(axis=1)
    wrong |= np.abs(answers.sum(axis=1) - 1) > SUM_TOLERANCE
    _refuse_rows(name, wrong, answers, "probabilities that sum to 1")
    return _align(answers, own, classes, name)


def as_teacher(thing: Any, schema: Schema, layout: Layout, *, name: str) -> Teacher:
    """Put what a user passes as a teacher behind the protocol.

    Args:
        thing: A `Teacher`, a torch module, the path of an ONNX file, a fitted model with
            scikit-learn's interface, or a function of a frame.
        schema: The task's classes.
        layout: The form of the user's data.
        name: What messages call it.

    Raises:
        DataError: It is none of these.
    """
    n_classes = len(schema.signature.classes)
    if isinstance(thing, nn.Module):
        return TorchTeacher(name, thing, n_classes, plain_labels(getattr(thing, "classes_", ())))
    if isinstance(thing, str | Path) and Path(thing).suffix.lower() == ".onnx":
        return FileTeacher(name, open_session(Path(thing)), schema.signature.classes)
    if hasattr(thing, "predict_proba") or hasattr(thing, "predict"):
        return EstimatorTeacher(name, thing, layout)
    if isinstance(thing, Teacher):
        return thing
    if callable(thing):
        return FunctionTeacher(name, thing, layout, plain_labels(getattr(thing, "classes_", ())))
    raise DataError(
        "a teacher is a fitted model, a torch module, the path of an ONNX file or a function",
        found=f"{name} is {thing if isinstance(thing, str | Path) else type(thing).__name__}",
        cure="pass one of these; pickles are not read, load yours yourself",
    )


def mix_teachers(
    things: Any,
    schema: Schema,
    restorer: Restorer,
    layout: Layout,
    *,
    weights: Sequence[float] | None = None,
) -> OwnTeacher:
    """Make what a user passes, one teacher or a list of them, one that labels inputs.

    Raises:
        DataError: One of them is no teacher, or the weights do not fit them.
    """
    several = list(things) if isinstance(things, list | tuple) else [things]
    try:
        shares = np.ones(len(several)) if weights is None else np.asarray(weights, np.float64)
    except (TypeError, ValueError):  # no numbers
        shares = np.full(1, np.nan)
    valid = shares.shape == (len(several),) and bool(np.isfinite(shares).all())
    if not several or not valid or (shares < 0).any() or not shares.any():
        raise DataError(
            "there is at least one teacher, and one weight of 0 or more for each",
            found=f"{len(several)} teachers, weights {weights!r}",
            cure="pass as many weights as teachers, or none for equal ones",
        )
    teachers = [
        as_teacher(thing, schema, layout, name=_name(thing, i if len(several) > 1 else None))
        for i, thing in enumerate(several)
    ]
    return OwnTeacher(tuple(teachers), tuple((shares / shares.sum()).tolist()), schema, restorer)


def _as_array(answer: Any, own: Labels) -> Column:
    """An answer as an array; columns of a frame that are named by the classes, in their order."""
    names, wanted = [str(name) for name in getattr(answer, "columns", ())], [*map(str, own)]
    if names != wanted and sorted(names) == sorted(wanted):
        answer = answer[[answer.columns[names.index(name)] for name in wanted]]
    return np.asarray(answer)


def _align(answers: Float64, own: Labels, classes: Labels, name: str) -> Float64:
    """Put columns of a teacher's own classes in the task's order; one it never saw has 0."""
    if len(set(own)) < len(own):
        raise DataError(
            "a teacher names each of its classes once",
            found=f"{name} has {listed(own)}",
            cure="mend its classes_",
        )
    refuse_strangers([label for label in own if label not in classes], classes, name)
    aligned = np.zeros((len(answers), len(classes)))
    aligned[:, [classes.index(label) for label in own]] = answers
    return aligned


def _refuse_rows(name: str, wrong: Any, answers: Float64, rule: str) -> None:
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"a teacher answers {rule}",
            found=f"{name} answers {answers[row].tolist()} for row {row}, "
            f"the first of {int(wrong.sum())} such rows",
            cure="mend the teacher, or those rows",
        )


def _name(thing: Any, position: int | None) -> str:
    """What messages call a teacher: its file, function or class, and its place in a list."""
    kind = Path(thing).name if isinstance(thing, str | Path) else type(thing).__name__
    kind = getattr(thing, "__name__", kind)
    return f"the teacher {kind}" if position is None else f"teacher {position} ({kind})"
