"""The teacher of a prepared task: trained here, or the user's own.

Takes a task and what the user passed, gives the task whose recipe names the teacher, and whom to
ask. Imports torch when it is called.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdexport.errors import DataError
from kdexport.extras import import_training_room
from kdexport.prepare import Source
from kdexport.recipe import Recipe
from kdexport.records import ProgressSink, Table, ignore_progress
from kdexport.restore import Layout
from kdexport.resume import MAKE_NOW, MakeNow
from kdexport.workspace import Prepared

PASSED = "{} (passed in Python)"  # a teacher that no command can name


def find_teacher(
    prepared: Prepared,
    *,
    teacher: Any = None,
    data: Source = None,
    weights: Sequence[float] | None = None,
    oof: bool = False,
    answers: Table | None = None,
    unlabeled_answers: Table | None = None,
    kept: MakeNow = MAKE_NOW,
    on_progress: ProgressSink = ignore_progress,
) -> tuple[Prepared, Any]:
    """Train the teacher of a prepared task, or take the user's own; the recipe then names it."""
    steps, recipe = import_training_room("steps"), prepared.recipe
    if answers is not None:
        if recipe.teacher.probabilities_file is None:
            recipe = recipe.with_own_teacher([PASSED.format("answers")], (), out_of_fold=False)
        source = steps.take_answers(prepared, answers, unlabeled_answers)
    elif teacher is None:
        refuse_absent_teachers(recipe)
        source = steps.train_teacher(prepared, on_progress, kept)
    else:
        oof = oof or recipe.teacher.fitting == "out_of_fold"
        if weights is None:
            weights = recipe.teacher.weights or None
        source = steps.take_teacher(
            prepared, teacher, Layout(data), weights, oof=oof, on_progress=on_progress
        )
        names = recipe.teacher.own or _name_teachers(teacher)
        given = () if weights is None else weights
        recipe = recipe.with_own_teacher(names, given, out_of_fold=oof)
    return replace(prepared, recipe=recipe), source


def _name_teachers(teacher: Any) -> list[str]:
    """What a recipe calls teachers: ONNX files by their name, others by what they are."""
    several = teacher if isinstance(teacher, list | tuple) else [teacher]
    return [
        Path(one).name
        if isinstance(one, str | Path)
        else PASSED.format(getattr(one, "__name__", type(one).__name__))
        for one in several
    ]


def refuse_absent_teachers(recipe: Recipe) -> None:
    """Refuse to train a native teacher where the recipe names others."""
    if recipe.teacher.own:
        raise DataError(
            "the teachers that a recipe names are passed with it",
            found=f"teacher.own is {', '.join(recipe.teacher.own)}, and no teacher was passed",
            cure="kdexport run --recipe (with --teacher for those passed in Python), or teacher=",
        )
