"""Does a model file answer as it should: as its source, alone, in a crowd, and in another runtime?

Takes a file's bytes and rows, gives one `CheckResult` per rule. A rule that could not be applied
fails. Needs no torch.
"""

from collections.abc import Callable, Mapping
from typing import get_args

import numpy as np

from kdexport.contract import LOGITS, PREDICTION, PROBABILITIES, expose_logits
from kdexport.errors import KdexportError, one_line
from kdexport.evidence.facts import ParityFact
from kdexport.evidence.parity import (
    FLOAT32,
    MOST_ROUNDING,
    Tolerance,
    compare_answers,
    describe_parity,
    differ,
    differ_by_row,
    find_spared,
    measure_scale,
    raw_values,
)
from kdexport.evidence.question import Question
from kdexport.evidence.reference import answer_in_reference
from kdexport.records import Answers, CheckResult, Column, Float64, spread_rows
from kdexport.runtime import Optimisation, open_session

BATCHES = (1, 2, 7, 1000)
MAX_BATCHED_ROWS = 2000
MAX_REFERENCE_ROWS = 5000
SUM_TOLERANCE = 1e-5
Rule = Callable[[Question], tuple[bool, str]]
MAX_SHOWN = 6  # probabilities of a row


def check_answers(question: Question) -> list[CheckResult]:
    """Ask a file in every way there is."""
    if not question.inputs.n_rows:
        return [CheckResult(f"{question.name}/rows", False, "at least one row is asked, got none")]
    loads = _apply(question, "loads", _check_loads)
    if not loads.passed:
        return [loads]
    rules: dict[str, Rule] = {"finite": _check_finite}
    if question.answers.probabilities.shape[1]:
        rules |= {"probabilities": _check_probabilities, "label": _check_label}
    if question.source is not None:
        rules |= {"source": _check_source, "float64": _check_exact}
    rules |= {f"batch_{n}": _batch_rule(n) for n in BATCHES}
    rules |= {
        "repeat": _check_repeat,
        "optimisation": _check_optimisation,
        "reference": _check_reference,
    }
    return [loads, *[_apply(question, title, rule) for title, rule in rules.items()]]


def _apply(question: Question, title: str, rule: Rule) -> CheckResult:
    try:
        passed, message = rule(question)
    except KdexportError as error:
        passed, message = False, str(error)
    return CheckResult(f"{question.name}/{title}", passed, one_line(message))


def _check_loads(question: Question) -> tuple[bool, str]:
    n_rows = question.answers.n_rows
    if n_rows != question.inputs.n_rows:
        return False, f"one answer per row, however: {n_rows} for {question.inputs.n_rows} rows"
    return True, f"onnxruntime answers {n_rows:,} rows"


def _check_finite(question: Question) -> tuple[bool, str]:
    for name, values in _numbers(question.answers).items():
        broken = ~np.isfinite(values).all(axis=1)
        if broken.any():
            row = int(np.argmax(broken))
            column = int(np.argmax(~np.isfinite(values[row])))
            return False, (
                f"every answer is a finite number, however: {int(broken.sum())} rows have others; "
                f"{name}{_column(question, name, column)} is {values[row, column]} in "
                f"{question.describe_row(row)}"
            )
    return True, "every answer is a finite number"


def _check_probabilities(question: Question) -> tuple[bool, str]:
    exact = question.answers.probabilities.astype(np.float64)
    away = np.abs(exact.sum(axis=1) - 1)
    away = np.maximum(away, np.maximum(-exact, exact - 1).max(axis=1))
    away = np.where(np.isfinite(away), away, np.inf)
    row = int(np.argmax(away))
    if away[row] > SUM_TOLERANCE:
        return False, (
            f"probabilities lie in 0 to 1 and sum to 1, however: they are {_shown(exact[row])} in "
            f"{question.describe_row(row)}"
        )
    return True, f"they sum to 1 within {away[row]:.1e}"


def _check_label(question: Question) -> tuple[bool, str]:
    answers, values = question.answers, question.signature.label_values
    best = answers.probabilities.argmax(axis=1)
    # By value: of two equal probabilities, either class is the most probable one.
    own = {value: i for i, value in enumerate(values.tolist())}
    named = np.array([own.get(label, -1) for label in answers.predictions.tolist()])
    rows = np.arange(len(named))
    wrong = (named < 0) | (
        answers.probabilities[rows, named] < answers.probabilities[rows, best] - SUM_TOLERANCE
    )
    if wrong.any():
        row = int(np.argmax(wrong))
        return False, (
            f"label is the class of the largest probability, however: not in {int(wrong.sum())} "
            f"rows; it is {answers.predictions.tolist()[row]!r} and the largest that of "
            f"{values.tolist()[best[row]]!r} in {question.describe_row(row)}"
        )
    return True, "label is the class of the largest probability"


def _check_source(question: Question) -> tuple[bool, str]:
    source = question.source.rounded if question.source else question.answers
    rule = "the file answers as its source did"
    return judge_answers(question, source, question.answers, rule, question.tolerance)


def _check_exact(question: Question) -> tuple[bool, str]:
    """The file may be as far from float64 as its float32 source is, and the tolerance more."""
    if question.source is None:
        return False, "no float64 answers"
    exact, source = question.source.exact, raw_values(question.source.rounded)
    scale = measure_scale(question.source.rounded, question.tolerance)
    file = raw_values(question.answers)
    if not exact.shape == source.shape == file.shape:
        return False, f"shapes are equal, however: {exact.shape}, {source.shape} and {file.shape}"
    own, allowed = (differ_by_row(exact, values) for values in (file, source))
    broken = ~(np.isfinite(own) & (own <= allowed + question.tolerance.relative * scale))
    broken &= ~find_spared(question.source.rounded, question.tolerance)
    row = int(np.argmax(np.where(broken, own, -1.0)))
    if broken.any():
        return False, (
            f"the file is as close to float64 as its source is, however: {own[row]:.2g} beside "
            f"{allowed[row]:.2g} in {question.describe_row(row)}"
        )
    return True, f"within {(own / scale).max():.1e} of the float64 answers' size"


def _batch_rule(size: int) -> Rule:
    def check_batch(question: Question) -> tuple[bool, str]:
        wanted = spread_rows(question.inputs.n_rows, MAX_BATCHED_ROWS)
        rows = np.resize(wanted, max(len(wanted), size))  # repeated until a batch is full
        asked = question.take(rows)
        session = open_session(expose_logits(question.content))
        starts = range(0, len(rows), size)
        chunks = [session.answer(asked.inputs.take(slice(i, i + size))) for i in starts]
        rule = f"a row's answer is the same in batches of {size}"
        answers, tolerance = question.answers.take(rows), _allow_rounding(question)
        return judge_answers(asked, answers, Answers.joined(chunks), rule, tolerance)

    return check_batch


def _check_repeat(question: Question) -> tuple[bool, str]:
    session = open_session(question.content)
    first, second = (session.answer(question.inputs) for _ in range(2))
    pairs = zip(_numbers(first).items(), _numbers(second).values(), strict=True)
    for (name, before), after in pairs:
        moved = ~((before == after) | (np.isnan(before) & np.isnan(after))).all(axis=1)
        if moved.any():
            row = int(np.argmax(moved))
            return False, (
                f"two runs give the same answers, however: {name} differs in {int(moved.sum())} "
                f"rows, first in {question.describe_row(row)}"
            )
    return True, "two runs give the same bits"


def _check_optimisation(question: Question) -> tuple[bool, str]:
    levels = get_args(Optimisation)
    lines = []
    for level in levels:
        rule = f"the graph answers alike however far it is optimised ({level})"
        answers, tolerance = question.ask(level), _allow_rounding(question)
        passed, message = judge_answers(question, question.answers, answers, rule, tolerance)
        if not passed:
            return False, message
        lines.append(message)
    return True, f"{', '.join(levels)} agree: {lines[0]}"


def _check_reference(question: Question) -> tuple[bool, str]:
    rows = spread_rows(question.inputs.n_rows, MAX_REFERENCE_ROWS)
    asked = question.take(rows)
    other = answer_in_reference(expose_logits(question.content), asked.inputs, question.name)
    rule = "onnx's ReferenceEvaluator answers as onnxruntime does"
    answers = question.answers.take(rows)
    return judge_answers(asked, answers, other, rule, _allow_rounding(question))


def _allow_rounding(question: Question) -> Tolerance:
    """How far one file's own answers may be apart from each other.

    Only a source knows how much float32 rounds the sums behind each row: of rows without one, as
    much is allowed as rounding is ever an excuse for.
    """
    if question.source is not None:
        return FLOAT32
    return Tolerance(probability=MOST_ROUNDING, rounding=MOST_ROUNDING)


def judge_answers(
    question: Question,
    source: Answers,
    file: Answers,
    rule: str,
    tolerance: Tolerance = FLOAT32,
) -> tuple[bool, str]:
    """Compare two sets of answers to a question; say what differs most, and where."""
    fact = compare_answers(source, file, tolerance)
    if fact.passed:
        said = describe_parity(fact) if differs(fact) else "to the last bit"
        return True, f"{fact.rows:,} rows, {said}"
    return False, f"{rule}, however: {_describe_failure(question, source, file, fact)}"


def differs(fact: ParityFact) -> bool:
    """Say whether two sets of answers differ at all."""
    return any((fact.max_probability_difference, fact.max_relative_difference, fact.flips))


def _describe_failure(question: Question, source: Answers, file: Answers, fact: ParityFact) -> str:
    """Name the worst row, the output and its column, and both values."""
    row = fact.worst_row
    theirs, ours = _numbers(source), _numbers(file)
    worst = max(theirs, key=lambda name: differ(theirs[name][row], ours[name][row]).max())
    column = int(np.argmax(differ(theirs[worst][row], ours[worst][row])))
    values = f"{ours[worst][row, column]:.7g}, not {theirs[worst][row, column]:.7g}"
    n_failed = f"{fact.failed_rows:,} of {fact.rows:,} rows do not"
    return (
        f"{n_failed}; {describe_parity(fact)}; {worst}{_column(question, worst, column)} is "
        f"{values}, in {question.describe_row(row)}"
    )


def _column(question: Question, output: str, column: int) -> str:
    classes = question.signature.classes
    return f" of {classes[column]!r}" if classes and output != PREDICTION else ""


def _numbers(answers: Answers) -> Mapping[str, Column]:
    """Every output that holds numbers, **Shape** each `[n, K]`."""
    if not answers.probabilities.shape[1]:
        return {PREDICTION: answers.predictions[:, None]}
    named = {PROBABILITIES: answers.probabilities}
    return named if answers.logits is None else {**named, LOGITS: answers.logits}


def _shown(values: Float64) -> str:
    return ", ".join(f"{value:.4g}" for value in values[:MAX_SHOWN])
