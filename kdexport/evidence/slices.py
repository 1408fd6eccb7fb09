"""Where the student falls short of the teacher: class by class, and slice by slice.

Takes test rows and the answers of both files, gives the few worst. A slice is the rows that share
a text, a flag or a quarter of a column's numbers. Intervals hold for all slices together: each is
as wide as Bonferroni's inequality asks for when that many are looked at, which is safe whatever
slices have rows in common, and of rows that vary no less than all test rows do: a slice which the
rare, large losses happen to have missed looks far surer than it is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

import numpy as np

from kdexport.evidence.facts import ClassFact, SliceFact, SlicesFact
from kdexport.evidence.few_rows import (
    LEAST_OTHERS,
    count_effective,
    count_others,
    reach_zero,
)
from kdexport.evidence.metrics import METRICS, Metric, improvement
from kdexport.evidence.shape import Interval
from kdexport.records import Answers, Bools, Column, Float64, Rows
from kdexport.signature import Signature

MIN_ROWS = 50
MAX_SLICES = 200
MAX_VALUES = 20  # of one text column, the most frequent
N_SHOWN = 5
CONFIDENCE = 0.95
CLASSIFICATION, REGRESSION = ("log_loss", "accuracy"), ("mae",)
PER_CLASS = ("accuracy", "log_loss")  # among the rows of one class, accuracy is its recall


@dataclass(frozen=True)
class Slice:
    """Rows that share a value of one column."""

    column: str
    value: str
    is_in: Bools


def compare_slices(
    rows: Rows, signature: Signature, *, teacher: Answers, student: Answers
) -> SlicesFact:
    """Find the slices and the classes on which the student falls short the most.

    Args:
        rows: Test rows.
        signature: What their columns are.
        teacher: The teacher's answers to them.
        student: The student's.
    """
    every = list(find_slices(rows, signature))
    # The largest tell most; among equals, the table's order.
    kept = sorted(every, key=lambda part: -int(part.is_in.sum()))[:MAX_SLICES]
    has_few = not signature.is_regression and count_others(rows.targets) < LEAST_OTHERS
    worst, n_worse = {}, {}
    for name in REGRESSION if signature.is_regression else CLASSIFICATION:
        scores = _score_both(METRICS[name], rows, teacher, student)
        found = _compare_all(kept, METRICS[name], scores, rows.weights)
        if has_few:
            found = [
                fact.model_copy(update={"shortfall": reach_zero(fact.shortfall)}) for fact in found
            ]
        found.sort(key=lambda fact: -fact.shortfall.value)
        worst[name] = found[:N_SHOWN]
        n_worse[name] = sum(fact.shortfall.low > 0 for fact in found)
    return SlicesFact(
        n_slices=len(kept),
        n_left_out=len(every) - len(kept),
        n_worse=n_worse,
        worst=worst,
        classes=compare_classes(rows, signature, teacher=teacher, student=student),
    )


def compare_classes(
    rows: Rows, signature: Signature, *, teacher: Answers, student: Answers
) -> list[ClassFact]:
    """Return recall and log loss of the classes with the largest shortfall in log loss."""
    if signature.is_regression:
        return []
    right, loss = (_score_both(METRICS[name], rows, teacher, student) for name in PER_CLASS)
    facts = []
    labels: tuple[bool | int | str, ...] = signature.classes
    for position, label in enumerate(labels):
        is_in = rows.targets == position
        if not is_in.any():
            continue
        weights = rows.weights[is_in]
        recalls, losses = (
            [float(np.average(scores[is_in], weights=weights)) for scores in both]
            for both in (right, loss)
        )
        facts.append(
            ClassFact(
                label=label,
                rows=int(is_in.sum()),
                teacher_recall=recalls[0],
                student_recall=recalls[1],
                teacher_log_loss=losses[0],
                student_log_loss=losses[1],
            )
        )
    facts.sort(key=lambda fact: fact.teacher_log_loss - fact.student_log_loss)
    return facts[:N_SHOWN]


def find_slices(rows: Rows, signature: Signature) -> Iterator[Slice]:
    """Cut rows by every column, into slices of at least 50 rows."""
    for i, name in enumerate(signature.numeric):
        yield from _cut_numbers(name, rows.inputs.numeric[:, i], signature)
    for i, name in enumerate(signature.categorical):
        texts, counts = np.unique(rows.inputs.categorical[:, i], return_counts=True)
        for position in np.argsort(-counts, kind="stable")[:MAX_VALUES]:
            text = str(texts[position])
            said = f"= {text!r}" if text else "missing"
            part = Slice(name, said, rows.inputs.categorical[:, i] == text)
            if counts[position] >= MIN_ROWS:
                yield part


def _cut_numbers(name: str, column: Column, signature: Signature) -> Iterator[Slice]:
    """Cut a column at its quartiles; a value that is several of them is one slice."""
    numbers = column.astype(np.float64)
    parts = [Slice(name, "missing", np.isnan(numbers))]
    known = numbers[np.isfinite(numbers)]
    if signature.kinds.get(name) == "boolean":
        parts += [Slice(name, f"= {flag}", numbers == int(flag)) for flag in (False, True)]
    elif len(known):
        inner = np.unique(np.quantile(known, [0.25, 0.5, 0.75], method="lower"))
        edges = [-np.inf, *inner, np.inf]
        for low, high in pairwise(edges):
            said = _describe(low, high, is_date=signature.kinds.get(name) == "date")
            is_in = (numbers <= high) & ((numbers > low) | (low == -np.inf))
            parts.append(Slice(name, said, is_in))
    yield from (part for part in parts if part.is_in.sum() >= MIN_ROWS)


def _describe(low: float, high: float, *, is_date: bool) -> str:
    def show(number: float) -> str:
        if not is_date:
            return f"{number:.6g}"
        return str(np.datetime64("1970-01-01") + np.int64(np.floor(number)))

    if np.isinf(low):
        return f"<= {show(high)}" if np.isfinite(high) else "any"
    return f"> {show(low)}" + (f" and <= {show(high)}" if np.isfinite(high) else "")


def _score_both(
    metric: Metric, rows: Rows, teacher: Answers, student: Answers
) -> tuple[Float64, Float64]:
    theirs, ours = (metric.score(a, rows.targets, rows.weights) for a in (teacher, student))
    return theirs, ours


def _compare_all(
    parts: Sequence[Slice], metric: Metric, scores: tuple[Float64, Float64], weights: Float64
) -> list[SliceFact]:
    """Compare the two on every slice, row by row; intervals hold for all of them together."""
    apart = improvement(metric, *scores)
    variance = float(
        np.average(np.square(apart - np.average(apart, weights=weights)), weights=weights)
    )
    z = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / (2 * max(len(parts), 1)))
    facts = []
    for part in parts:
        theirs, ours, differences, own = (
            values[part.is_in] for values in (*scores, apart, weights)
        )
        value = float(np.average(differences, weights=own))
        error = float(np.sqrt(np.square(own * (differences - value)).sum()) / own.sum())
        margin = z * max(error, (variance / count_effective(own)) ** 0.5)
        facts.append(
            SliceFact(
                column=part.column,
                value=part.value,
                rows=int(part.is_in.sum()),
                teacher=float(np.average(theirs, weights=own)),
                student=float(np.average(ours, weights=own)),
                shortfall=Interval(value=value, low=value - margin, high=value + margin),
            )
        )
    return facts
