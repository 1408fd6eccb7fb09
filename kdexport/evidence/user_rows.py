"""The user's own rows: what a file answers to them, and how good that is.

Takes a table and a signature, gives rows that checks can ask, and the score on them beside the
evidence's.
"""

from dataclasses import dataclass

import numpy as np

from kdexport.columns import is_unlabelled
from kdexport.evidence.metrics import find_metrics, measure_quality
from kdexport.evidence.shape import Interval, Quality
from kdexport.records import Answers, CheckResult, Column, Inputs, Rows, Table
from kdexport.schema import Schema
from kdexport.signature import Signature
from kdexport.splits import drop_unlabelled, drop_weightless

MIN_SCORED = 10


@dataclass(frozen=True)
class UserRows:
    """Rows as a file takes them.

    Attributes:
        inputs: What it is asked.
        origins: What each row is called. **Shape** `[n]`.
        labelled: Those that have a label, if they can be scored beside the evidence.
        source: What the table is called.
        unscored: Why labelled rows cannot, if so.
    """

    inputs: Inputs
    origins: Column
    labelled: Rows | None
    source: str
    unscored: str | None = None


def take_user_rows(table: Table, signature: Signature, *, weight: str | None = None) -> UserRows:
    """Read a table as a file takes it; it may have the target's column, and blanks in it.

    Args:
        table: The rows.
        signature: The file's.
        weight: The column that says how much a row counts in the evidence, if there is one.

    Raises:
        DataError: A column is absent, or a label is none of the file's classes.
    """
    origins = np.array([f"{table.source} row {i}" for i in table.row_ids], object)
    inputs, target = signature.take_inputs(table), signature.target
    if target not in table.columns or is_unlabelled(table.columns[target]).all():
        return UserRows(inputs, origins, None, table.source)
    if weight is not None and weight not in table.columns:
        reason = f"the evidence's rows count by {weight!r}, which {table.source} has no column of"
        return UserRows(inputs, origins, None, table.source, reason)
    known = drop_weightless(drop_unlabelled(table, target), weight)
    if known.n_rows < MIN_SCORED:
        reason = f"{known.n_rows} labelled rows say nothing of quality, {MIN_SCORED} or more do"
        return UserRows(inputs, origins, None, table.source, reason)
    # Reading labels needs no more of a schema than its signature.
    n_numeric = len(signature.numeric)
    bare = Schema(signature=signature, center=(0.0,) * n_numeric, scale=(1.0,) * n_numeric)
    labelled = bare.encode(known, weight=weight)
    return UserRows(inputs, origins, labelled, table.source)


def check_quality(
    name: str, answers: Answers, rows: Rows, source: str, stated: Quality
) -> list[CheckResult]:
    """Score answers on labelled rows; they may not be worse than the evidence beyond chance.

    Worse beyond chance: the 95 % intervals do not even touch.
    """
    quality = measure_quality(answers, rows.targets, rows.weights)
    metrics = find_metrics(answers.probabilities.shape[1], rows.targets)
    results = []
    for metric in metrics:
        found, before = quality[metric], stated.get(metric)
        said = f"{_shown(found)} on {rows.n_rows:,} rows of {source}"
        passed = True
        if before is not None:
            said += f", {_shown(before)} in the evidence"
            higher = metrics[metric].higher_is_better
            passed = found.high >= before.low if higher else found.low <= before.high
        rule = f"{metric} is no worse than the evidence's, however: "
        results.append(CheckResult(f"{name}/{metric}", passed, said if passed else rule + said))
    return results


def _shown(interval: Interval) -> str:
    return f"{interval.value:.4g} [{interval.low:.4g}, {interval.high:.4g}]"
