"""The whole story on one page: from a table to a bundle with its evidence and its report.

Calls the rooms in order; does no work of its own. `train`, `distill` and `export` are the same
steps one at a time, through a work folder.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kdexport import workspace
from kdexport.bundle import EVIDENCE, claim_output, hash_bytes
from kdexport.disk import Claim
from kdexport.errors import DataError, DependencyError, KdexportWarning
from kdexport.evidence.facts import Evidence
from kdexport.evidence.search_facts import SearchFact
from kdexport.extras import needing
from kdexport.prepare import Source, prepare, read_source, refuse_few_test_rows
from kdexport.prepared import Prepared, Trained
from kdexport.recipe import Recipe, RecipeLike, read_recipe
from kdexport.records import ProgressSink, ignore_progress
from kdexport.report.files import make_report_files
from kdexport.resume import MAKE_NOW, MakeNow, Steps, describe_job
from kdexport.sections import ExportRecipe, GoldenKind
from kdexport.teacher import NATIVE, Given, find_teacher, refuse_absent_teachers, train_native

if TYPE_CHECKING:
    from kdexport.teacher import Teacher


class Learned(NamedTuple):
    """A task, its teacher (a checkpoint, or the user's own) and its students."""

    prepared: Prepared
    teacher: "Teacher"
    students: Trained


def run(
    recipe: RecipeLike,
    output: str | Path,
    *,
    data: Source = None,
    test: Source = None,
    teacher: Any = None,
    weights: Sequence[float] | None = None,
    oof: bool = False,
    teacher_answers: Source = None,
    unlabeled: Source = None,
    unlabeled_answers: Source = None,
    force: bool = False,
    resume: bool = False,
    on_progress: ProgressSink = ignore_progress,
) -> Evidence:
    """Do the whole job: train, distill, export, measure, and write the bundle.

    Args:
        recipe: What to make; or its file, or keys to values, such as `{"data.target": "y"}`.
        output: The bundle's folder.
        data: Rows, or None for the recipe's file or built-in task.
        test: Test rows of the user, or None.
        teacher: The user's own, one or a list: fitted models, torch modules, paths of ONNX files,
            functions of a frame. None trains the native one.
        weights: One per teacher of a list, or None for equal ones.
        oof: Fit copies of the user's models out of fold, for those that have seen the rows.
        teacher_answers: What a teacher answered for the rows of `data`, in their order, in place of
            one that can be asked: columns `probability_CLASS`, or `prediction`. Then there are no
            synthetic rows.
        unlabeled: Rows without labels, which the teacher labels and the students learn from too;
            None for the recipe's file, if it names one.
        unlabeled_answers: What the teacher of `teacher_answers` answered for them.
        force: Replace a bundle that exists.
        resume: Go on from the last finished step of a run of the same job that was stopped, and
            keep finished steps where this one is.
        on_progress: Told how the long steps go.

    Returns:
        The evidence, as written into the bundle.

    Raises:
        KdexportError: See its message; nothing was written.
    """
    recipe = read_recipe(recipe)
    if unlabeled_answers is not None and teacher_answers is None:
        raise DataError(
            "answers for unlabelled rows stand beside those for the data",
            found="unlabeled_answers without teacher_answers",
            cure="pass both, or a teacher that can be asked",
        )
    with claim_output(output, force=force, is_kept=resume) as claimed:
        if teacher is None and teacher_answers is None:
            refuse_absent_teachers(recipe)
            teacher_answers = recipe.teacher.probabilities_file
            unlabeled_answers = recipe.teacher.unlabeled_probabilities_file
        answers = [
            None if one is None else read_source(one, recipe)
            for one in (teacher_answers, unlabeled_answers)
        ]
        if teacher_answers is not None:
            data = recipe.data.file if data is None else data
            is_split_here = data is not None and test is None
            recipe = _without_synthetic_rows(recipe, is_split_here=is_split_here)
        prepared = refuse_few_test_rows(prepare(recipe, data=data, test=test, unlabeled=unlabeled))
        kept = Steps(claimed.folder / "steps", describe_job(prepared))
        given = Given(teacher, data, weights, oof, *answers)
        learned = learn(prepared, given, kept=kept, on_progress=on_progress)
        rival = train_rival(prepared, kept)
        evidence, files = assemble(learned, rival=rival, on_progress=on_progress)
        write_files(claimed, evidence, files)
        claimed.is_kept = False
    return evidence


def learn(
    prepared: Prepared,
    given: Given = NATIVE,
    *,
    kept: MakeNow = MAKE_NOW,
    on_progress: ProgressSink = ignore_progress,
) -> Learned:
    """Train the teacher of a prepared task, or take the user's own, and the students."""
    prepared, source = find_teacher(prepared, given, kept=kept, on_progress=on_progress)
    students = _train_students(prepared, source, kept, on_progress)
    return Learned(prepared, source, students)


def train(
    recipe: Recipe,
    work: Path,
    *,
    data: Source = None,
    test: Source = None,
    unlabeled: Source = None,
    force: bool = False,
    on_progress: ProgressSink = ignore_progress,
) -> None:
    """Prepare the data and train the teacher into a work folder."""
    with claim_output(work, force=force) as claimed:
        refuse_absent_teachers(recipe)
        prepared = refuse_few_test_rows(prepare(recipe, data=data, test=test, unlabeled=unlabeled))
        files = workspace.save_prepared(prepared)
        trained = {
            workspace.TEACHER: train_native(prepared, on_progress=on_progress),
            workspace.RIVAL: train_rival(prepared),
        }
        files |= {name: workspace.save_trained(one) for name, one in trained.items() if one}
        claimed.write_folder(files)


def distill(
    work: Path,
    *,
    recipe_path: Path | None = None,
    on_progress: ProgressSink = ignore_progress,
) -> None:
    """Train students and controls from what `train` left in the work folder.

    A recipe given here replaces the folder's sections from [student] on; data and teacher stay
    those that the folder was trained with.
    """
    workspace.refuse_absent(work)
    with claim_output(work, force=True) as claimed:  # the folder is swapped whole
        prepared = workspace.load_prepared(work, recipe_path, from_section="student")
        teacher = workspace.load_trained(work, workspace.TEACHER)
        trained = {
            workspace.TEACHER: teacher,
            workspace.RIVAL: workspace.load_rival(prepared, work),
            workspace.STUDENTS: _train_students(prepared, teacher, MAKE_NOW, on_progress),
        }
        files = workspace.save_prepared(prepared)
        files |= {name: workspace.save_trained(one) for name, one in trained.items() if one}
        claimed.write_folder(files)


def export(
    work: Path,
    output: Path,
    *,
    recipe_path: Path | None = None,
    golden: GoldenKind | None = None,
    force: bool = False,
    on_progress: ProgressSink = ignore_progress,
) -> Evidence:
    """Export and measure what `train` and `distill` left in the work folder."""
    with claim_output(output, force=force) as claimed:
        prepared = workspace.load_prepared(work, recipe_path, from_section="evidence")
        if golden is not None:
            recipe = prepared.recipe.model_copy(update={"export": ExportRecipe(golden=golden)})
            prepared = replace(prepared, recipe=recipe)
        teacher = workspace.load_trained(work, workspace.TEACHER)
        students = workspace.load_trained(work, workspace.STUDENTS)
        rival = workspace.load_rival(prepared, work)
        evidence, files = assemble(
            Learned(prepared, teacher, students), rival=rival, on_progress=on_progress
        )
        write_files(claimed, evidence, files)
    return evidence


def train_rival(prepared: Prepared, kept: MakeNow = MAKE_NOW) -> Trained | None:
    """Train the rival that the recipe asks for, if any."""
    if prepared.recipe.rival.model == "none":
        return None
    with needing("train", rule="training needs"):
        from kdexport.training.steps import train_rival_of
    return kept.take("rival", lambda: train_rival_of(prepared))


def _train_students(
    prepared: Prepared, teacher: "Teacher", kept: MakeNow, on_progress: ProgressSink
) -> Trained:
    with needing("train", rule="training needs"):
        from kdexport.training.steps import train_students_of
    return train_students_of(prepared, teacher, on_progress, kept)


def _without_synthetic_rows(recipe: Recipe, *, is_split_here: bool) -> Recipe:
    """Return the recipe of a teacher that cannot be asked about new rows, and say so."""
    if not is_split_here or recipe.data.test_file is not None:
        raise DataError(
            "stored answers are for the rows of one table, test rows included",
            found="a test file, or no table",
            cure="join both and say which is which with --split-column",
        )
    warnings.warn(
        "stored answers label no synthetic rows: the students learn from those alone that they "
        "are for",
        KdexportWarning,
        stacklevel=3,
    )
    none = {"n_synthetic": 0, "selection": "given"}
    return recipe.model_copy(update={"transfer": recipe.transfer.model_copy(update=none)})


def assemble(
    learned: Learned,
    *,
    rival: Trained | None = None,
    search: SearchFact | None = None,
    on_progress: ProgressSink = ignore_progress,
) -> tuple[Evidence, dict[str, bytes]]:
    """Export and measure: the evidence and every file of the bundle.

    Args:
        learned: What was trained.
        rival: The one that was trained already, or None to train it.
        search: Among which candidates the student was chosen, if it was.
        on_progress: Told how the long steps go.
    """
    with needing("train", rule="training needs"):
        from kdexport.assemble import assemble_bundle
    refuse_few_test_rows(learned.prepared)
    rival = rival or train_rival(learned.prepared)
    return assemble_bundle(*learned, rival, on_progress, search)


def write_files(claimed: Claim, evidence: Evidence, files: Mapping[str, bytes]) -> None:
    """Write a bundle's files and its reports into a folder that is claimed."""
    reports = _make_reports(evidence, hash_bytes(files[EVIDENCE]))
    claimed.write_folder({**files, **reports})


def _make_reports(evidence: Evidence, evidence_sha256: str) -> dict[str, bytes]:
    """Return the report's files, or none and a warning where their packages are absent."""
    try:
        return make_report_files(evidence, evidence_sha256)
    except DependencyError as error:
        warnings.warn(KdexportWarning(str(error)), stacklevel=4)
        return {}
