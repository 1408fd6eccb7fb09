"""The native teacher: an ensemble of networks on labels, outputs averaged.

Takes rows and a recipe, gives a trained stack.
"""

import torch
from torch import Tensor

from kdexport.recipe import Recipe
from kdexport.records import Parts, ProgressSink, Rows, ignore_progress
from kdexport.schema import Schema
from kdexport.training.encode import Encoder
from kdexport.training.fit import FitRecord, count_steps, fit_stack
from kdexport.training.nets import StackedMLP, compute_mean_outputs
from kdexport.training.objective import Objective, find_objective


def build_ensemble(schema: Schema, recipe: Recipe) -> StackedMLP:
    """Return the untrained ensemble that the recipe asks for."""
    teacher = recipe.teacher
    return StackedMLP(
        Encoder(schema),
        hidden=teacher.hidden,
        d_out=find_objective(schema).d_out,
        seeds=range(recipe.seed, recipe.seed + teacher.n_members),
        dropout=teacher.dropout,
    ).to(recipe.device)


def train_ensemble(
    rows: Parts[Rows],
    schema: Schema,
    recipe: Recipe,
    *,
    on_progress: ProgressSink = ignore_progress,
) -> tuple[StackedMLP, FitRecord]:
    """Train the native teacher; test rows are never read.

    The mean of the members' outputs is calibrated as each member was: divided by one temperature
    fitted on the validation rows, which stays in the members' last layers.

    Args:
        rows: Encoded parts; training rows fit, validation rows stop each member early.
        schema: Columns, classes and scaling.
        recipe: Number, shape and schedule of the members, seed, device.
        on_progress: Called a few dozen times.

    Returns:
        The trained ensemble, in evaluation mode, and how it went.
    """
    ensemble, objective = build_ensemble(schema, recipe), find_objective(schema)
    targets = target_tensor(rows.train, objective, recipe)
    weights = weight_tensor(rows.train, recipe)
    validation = ensemble.encoder.prepare(rows.validation.inputs, recipe.device)
    validation_targets = target_tensor(rows.validation, objective, recipe)
    validation_weights = weight_tensor(rows.validation, recipe)
    everyone = torch.arange(rows.train.n_rows, device=recipe.device)

    def loss(outputs: Tensor, drawn: Tensor) -> Tensor:
        return (objective.score(outputs, targets[drawn]) * weights[drawn]).mean(dim=1)

    record = fit_stack(
        ensemble,
        rows=ensemble.encoder.prepare(rows.train.inputs, recipe.device),
        pools=[everyone] * ensemble.n_members,
        loss=loss,
        validation_rows=validation,
        judge=lambda outputs: objective.judge(
            outputs, validation_targets.expand(ensemble.n_members, -1, -1), validation_weights
        ),
        recipe=recipe.teacher,
        n_steps=count_steps(recipe.teacher, rows.train.n_rows),
        seeds=range(recipe.seed, recipe.seed + ensemble.n_members),
        step_name=f"teacher ({ensemble.n_members} members)",
        on_progress=on_progress,
    )
    mean = compute_mean_outputs(ensemble, validation)
    temperatures, _ = objective.judge(mean[None], validation_targets[None], validation_weights)
    ensemble.divide_outputs(torch.from_numpy(temperatures).expand(ensemble.n_members))
    return ensemble, record


def target_tensor(rows: Rows, objective: Objective, recipe: Recipe) -> Tensor:
    """Return the rows' hard targets, **Shape** `[n, K]` float32."""
    return torch.from_numpy(objective.encode_targets(rows.targets)).to(recipe.device)


def weight_tensor(rows: Rows, recipe: Recipe) -> Tensor:
    """Return how much each row counts, **Shape** `[n]` float32."""
    return torch.from_numpy(rows.weights).float().to(recipe.device)
