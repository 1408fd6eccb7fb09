"""Distillation: soft targets, and students and controls trained side by side in one stack.

Takes rows and a teacher (a function from raw features to logits), gives a stack of which the first
half are students and the second half controls. Members share architecture, seeds, schedule and
number of steps; they differ in what they may draw and in what they are told about it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from kdexport.recipe import Recipe
from kdexport.records import Float32, Parts, ProgressSink, Rows, ignore_progress
from kdexport.schema import Schema
from kdexport.training.augment import make_synthetic_rows
from kdexport.training.ensemble import one_hot
from kdexport.training.fit import FitRecord, Loss, fit_stack
from kdexport.training.nets import StackedMLP, Standardizer, as_tensor

NO_LABEL = -1

LabelRows = Callable[[Float32], Float32]
"""A teacher: raw features `[n, F]` float32 to logits `[n, K]` float32."""


@dataclass(frozen=True)
class Students:
    """Trained students and controls.

    Attributes:
        stack: Members 0 to R-1 are the students, R to 2R-1 the controls, replicate by replicate
            with the same seeds.
        record: How they were trained.
    """

    stack: StackedMLP
    record: FitRecord

    @property
    def n_replicates(self) -> int:
        return self.stack.n_members // 2

    @property
    def shipped(self) -> int:
        """The student that ships: the one closest to its targets on the validation rows."""
        return int(np.argmin(self.record.best_losses[: self.n_replicates]))


def build_students(schema: Schema, recipe: Recipe) -> StackedMLP:
    """Return the untrained students and controls that the recipe asks for."""
    seeds = list(range(recipe.seed, recipe.seed + recipe.student.n_replicates))
    return StackedMLP(
        d_in=len(schema.signature.numeric),
        hidden=recipe.student.hidden,
        d_out=len(schema.signature.classes),
        seeds=seeds + seeds,
    ).to(recipe.device)


def train_students(
    rows: Parts[Rows],
    schema: Schema,
    teacher: LabelRows,
    recipe: Recipe,
    *,
    on_progress: ProgressSink = ignore_progress,
) -> Students:
    """Train R students on the teacher's answers and R controls on the labels alone.

    Students draw from the transfer set (training rows and synthetic ones), controls from the
    training rows; both take the same number of steps. Test rows are never read.

    Args:
        rows: Encoded parts.
        schema: Features, classes and scaling.
        teacher: Labels training and synthetic rows.
        recipe: Architecture, temperature, alpha, schedule, transfer set, seed, device.
        on_progress: Called a few dozen times.
    """
    stack = build_students(schema, recipe)
    standardize = Standardizer.from_schema(schema).to(recipe.device)
    synthetic = make_synthetic_rows(rows.train.features, recipe.transfer, seed=recipe.seed)
    transfer = np.concatenate([rows.train.features, synthetic])
    labels = np.concatenate([rows.train.labels, np.full(len(synthetic), NO_LABEL)])
    n_replicates = recipe.student.n_replicates
    everything = torch.arange(len(transfer), device=recipe.device)
    pools = [everything] * n_replicates + [everything[: rows.train.n_rows]] * n_replicates
    alphas = torch.tensor([recipe.student.alpha] * n_replicates + [0.0] * n_replicates)
    seeds = list(range(recipe.seed, recipe.seed + n_replicates))
    record = fit_stack(
        stack,
        features=standardize(as_tensor(transfer, recipe.device)),
        pools=pools,
        loss=make_distillation_loss(
            as_tensor(teacher(transfer), recipe.device),
            torch.from_numpy(labels).to(recipe.device),
            alphas.to(recipe.device),
            temperature=recipe.student.temperature,
        ),
        validation_features=standardize(as_tensor(rows.validation.features, recipe.device)),
        validation_targets=_validation_targets(rows.validation, schema, teacher, recipe),
        recipe=recipe.student,
        n_steps=recipe.student.max_epochs * math.ceil(len(transfer) / recipe.student.batch_size),
        seeds=seeds + seeds,
        step_name=f"{n_replicates} students and {n_replicates} controls",
        on_progress=on_progress,
    )
    return Students(stack, record)


def _validation_targets(
    validation: Rows, schema: Schema, teacher: LabelRows, recipe: Recipe
) -> Tensor:
    """What each member's answers on the validation rows are compared with, `[M, v, K]`.

    A student is judged by the mixture it is trained on, alpha of the teacher's answers and the
    rest labels: against labels alone, the noise of a few hundred of them picks the step. A control
    knows only labels.
    """
    labels = one_hot(validation.labels, schema, recipe)
    answers = torch.softmax(as_tensor(teacher(validation.features), recipe.device), dim=-1)
    mixture = recipe.student.alpha * answers + (1 - recipe.student.alpha) * labels
    n_replicates = recipe.student.n_replicates
    return torch.stack([mixture] * n_replicates + [labels] * n_replicates)


def make_distillation_loss(
    teacher_logits: Tensor, labels: Tensor, alphas: Tensor, *, temperature: float
) -> Loss:
    """Build the loss alpha T^2 KL(teacher || student) + (1 - alpha) CE, both as batch means.

    A row without a label has only its soft term, with the whole weight: alpha is the teacher's
    share of the loss where there is anybody to share it with. The factor T^2 keeps the soft
    term's gradient at one size whatever the temperature.

    Args:
        teacher_logits: **Shape** `[N, K]` float32.
        labels: **Shape** `[N]` int64, `NO_LABEL` where there is none.
        alphas: **Shape** `[M]` float32: each member's alpha; 0 never looks at the teacher.
        temperature: Divides both models' logits in the soft term.

    Returns:
        From logits `[M, B, K]` and row numbers `[M, B]` to one loss per member, `[M]`.

    Source: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (2015).
    """
    soft_targets = torch.log_softmax(teacher_logits / temperature, dim=-1)
    taught = alphas > 0

    def loss(logits: Tensor, drawn: Tensor) -> Tensor:
        drawn_labels = labels[drawn]
        hard = F.cross_entropy(
            logits.flatten(0, 1), drawn_labels.flatten(), ignore_index=NO_LABEL, reduction="none"
        ).view(drawn.shape)
        answers = torch.log_softmax(logits[taught] / temperature, dim=-1)
        soft = F.kl_div(answers, soft_targets[drawn[taught]], reduction="none", log_target=True)
        soft_share = torch.where(drawn_labels[taught] == NO_LABEL, 1.0, alphas[taught, None])
        losses = (1.0 - alphas[:, None]) * hard
        losses[taught] = losses[taught] + soft_share * temperature**2 * soft.sum(dim=-1)
        return losses.mean(dim=1)

    return loss
