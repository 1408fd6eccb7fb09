"""The user's own rows: what a file answers to them, and how good that is.

Takes a table and a signature, gives rows that checks can ask, and the score on them beside the
evidence's.
"""

from dataclasses import dataclass

import numpy as np

from kdexport.evidence.facts import Interval, Quality
from kdexport.evidence.metrics import find_metrics, measure_quality
from kdexport.records import Answers, CheckResult, Column, Inputs, Rows, Table
from kdexport.schema import Schema
from kdexport.signature import Signature
from kdexport.splits import drop_unlabelled


@dataclass(frozen=True)
class UserRows:
    """Rows as a file takes them, and with their labels those that have one."""

    inputs: Inputs
    origins: Column
    labelled: Rows | None
    source: str


def take_user_rows(table: Table, signature: Signature) -> UserRows:
    """Read a table as a file takes it; it may have the target's column, and blanks in it.

    Raises:
        DataError: A column is absent, or a label is none of the file's classes.
    """
    labelled = None
    if signature.target in table.columns:
        # Reading labels needs no more of a schema than its signature.
        n_numeric = len(signature.numeric)
        bare = Schema(signature=signature, center=(0.0,) * n_numeric, scale=(1.0,) * n_numeric)
        known = drop_unlabelled(table, signature.target)
        labelled = bare.encode(known) if known.n_rows else None
    origins = np.array([f"{table.source} row {i}" for i in table.row_ids], object)
    return UserRows(signature.take_inputs(table), origins, labelled, table.source)


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
