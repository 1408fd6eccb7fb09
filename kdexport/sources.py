"""The trained networks' own answers: what every exported file is compared with.

Takes a prepared task and its checkpoints, gives answers in the user's own classes or numbers.
"""

import copy
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kdexport import workspace
from kdexport.bundle import RIVAL, STUDENT, TEACHER
from kdexport.errors import DataError
from kdexport.evidence.golden import Golden, SourceAnswers
from kdexport.evidence.golden_rows import Chosen
from kdexport.evidence.parity import ROUNDING
from kdexport.prepared import Prepared, Trained
from kdexport.records import Answers, Float64, Inputs
from kdexport.training.checkpoints import (
    find_shipped,
    load_mixture,
    load_plain_controls,
    load_students,
)
from kdexport.training.convert import convert_teacher
from kdexport.training.mixture import Mixture
from kdexport.training.native import find_native
from kdexport.training.nets import StackedMLP, compute_member_outputs, follow_terms
from kdexport.training.own_teacher import OwnTeacher
from kdexport.workspace import load_rival, load_trained

OWN_ROUNDING = 0.99  # quantile of the rows' own rounding
ROLES = ("student", "control")  # in the order of the stack


class Sources:
    """The teacher, the students, the controls and the rival of one task.

    Attributes:
        teacher: What the students learned from.
        native: A user's own teacher as it is called without a file; None of one that is trained
            here, or that cannot be asked.
        rival: One boosted model, or None.
        stack: Students, then controls.
        plain_controls: A stack of their own, or None.
        n_replicates: How many there are of each.
        shipped: The student that ships: the one closest to its targets on the validation rows.
    """

    def __init__(
        self,
        prepared: Prepared,
        teacher: Trained | OwnTeacher,
        students: Trained,
        rival: Trained | None,
    ) -> None:
        self._schema = prepared.schema
        self._device = prepared.recipe.device
        self.teacher: Mixture | OwnTeacher = (
            teacher if isinstance(teacher, OwnTeacher) else load_mixture(prepared, teacher)
        )
        self._prepared = prepared
        own = self.teacher if isinstance(self.teacher, OwnTeacher) else None
        self.native = find_native(own) if own else None
        self.rival = load_mixture(prepared, rival) if rival else None
        self.stack = load_students(prepared, students)
        self.plain_controls = load_plain_controls(prepared, students)
        self.encoder = self.stack.encoder
        self.n_replicates = prepared.recipe.student.n_replicates
        self.shipped = find_shipped(prepared, students)

    @property
    def teacher_file(self) -> Mixture | None:
        """What teacher.onnx is made of, or None."""
        return self._teacher_file[0]

    @property
    def why_absent(self) -> str:
        """Why there is none."""
        return self._teacher_file[1]

    @cached_property
    def _teacher_file(self) -> tuple[Mixture | None, str]:
        return _find_teacher_file(self.teacher, self._prepared)

    def mixtures(self) -> dict[str, Mixture]:
        """The sources of the files beside the student's, by the file's name."""
        both = {TEACHER: self.teacher_file, RIVAL: self.rival}
        return {name: one for name, one in both.items() if one is not None}

    def ask_teacher(self, inputs: Inputs) -> Answers:
        """Answer as the teacher does, whether or not it has a file."""
        if isinstance(self.teacher, OwnTeacher):
            return self.teacher.make_answers(inputs)
        return self.ask_mixture(self.teacher, inputs)

    def ask_students(self, inputs: Inputs) -> dict[str, list[Answers]]:
        """Answer as every student, control and plain control, by role."""
        outputs = self._compute(self.stack, inputs)
        groups = dict(zip(ROLES, torch.split(outputs, self.n_replicates), strict=True))
        if self.plain_controls is not None:
            groups["plain_control"] = self._compute(self.plain_controls, inputs)
        return {role: [self._answers(one) for one in group] for role, group in groups.items()}

    def ask_files(self, inputs: Inputs) -> dict[str, Answers]:
        """Answer as the source of every file does, and say how large the summed terms were."""
        student = self._answers(self._compute(self.stack, inputs)[self.shipped])
        answers = {STUDENT: replace(student, terms=self._student_terms(student, inputs))}
        for name, mixture in self.mixtures().items():
            answered = self.ask_mixture(mixture, inputs)
            answers[name] = replace(answered, terms=self._mixture_terms(mixture, inputs))
        return answers

    def ask_golden(self, chosen: Chosen) -> Golden:
        """Answer golden rows as every file's source does, in float32 and in float64."""
        exact: dict[str, Float64] = {
            STUDENT: self._exact(self.stack, chosen.inputs)[self.shipped].numpy()
        }
        for name, mixture in self.mixtures().items():
            exact[name] = mixture.answer_trees(chosen.inputs)
            if mixture.stack is not None:
                networks = self._exact(mixture.stack, chosen.inputs).mean(dim=0)
                exact[name] = exact[name] + networks.numpy()
        answers = {
            name.removesuffix(".onnx"): SourceAnswers(rounded, self._in_units(exact[name]))
            for name, rounded in self.ask_files(chosen.inputs).items()
        }
        return Golden(chosen.inputs, chosen.origins, chosen.targets, answers)

    def _student_terms(self, student: Answers, inputs: Inputs) -> Float64:
        """Size of what the student's outputs round by, **Shape** `[n]`.

        The terms of its last layer; of classes those of all its layers, as many times as its own
        float32 logits are apart from float64 on all but the worst rows, where that is more.
        """
        last: Float64 = self._terms(self.stack, inputs)[self.shipped].double().cpu().numpy()
        if student.logits is None:
            return last
        exact, sizes = follow_terms(self.stack, self.shipped, self.encoder.prepare(inputs))
        own = np.abs(exact.numpy() - student.logits).max(axis=1)
        summed = sizes.numpy()
        times = np.divide(own, ROUNDING * summed, out=np.zeros_like(own), where=summed > 0)
        return np.maximum(last, summed * float(np.quantile(times, OWN_ROUNDING)))

    def ask_mixture(self, mixture: Mixture, inputs: Inputs) -> Answers:
        """Answer as networks, trees or the sum of both."""
        if mixture.has_probabilities:
            shares = mixture.answer(inputs).astype(np.float32)
            labels = self._schema.signature.label_values[shares.argmax(axis=1)]
            return Answers(labels, shares)
        return self._answers(torch.from_numpy(mixture.compute_outputs(inputs)))

    def _mixture_terms(self, mixture: Mixture, inputs: Inputs) -> Float64:
        """Size of the terms that a mixture sums, **Shape** `[n]`: trees alone sum exactly."""
        parts = np.abs(mixture.answer_trees(inputs)) * self._schema.target_scale
        sizes: Float64 = parts.max(axis=1)
        if mixture.stack is not None:
            terms = self._terms(mixture.stack, inputs).mean(dim=0)
            sizes = sizes + terms.double().cpu().numpy()
        return sizes

    def _exact(self, stack: StackedMLP, inputs: Inputs) -> Tensor:
        """Every member's outputs in float64, **Shape** `[M, n, K]`."""
        rows = stack.encoder.prepare(inputs).double()
        return compute_member_outputs(copy.deepcopy(stack).cpu().double(), rows)

    def _terms(self, stack: StackedMLP, inputs: Inputs) -> Tensor:
        """Size of the terms that each member's last layer sums, **Shape** `[M, n]`.

        What comes out of a ReLU is not negative, so weights without their sign sum the sizes.
        """
        unsigned = copy.deepcopy(stack)
        for parameter in (unsigned.weights[-1], unsigned.biases[-1]):
            parameter.data.abs_()
        sizes = self._compute(unsigned, inputs).abs().amax(dim=-1)
        return sizes * self._schema.target_scale + abs(self._schema.target_center)

    def _in_units(self, values: Float64) -> Float64:
        """Logits as they are, numbers of a regression in the target's own unit."""
        is_regression = self._schema.signature.is_regression
        return self._schema.in_units(values[:, :1]) if is_regression else values

    def _compute(self, stack: StackedMLP, inputs: Inputs) -> Tensor:
        """Every member's outputs, **Shape** `[M, n, K]` float32."""
        return compute_member_outputs(stack, stack.encoder.prepare(inputs, self._device))

    def _answers(self, outputs: Tensor) -> Answers:
        """Turn outputs `[n, K]` into answers."""
        schema = self._schema
        if schema.signature.is_regression:
            numbers = schema.in_units(outputs[:, 0].double().cpu().numpy())
            return Answers.of_numbers(numbers.astype(np.float32))
        logits = outputs.cpu()
        probabilities = torch.softmax(logits, dim=-1).numpy()
        labels = schema.signature.label_values[probabilities.argmax(axis=1)]
        return Answers(labels, probabilities, logits.numpy())


def _find_teacher_file(
    teacher: Mixture | OwnTeacher, prepared: Prepared
) -> tuple[Mixture | None, str]:
    """Return what teacher.onnx is made of, or why there is none."""
    if isinstance(teacher, Mixture):
        return teacher, ""
    rows = prepared.rows
    try:
        return convert_teacher(teacher, rows.validation.inputs.joined_with(rows.test.inputs)), ""
    except DataError as error:
        return None, error.found


def load_sources(prepared: Prepared, work: Path) -> Sources:
    """Read the checkpoints of a work folder.

    Raises:
        DataError: The folder does not hold them.
    """
    teacher, students = (
        load_trained(work, name) for name in (workspace.TEACHER, workspace.STUDENTS)
    )
    return Sources(prepared, teacher, students, load_rival(prepared, work))
