"""Between arrays and stacks: each training step from a prepared task to a checkpoint's content.

Takes `Prepared` and `Trained` records, gives `Trained` records; sets torch's threads on purpose.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import torch

from kdexport.records import ProgressSink
from kdexport.training.distill import Students, build_students, choose_transfer, train_students
from kdexport.training.ensemble import build_ensemble, choose_regularisation, train_ensemble
from kdexport.training.fit import FitRecord
from kdexport.training.mixture import Mixture, mix_with_boosting, train_rival
from kdexport.training.nets import StackedMLP
from kdexport.workspace import Prepared, Trained

NOTHING: Mapping[str, float] = MappingProxyType({})


def set_threads(asked: int) -> int:
    """Set torch's threads: `asked`, or with 0 what this process may use. Returns their number."""
    n_threads = asked or len(os.sched_getaffinity(0))
    torch.set_num_threads(n_threads)
    return n_threads


def train_teacher(prepared: Prepared, on_progress: ProgressSink) -> Trained:
    """Train the native teacher of a prepared task: the ensemble, or its mixture with boosting."""
    recipe = prepared.recipe
    n_threads = set_threads(recipe.threads)
    if recipe.teacher.regularisation == "chosen":
        chosen = choose_regularisation(
            prepared.rows, prepared.schema, recipe, on_progress=on_progress
        )
        recipe = recipe.model_copy(update={"teacher": chosen})
    ensemble, record = train_ensemble(
        prepared.rows, prepared.schema, recipe, on_progress=on_progress
    )
    settings = {"dropout": recipe.teacher.dropout, "weight_decay": recipe.teacher.weight_decay}
    if recipe.teacher.family == "mlp":
        return _freeze(ensemble, record, settings)
    mixture, own_outputs, share = mix_with_boosting(
        ensemble, prepared.rows, recipe, n_threads=n_threads, on_progress=on_progress
    )
    settings["boosting_share"] = share
    frozen = _freeze(mixture.stack, record, settings)
    return replace(frozen, trees=mixture.trees, own_outputs=own_outputs)


def train_rival_of(prepared: Prepared) -> Trained:
    """Train the rival of a prepared task."""
    rival = train_rival(prepared.rows, prepared.schema, seed=prepared.recipe.seed)
    return Trained({}, 0, np.empty(0), NOTHING, rival.trees)


def train_students_of(prepared: Prepared, teacher: Trained, on_progress: ProgressSink) -> Trained:
    """Train students on a checkpointed teacher's answers, and controls beside them."""
    set_threads(prepared.recipe.threads)
    mixture = load_mixture(prepared, teacher)
    recipe, settings = prepared.recipe, NOTHING
    learn = (prepared.rows, prepared.schema, mixture.compute_outputs)
    if recipe.transfer.selection == "chosen":
        chosen = choose_transfer(
            *learn, recipe, own_outputs=teacher.own_outputs, on_progress=on_progress
        )
        recipe = recipe.model_copy(update={"transfer": chosen})
        strength = "noise" if chosen.method == "jitter" else "swap_probability"
        settings = {f"{chosen.method}_{strength}": getattr(chosen, strength)}
    students: Students = train_students(
        *learn, recipe, own_outputs=teacher.own_outputs, on_progress=on_progress
    )
    return _freeze(students.stack, students.record, settings)


def load_mixture(prepared: Prepared, trained: Trained) -> Mixture:
    """Return a teacher or rival with its weights, in evaluation mode."""
    stack = None
    if trained.weights:
        stack = _thaw(build_ensemble(prepared.schema, prepared.recipe), trained)
    return Mixture(prepared.schema, stack, trained.trees, prepared.recipe.device)


def load_students(prepared: Prepared, students: Trained) -> StackedMLP:
    """Return students, controls and plain controls with their weights, in evaluation mode."""
    return _thaw(build_students(prepared.schema, prepared.recipe), students)


def _freeze(
    stack: StackedMLP | None, record: FitRecord, settings: Mapping[str, float] = NOTHING
) -> Trained:
    named = [] if stack is None else stack.named_parameters()
    weights = {name: p.detach().cpu().numpy() for name, p in named}
    return Trained(weights, record.n_steps, record.best_losses, settings)


def _thaw(stack: StackedMLP, trained: Trained) -> StackedMLP:
    state = {name: torch.from_numpy(np.array(v)) for name, v in trained.weights.items()}
    stack.load_state_dict(state)
    stack.eval()
    return stack
