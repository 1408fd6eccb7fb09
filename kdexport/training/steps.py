"""Between arrays and stacks: each training step from a prepared task to a checkpoint's content.

Takes `Prepared` and `Trained` records, gives `Trained` records.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from kdexport.errors import RecipeError
from kdexport.prepared import Prepared, Trained
from kdexport.recipe import Recipe
from kdexport.records import Float64, ProgressSink, Table
from kdexport.restore import Layout, Restorer
from kdexport.resume import MAKE_NOW, MakeNow
from kdexport.sections import TeacherRecipe, TransferRecipe
from kdexport.student_section import StudentRecipe
from kdexport.training.calibrate import calibrate
from kdexport.training.checkpoints import (
    freeze,
    freeze_students,
    load_mixture,
    thaw,
    weights_of,
)
from kdexport.training.choose import choose_form, choose_transfer
from kdexport.training.distill import train_students
from kdexport.training.ensemble import build_ensemble, choose_regularisation, train_ensemble
from kdexport.training.mixture import mix_with_boosting, train_rival
from kdexport.training.out_of_fold import refit_out_of_fold, warn_of_seen_rows
from kdexport.training.own_teacher import OwnTeacher, mix_teachers, refuse_other_columns
from kdexport.training.stored import read_stored
from kdexport.training.threads import use_threads
from kdexport.training.transfer import LabelRows, Lesson

TORCH_VERSION = str(torch.__version__)  # with its build, as in 2.9.0+cpu

# What each way of making synthetic rows is set by; those that are not here have no strength.
STRENGTHS = {"munge": "swap_probability", "jitter": "noise", "marginal": "swap_probability"}


def refuse_device(name: str) -> None:
    """Refuse a device that torch cannot train on, before anything is trained.

    Raises:
        RecipeError: It is unknown, or there is none.
    """
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise RecipeError(
            "networks are trained on a device that torch has here",
            found=f"{name!r}: {str(error).splitlines()[0][:200]}",
            cure="pass --device cpu",
        ) from error


def train_teacher(
    prepared: Prepared, on_progress: ProgressSink, steps: MakeNow = MAKE_NOW
) -> Trained:
    """Train the native teacher of a prepared task: the ensemble, or its mixture with boosting.

    Args:
        prepared: The task.
        on_progress: Told how it goes.
        steps: Where finished steps are kept.
    """
    recipe = prepared.recipe
    with use_threads(recipe.threads) as n_threads:
        learn = (prepared.rows, prepared.schema)
        if recipe.teacher.regularisation == "chosen":
            chosen = steps.choose(
                "regularisation",
                TeacherRecipe,
                lambda: choose_regularisation(*learn, recipe, on_progress=on_progress),
            )
            recipe = recipe.model_copy(update={"teacher": chosen})
        settings = {"dropout": recipe.teacher.dropout, "weight_decay": recipe.teacher.weight_decay}
        ensemble = steps.take(
            "ensemble",
            lambda: freeze(*train_ensemble(*learn, recipe, on_progress=on_progress), settings),
        )
        if recipe.teacher.family == "mlp":
            return ensemble
        return steps.take("teacher", lambda: _mix(prepared, ensemble, n_threads, on_progress))


def _mix(
    prepared: Prepared, ensemble: Trained, n_threads: int, on_progress: ProgressSink
) -> Trained:
    """Add boosted trees to a trained ensemble."""
    stack = thaw(build_ensemble(prepared.schema, prepared.recipe), ensemble)
    mixture, own_outputs, share = mix_with_boosting(
        stack, prepared.rows, prepared.recipe, n_threads=n_threads, on_progress=on_progress
    )
    if mixture.stack is None:  # trees alone: of the ensemble nothing is left to tell of
        ensemble = Trained({}, 0, np.empty(0), {})
    return replace(
        ensemble,
        weights=weights_of(mixture.stack),
        settings={**ensemble.settings, "boosting_share": share},
        trees=mixture.trees,
        own_outputs=own_outputs,
    )


def train_rival_of(prepared: Prepared) -> Trained:
    """Train the rival of a prepared task."""
    rival = train_rival(prepared.rows, prepared.schema, seed=prepared.recipe.seed)
    return Trained({}, 0, np.empty(0), {}, rival.trees)


def take_teacher(
    prepared: Prepared,
    teachers: Any,
    layout: Layout,
    weights: Sequence[float] | None,
    *,
    oof: bool,
    on_progress: ProgressSink,
) -> OwnTeacher:
    """Take what a user passes as the teacher of a prepared task.

    Args:
        prepared: The task, with its restorer.
        teachers: One or a list: fitted models, torch modules, paths of ONNX files, functions.
        layout: The form of the user's data.
        weights: One per teacher, or None for equal ones.
        oof: Fit copies out of fold instead of asking the teachers themselves.
        on_progress: Told of copies that are fitted and of rows that are labelled.

    Raises:
        DataError: One of them is no teacher, or answers something else.
    """
    restorer = _restorer_of(prepared)
    own = mix_teachers(teachers, prepared.schema, restorer, layout, weights=weights)
    refuse_other_columns(own, prepared.rows.train.inputs)
    train, recipe = prepared.rows.train, prepared.recipe
    if oof:
        n_folds = recipe.teacher.n_folds
        own = refit_out_of_fold(
            own, train, n_folds=n_folds, seed=recipe.seed, on_progress=on_progress
        )
    else:
        warn_of_seen_rows(own, train, on_progress)
    return _calibrate(own, prepared)


def take_answers(
    prepared: Prepared, answers: Table, unlabeled_answers: Table | None = None
) -> OwnTeacher:
    """Take stored answers, one row per row of the data, as the teacher of a prepared task.

    Raises:
        DataError: They do not fit the data, or are no probabilities or numbers.
    """
    stored = read_stored(
        answers,
        prepared.rows,
        prepared.schema.signature,
        unlabeled=prepared.unlabeled,
        unlabeled_table=unlabeled_answers,
    )
    own = OwnTeacher((stored,), (1.0,), prepared.schema, _restorer_of(prepared))
    warn_of_seen_rows(own, prepared.rows.train)
    return _calibrate(own, prepared)


def _calibrate(own: OwnTeacher, prepared: Prepared) -> OwnTeacher:
    if prepared.recipe.teacher.calibration == "none":
        return own
    return calibrate(own, prepared.rows.validation)


def _restorer_of(prepared: Prepared) -> Restorer:
    if prepared.restorer is None:
        raise ValueError("a task that was read from a work folder has no restorer")
    return prepared.restorer


def train_students_of(
    prepared: Prepared,
    teacher: Trained | OwnTeacher,
    on_progress: ProgressSink,
    steps: MakeNow = MAKE_NOW,
) -> Trained:
    """Train students on a teacher's answers, and controls beside them.

    Args:
        prepared: The task.
        teacher: Whose answers.
        on_progress: Told how it goes.
        steps: Where finished steps are kept; those on a user's own teacher under its answers.
    """
    with use_threads(prepared.recipe.threads):
        suffix = ""
        if isinstance(teacher, OwnTeacher) and steps.are_kept:
            suffix = f"-{hash_answers(teacher, prepared)}"
            teacher = replace(teacher, recall=partial(_recall, steps, suffix))
        lesson = make_lesson(prepared, teacher, on_progress)
        recipe, settings = choose_recipe(lesson, prepared.recipe, on_progress, steps, suffix)

        def train() -> Trained:
            return freeze_students(
                train_students(lesson, recipe, on_progress=on_progress), settings
            )

        return steps.take(f"students{suffix}", train)


def choose_recipe(
    lesson: Lesson,
    recipe: Recipe,
    on_progress: ProgressSink,
    steps: MakeNow = MAKE_NOW,
    suffix: str = "",
) -> tuple[Recipe, dict[str, float]]:
    """Let validation rows choose form and transfer set, where the recipe asks for it.

    Returns:
        The recipe with what they chose, and what to note of it.
    """
    settings = {}
    if recipe.student.form == "chosen":
        student = steps.choose(
            f"form{suffix}",
            StudentRecipe,
            lambda: (
                recipe.with_student_form(
                    choose_form(lesson, recipe, on_progress=on_progress)
                ).student
            ),
        )
        recipe = recipe.model_copy(update={"student": student})
    if recipe.transfer.selection == "chosen":
        chosen = steps.choose(
            f"transfer{suffix}",
            TransferRecipe,
            lambda: choose_transfer(lesson, recipe, on_progress=on_progress),
        )
        recipe = recipe.model_copy(update={"transfer": chosen})
        if strength := STRENGTHS.get(chosen.method):
            settings[f"transfer_{chosen.method}_{strength}"] = getattr(chosen, strength)
        else:
            settings[f"transfer_{chosen.method}"] = 1.0
    return recipe, settings


def make_lesson(
    prepared: Prepared, teacher: Trained | OwnTeacher, on_progress: ProgressSink
) -> Lesson:
    """Return what students of a prepared task are taught with."""
    if isinstance(teacher, OwnTeacher):
        label: LabelRows = partial(teacher.compute_outputs, on_progress=on_progress)
    else:
        label = load_mixture(prepared, teacher).compute_outputs
    unlabeled = prepared.unlabeled.inputs if prepared.unlabeled else None
    return Lesson(prepared.rows, prepared.schema, label, unlabeled, teacher.own_outputs)


def _recall(
    steps: MakeNow, suffix: str, position: int, rows: Table, ask: Callable[[], Float64]
) -> Float64:
    """Return what a teacher answered for rows, in this run or in the one that was stopped."""
    return steps.recall(f"answers{suffix}-{position}-{rows.hash()[:16]}", ask)


def hash_answers(teacher: OwnTeacher, prepared: Prepared) -> str:
    """Return the hash of what a teacher answers for the rows to learn from, labelled or not."""
    inputs = [prepared.rows.train.inputs, prepared.rows.validation.inputs]
    if prepared.unlabeled is not None:
        inputs.append(prepared.unlabeled.inputs)
    answers = np.concatenate([teacher.compute_outputs(one) for one in inputs])
    own = b"" if teacher.own_outputs is None else teacher.own_outputs.tobytes()
    return hashlib.sha256(answers.tobytes() + own).hexdigest()[:16]
