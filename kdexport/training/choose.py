"""What a table's validation rows decide before the students are trained: form and transfer set.

Takes a lesson, trains a few students for a short while each way, gives the recipe with
what they prefer. All start from the same weights; the teacher's answers on validation rows judge.
Test rows are never read.
"""

from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np
import torch

from kdexport.recipe import Recipe
from kdexport.records import Float64, ProgressSink, ignore_progress
from kdexport.sections import TransferRecipe
from kdexport.student_section import Form
from kdexport.training.augment import MIXED
from kdexport.training.distill import build_student_stack, fit_students, make_judge
from kdexport.training.objective import find_objective
from kdexport.training.transfer import Lesson, TransferSet, build_transfer_set

WAYS: tuple[Mapping[str, object], ...] = (
    *MIXED,
    {"method": "gaussian_mixture"},
    {"method": "mixed"},
)
N_TRIED_ROWS = 40_000  # synthetic rows of each way while they are compared
N_TRIED = 2  # students of each candidate

# Each form makes a larger file than the one before: it has to close this share of what students of
# the form chosen so far leave between themselves and the teacher.
LEAST_GAIN = 0.1
LEAST_DIFFERENCE = 5e-4  # and by so many nats


def choose_form(
    lesson: Lesson, recipe: Recipe, *, on_progress: ProgressSink = ignore_progress
) -> Form:
    """Choose how students read numbers."""
    if not lesson.schema.has_knots:
        return "plain"
    way = recipe.transfer
    if way.selection == "chosen":
        way = way.model_copy(update={"method": "mixed"})
    transfer = _build_small_set(lesson, recipe, [way])
    floor = find_floor(lesson, recipe)
    gaps: dict[Form, float] = {}
    for form in get_args(Form):
        (loss,) = _try_students(
            lesson,
            recipe.with_student_form(form),
            transfer,
            step_name=f"trying {form} students",
            on_progress=on_progress,
        )
        gaps[form] = float(loss) - floor
    return pick_form(gaps, measure_nat(lesson))


def pick_form(gaps: Mapping[Form, float], nat: float) -> Form:
    """Return the last form that pays for its larger file, beside the one picked before it.

    Args:
        gaps: Form to what its students leave between themselves and the teacher, smallest file
            first.
        nat: How much of that loss is a nat.
    """
    picked, *larger = gaps
    for form in larger:
        before = gaps[picked]
        if gaps[form] < min((1 - LEAST_GAIN) * before, before - LEAST_DIFFERENCE * nat):
            picked = form
    return picked


def find_floor(lesson: Lesson, recipe: Recipe) -> float:
    """Return the loss of a student that answers just as the teacher does, judged as they are."""
    judge = make_judge(lesson, find_objective(lesson.schema), recipe, [True])
    outputs = torch.from_numpy(lesson.validation_outputs).to(recipe.device)
    return float(judge(outputs[None])[1][0])


def measure_nat(lesson: Lesson) -> float:
    """Return how much of the loss that judges students is a nat.

    Of a number, twice the teacher's mean squared error: a normal of that variance has a nat more
    of log loss where the squared error grows by so much.
    """
    if not lesson.schema.signature.is_regression:
        return 1.0
    validation = lesson.rows.validation
    targets = find_objective(lesson.schema).encode_targets(validation.targets)
    return 2 * float(np.square(lesson.validation_outputs - targets).mean())


def choose_transfer(
    lesson: Lesson, recipe: Recipe, *, on_progress: ProgressSink = ignore_progress
) -> TransferRecipe:
    """Choose how synthetic rows are made."""
    ways = [recipe.transfer.model_copy(update=way) for way in WAYS]
    losses = _try_students(
        lesson,
        recipe,
        _build_small_set(lesson, recipe, ways),
        step_name=f"transfer set ({len(ways)} ways)",
        on_progress=on_progress,
    )
    best = {**WAYS[int(losses.argmin())], "selection": "given"}
    return recipe.transfer.model_copy(update=best)


def _build_small_set(lesson: Lesson, recipe: Recipe, ways: Sequence[TransferRecipe]) -> TransferSet:
    """Make and label a small number of rows in each way."""
    small = {"n_synthetic": min(recipe.transfer.n_synthetic, N_TRIED_ROWS)}
    return build_transfer_set(lesson, recipe, [way.model_copy(update=small) for way in ways])


def _try_students(
    lesson: Lesson,
    recipe: Recipe,
    transfer: TransferSet,
    *,
    step_name: str,
    on_progress: ProgressSink,
) -> Float64:
    """Train students on every pool for a short while; return each pool's mean validation loss."""
    n_pools = len(transfer.pools)
    seeds = [recipe.seed + i for i in range(N_TRIED)] * n_pools
    n_steps = max(1, recipe.student.max_steps // 4)
    short = recipe.student.model_copy(update={"max_steps": n_steps})
    record = fit_students(
        build_student_stack(lesson.schema, recipe, seeds),
        transfer,
        lesson,
        recipe.model_copy(update={"student": short}),
        pools=[pool for pool in transfer.pools for _ in range(N_TRIED)],
        is_taught=[True] * len(seeds),
        seeds=seeds,
        step_name=step_name,
        on_progress=on_progress,
    )
    losses: Float64 = record.best_losses.reshape(n_pools, N_TRIED).mean(axis=1)
    return losses
