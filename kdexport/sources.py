"""The trained networks' own answers: what every exported file is compared with.

Takes a prepared task and its checkpoints, gives answers in the user's own classes or numbers.
"""

import numpy as np
import torch
from torch import Tensor

from kdexport.records import Answers, Inputs
from kdexport.training.nets import compute_mean_outputs, compute_member_outputs
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
