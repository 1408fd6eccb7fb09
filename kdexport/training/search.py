"""The search's training: many shapes of students on one transfer set, halved by validation rows.

Takes a lesson and a recipe, gives candidates: those of the last round with checkpoints of students
and controls, trained in full. The teacher answers the transfer set once. Test rows are never read.

Source: successive halving: Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and
Hyperparameter Optimization" (2016).
"""

import math
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby, islice
from threading import Event

import torch

from kdexport.recipe import Recipe
from kdexport.records import Progress, ProgressSink, ignore_progress
from kdexport.schema import Schema
from kdexport.student_section import Form
from kdexport.training.distill import Students, build_student_stack, fit_students, train_students
from kdexport.training.nets import StackedMLP, compute_member_outputs
from kdexport.training.threads import use_threads
from kdexport.training.transfer import Lesson, TransferSet

# From no hidden layer to three; the recipe's own widths are always among them.
WIDTHS: tuple[tuple[int, ...], ...] = (
    (),
    (8,),
    (6, 6),
    (8, 8),
    (12, 12),
    (16, 8),
    (16, 16),
    (24, 12),
    (32, 16),
    (48, 24),
    (16, 16, 16),
)
SHARES = (1 / 16, 1 / 8)  # of a full training's steps, round by round
N_TRIED = 2  # students of each candidate in those rounds
MAX_DRAWN = 2_560_000  # rows of a full training: see the guide for what more of them give
MAX_AT_ONCE = 8  # threads: beyond, they wait for Python more than they work
SIZES = 1.3  # times its smallest file: the largest of a band of sizes
HEAD_BYTES = 1500  # of a file, whatever its weights
BYTES_PER_WEIGHT = {"plain": 4, "piecewise": 2, "oblique": 2}  # 2: most are float16


@dataclass(frozen=True)
class Shape:
    """How a student is built: widths of its hidden layers, and how it reads numbers."""

    hidden: tuple[int, ...]
    form: Form

    @property
    def name(self) -> str:
        widths = "-".join(map(str, self.hidden)) or "linear"
        return widths if self.form == "plain" else f"{widths} {self.form}"


@dataclass(frozen=True)
class Tried:
    """A shape in the last round that it was in.

    Attributes:
        shape: Its shape.
        recipe: The recipe of such students.
        n_weights: Of one of them.
        loss: On the validation rows, mean over its students: beside what they are taught there,
            in the last round beside the teacher's answers alone.
        n_rounds: Rounds it was in.
        cost: Weights of all its networks times their optimiser steps.
        students: Students and controls trained in full; None before the last round.
        alone: Loss of the controls; None before it.
        share: Of the way from the controls to the teacher in that loss; None before it.
    """

    shape: Shape
    recipe: Recipe
    n_weights: int
    loss: float = math.inf
    n_rounds: int = 0
    cost: int = 0
    students: Students | None = None
    alone: float | None = None
    share: float | None = None

    @property
    def n_bytes(self) -> int:
        """About how many bytes its file takes."""
        return HEAD_BYTES + self.n_weights * BYTES_PER_WEIGHT[self.shape.form]


def list_shapes(schema: Schema, recipe: Recipe) -> list[Shape]:
    """Return the shapes that a search tries, the recipe's own first."""
    forms: list[Form] = [recipe.student.settled_form, "plain"]
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
    is_own_table: bool,
    may_ship: Callable[[Tried], bool] | None = None,
    n_threads: int = 1,
    on_progress: ProgressSink = ignore_progress,
) -> list[Tried]:
    """Try every shape for a short while, the best of every size for longer, fewer of them in full.

    Sizes are bands of bytes. The two best of each stay after the first round, and after the second
    the best one, unless a smaller one has a lower loss. All that are larger than the recipe's own
    shape count as one size. That one stays to the end: the others are compared with it.

    Args:
        lesson: Rows and teacher.
        recipe: What the shapes have in common, settled.
        transfer: The transfer set, answered by the teacher.
        is_own_table: Whether the rows are the user's: schedules differ by it.
        may_ship: Whether a shape's file is small enough, where there is a limit: then the best one
            of those stays to the end too.
        n_threads: Shapes that are trained at a time, on a thread each: a small network is no
            faster on two. What is trained does not depend on it.
        on_progress: Told how it goes.

    Returns:
        All of them, the smallest first.
    """
    shapes = list_shapes(lesson.schema, recipe)
    there = [_describe(lesson.schema, recipe, shape, is_own_table) for shape in shapes]
    usual, left = there[0], []
    n_rounds = len(SHARES) + 1
    with use_threads(1):
        for number, share in enumerate(SHARES, start=1):

            def attempt(tried: Tried, stop: ProgressSink, share: float = share) -> Tried:
                return _try(lesson, tried, transfer, share, stop)

            name = f"round {number} of {n_rounds}"
            there = _do_all(attempt, there, n_threads, name, on_progress)
            there, gone = _halve(there, usual, n_kept=n_rounds - number, may_ship=may_ship)
            left += gone

        def finish(tried: Tried, stop: ProgressSink) -> Tried:
            return _train(lesson, tried, transfer, stop)

        there = _do_all(finish, there, n_threads, f"round {n_rounds} of {n_rounds}", on_progress)
    return sorted(there + left, key=lambda tried: tried.n_bytes)


def _do_all(
    work: Callable[[Tried, ProgressSink], Tried],
    there: Sequence[Tried],
    n_threads: int,
    name: str,
    on_progress: ProgressSink,
) -> list[Tried]:
    """Do the same for all candidates, several at a time; one that fails stops the others."""
    stopped = Event()

    def stop(_: Progress) -> None:
        if stopped.is_set():
            raise InterruptedError

    largest_first = sorted(there, key=lambda tried: -tried.n_weights)
    done: list[Tried] = []
    with ThreadPoolExecutor(min(n_threads, MAX_AT_ONCE)) as pool:
        try:
            for tried in pool.map(lambda one: work(one, stop), largest_first):
                done.append(tried)
                on_progress(Progress(name, len(done), len(there)))
        except BaseException:  # an interrupt too: threads would train on to their end
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return done


def _describe(schema: Schema, recipe: Recipe, shape: Shape, is_own_table: bool) -> Tried:
    student = recipe.student.shaped(shape.hidden, shape.form, is_own_table=is_own_table)
    n_steps = min(student.max_steps, max(1, MAX_DRAWN // student.batch_size))
    student = student.model_copy(update={"max_steps": n_steps})
    shaped = recipe.model_copy(update={"student": student})
    stack = build_student_stack(schema, shaped, [recipe.seed])
    return Tried(shape, shaped, stack.n_parameters_per_member)


def build_untrained(schema: Schema, recipe: Recipe) -> StackedMLP:
    """Return a student whose file is as large as that of a trained one."""
    stack = build_student_stack(schema, recipe, [recipe.seed])
    own = torch.Generator(recipe.device).manual_seed(recipe.seed)  # torch's own stream stays put
    with torch.no_grad():
        for weights in stack.parameters():  # float16 would hold zeros, and a file stores them so
            weights.uniform_(0.1, 0.2, generator=own)
    if recipe.student.settled_form != "plain":
        stack.round_weights()
    return stack


def _try(
    lesson: Lesson, tried: Tried, transfer: TransferSet, share: float, stop: ProgressSink
) -> Tried:
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
        on_progress=stop,
    )
    cost = tried.n_weights * N_TRIED * record.n_steps
    return replace(
        tried,
        loss=float(record.best_losses.mean()),
        n_rounds=tried.n_rounds + 1,
        cost=tried.cost + cost,
    )


def _halve(
    there: Sequence[Tried],
    usual: Tried,
    *,
    n_kept: int,
    may_ship: Callable[[Tried], bool] | None = None,
) -> tuple[list[Tried], list[Tried]]:
    """Part those that stay from those that go: of every size, so many with the lowest losses.

    Where one of each size stays, it is one that no smaller one has a lower loss than. Sizes are
    rough: where there is a limit, the one with the lowest loss within it stays in any case.
    """

    def find_band(tried: Tried) -> int:
        if tried.n_bytes > usual.n_bytes:
            return sys.maxsize
        return math.floor(math.log(tried.n_bytes / smallest, SIZES))

    smallest = min(tried.n_bytes for tried in there)
    stay: list[Tried] = []
    for _, band in groupby(sorted(there, key=lambda tried: tried.n_bytes), find_band):
        best = sorted(band, key=lambda tried: tried.loss)[:n_kept]
        lowest = min((tried.loss for tried in stay), default=math.inf)
        stay += [tried for tried in best if n_kept > 1 or tried.loss < lowest]
    if may_ship is not None:
        in_order = sorted(there, key=lambda tried: tried.loss)
        stay += islice(filter(may_ship, in_order), 1)  # sizes are costly: no more than it takes
    names = {usual.shape, *(tried.shape for tried in stay)}
    return [t for t in there if t.shape in names], [t for t in there if t.shape not in names]


def _train(lesson: Lesson, tried: Tried, transfer: TransferSet, stop: ProgressSink) -> Tried:
    """Train students and controls of a shape in full, as a run does."""
    students = train_students(lesson, tried.recipe, transfer=transfer, on_progress=stop)
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
        alone=alone,
        share=lesson.find_share(taught=taught, alone=alone),
    )
