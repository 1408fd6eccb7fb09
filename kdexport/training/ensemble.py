"""The native teacher: an ensemble of networks on labels, logits averaged.

Takes rows and a recipe, gives a trained stack.
"""

import math

import torch
from torch import Tensor, nn

from kdexport.recipe import Recipe
from kdexport.records import Int64, Parts, ProgressSink, Rows, ignore_progress
from kdexport.schema import Schema
from kdexport.training.fit import FitRecord, fit_stack, fit_temperatures
from kdexport.training.nets import StackedMLP, Standardizer, as_tensor, compute_mean_logits


def build_ensemble(schema: Schema, recipe: Recipe) -> StackedMLP:
    """Return the untrained ensemble that the recipe asks for."""
    teacher = recipe.teacher
    return StackedMLP(
        d_in=len(schema.signature.numeric),
        hidden=teacher.hidden,
        d_out=len(schema.signature.classes),
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

    The mean of the members' logits is calibrated as each member was: divided by one temperature
    fitted on the validation rows, which stays in the members' last layers.

    Args:
        rows: Encoded parts; training rows fit, validation rows stop each member early.
        schema: Features, classes and scaling.
        recipe: Number, shape and schedule of the members, seed, device.
        on_progress: Called a few dozen times.

    Returns:
        The trained ensemble, in evaluation mode, and how it went.
    """
    ensemble = build_ensemble(schema, recipe)
    standardize = Standardizer.from_schema(schema).to(recipe.device)
    labels = torch.from_numpy(rows.train.labels).to(recipe.device)
    validation_features = standardize(as_tensor(rows.validation.features, recipe.device))
    validation_targets = one_hot(rows.validation.labels, schema, recipe)
    everyone = torch.arange(rows.train.n_rows, device=recipe.device)
    n_steps = recipe.teacher.max_epochs * math.ceil(rows.train.n_rows / recipe.teacher.batch_size)

    def cross_entropy(logits: Tensor, drawn: Tensor) -> Tensor:
        losses = nn.functional.cross_entropy(
            logits.flatten(0, 1), labels[drawn].flatten(), reduction="none"
        )
        return losses.view(drawn.shape).mean(dim=1)

    record = fit_stack(
        ensemble,
        features=standardize(as_tensor(rows.train.features, recipe.device)),
        pools=[everyone] * ensemble.n_members,
        loss=cross_entropy,
        validation_features=validation_features,
        validation_targets=validation_targets.expand(ensemble.n_members, -1, -1),
        recipe=recipe.teacher,
        n_steps=n_steps,
        seeds=range(recipe.seed, recipe.seed + ensemble.n_members),
        step_name=f"teacher ({ensemble.n_members} members)",
        on_progress=on_progress,
    )
    mean_logits = compute_mean_logits(ensemble, validation_features)
    temperatures, _ = fit_temperatures(mean_logits[None], validation_targets[None])
    ensemble.divide_logits(torch.from_numpy(temperatures).expand(ensemble.n_members))
    return ensemble, record


def one_hot(labels: Int64, schema: Schema, recipe: Recipe) -> Tensor:
    """Turn class positions `[n]` into class probabilities, **Shape** `[n, K]` float32."""
    codes = torch.from_numpy(labels).to(recipe.device)
    return nn.functional.one_hot(codes, len(schema.signature.classes)).float()
