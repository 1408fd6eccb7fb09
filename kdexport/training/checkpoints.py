"""Between stacks and checkpoints: trained networks as arrays, and networks made of them again.

Takes stacks and how they were trained, gives `Trained` records; takes those and a prepared task,
gives networks in evaluation mode. Trains nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import get_args

import numpy as np
import torch

from kdexport.errors import DataError
from kdexport.prepared import Arrays, Looks, Prepared, Trained
from kdexport.recipe import Recipe
from kdexport.records import Float64, Inputs
from kdexport.student_section import Form
from kdexport.training.distill import (
    Students,
    build_plain_controls,
    build_student_stack,
    build_students,
)
from kdexport.training.ensemble import build_ensemble
from kdexport.training.fit import FitRecord
from kdexport.training.mixture import Mixture
from kdexport.training.nets import StackedMLP, compute_member_outputs

NOTHING: Mapping[str, float] = MappingProxyType({})
FORM = "student_"  # settings that begin so say by 1 or 0 whether students have that form
PLAIN = "plain_controls."  # what the names of the plain controls' weights begin with


def freeze_students(students: Students, settings: Mapping[str, float] = NOTHING) -> Trained:
    """Return the checkpoint of trained students and controls."""
    own = students.stack.encoder.form
    forms = {f"{FORM}{form}": float(form == own) for form in get_args(Form) if form != "plain"}
    trained = freeze(students.stack, students.record, {**settings, **forms})
    plain = weights_of(students.plain_controls)
    apart = {f"{PLAIN}{name}": values for name, values in plain.items()}
    return replace(trained, weights={**trained.weights, **apart})


def load_mixture(prepared: Prepared, trained: Trained) -> Mixture:
    """Return a teacher or rival with its weights, in evaluation mode."""
    stack = None
    if trained.weights:
        stack = thaw(build_ensemble(prepared.schema, prepared.recipe), trained)
    return Mixture(prepared.schema, stack, trained.trees, prepared.recipe.device)


def load_students(prepared: Prepared, students: Trained) -> StackedMLP:
    """Return students and controls with their weights, in evaluation mode."""
    weights = {k: v for k, v in students.weights.items() if not k.startswith(PLAIN)}
    stack = build_students(prepared.schema, _settled(prepared, students))
    return thaw(stack, replace(students, weights=weights))


def load_plain_controls(prepared: Prepared, students: Trained) -> StackedMLP | None:
    """Return the plain controls, if there are any, in evaluation mode."""
    weights = {k.removeprefix(PLAIN): v for k, v in students.weights.items() if k.startswith(PLAIN)}
    if not weights:
        return None
    stack = build_plain_controls(prepared.schema, prepared.recipe)
    return thaw(stack, replace(students, weights=weights))


def _settled(prepared: Prepared, students: Trained) -> Recipe:
    """Return the recipe with the form that the students have."""
    forms: list[Form] = [f for f in get_args(Form) if students.settings.get(f"{FORM}{f}")]
    return prepared.recipe.with_student_form(forms[0] if forms else "plain")


@dataclass(frozen=True)
class Shipped:
    """The student that ships, as a model of inputs."""

    stack: StackedMLP

    def answer(self, inputs: Inputs) -> Float64:
        """Probabilities or numbers, **Shape** `[n, K]`, computed in float64."""
        schema = self.stack.encoder.schema
        rows = self.stack.encoder.prepare(inputs).double()
        outputs = compute_member_outputs(self.stack, rows)[0]
        if schema.signature.is_regression:
            return schema.in_units(outputs.numpy())
        shares: Float64 = torch.softmax(outputs, dim=-1).numpy()
        return shares


def find_shipped(prepared: Prepared, students: Trained) -> int:
    """Choose the student that ships: the one closest to its targets on the validation rows."""
    return int(np.argmin(students.best_losses[: prepared.recipe.student.n_replicates]))


def load_shipped(prepared: Prepared, students: Trained) -> Shipped:
    """Return the student that ships, alone."""
    recipe, position = _settled(prepared, students), find_shipped(prepared, students)
    alone = {
        name: v[position : position + 1]
        for name, v in students.weights.items()
        if not name.startswith(PLAIN)
    }
    stack = build_student_stack(prepared.schema, recipe, [recipe.seed]).cpu()
    return Shipped(thaw(stack, replace(students, weights=alone)).double())


def freeze(
    stack: StackedMLP, record: FitRecord, settings: Mapping[str, float] = NOTHING
) -> Trained:
    """Return the checkpoint of a stack, and of how its training went."""
    looks = Looks(record.look_steps, record.validation_losses)
    weights = weights_of(stack)
    return Trained(weights, record.n_steps, record.best_losses, dict(settings), looks=looks)


def weights_of(stack: StackedMLP | None) -> Arrays:
    """Return a stack's parameters by name; none without a stack."""
    named = [] if stack is None else stack.named_parameters()
    return {name: p.detach().cpu().numpy() for name, p in named}


def thaw(stack: StackedMLP, trained: Trained) -> StackedMLP:
    """Put a checkpoint's weights into a stack, in evaluation mode.

    Raises:
        DataError: They are of another stack.
    """
    state = {name: torch.from_numpy(np.array(v)) for name, v in trained.weights.items()}
    try:
        stack.load_state_dict(state)
    except RuntimeError as error:
        raise DataError(
            "a checkpoint is of the task and recipe beside it",
            found=" ".join(str(error).split())[:300],
            cure="run kdexport train and distill again",
        ) from error
    stack.eval()
    return stack
