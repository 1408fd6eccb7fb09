"""The teacher of a prepared task: trained here, or the user's own.

Takes a task and what the user passed, gives the task whose recipe names the teacher, and whom to
ask. Imports torch when it is called.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdexport.errors import DataError
from kdexport.extras import needing
from kdexport.prepare import Source
from kdexport.prepared import Prepared, Trained
from kdexport.recipe import Recipe
from kdexport.records import ProgressSink, Table, ignore_progress
from kdexport.restore import Layout
from kdexport.resume import MAKE_NOW, MakeNow

if TYPE_CHECKING:
    from kdexport.training.own_teacher import OwnTeacher

    Teacher = Trained | OwnTeacher

PASSED = "{} (passed in Python)"  # a teacher that no command can name


@dataclass(frozen=True)
class Given:
    """A user's own teacher as it was passed; nothing at all asks for the native one.

    Attributes:
        models: One or a list: fitted models, torch modules, paths of ONNX files, functions.
        layout: The rows it was fitted on, whose form it takes; None where rows come from a file.
        weights: One per model of a list, or None for equal ones.
        oof: Fit copies of the models out of fold.
        answers: Answers in place of models: of the rows of the task.
        unlabeled_answers: The same of the unlabelled rows.
    """

    models: Any = None
    layout: Source = None
    weights: Sequence[float] | None = None
    oof: bool = False
    answers: Table | None = None
    unlabeled_answers: Table | None = None


NATIVE = Given()


def train_native(
    prepared: Prepared,
    *,
    kept: MakeNow = MAKE_NOW,
    on_progress: ProgressSink = ignore_progress,
) -> Trained:
    """Train the native teacher of a prepared task.

    Raises:
        DataError: The recipe names another.
        RecipeError: It asks for a device that is not there.
    """
    with needing("train", rule="training needs"):
        from kdexport.training import steps
    steps.refuse_device(prepared.recipe.device)
    refuse_absent_teachers(prepared.recipe)
    refuse_stored_answers(prepared.recipe)
    return steps.train_teacher(prepared, on_progress, kept)


def find_teacher(
    prepared: Prepared,
    given: Given = NATIVE,
    *,
    kept: MakeNow = MAKE_NOW,
    on_progress: ProgressSink = ignore_progress,
) -> "tuple[Prepared, Teacher]":
    """Train the teacher of a prepared task, or take the user's own; the recipe then names it.

    Raises:
        DataError: What was given is no teacher of this task.
        RecipeError: The recipe asks for a device that is not there.
    """
    if given.models is None and (given.weights is not None or given.oof):
        raise DataError(
            "weights and oof say how teachers of yours are asked",
            found="one of them, and no teacher",
            cure="pass teacher=, or leave them out",
        )
    if given.models is None and given.answers is None:
        return prepared, train_native(prepared, kept=kept, on_progress=on_progress)
    with needing("train", rule="training needs"):
        from kdexport.training import steps
    recipe = prepared.recipe
    steps.refuse_device(recipe.device)
    if given.answers is not None and given.models is not None:
        raise DataError(
            "a teacher is asked, or its stored answers are taken",
            found="both a teacher and answers",
            cure="pass one of them",
        )
    if given.answers is not None:
        if recipe.teacher.probabilities_file is None:
            recipe = recipe.with_own_teacher([PASSED.format("answers")], (), out_of_fold=False)
        source = steps.take_answers(prepared, given.answers, given.unlabeled_answers)
    else:
        oof = given.oof or recipe.teacher.fitting == "out_of_fold"
        weights = given.weights
        if weights is None:
            weights = recipe.teacher.weights or None
        source = steps.take_teacher(
            prepared, given.models, Layout(given.layout), weights, oof=oof, on_progress=on_progress
        )
        names = recipe.teacher.own or _name_teachers(given.models)
        recipe = recipe.with_own_teacher(names, () if weights is None else weights, out_of_fold=oof)
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


def refuse_stored_answers(recipe: Recipe) -> None:
    """Refuse to train a native teacher where the recipe names a file of answers."""
    if recipe.teacher.probabilities_file is not None:
        raise DataError(
            "only kdexport run learns from stored answers",
            found=f"teacher.probabilities_file is {recipe.teacher.probabilities_file!r}",
            cure="kdexport run --teacher-probabilities, or pass the teacher itself",
        )
