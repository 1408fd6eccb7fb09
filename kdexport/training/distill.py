"""Distillation: soft targets, and students and controls trained side by side in one stack.

Takes rows and a teacher (a function from raw inputs to outputs), gives a stack of students, then
controls, then plain controls. Students and controls share architecture, seeds, schedule and number
of steps; they differ in what they may draw and in what they are told about it. Plain controls are
trained on labels as most people would: whichever control is the better one counts.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from kdexport.recipe import Recipe
from kdexport.records import Float32, Float64, Inputs, Parts, ProgressSink, Rows, ignore_progress
from kdexport.schema import Schema
from kdexport.training.augment import make_synthetic_inputs
from kdexport.training.encode import Encoder
from kdexport.training.ensemble import make_label_judge, target_tensor, weight_tensor
from kdexport.training.fit import FitRecord, Judge, Loss, count_steps, fit_stack
from kdexport.training.nets import StackedMLP
from kdexport.training.objective import Objective, find_objective

PLAIN: Mapping[str, object] = MappingProxyType(
    {
        "batch_size": 64,
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "schedule": "constant",
        "max_epochs": 30,
    }
)

LabelRows = Callable[[Inputs], Float32]
"""A teacher: n rows of raw inputs to outputs `[n, K]` float32: logits, or one standardised
number."""


@dataclass(frozen=True)
class Students:
    """Trained students and controls.

    Attributes:
        stack: Members 0 to R-1 are the students, R to 2R-1 the controls, and where the recipe
            asks for them 2R to 3R-1 the plain controls, replicate by replicate with the same seeds.
        record: How students and controls were trained.
    """

    stack: StackedMLP
    record: FitRecord


def build_students(schema: Schema, recipe: Recipe) -> StackedMLP:
    """Return the untrained students and controls that the recipe asks for."""
    return _build_groups(schema, recipe, 2 + (recipe.student.plain_control == "trained"))


def _build_groups(schema: Schema, recipe: Recipe, n_groups: int) -> StackedMLP:
    """Return groups of R networks that start alike."""
    return StackedMLP(
        Encoder(schema),
        hidden=recipe.student.hidden,
        d_out=find_objective(schema).d_out,
        seeds=_list_seeds(recipe) * n_groups,
    ).to(recipe.device)


def _list_seeds(recipe: Recipe) -> list[int]:
    """Return the seed of each replicate."""
    return list(range(recipe.seed, recipe.seed + recipe.student.n_replicates))


def train_students(
    rows: Parts[Rows],
    schema: Schema,
    teacher: LabelRows,
    recipe: Recipe,
    *,
    own_outputs: Float64 | None = None,
    on_progress: ProgressSink = ignore_progress,
) -> Students:
    """Train R students on the teacher's answers and R controls on the labels alone.

    Students draw from the transfer set (training rows and synthetic ones), controls from the
    training rows; both take the same number of steps. Test rows are never read.

    Args:
        rows: Encoded parts.
        schema: Columns, classes and scaling.
        teacher: Labels training and synthetic rows.
        recipe: Architecture, temperature, alpha, schedule, transfer set, seed, device.
        own_outputs: What stands for the teacher's outputs on the training rows, where it answers
            rows that it has seen more surely than others. **Shape** `[n, K]` float64.
        on_progress: Called a few dozen times.
    """
    stack = _build_groups(schema, recipe, 2)
    objective = find_objective(schema, temperature=recipe.student.temperature)
    synthetic, sources = make_synthetic_inputs(
        rows.train.inputs, stack.encoder, recipe.transfer, seed=recipe.seed
    )
    transfer = rows.train.inputs.joined_with(synthetic)
    targets = target_tensor(rows.train, objective, recipe)
    weights = weight_tensor(rows.train, recipe)
    no_label = torch.full((synthetic.n_rows, objective.d_out), math.nan, device=recipe.device)
    n_replicates, alpha = recipe.student.n_replicates, recipe.student.alpha
    alphas = torch.tensor([alpha] * n_replicates + [0.0] * n_replicates, device=recipe.device)
    everything = torch.arange(transfer.n_rows, device=recipe.device)
    labelled = everything[: rows.train.n_rows]
    outputs = teacher(transfer)
    if own_outputs is not None:
        outputs[: rows.train.n_rows] = own_outputs
    record = fit_stack(
        stack,
        rows=stack.encoder.prepare(transfer, recipe.device),
        pools=[everything] * n_replicates + [labelled] * n_replicates,
        loss=make_distillation_loss(
            objective,
            teacher=torch.from_numpy(outputs).to(recipe.device),
            targets=torch.cat([targets, no_label]),
            weights=torch.cat([weights, weights[torch.from_numpy(sources)]]),
            alphas=alphas,
        ),
        validation_rows=stack.encoder.prepare(rows.validation.inputs, recipe.device),
        judge=_make_judge(rows.validation, objective, teacher, recipe),
        recipe=recipe.student,
        n_steps=count_steps(recipe.student, transfer.n_rows),
        seeds=_list_seeds(recipe) * 2,
        step_name=f"{n_replicates} students and {n_replicates} controls",
        on_progress=on_progress,
    )
    if recipe.student.plain_control == "none":
        return Students(stack, record)
    plain = _train_plain_controls(rows, schema, recipe, on_progress)
    return Students(_join_stacks(build_students(schema, recipe), [stack, plain]), record)


def _train_plain_controls(
    rows: Parts[Rows], schema: Schema, recipe: Recipe, on_progress: ProgressSink
) -> StackedMLP:
    """Train R networks on labels by the recipe that most people start from.

    Adam at 1e-3, batches of 64 rows, 30 epochs. Their weights are chosen and calibrated on
    validation rows like everyone's, which can only help them.
    """
    plain = recipe.model_copy(update={"student": recipe.student.model_copy(update=PLAIN)})
    stack = _build_groups(schema, plain, 1)
    objective = find_objective(schema)
    targets = target_tensor(rows.train, objective, plain)
    weights = weight_tensor(rows.train, plain)

    def loss(outputs: Tensor, drawn: Tensor) -> Tensor:
        return (objective.score(outputs, targets[drawn]) * weights[drawn]).mean(dim=1)

    fit_stack(
        stack,
        rows=stack.encoder.prepare(rows.train.inputs, plain.device),
        pools=[torch.arange(rows.train.n_rows, device=plain.device)] * stack.n_members,
        loss=loss,
        validation_rows=stack.encoder.prepare(rows.validation.inputs, plain.device),
        judge=make_label_judge(rows.validation, schema, plain),
        recipe=plain.student,
        n_steps=count_steps(plain.student, rows.train.n_rows),
        seeds=_list_seeds(plain),
        step_name=f"{stack.n_members} plain controls",
        on_progress=on_progress,
    )
    return stack


@torch.no_grad()
def _join_stacks(joined: StackedMLP, stacks: Sequence[StackedMLP]) -> StackedMLP:
    """Copy the members of several stacks into one."""
    for name, parameter in joined.named_parameters():
        parameter.copy_(torch.cat([stack.get_parameter(name) for stack in stacks]))
    joined.eval()
    return joined


def make_distillation_loss(
    objective: Objective, *, teacher: Tensor, targets: Tensor, weights: Tensor, alphas: Tensor
) -> Loss:
    """Build the loss alpha * soft + (1 - alpha) * hard, as weighted batch means.

    The soft term is T^2 KL(teacher || student) for classes and the Huber loss for numbers, the
    hard one cross entropy or squared error. A row without a label has only its soft term, with the
    whole weight: alpha is the teacher's share of the loss where there is anybody to share it with.

    Args:
        objective: The two terms.
        teacher: Its outputs, **Shape** `[N, K]` float32.
        targets: **Shape** `[N, K]` float32, NaN where there is no label.
        weights: **Shape** `[N]` float32: how much a row counts.
        alphas: **Shape** `[M]` float32: each member's alpha; 0 never looks at the teacher.

    Returns:
        From outputs `[M, B, K]` and row numbers `[M, B]` to one loss per member, `[M]`.

    Source: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (2015).
    """
    unlabelled = torch.isnan(targets[:, 0])
    known = torch.where(unlabelled[:, None], 0.0, targets)
    tempered, taught = objective.temper(teacher), alphas > 0

    def loss(outputs: Tensor, drawn: Tensor) -> Tensor:
        alone = unlabelled[drawn]
        hard = torch.where(alone, 0.0, objective.score(outputs, known[drawn]))
        losses = (1.0 - alphas[:, None]) * hard
        soft = objective.imitate(outputs[taught], tempered[drawn[taught]])
        soft_share = torch.where(alone[taught], 1.0, alphas[taught, None])
        losses[taught] = losses[taught] + soft_share * soft
        return (losses * weights[drawn]).mean(dim=1)

    return loss


def _make_judge(
    validation: Rows, objective: Objective, teacher: LabelRows, recipe: Recipe
) -> Judge:
    """Say what each member's answers on the validation rows are compared with.

    A student is judged by the mixture it is trained on, alpha of the teacher's answers and the
    rest labels: against labels alone, the noise of a few hundred of them picks the step. A control
    knows only labels.
    """
    labels = target_tensor(validation, objective, recipe)
    answers = objective.soften(torch.from_numpy(teacher(validation.inputs)).to(recipe.device))
    alpha, n_replicates = recipe.student.alpha, recipe.student.n_replicates
    mixture = alpha * answers + (1 - alpha) * labels
    targets = torch.stack([mixture] * n_replicates + [labels] * n_replicates)
    weights = weight_tensor(validation, recipe)
    return lambda outputs: objective.judge(outputs, targets, weights)
