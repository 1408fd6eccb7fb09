"""The search's training: many shapes of students on one transfer set, halved by validation rows.

Takes a lesson and a recipe, gives candidates: those of the last round with checkpoints of students
and controls, trained in full. The teacher answers the transfer set once. Test rows are never read.

Source: successive halving: Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and
Hyperparameter Optimization" (2016).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from kdexport.recipe import Recipe
from kdexport.records import Progress, ProgressSink, ignore_progress
from kdexport.schema import Schema
from kdexport.training.distill import Students, build_student_stack, fit_students, train_students
from kdexport.training.nets import compute_member_outputs
from kdexport.training.transfer import Lesson, TransferSet

Form = Literal["plain", "piecewise"]

# From no hidden layer to three; the recipe's own widths are always among them.
WIDTHS: tuple[tuple[int, ...], ...] = (
    (),
    (8,),
    (16,),
    (32,),
    (6, 6),
    (8, 8),
    (12, 12),
    (16, 16),
    (24, 16),
    (32, 16),
    (16, 16, 16),
)
SHARES = (1 / 16, 1 / 5)  # of a full training's steps, round by round
N_TRIED = 2  # students of each candidate in those rounds
MAX_FINALISTS = 5
BYTES_PER_WEIGHT = {"plain": 4, "piecewise": 2}  # of a file: pieces' weights are float16


@dataclass(frozen=True)
class Shape:
    """How a student is built: widths of its hidden layers, and how it reads numbers."""

    hidden: tuple[int, ...]
    form: Form

    @property
    def name(self) -> str:
        widths = "-".join(map(str, self.hidden)) or "linear"
        return widths if self.form == "plain" else f"{widths} piecewise"


@dataclass(frozen=True)
class Tried:
    """A shape in the last round that it was in.

    Attributes:
        shape: Its shape.
        recipe: The recipe of such students.
        n_weights: Of one of them.
        loss: Beside the teacher's answers on the validation rows, mean over its students.
        n_rounds: Rounds it was in.
        cost: Weights of all its networks times their optimiser steps.
        students: Students and controls trained in full; None before the last round.
        share: Of the way from the controls to the teacher in that loss; None before it.
    """

    shape: Shape
    recipe: Recipe
    n_weights: int
    loss: float = math.inf
    n_rounds: int = 0
    cost: int = 0
    students: Students | None = None
    share: float | None = None

    @property
    def n_bytes(self) -> int:
        """About how many bytes of a file its weights take."""
        return self.n_weights * BYTES_PER_WEIGHT[self.shape.form]


def list_shapes(schema: Schema, recipe: Recipe) -> list[Shape]:
    """Return the shapes that a search tries, the recipe's own first."""
    form = recipe.student.form
    usual: Form = "piecewise" if form == "piecewise" else "plain"
    forms: list[Form] = [usual, "plain"]
    if schema.has_knots:
        forms.append("piecewise")
    widths = (recipe.student.hidden, *WIDTHS)
    pairs = dict.fromkeys((hidden, form) for form in forms for hidden in widths)
    return [Shape(hidden, form) for hidden, form in pairs]


def search_students(
    lesson: Lesson,
    recipe: Recipe,
    transfer: TransferSet,
    *,
    on_progress: ProgressSink = ignore_progress,
) -> list[Tried]:
    """Try every shape for a short while, the better half for longer, a few of them in full.

    A shape stays by what it adds for its size: how far its loss lies below the lowest one of all
    that are smaller. The recipe's own shape stays to the end: the others are compared with it.

    Args:
        lesson: Rows and teacher.
        recipe: What the shapes have in common, settled.
        transfer: The transfer set, answered by the teacher.
        on_progress: Told how it goes.

    Returns:
        All of them, the smallest first.
    """
    shapes = list_shapes(lesson.schema, recipe)
    there = [_describe(lesson.schema, recipe, shape) for shape in shapes]
    usual, left = shapes[0], []
    for number, share in enumerate(SHARES, start=1):
        for position, tried in enumerate(there):
            on_progress(Progress(f"round {number} of {len(SHARES) + 1}", position, len(there)))
            there[position] = _try(lesson, tried, transfer, share)
        kept = max(MAX_FINALISTS, len(there) // 2) if share < max(SHARES) else MAX_FINALISTS
        there, gone = _halve(there, kept, usual)
        left += gone
    for position, tried in enumerate(there):
        on_progress(Progress(f"round {len(SHARES) + 1} of {len(SHARES) + 1}", position, len(there)))
        there[position] = _train(lesson, tried, transfer)
    return sorted(there + left, key=lambda tried: tried.n_bytes)


def _describe(schema: Schema, recipe: Recipe, shape: Shape) -> Tried:
    student = recipe.student.shaped(shape.hidden, shape.form)
    shaped = recipe.model_copy(update={"student": student})
    stack = build_student_stack(schema, shaped, [recipe.seed])
    return Tried(shape, shaped, stack.n_parameters_per_member)


def _try(lesson: Lesson, tried: Tried, transfer: TransferSet, share: float) -> Tried:
    """Train a few students of a shape for a share of the steps."""
    recipe = tried.recipe
    seeds = [recipe.seed + i for i in range(N_TRIED)]
    n_steps = max(1, round(recipe.student.max_steps * share))
    short = recipe.student.model_copy(update={"max_steps": n_steps})
    record = fit_students(
        build_student_stack(lesson.schema, recipe, seeds),
        transfer,
        lesson,
        recipe.model_copy(update={"student": short}),
        pools=[transfer.pools[0]] * N_TRIED,
        is_taught=[True] * N_TRIED,
        seeds=seeds,
        step_name=tried.shape.name,
        on_progress=ignore_progress,
    )
    cost = tried.n_weights * N_TRIED * record.n_steps
    return replace(
        tried,
        loss=float(record.best_losses.mean()),
        n_rounds=tried.n_rounds + 1,
        cost=tried.cost + cost,
    )


def _halve(there: Sequence[Tried], n_kept: int, usual: Shape) -> tuple[list[Tried], list[Tried]]:
    """Part those that stay from those that go, what adds most first."""

    def excess(tried: Tried) -> tuple[bool, float]:
        smaller = [one.loss for one in there if one.n_bytes < tried.n_bytes]
        return tried.shape != usual, tried.loss - min(smaller, default=tried.loss)

    ordered = sorted(there, key=excess)
    return ordered[:n_kept], ordered[n_kept:]


def _train(lesson: Lesson, tried: Tried, transfer: TransferSet) -> Tried:
    """Train students and controls of a shape in full, as a run does."""
    students = train_students(lesson, tried.recipe, transfer=transfer)
    n_steps, n_networks = students.record.n_steps, students.stack.n_members
    rows = students.stack.encoder.prepare(lesson.rows.validation.inputs, tried.recipe.device)
    with torch.no_grad():
        losses = lesson.judge(compute_member_outputs(students.stack, rows))
    half = n_networks // 2
    taught, alone = float(losses[:half].mean()), float(losses[half:].mean())
    return replace(
        tried,
        loss=taught,
        n_rounds=tried.n_rounds + 1,
        cost=tried.cost + tried.n_weights * n_networks * n_steps,
        students=students,
        share=lesson.find_share(taught=taught, alone=alone),
    )
