"""Between arrays and stacks: each training step from a prepared task to a checkpoint's content.

Takes `Prepared` and `Trained` records, gives `Trained` records; sets torch's threads on purpose.
"""

import os
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch

from kdexport.records import Float32, Inputs, ProgressSink
from kdexport.training.distill import Students, build_students, train_students
from kdexport.training.ensemble import build_ensemble, choose_regularisation, train_ensemble
from kdexport.training.fit import FitRecord
from kdexport.training.nets import StackedMLP, compute_mean_outputs
from kdexport.workspace import Prepared, Trained

NOTHING: Mapping[str, float] = MappingProxyType({})


def set_threads(asked: int) -> int:
    """Set torch's threads: `asked`, or with 0 what this process may use. Returns their number."""
    n_threads = asked or len(os.sched_getaffinity(0))
    torch.set_num_threads(n_threads)
    return n_threads


def train_teacher(prepared: Prepared, on_progress: ProgressSink) -> Trained:
    """Train the native ensemble of a prepared task."""
    recipe = prepared.recipe
    set_threads(recipe.threads)
    if recipe.teacher.regularisation == "chosen":
        chosen = choose_regularisation(
            prepared.rows, prepared.schema, recipe, on_progress=on_progress
        )
        recipe = recipe.model_copy(update={"teacher": chosen})
    ensemble, record = train_ensemble(
        prepared.rows, prepared.schema, recipe, on_progress=on_progress
    )
    settings = {"dropout": recipe.teacher.dropout, "weight_decay": recipe.teacher.weight_decay}
    return _freeze(ensemble, record, settings)


def train_students_of(prepared: Prepared, teacher: Trained, on_progress: ProgressSink) -> Trained:
    """Train students on a checkpointed teacher's answers, and controls beside them."""
    set_threads(prepared.recipe.threads)
    ensemble = load_ensemble(prepared, teacher)

    def label(inputs: Inputs) -> Float32:
        rows = ensemble.encoder.prepare(inputs, prepared.recipe.device)
        outputs: Float32 = compute_mean_outputs(ensemble, rows).cpu().numpy()
        return outputs

    students: Students = train_students(
        prepared.rows, prepared.schema, label, prepared.recipe, on_progress=on_progress
    )
    return _freeze(students.stack, students.record)


def load_ensemble(prepared: Prepared, teacher: Trained) -> StackedMLP:
    """Return the teacher's stack with its weights, in evaluation mode."""
    return _thaw(build_ensemble(prepared.schema, prepared.recipe), teacher)


def load_students(prepared: Prepared, students: Trained) -> StackedMLP:
    """Return the stack of students and controls with its weights, in evaluation mode."""
    return _thaw(build_students(prepared.schema, prepared.recipe), students)


def _freeze(
    stack: StackedMLP, record: FitRecord, settings: Mapping[str, float] = NOTHING
) -> Trained:
    weights = {name: p.detach().cpu().numpy() for name, p in stack.named_parameters()}
    return Trained(weights, record.n_steps, record.best_losses, settings)


def _thaw(stack: StackedMLP, trained: Trained) -> StackedMLP:
    state = {name: torch.from_numpy(np.array(v)) for name, v in trained.weights.items()}
    stack.load_state_dict(state)
    stack.eval()
    return stack
