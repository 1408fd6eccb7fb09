"""The gate: every check of a bundle, of one file, or of two files beside each other.

Takes a bundle as it was read (or a file's bytes) and the user's own rows, gives all results in
one list. Needs no torch.
"""

from pathlib import Path

import numpy as np

from kdexport.bundle import RIVAL, STUDENT, TEACHER, Bundle, read_bundle
from kdexport.contract import parse_model, read_metadata
from kdexport.errors import DataError, KdexportError, one_line
from kdexport.evidence.answer_checks import check_answers, judge_answers
from kdexport.evidence.claim_checks import check_claims, check_golden_quality
from kdexport.evidence.facts import ParityFact
from kdexport.evidence.file_checks import check_file
from kdexport.evidence.gate import check_budgets
from kdexport.evidence.golden import GOLDEN, STUDENT_STEM, Golden, unpack_golden
from kdexport.evidence.parity import compare_answers, find_tolerance
from kdexport.evidence.question import Question
from kdexport.evidence.shape import Quality, describe_invalid
from kdexport.evidence.user_rows import UserRows, check_quality
from kdexport.records import CheckResult, Inputs
from kdexport.sections import Budgets
from kdexport.signature import Signature

STRUCTURE = {"parse", "onnx", "self_contained", "signature"}  # without them nothing can be asked


def check_parity(bundle: Bundle | str | Path) -> ParityFact:
    """Compare the student with what its source answered to the golden rows at export.

    Args:
        bundle: A bundle, or the path of its folder.

    Raises:
        DataError: The bundle has no golden rows, or the file cannot answer them.
        ParityError: The two cannot be compared.
    """
    bundle = _as_read(bundle)
    golden = unpack_golden(bundle.files)
    return _compare_student(golden, _ask(STUDENT, bundle, golden))


def check_bundle(
    bundle: Bundle | str | Path,
    *,
    budgets: Budgets | None = None,
    rows: UserRows | None = None,
    has_source: bool = False,
) -> list[CheckResult]:
    """Check a bundle: folder and evidence, every model file, its answers, and budgets.

    Args:
        bundle: From `read_bundle`, so that what is wrong with it can be said; or the path of its
            folder.
        budgets: Limits, instead of those of its recipe.
        rows: The user's own rows, which the student answers too; where the bundle has no golden
            rows on purpose, every model file.
        has_source: Its files are compared with the trained networks elsewhere, so that it needs
            no golden rows.
    """
    bundle = _as_read(bundle)
    results = check_claims(bundle)
    golden, found = _load_golden(bundle, rows, has_source=has_source)
    results.append(found)
    sound = {}
    for name in [name for name in bundle.evidence.files if name.endswith(".onnx")]:
        checked = check_file(name, bundle.files.get(name, b""), bundle.evidence.files[name])
        sound[name] = _is_sound(checked)
        results += checked
        if golden is not None and sound[name]:
            results += check_answers(_ask(name, bundle, golden))
    if not sound.get(STUDENT):
        return results
    quality = bundle.evidence.quality
    if rows is not None:
        results += check_rows(STUDENT, bundle.files[STUDENT], rows, quality.get("shipped", {}))
        for name, role in ((TEACHER, "teacher"), (RIVAL, "rival")):
            if bundle.evidence.golden.kind == "none" and sound.get(name):
                results += check_rows(name, bundle.files[name], rows, quality.get(role, {}))
    asked = None if rows is None else rows.inputs
    try:
        return results + _check_student(bundle, golden, budgets or read_budgets(bundle), asked)
    except KdexportError as error:  # the student cannot answer at all, which is said above too
        return [*results, CheckResult("bundle/student", False, str(error))]


def _as_read(bundle: Bundle | str | Path) -> Bundle:
    return bundle if isinstance(bundle, Bundle) else read_bundle(bundle)


def check_model(name: str, content: bytes, rows: UserRows | None = None) -> list[CheckResult]:
    """Check one model file, and its answers to the user's rows where there are any."""
    results = check_file(name, content)
    if rows is not None and _is_sound(results):
        results += check_rows(name, content, rows, {})
    return results


def check_rows(name: str, content: bytes, rows: UserRows, stated: Quality) -> list[CheckResult]:
    """Ask a file the user's own rows, and score it where they are labelled."""
    title = f"{name} on {rows.source}"
    results = check_answers(Question(title, content, rows.inputs, rows.origins))
    if rows.labelled is not None and all(result.passed for result in results):
        inputs = rows.labelled.inputs
        answers = Question(title, content, inputs, np.empty(inputs.n_rows, object)).answers
        results += check_quality(title, answers, rows.labelled, rows.source, stated)
    if rows.unscored is not None:
        results.append(CheckResult(f"{title}/quality", True, f"not compared: {rows.unscored}"))
    return results


def check_against(
    bundle: Bundle, other: tuple[str, bytes], rows: UserRows | None
) -> list[CheckResult]:
    """Compare a bundle's student with another file, on the user's rows or the golden ones."""
    title = f"{STUDENT} against {other[0]}/answers"
    if STUDENT not in bundle.files:
        return [CheckResult(title, False, f"both answer alike, however: {STUDENT} is absent")]
    try:
        if rows is None:
            golden = unpack_golden(bundle.files)
            rows = UserRows(golden.inputs, golden.origins, None, "golden rows")
    except KdexportError as error:
        return [CheckResult(title, False, str(error))]
    return check_pair((STUDENT, bundle.files[STUDENT]), other, rows)


def check_pair(
    first: tuple[str, bytes], second: tuple[str, bytes], rows: UserRows
) -> list[CheckResult]:
    """Compare two files of one contract on the same rows.

    Args:
        first: Name and content of the file that is checked.
        second: Those of the file it should answer as.
        rows: What both are asked.
    """
    title = f"{first[0]} against {second[0]}"
    try:
        mine, theirs = (read_signature(*file) for file in (first, second))
    except KdexportError as error:
        return [CheckResult(f"{title}/contract", False, str(error))]
    differing = [key for key, v in mine.model_dump().items() if getattr(theirs, key) != v]
    if differing:
        key = differing[0]
        found = f"{key} is {getattr(mine, key)!r} and {getattr(theirs, key)!r}"
        message = one_line(f"both files have one contract, however: {found}")
        return [CheckResult(f"{title}/contract", False, message)]
    questions = [Question(*file, rows.inputs, rows.origins) for file in (first, second)]
    try:
        answers = [question.answers for question in questions]
        passed, message = judge_answers(questions[0], answers[1], answers[0], "both answer alike")
    except KdexportError as error:
        passed, message = False, str(error)
    return [
        CheckResult(f"{title}/contract", True, "the same columns and classes"),
        CheckResult(f"{title}/answers", passed, one_line(message)),
    ]


def read_signature(name: str, content: bytes) -> Signature:
    """Read how a file is called.

    Raises:
        DataError: It is no file that kdexport wrote.
    """
    return Signature.from_metadata(read_metadata(parse_model(content, name)))


def read_budgets(bundle: Bundle) -> Budgets:
    """Return the budgets of the recipe that made a bundle.

    Raises:
        DataError: They are not valid.
    """
    try:
        return Budgets.model_validate(bundle.evidence.recipe.get("budgets", {}))
    except ValueError as error:
        raise DataError(
            "the budgets of a bundle's recipe are valid",
            found=describe_invalid(error),
            cure="make the bundle again with kdexport run --recipe",
        ) from error


def check_own_budgets(bundle: Bundle) -> list[CheckResult]:
    """Hold a bundle to the budgets of its recipe, and check nothing else.

    Raises:
        KdexportError: The student cannot be asked.
    """
    budgets = read_budgets(bundle)
    if not budgets.model_dump(exclude_none=True):
        return []
    golden, _ = _load_golden(bundle, None)
    if golden is None:
        return _check_blindly(bundle, budgets, None)
    parity = _compare_student(golden, _ask(STUDENT, bundle, golden))
    return check_budgets(budgets, bundle, golden.inputs, parity)


def _check_student(
    bundle: Bundle, golden: Golden | None, budgets: Budgets, asked: Inputs | None
) -> list[CheckResult]:
    """Score the student on golden rows, and hold it to its budgets."""
    if golden is None:
        return _check_blindly(bundle, budgets, asked)
    question = _ask(STUDENT, bundle, golden)
    return [
        check_golden_quality(bundle, golden, question.answers),
        *check_budgets(budgets, bundle, golden.inputs, _compare_student(golden, question)),
    ]


def _check_blindly(bundle: Bundle, budgets: Budgets, asked: Inputs | None) -> list[CheckResult]:
    """Hold the student to its budgets without golden rows.

    It is timed on the user's rows or on blank ones; beside its source stands what was found at
    export.
    """
    timed = _blank_rows(bundle.evidence.signature) if asked is None else asked
    return check_budgets(budgets, bundle, timed, bundle.evidence.parity.get(STUDENT))


def _compare_student(golden: Golden, question: Question) -> ParityFact:
    source = golden.answers[STUDENT_STEM].rounded
    return compare_answers(source, question.answers, question.tolerance)


def _load_golden(
    bundle: Bundle, rows: UserRows | None, *, has_source: bool = False
) -> tuple[Golden | None, CheckResult]:
    title, stated = "bundle/golden", bundle.evidence.golden
    asked = bundle.evidence.read_setting("export", "golden", str(stated.kind))
    if stated.kind != asked:
        found = f"they are said to be {stated.kind}, the recipe asks for {asked}"
        message = f"golden rows are those that the recipe asks for, however: {found}"
        return None, CheckResult(title, False, message)
    if stated.kind == "none":
        if rows is not None and rows.inputs.n_rows:
            own = f"{rows.inputs.n_rows:,} rows of {rows.source}"
            message = f"exported without golden rows: every model file is asked {own} instead"
            return None, CheckResult(title, True, message)
        if has_source:
            message = "exported without golden rows: compared with the checkpoints instead"
            return None, CheckResult(title, True, message)
        message = "there are rows to ask, however: this bundle was exported without golden rows"
        return None, CheckResult(title, False, f"{message}; pass --data, or --from-source")
    listed = [name for name in bundle.evidence.files if name.startswith(GOLDEN)]
    lost = [name for name in listed if name not in bundle.files]
    if lost:
        message = f"golden rows are whole, however: {', '.join(lost)} is absent"
        return None, CheckResult(title, False, message)
    try:
        golden = unpack_golden(bundle.files)
    except KdexportError as error:
        return None, CheckResult(title, False, str(error))
    absent = [
        name
        for name in bundle.evidence.files
        if name.endswith(".onnx") and name.removesuffix(".onnx") not in golden.answers
    ]
    n_rows = golden.inputs.n_rows
    if n_rows != stated.rows or not n_rows or absent:
        found = f"{n_rows} rows, the evidence says {stated.rows}"
        found += f"; no answers of the source of {', '.join(absent)}" if absent else ""
        message = f"every file's source answered every golden row, however: {found}"
        return None, CheckResult(title, False, message)
    return golden, CheckResult(title, True, f"{n_rows} {stated.kind} rows with edges")


def _ask(name: str, bundle: Bundle, golden: Golden) -> Question:
    source = golden.answers[name.removesuffix(".onnx")]
    tolerance = find_tolerance(bundle.evidence, name)
    return Question(name, bundle.files[name], golden.inputs, golden.origins, source, tolerance)


def _is_sound(results: list[CheckResult]) -> bool:
    return all(r.passed for r in results if r.rule in STRUCTURE)


def _blank_rows(signature: Signature) -> Inputs:
    numeric = np.zeros((32, len(signature.numeric)), signature.precision)
    return Inputs(numeric, np.full((32, len(signature.categorical)), "", object))
