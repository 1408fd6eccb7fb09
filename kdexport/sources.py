"""The trained networks' own answers: what every exported file is compared with.

Takes a prepared task and its checkpoints, gives answers in the user's own classes or numbers.
"""

import copy
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from kdexport.bundle import STUDENT, TEACHER
from kdexport.evidence.golden import Golden, SourceAnswers
from kdexport.evidence.golden_rows import Chosen
from kdexport.records import Answers, Float64, Inputs
from kdexport.training.nets import StackedMLP, compute_mean_outputs, compute_member_outputs
from kdexport.training.steps import load_ensemble, load_students
from kdexport.workspace import Prepared, Trained


class Sources:
    """The teacher, the students and the controls of one task.

    Attributes:
        ensemble: The teacher's stack.
        stack: Students, then controls.
        n_replicates: How many there are of each.
        shipped: The student that ships: the one closest to its targets on the validation rows.
    """

    def __init__(self, prepared: Prepared, teacher: Trained, students: Trained) -> None:
        self._schema = prepared.schema
        self._device = prepared.recipe.device
        self.ensemble = load_ensemble(prepared, teacher)
        self.stack = load_students(prepared, students)
        self.encoder = self.stack.encoder
        self.n_replicates = self.stack.n_members // 2
        self.shipped = int(np.argmin(students.best_losses[: self.n_replicates]))

    def ask_teacher(self, inputs: Inputs) -> Answers:
        """Answer as the ensemble."""
        return self._answers(compute_mean_outputs(self.ensemble, self._prepare(inputs)))

    def ask_students(self, inputs: Inputs) -> list[Answers]:
        """Answer as every student, then as every control."""
        outputs = compute_member_outputs(self.stack, self._prepare(inputs))
        return [self._answers(member) for member in outputs]

    def ask_files(self, inputs: Inputs) -> dict[str, Answers]:
        """Answer as the source of every file does, and say how large the summed terms were."""
        student = self.ask_students(inputs)[self.shipped]
        terms = {
            STUDENT: self._terms(self.stack, inputs)[self.shipped],
            TEACHER: self._terms(self.ensemble, inputs).mean(dim=0),
        }
        answers = {STUDENT: student, TEACHER: self.ask_teacher(inputs)}
        return {
            name: replace(answer, terms=terms[name].double().cpu().numpy())
            for name, answer in answers.items()
        }

    def ask_golden(self, chosen: Chosen) -> Golden:
        """Answer golden rows as every file's source does, in float32 and in float64."""
        exact = {
            STUDENT: self._exact(self.stack, chosen.inputs)[self.shipped],
            TEACHER: self._exact(self.ensemble, chosen.inputs).mean(dim=0),
        }
        answers = {
            name.removesuffix(".onnx"): SourceAnswers(rounded, self._in_units(exact[name]))
            for name, rounded in self.ask_files(chosen.inputs).items()
        }
        return Golden(chosen.inputs, chosen.origins, chosen.targets, answers)

    def _exact(self, stack: StackedMLP, inputs: Inputs) -> Tensor:
        """Every member's outputs in float64, **Shape** `[M, n, K]`."""
        rows = self._prepare(inputs).cpu().double()
        return compute_member_outputs(copy.deepcopy(stack).cpu().double(), rows)

    def _terms(self, stack: StackedMLP, inputs: Inputs) -> Tensor:
        """Size of the terms that each member's last layer sums, **Shape** `[M, n]`.

        What comes out of a ReLU is not negative, so weights without their sign sum the sizes.
        """
        unsigned = copy.deepcopy(stack)
        for parameter in (unsigned.weights[-1], unsigned.biases[-1]):
            parameter.data.abs_()
        sizes = compute_member_outputs(unsigned, self._prepare(inputs)).abs().amax(dim=-1)
        return sizes * self._schema.target_scale + abs(self._schema.target_center)

    def _in_units(self, exact: Tensor) -> Float64:
        """Logits as they are, numbers of a regression in the target's own unit."""
        values: Float64 = exact.numpy()
        schema = self._schema
        if schema.signature.is_regression:
            values = values[:, :1] * schema.target_scale + schema.target_center
        return values

    def _prepare(self, inputs: Inputs) -> Tensor:
        return self.encoder.prepare(inputs, self._device)

    def _answers(self, outputs: Tensor) -> Answers:
        """Turn outputs `[n, K]` into answers."""
        schema = self._schema
        if schema.signature.is_regression:
            exact = outputs[:, 0].double().cpu().numpy()
            numbers = exact * schema.target_scale + schema.target_center
            return Answers(numbers.astype(np.float32), np.empty((len(exact), 0), np.float32))
        logits = outputs.cpu()
        probabilities = torch.softmax(logits, dim=-1).numpy()
        labels = schema.signature.label_values[probabilities.argmax(axis=1)]
        return Answers(labels, probabilities, logits.numpy())
