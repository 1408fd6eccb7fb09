"""The user's own rows: which of them are scored, and beside what."""

import numpy as np
import pytest

from kdexport.evidence.metrics import measure_quality
from kdexport.evidence.user_rows import MIN_SCORED, check_quality, take_user_rows
from kdexport.records import Answers, Column, Table
from kdexport.signature import Signature

SIGNATURE = Signature(numeric=("x",), categorical=(), target="y", classes=(0, 1))


def make_table(n_rows: int, **columns: Column) -> Table:
    """Numbers, a label that is right on all rows but those of weight 0, and more columns."""
    x = np.arange(n_rows, dtype=np.float64)
    y = (x % 2).astype(np.int64)
    return Table({"x": x, "y": y, **columns}, np.arange(n_rows), "new.csv")


def answer_by_parity(x: Column) -> Answers:
    """The right answer of every row that is not mislabelled."""
    labels = (x[:, 0] % 2).astype(np.int64)
    return Answers(labels, np.where(labels[:, None] == [0, 1], 0.9, 0.1).astype(np.float32))


def test_rows_count_as_the_evidence_counts_them() -> None:
    """Case A7: half of the rows weigh nothing and have the other label; they say nothing."""
    weight = (np.arange(40) < 20).astype(np.float64)
    table = make_table(40, w=weight)
    flipped = np.where(weight > 0, table.columns["y"], 1 - table.columns["y"])
    table = table.replacing("y", flipped)
    rows = take_user_rows(table, SIGNATURE, weight="w").labelled
    assert rows is not None
    assert rows.n_rows == 20
    answers = answer_by_parity(rows.inputs.numeric)
    stated = measure_quality(answers, rows.targets, rows.weights)
    assert all(r.passed for r in check_quality("s", answers, rows, "new.csv", stated))
    unweighted = take_user_rows(table, SIGNATURE).labelled
    assert unweighted is not None
    everyone = answer_by_parity(unweighted.inputs.numeric)
    results = check_quality("s", everyone, unweighted, "new.csv", stated)
    assert not any(r.passed for r in results)


@pytest.mark.parametrize(
    ("n_rows", "weight", "reason"),
    [(MIN_SCORED - 1, None, "9 labelled rows"), (MIN_SCORED, "w", "'w'"), (MIN_SCORED, None, None)],
)
def test_rows_that_say_nothing(n_rows: int, weight: str | None, reason: str | None) -> None:
    """Too few rows, or rows that cannot be counted as the evidence's were, are not scored."""
    rows = take_user_rows(make_table(n_rows), SIGNATURE, weight=weight)
    assert (rows.labelled is None) == (reason is not None)
    assert reason is None or (rows.unscored is not None and reason in rows.unscored)


def test_a_column_of_no_labels() -> None:
    """A target's column without a label in it is none."""
    table = make_table(20).replacing("y", np.full(20, np.nan))
    rows = take_user_rows(table, SIGNATURE)
    assert rows.labelled is None
    assert rows.unscored is None
