"""The native teacher: an ensemble of networks on labels, outputs averaged.

Takes rows and a recipe, gives a trained stack.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from kdexport.recipe import Recipe
from kdexport.records import Parts, ProgressSink, Rows, ignore_progress
from kdexport.schema import Schema
from kdexport.sections import FitRecipe, TeacherRecipe
from kdexport.training.encode import Encoder
from kdexport.training.fit import FitRecord, Judge, count_steps, fit_stack
from kdexport.training.nets import StackedMLP, compute_mean_outputs
from kdexport.training.objective import Objective, find_objective

# Dropout and weight decay, of which a table takes what its validation rows prefer: few noisy rows
# want much of both, many rows of a sharp rule want little.
REGULARISATIONS = ((0.3, 0.3), (0.3, 0.03), (0.1, 0.1), (0.1, 0.03))


def build_ensemble(schema: Schema, recipe: Recipe) -> StackedMLP:
    """Return the untrained ensemble that the recipe asks for."""
    n_members = recipe.teacher.n_members
    seeds = range(recipe.seed, recipe.seed + n_members)
    return _build_stack(schema, recipe, seeds, [recipe.teacher.dropout] * n_members)


def choose_regularisation(
    rows: Parts[Rows],
    schema: Schema,
    recipe: Recipe,
    *,
    on_progress: ProgressSink = ignore_progress,
) -> TeacherRecipe:
    """Train one member of each regularisation and return the best one's recipe.

    All start from the same weights and draw the same rows; validation rows judge.
    """
    dropouts, decays = zip(*REGULARISATIONS, strict=True)
    seeds = [recipe.seed] * len(REGULARISATIONS)
    record = fit_on_labels(
        _build_stack(schema, recipe, seeds, dropouts),
        rows,
        recipe,
        recipe.teacher,
        seeds,
        step_name=f"regularisation ({len(seeds)} members)",
        weight_decays=torch.tensor(decays),
        on_progress=on_progress,
    )
    dropout, decay = REGULARISATIONS[int(np.argmin(record.best_losses))]
    return recipe.teacher.model_copy(
        update={"dropout": dropout, "weight_decay": decay, "regularisation": "given"}
    )


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
    ensemble = build_ensemble(schema, recipe)
    record = fit_on_labels(
        ensemble,
        rows,
        recipe,
        recipe.teacher,
        range(recipe.seed, recipe.seed + ensemble.n_members),
        step_name=f"teacher ({ensemble.n_members} members)",
        on_progress=on_progress,
    )
    validation = ensemble.encoder.prepare(rows.validation.inputs, recipe.device)
    mean = compute_mean_outputs(ensemble, validation)
    temperatures, _ = make_label_judge(rows.validation, schema, recipe)(mean[None])
    ensemble.divide_outputs(torch.from_numpy(temperatures).expand(ensemble.n_members))
    return ensemble, record


def _build_stack(
    schema: Schema, recipe: Recipe, seeds: Sequence[int], dropouts: Sequence[float]
) -> StackedMLP:
    return StackedMLP(
        Encoder(schema),
        hidden=recipe.teacher.hidden,
        d_out=find_objective(schema).d_out,
        seeds=seeds,
        dropout=dropouts,
    ).to(recipe.device)


def fit_on_labels(
    stack: StackedMLP,
    rows: Parts[Rows],
    recipe: Recipe,
    settings: FitRecipe,
    seeds: Sequence[int],
    *,
    step_name: str,
    weight_decays: Tensor | None = None,
    on_progress: ProgressSink = ignore_progress,
) -> FitRecord:
    """Train every member of a stack on the labels of all training rows."""
    schema = stack.encoder.schema
    objective = find_objective(schema)
    targets = target_tensor(rows.train, objective, recipe)
    weights = weight_tensor(rows.train, recipe)
    everyone = torch.arange(rows.train.n_rows, device=recipe.device)

    def loss(outputs: Tensor, drawn: Tensor) -> Tensor:
        return (objective.score(outputs, targets[drawn]) * weights[drawn]).mean(dim=1)

    return fit_stack(
        stack,
        rows=stack.encoder.prepare(rows.train.inputs, recipe.device),
        pools=[everyone] * stack.n_members,
        loss=loss,
        validation_rows=stack.encoder.prepare(rows.validation.inputs, recipe.device),
        judge=make_label_judge(rows.validation, schema, recipe),
        recipe=settings,
        n_steps=count_steps(settings, rows.train.n_rows),
        seeds=seeds,
        step_name=step_name,
        weight_decays=weight_decays,
        on_progress=on_progress,
    )


def make_label_judge(validation: Rows, schema: Schema, recipe: Recipe) -> Judge:
    """Compare outputs `[M, v, K]` with the labels of the validation rows."""
    objective = find_objective(schema)
    targets = target_tensor(validation, objective, recipe)
    weights = weight_tensor(validation, recipe)
    return lambda outputs: objective.judge(outputs, targets.expand(len(outputs), -1, -1), weights)


def target_tensor(rows: Rows, objective: Objective, recipe: Recipe) -> Tensor:
    """Return the rows' hard targets, **Shape** `[n, K]` float32."""
    return torch.from_numpy(objective.encode_targets(rows.targets)).to(recipe.device)


def weight_tensor(rows: Rows, recipe: Recipe) -> Tensor:
    """Return how much each row counts, **Shape** `[n]` float32."""
    return torch.from_numpy(rows.weights).float().to(recipe.device)
