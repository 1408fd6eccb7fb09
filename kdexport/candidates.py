"""The candidates of a search, trained: networks of many shapes and a few small trees.

Takes a prepared task and its teacher, gives what was trained. `finalists` measures the best.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from kdexport.assemble import export_model, stamp
from kdexport.export.network import build_student
from kdexport.prepared import Prepared, Trained
from kdexport.recipe import Recipe
from kdexport.records import Float32, Progress, ProgressSink
from kdexport.training.checkpoints import freeze_students
from kdexport.training.own_teacher import OwnTeacher
from kdexport.training.search import Shape, Tried, build_untrained, list_shapes, search_students
from kdexport.training.small_trees import (
    GROVES,
    Grove,
    answer_trees,
    train_taught_trees,
    train_untaught_trees,
)
from kdexport.training.steps import choose_recipe, make_lesson
from kdexport.training.threads import use_threads
from kdexport.training.transfer import Lesson, TransferSet, build_transfer_set
from kdexport.trees import Trees

LEAST_BYTES = 2  # of a weight: beyond, no file has to be made to know
MAX_CLASSES_OF_GROVES = 10  # a model for each class: beyond, no few trees are left


@dataclass(frozen=True)
class TriedGrove:
    """Small trees: a student and a control per replicate.

    Attributes:
        loss: Of the students beside the teacher's answers on the validation rows.
        share: Of the way from the controls to the teacher in it.
    """

    grove: Grove
    taught: tuple[Trees, ...]
    untaught: tuple[Trees, ...]
    loss: float
    share: float


@dataclass(frozen=True)
class Found:
    """What a search trained.

    Attributes:
        tried: Networks, the smallest first.
        groves: Small trees.
        usual: Name of the shape that the recipe gives.
        teacher_rows: Rows that the teacher answered.
        lesson: What they learned from.
    """

    tried: Sequence[Tried]
    groves: Sequence[TriedGrove]
    usual: str
    teacher_rows: int
    lesson: Lesson

    @property
    def finalists(self) -> list[Tried]:
        return [one for one in self.tried if one.students is not None]

    def recipe_of(self, name: str) -> Recipe:
        """Return the recipe that makes this candidate."""
        return self._find(name).recipe

    def students_of(self, name: str) -> Trained:
        """Return the checkpoint of this candidate's students and controls."""
        students = self._find(name).students
        if students is None:
            raise ValueError(f"{name} was not trained in full")
        return freeze_students(students)

    def _find(self, name: str) -> Tried:
        return next(one for one in self.tried if one.shape.name == name)


def train_candidates(
    prepared: Prepared,
    teacher: Trained | OwnTeacher,
    on_progress: ProgressSink,
    *,
    is_own_table: bool,
    max_bytes: int | None = None,
) -> Found:
    """Label one transfer set and train every candidate on it.

    Args:
        prepared: The task.
        teacher: Answers the transfer set.
        on_progress: Told how it goes.
        is_own_table: Whether the rows are the user's.
        max_bytes: Of the file that ships: the best network within it is trained in full.
    """
    with use_threads(prepared.recipe.threads) as n_threads:
        lesson = make_lesson(prepared, teacher, on_progress)
        recipe, _ = choose_recipe(lesson, prepared.recipe, on_progress)
        transfer = build_transfer_set(lesson, recipe, [recipe.transfer])
        tried = search_students(
            lesson,
            recipe,
            transfer,
            is_own_table=is_own_table,
            may_ship=None if max_bytes is None else _find_fitting(prepared, max_bytes),
            n_threads=n_threads,
            on_progress=on_progress,
        )
        groves: list[TriedGrove] = []
        if len(prepared.schema.signature.classes) <= MAX_CLASSES_OF_GROVES:
            with ThreadPoolExecutor(n_threads) as pool:
                train = partial(_train_grove, lesson, transfer, recipe)
                for grove in pool.map(train, GROVES):
                    groves.append(grove)
                    on_progress(Progress("small trees", len(groves), len(GROVES)))
        usual = list_shapes(prepared.schema, recipe)[0].name
        return Found(tried, groves, usual, transfer.inputs.n_rows, lesson)


def _find_fitting(prepared: Prepared, max_bytes: int) -> Callable[[Tried], bool]:
    """Return what says whether a shape's file is within the bytes; each is made once."""
    sizes: dict[Shape, int] = {}

    def fits(tried: Tried) -> bool:
        if LEAST_BYTES * tried.n_weights > max_bytes:
            return False
        if tried.shape not in sizes:
            sizes[tried.shape] = measure_file(replace(prepared, recipe=tried.recipe))
        return sizes[tried.shape] <= max_bytes

    return fits


def measure_file(prepared: Prepared) -> int:
    """Return how many bytes a student's file will have, before it is trained."""
    stack = build_untrained(prepared.schema, prepared.recipe)
    content = export_model(build_student(stack, 0), None, stack.encoder)
    return len(stamp(content, prepared, stand_in(prepared)))


def stand_in(prepared: Prepared) -> dict[str, Any]:
    """A headline about as long as that of a bundle's files, which are measured with theirs."""
    quality = round(prepared.schema.target_scale, 4) + 0.1234
    return {
        "log_loss": [quality] * 3,
        "recovered": [-1.234] * 3,
        "verdict": "NOT_RECOVERED",
        "sha256": "0" * 64,
    }


def _train_grove(lesson: Lesson, transfer: TransferSet, recipe: Recipe, grove: Grove) -> TriedGrove:
    seeds = range(recipe.seed, recipe.seed + recipe.student.n_replicates)
    taught = tuple(train_taught_trees(lesson, transfer, grove, seed=seed) for seed in seeds)
    untaught = tuple(train_untaught_trees(lesson, grove, seed=seed) for seed in seeds)
    loss, alone = (
        float(lesson.judge_arrays(_answer_validation(lesson, several)).mean())
        for several in (taught, untaught)
    )
    share = lesson.find_share(taught=loss, alone=alone)
    return TriedGrove(grove, taught, untaught, loss, share)


def _answer_validation(lesson: Lesson, several: Sequence[Trees]) -> Float32:
    """Outputs of several sums of trees on the validation rows, **Shape** `[M, v, K]` float32."""
    return np.stack([answer_trees(lesson, trees) for trees in several]).astype(np.float32)
