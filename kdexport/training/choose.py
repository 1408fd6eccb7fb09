"""What a table's validation rows decide before the students are trained: form and transfer set.

Takes rows and a teacher, trains a few students for a short while each way, gives the recipe with
what they prefer. All start from the same weights; the teacher's answers on validation rows judge.
Test rows are never read.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch

from kdexport.recipe import Recipe, TransferRecipe
from kdexport.records import Float64, Parts, ProgressSink, Rows, ignore_progress
from kdexport.schema import Schema
from kdexport.training.distill import build_student_stack, fit_students
from kdexport.training.objective import find_objective
from kdexport.training.transfer import LabelRows, build_transfer_set

# Ways to make synthetic rows, of which a table takes what its validation rows prefer: close to the
# training rows where classes lie close together, farther where the teacher is smooth.
WAYS: tuple[Mapping[str, object], ...] = (
    {"method": "munge", "swap_probability": 0.15},
    {"method": "munge", "swap_probability": 0.3},
    {"method": "munge", "swap_probability": 0.5},
    {"method": "jitter", "noise": 0.15},
)
N_TRIED_ROWS = 40_000  # synthetic rows of each way while they are compared
MIDDLE = 1  # position of the way that forms are compared on
N_TRIED = 2  # students of each candidate

# Pieces make a file several times larger: they have to close this share of what a plain student
# leaves between itself and the teacher.
LEAST_GAIN = 0.1

Form = Literal["plain", "piecewise"]


def choose_form(
    rows: Parts[Rows],
    schema: Schema,
    teacher: LabelRows,
    recipe: Recipe,
    *,
    own_outputs: Float64 | None = None,
    on_progress: ProgressSink = ignore_progress,
) -> Form:
    """Choose whether students read numbers standardised or piece by piece."""
    if not schema.has_knots:
        return "plain"
    way = recipe.transfer
    if way.selection == "chosen":
        way = way.model_copy(update=WAYS[MIDDLE])
    forms: tuple[Form, ...] = ("plain", "piecewise")
    losses = [
        _try_students(
            rows, schema, teacher, recipe.with_student_form(form), [way], own_outputs, on_progress
        )[0]
        for form in forms
    ]
    least = _find_least_loss(rows.validation, schema, teacher)
    pays = losses[1] - least < (1 - LEAST_GAIN) * (losses[0] - least)
    return forms[int(pays)]


def choose_transfer(
    rows: Parts[Rows],
    schema: Schema,
    teacher: LabelRows,
    recipe: Recipe,
    *,
    own_outputs: Float64 | None = None,
    on_progress: ProgressSink = ignore_progress,
) -> TransferRecipe:
    """Choose how synthetic rows are made."""
    ways = [recipe.transfer.model_copy(update=way) for way in WAYS]
    losses = _try_students(rows, schema, teacher, recipe, ways, own_outputs, on_progress)
    best = {**WAYS[int(losses.argmin())], "selection": "given"}
    return recipe.transfer.model_copy(update=best)


def _try_students(
    rows: Parts[Rows],
    schema: Schema,
    teacher: LabelRows,
    recipe: Recipe,
    ways: Sequence[TransferRecipe],
    own_outputs: Float64 | None,
    on_progress: ProgressSink,
) -> Float64:
    """Train students on a small set of each way; return each way's mean validation loss."""
    small = {"n_synthetic": min(recipe.transfer.n_synthetic, N_TRIED_ROWS)}
    ways = [way.model_copy(update=small) for way in ways]
    seeds = [recipe.seed + i for i in range(N_TRIED)] * len(ways)
    stack = build_student_stack(schema, recipe, seeds)
    objective = find_objective(schema, temperature=recipe.student.temperature)
    transfer = build_transfer_set(
        rows.train, stack.encoder, objective, teacher, recipe, ways, own_outputs=own_outputs
    )
    short = recipe.student.model_copy(update={"max_steps": recipe.student.max_steps // 4})
    what = "transfer set" if len(ways) > 1 else f"{recipe.student.form} students"
    record = fit_students(
        stack,
        transfer,
        rows.validation,
        teacher,
        recipe.model_copy(update={"student": short}),
        pools=[pool for pool in transfer.pools for _ in range(N_TRIED)],
        is_taught=[True] * len(seeds),
        seeds=seeds,
        step_name=f"{what} ({len(ways)} ways)" if len(ways) > 1 else f"trying {what}",
        on_progress=on_progress,
    )
    losses: Float64 = record.best_losses.reshape(len(ways), N_TRIED).mean(axis=1)
    return losses


def _find_least_loss(validation: Rows, schema: Schema, teacher: LabelRows) -> float:
    """Return what a student that answers just as the teacher would be judged."""
    objective = find_objective(schema)
    answers = torch.from_numpy(teacher(validation.inputs))
    targets = objective.soften(answers)[None]
    _, losses = objective.judge(answers[None], targets, torch.from_numpy(validation.weights))
    return float(np.mean(losses))
