"""Where the student falls short of the teacher."""

import numpy as np
import pytest

from kdexport.evidence.slices import MIN_ROWS, compare_slices, find_slices
from kdexport.records import Answers, Inputs, Rows
from kdexport.signature import Signature

N_ROWS = 2000
SIGNATURE = Signature(
    numeric=("age", "flag", "day"),
    categorical=("town",),
    kinds={"flag": "boolean", "day": "date"},
    classes=("no", "yes"),
    target="y",
)


def make_rows(seed: int = 0, weights: np.ndarray | None = None) -> Rows:
    """A number with gaps, a flag, a date and a text column of one common and one rare value."""
    rng = np.random.default_rng(seed)
    numeric = np.stack(
        [rng.normal(40, 10, N_ROWS), rng.random(N_ROWS) < 0.5, rng.integers(0, 400, N_ROWS)],
        axis=1,
    ).astype(np.float32)
    numeric[:100, 0] = np.nan
    town = np.where(np.arange(N_ROWS) % 4 == 0, "B", "A").astype(object)
    town[:10] = "C"
    targets = (rng.random(N_ROWS) < 0.5).astype(np.int64)
    own = np.ones(N_ROWS) if weights is None else weights
    return Rows(Inputs(numeric, town[:, None]), targets, own, np.arange(N_ROWS))


def answer(rows: Rows, certainty: np.ndarray | float) -> Answers:
    """Give the label this probability."""
    own = np.broadcast_to(certainty, N_ROWS)
    probabilities = np.stack([1 - own, own], axis=1).astype(np.float32)
    probabilities[rows.targets == 0] = probabilities[rows.targets == 0][:, ::-1]
    return Answers(np.empty(N_ROWS, object), probabilities)


def test_slices() -> None:
    """Quarters of numbers, flags, dates, texts and gaps, each of at least 50 rows."""
    rows = make_rows()
    found = {
        (part.column, part.value): int(part.is_in.sum()) for part in find_slices(rows, SIGNATURE)
    }
    assert min(found.values()) >= MIN_ROWS
    assert found["age", "missing"] == 100
    assert found["town", "= 'B'"] > 400
    assert ("town", "= 'C'") not in found
    assert {value for column, value in found if column == "flag"} == {"= False", "= True"}
    for column in ("age", "day"):
        quarters = [n for (name, said), n in found.items() if name == column and said != "missing"]
        assert len(quarters) == 4
        assert sum(quarters) == N_ROWS - 100 * (column == "age")
    assert any("1970-" in value for column, value in found if column == "day")


def test_worst_slice_is_found() -> None:
    """A student that is worse in one town is worst there, beyond chance, and nowhere else."""
    rows = make_rows()
    noise = np.random.default_rng(1).uniform(-0.05, 0.05, N_ROWS)
    is_b = rows.inputs.categorical[:, 0] == "B"
    student = answer(rows, np.where(is_b, 0.4, 0.8) + noise)
    facts = compare_slices(rows, SIGNATURE, teacher=answer(rows, 0.8), student=student)
    for metric in ("log_loss", "accuracy"):
        worst = facts.worst[metric][0]
        assert (worst.column, worst.value) == ("town", "= 'B'")
        assert worst.shortfall.low > 0
        assert len(facts.worst[metric]) == 5
    first = facts.worst["log_loss"][0]
    assert first.shortfall.value == pytest.approx(first.student - first.teacher)
    assert facts.worst["accuracy"][0].teacher == 1.0


def test_looking_at_many_is_paid_for() -> None:
    """Where the two are equally good, a slice that differs beyond chance is found in few runs."""
    n_runs, n_false = 200, 0
    for seed in range(n_runs):
        rows = make_rows(seed)
        rng = np.random.default_rng(seed)
        first, second = (answer(rows, rng.uniform(0.3, 0.9, N_ROWS)) for _ in range(2))
        facts = compare_slices(rows, SIGNATURE, teacher=first, student=second)
        n_false += facts.n_worse["log_loss"] > 0
    assert n_false <= 0.05 * n_runs


def test_classes() -> None:
    """Recall and log loss by class, the class with the largest shortfall first."""
    rows = make_rows()
    student = answer(rows, np.where(rows.targets == 1, 0.4, 0.9))
    facts = compare_slices(rows, SIGNATURE, teacher=answer(rows, 0.8), student=student).classes
    assert [fact.label for fact in facts] == ["yes", "no"]
    assert sum(fact.rows for fact in facts) == N_ROWS
    assert (facts[0].teacher_recall, facts[0].student_recall) == (1.0, 0.0)
    assert facts[0].student_log_loss == pytest.approx(-np.log(0.4), rel=1e-6)


def test_weights() -> None:
    """A row of next to no weight moves no mean."""
    weights = np.where(np.arange(N_ROWS) % 2, 2.0, 1e-9)
    rows = make_rows(weights=weights)
    student = answer(rows, np.where(weights > 1, 0.7, 0.1))
    facts = compare_slices(rows, SIGNATURE, teacher=answer(rows, 0.7), student=student)
    by_value = {(part.column, part.value): part for part in facts.worst["accuracy"]}
    assert by_value.pop(("town", "= 'B'")).shortfall.value == pytest.approx(1)
    assert all(abs(part.shortfall.value) < 1e-6 for part in by_value.values())


def test_regression() -> None:
    """Of numbers, slices are compared by mean absolute error; there are no classes."""
    rows = make_rows()
    signature = SIGNATURE.model_copy(update={"classes": ()})
    targets = rows.targets.astype(np.float64)
    numbers = Rows(rows.inputs, targets, rows.weights, rows.row_ids)
    none = np.empty((N_ROWS, 0), np.float32)
    off = np.where(rows.inputs.numeric[:, 1] == 1, 0.5, 0.1)
    facts = compare_slices(
        numbers,
        signature,
        teacher=Answers((targets + 0.1).astype(np.float32), none),
        student=Answers((targets + off).astype(np.float32), none),
    )
    assert facts.classes == []
    worst = facts.worst["mae"][0]
    assert (worst.column, worst.value) == ("flag", "= True")
    assert worst.shortfall.value == pytest.approx(0.4, abs=1e-5)


def test_many_columns() -> None:
    """However many columns there are, at most 200 slices are looked at, and it is said."""
    rng = np.random.default_rng(0)
    inputs = Inputs(rng.normal(size=(N_ROWS, 100)), np.empty((N_ROWS, 0), object))
    rows = Rows(inputs, make_rows().targets, np.ones(N_ROWS), np.arange(N_ROWS))
    signature = Signature(
        numeric=tuple(f"x{i}" for i in range(100)), classes=("no", "yes"), target="y"
    )
    facts = compare_slices(rows, signature, teacher=answer(rows, 0.8), student=answer(rows, 0.7))
    assert (facts.n_slices, facts.n_left_out) == (200, 200)


def test_rare_losses_are_paid_for() -> None:
    """A slice that a rare class hardly reaches is no surer than all rows: few runs find one.

    The student gives the rare class more, the teacher less, and both have the same expected loss.
    """
    n_runs, n_false, rare = 60, 0, 0.05
    signature = Signature(
        numeric=tuple(f"x{i}" for i in range(10)), classes=("no", "yes"), target="y"
    )
    for seed in range(n_runs):
        rng = np.random.default_rng(seed)
        inputs = Inputs(rng.normal(size=(1000, 10)), np.empty((1000, 0), object))
        targets = (rng.random(1000) < rare).astype(np.int64)
        rows = Rows(inputs, targets, np.ones(1000), np.arange(1000))
        teacher, student = (
            Answers(np.empty(1000, object), np.tile(np.float32([1 - p, p]), (1000, 1)))
            for p in (0.03, 0.07686)
        )
        facts = compare_slices(rows, signature, teacher=teacher, student=student)
        n_false += facts.n_worse["log_loss"] > 0
    assert n_false <= 0.05 * n_runs


def test_no_rare_row_says_nothing() -> None:
    """Where next to no test row is of the other class, no slice is worse beyond chance."""
    targets = np.zeros(N_ROWS, np.int64)
    targets[:4] = 1
    rows = make_rows()
    rows = Rows(rows.inputs, targets, rows.weights, rows.row_ids)
    first, second = (answer(rows, np.where(targets == 1, 1 - p, p)) for p in (0.99, 0.97))
    facts = compare_slices(rows, SIGNATURE, teacher=first, student=second)
    assert facts.worst["log_loss"][0].shortfall.value > 0
    assert facts.n_worse["log_loss"] == 0


def test_day_before_1970() -> None:
    """A time of the last day of 1969 is called by that day."""
    day = np.full(N_ROWS, -0.5, np.float32)
    day[::2] = 3.25
    rows = make_rows()
    rows.inputs.numeric[:, 2] = day
    found = {part.value for part in find_slices(rows, SIGNATURE) if part.column == "day"}
    assert found == {"<= 1969-12-31", "> 1969-12-31 and <= 1970-01-04"}
