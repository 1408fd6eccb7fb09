"""Distillation: soft targets, and students and controls trained side by side in one stack.

Takes rows and a teacher (a function from raw inputs to outputs), gives a stack of students, then
controls, then plain controls. Students and controls share architecture, seeds, schedule and number
of steps; they differ in what they may draw and in what they are told about it. Plain controls are
trained on labels as most people would: whichever control is the better one counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from kdexport.recipe import Recipe
from kdexport.records import ProgressSink, ignore_progress
from kdexport.schema import Schema
from kdexport.training.encode import Encoder
from kdexport.training.ensemble import fit_on_labels, target_tensor, weight_tensor
from kdexport.training.fit import FitRecord, Judge, Loss, count_steps, fit_stack, take_rows
from kdexport.training.nets import StackedMLP
from kdexport.training.objective import Objective, find_objective
from kdexport.training.transfer import Lesson, TransferSet, build_transfer_set

PLAIN: Mapping[str, object] = MappingProxyType(
    {
        "form": "plain",
        "batch_size": 64,
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "schedule": "constant",
        "max_epochs": 30,
    }
)


@dataclass(frozen=True)
class Students:
    """Trained students and controls.

    Attributes:
        stack: Members 0 to R-1 are the students, R to 2R-1 the controls, replicate by replicate
            with the same seeds.
        plain_controls: R networks, where the recipe asks for them.
        record: How students and controls were trained.
    """

    stack: StackedMLP
    plain_controls: StackedMLP | None
    record: FitRecord


def build_students(schema: Schema, recipe: Recipe) -> StackedMLP:
    """Return the untrained students and controls that the recipe asks for."""
    return build_student_stack(schema, recipe, list_seeds(recipe) * 2)


def build_plain_controls(schema: Schema, recipe: Recipe) -> StackedMLP:
    """Return untrained plain controls: they read numbers standardised, as most people's do."""
    plain = recipe.model_copy(update={"student": recipe.student.model_copy(update=PLAIN)})
    return build_student_stack(schema, plain, list_seeds(recipe))


def build_student_stack(schema: Schema, recipe: Recipe, seeds: Sequence[int]) -> StackedMLP:
    """Return untrained networks of the student's form and shape, one per seed."""
    return StackedMLP(
        Encoder(schema, form=recipe.student.settled_form),
        hidden=recipe.student.hidden,
        d_out=find_objective(schema).d_out,
        seeds=seeds,
    ).to(recipe.device)


def list_seeds(recipe: Recipe) -> list[int]:
    """Return the seed of each replicate."""
    return list(range(recipe.seed, recipe.seed + recipe.student.n_replicates))


def train_students(
    lesson: Lesson,
    recipe: Recipe,
    *,
    transfer: TransferSet | None = None,
    on_progress: ProgressSink = ignore_progress,
) -> Students:
    """Train R students on the teacher's answers and R controls on the labels alone.

    Students draw from the transfer set (training rows and synthetic ones), controls from the
    training rows; both take the same number of steps. Test rows are never read.

    Args:
        lesson: Rows and teacher.
        recipe: Architecture, temperature, alpha, schedule, transfer set, seed, device.
        transfer: The transfer set, where it was made already.
        on_progress: Called a few dozen times.
    """
    stack = build_students(lesson.schema, recipe)
    if transfer is None:
        transfer = build_transfer_set(lesson, recipe, [recipe.transfer])
    n_replicates = recipe.student.n_replicates
    record = fit_students(
        stack,
        transfer,
        lesson,
        recipe,
        pools=[transfer.pools[0]] * n_replicates + [transfer.labelled] * n_replicates,
        is_taught=[True] * n_replicates + [False] * n_replicates,
        seeds=list_seeds(recipe) * 2,
        step_name=f"{n_replicates} students and {n_replicates} controls",
        on_progress=on_progress,
    )
    if recipe.student.settled_form != "plain":
        stack.round_weights()
    plain_controls = None
    if recipe.student.plain_control == "trained":
        plain_controls = _train_plain_controls(lesson, recipe, on_progress)
    return Students(stack, plain_controls, record)


def fit_students(
    stack: StackedMLP,
    transfer: TransferSet,
    lesson: Lesson,
    recipe: Recipe,
    *,
    pools: Sequence[Tensor],
    is_taught: Sequence[bool],
    seeds: Sequence[int],
    step_name: str,
    on_progress: ProgressSink,
) -> FitRecord:
    """Train students, and controls beside them: those that are not taught by the teacher."""
    encoder, validation = stack.encoder, lesson.rows.validation
    objective = find_objective(lesson.schema, temperature=recipe.student.temperature)
    taught = torch.tensor(is_taught, device=recipe.device)
    share = recipe.student.control_rate
    return fit_stack(
        stack,
        rows=encoder.prepare(transfer.inputs, recipe.device),
        pools=pools,
        loss=make_distillation_loss(
            objective,
            teacher=transfer.outputs,
            targets=transfer.targets,
            weights=transfer.weights,
            alphas=recipe.student.alpha * taught.float(),
        ),
        validation_rows=encoder.prepare(validation.inputs, recipe.device),
        judge=make_judge(lesson, objective, recipe, is_taught),
        recipe=recipe.student,
        n_steps=count_steps(recipe.student, max(len(pool) for pool in pools)),
        seeds=seeds,
        step_name=step_name,
        rates=None if share == 1 or all(is_taught) else torch.where(taught, 1.0, share),
        on_progress=on_progress,
    )


def _train_plain_controls(lesson: Lesson, recipe: Recipe, on_progress: ProgressSink) -> StackedMLP:
    """Train R networks on labels by the recipe that most people start from.

    Adam at 1e-3, batches of 64 rows, 30 epochs, but no more steps than students take. Their
    weights are chosen and calibrated on validation rows like everyone's, which can only help them.
    """
    stack = build_plain_controls(lesson.schema, recipe)
    fit_on_labels(
        stack,
        lesson.rows,
        recipe,
        recipe.student.model_copy(update=PLAIN),
        list_seeds(recipe),
        step_name=f"{stack.n_members} plain controls",
        on_progress=on_progress,
    )
    return stack


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
    tempered = objective.temper(teacher)
    taught, told = ((alphas > 0).nonzero().flatten(), (alphas < 1).nonzero().flatten())

    def loss(outputs: Tensor, drawn: Tensor) -> Tensor:
        alone = take_rows(unlabelled, drawn)
        losses = outputs.new_zeros(drawn.shape)
        hard = objective.score(outputs[told], take_rows(known, drawn[told]))
        losses[told] = (1.0 - alphas[told, None]) * torch.where(alone[told], 0.0, hard)
        soft = objective.imitate(outputs[taught], take_rows(tempered, drawn[taught]))
        soft_share = torch.where(alone[taught], 1.0, alphas[taught, None])
        losses[taught] = losses[taught] + soft_share * soft
        return (losses * take_rows(weights, drawn)).mean(dim=1)

    return loss


def make_judge(
    lesson: Lesson, objective: Objective, recipe: Recipe, is_taught: Sequence[bool]
) -> Judge:
    """Say what each member's answers on the validation rows are compared with.

    A student is judged by the mixture it is trained on, alpha of the teacher's answers and the
    rest labels: against labels alone, the noise of a few hundred of them picks the step. A control
    knows only labels.
    """
    validation = lesson.rows.validation
    labels = target_tensor(validation, objective, recipe)
    answers = objective.soften(torch.from_numpy(lesson.validation_outputs).to(recipe.device))
    alpha = recipe.student.alpha
    mixture = alpha * answers + (1 - alpha) * labels
    targets = torch.stack([mixture if taught else labels for taught in is_taught])
    weights = weight_tensor(validation, recipe)
    return lambda outputs: objective.judge(outputs, targets, weights)
