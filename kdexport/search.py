"""The search for the smallest student that is good enough: many shapes, one of them ships.

Calls the rooms in order, as `pipeline` does for a student whose shape is given: teacher, one
transfer set, rounds of training, every finalist as it would ship, and a bundle of the chosen one.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kdexport.bundle import claim_output
from kdexport.errors import SearchError
from kdexport.evidence.facts import Evidence
from kdexport.evidence.front import Limits, choose, choose_int8, describe_nearest
from kdexport.evidence.search_facts import SearchFact
from kdexport.extras import needing
from kdexport.pipeline import Learned, assemble, train_rival, write_files
from kdexport.prepare import Source, is_own_table, prepare, refuse_few_test_rows
from kdexport.prepared import Prepared
from kdexport.recipe import RecipeLike, read_recipe
from kdexport.records import ProgressSink, ignore_progress
from kdexport.report.advice import advise, describe_small
from kdexport.sections import Budgets
from kdexport.teacher import Given, find_teacher


def search(
    recipe: RecipeLike,
    output: str | Path,
    *,
    limits: Limits,
    data: Source = None,
    test: Source = None,
    teacher: Any = None,
    weights: Sequence[float] | None = None,
    oof: bool = False,
    unlabeled: Source = None,
    force: bool = False,
    on_progress: ProgressSink = ignore_progress,
) -> Evidence:
    """Try students of many shapes and write a bundle of the smallest one that is good enough.

    Validation rows choose; test rows report on every finalist, and choose nothing. The limits
    become budgets of the bundle's recipe, so that its gate holds the test rows against them.

    Args:
        recipe: What the students have in common, in a form that `run` takes. Its own shape is what
            they are compared with.
        output: The bundle's folder.
        limits: What the student has to keep; what they leave open, budgets of the recipe may limit.
        data: Rows, or None for the recipe's file or built-in task.
        test: Test rows of the user, or None.
        teacher: The user's own (see `run`), or None to train the native one.
        weights: One per teacher of a list, or None for equal ones.
        oof: Fit copies of the user's models out of fold.
        unlabeled: Rows without labels that the students learn from too.
        force: Replace a bundle that exists.
        on_progress: Told how the long steps go.

    Returns:
        The evidence of the bundle; `evidence.search` has every candidate.

    Raises:
        SearchError: None keeps the limits on the validation rows; nothing was written.
        KdexportError: See its message; nothing was written.
    """
    recipe = read_recipe(recipe)
    with needing("train", rule="training needs"):
        from kdexport.candidates import train_candidates
        from kdexport.finalists import measure_finalists

    with claim_output(output, force=force) as claimed:
        prepared = refuse_few_test_rows(prepare(recipe, data=data, test=test, unlabeled=unlabeled))
        given = Given(teacher, data, weights, oof)
        limits = limits.within(recipe.budgets)
        prepared = _limit(prepared, limits)
        prepared, source = find_teacher(prepared, given, on_progress=on_progress)
        rival = train_rival(prepared)
        is_own = is_own_table(recipe, data)
        found = train_candidates(
            prepared, source, on_progress, is_own_table=is_own, max_bytes=limits.max_bytes
        )
        candidates = measure_finalists(found, prepared, source, on_progress)
        chosen, rule = choose(candidates, limits, usual=found.usual)
        small = choose_int8(candidates, limits, usual=found.usual)
        if chosen is None:
            cure = "allow more bytes or ask for less of the edge"
            raise SearchError(
                f"one of {len(candidates)} students keeps {limits.describe()}",
                found=f"none does; nearest: {describe_nearest(candidates, limits)}",
                cure=f"{cure}; if int8 may ship, {describe_small(small)}" if small else cure,
            )
        fact = SearchFact(
            rule=rule,
            chosen=chosen.name,
            usual=found.usual,
            teacher_rows=found.teacher_rows,
            candidates=candidates,
            advice=advise(candidates, chosen=chosen, small=small),
        )
        settled = replace(prepared, recipe=found.recipe_of(chosen.name))
        learned = Learned(settled, source, found.students_of(chosen.name))
        evidence, files = assemble(learned, rival=rival, search=fact, on_progress=on_progress)
        write_files(claimed, evidence, files)
    return evidence


def _limit(prepared: Prepared, limits: Limits) -> Prepared:
    """Return the task whose recipe holds a student to the limits."""
    recipe = prepared.recipe
    budgets = Budgets.model_validate({**recipe.budgets.model_dump(), **asdict(limits)})
    return replace(prepared, recipe=recipe.model_copy(update={"budgets": budgets}))
