"""What each column of a table is, and why: decided from the rows to train on.

Takes a table, its target and the user's word on single columns; gives one `Decision` per column.
Imports numpy, `errors`, `records`, `columns`, `sections` and `signature` only.
"""

import shlex
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kdexport.columns import is_missing, is_whole, merges_in_float64, numbers_of, texts_of
from kdexport.errors import DataError, KdexportWarning
from kdexport.records import Column, Table
from kdexport.sections import ColumnsRecipe
from kdexport.signature import Classes, listed

Kind = Literal["number", "boolean", "date", "category", "left out"]
Goal = Literal["classification", "regression"]

MAX_CLASSES = 1000
MAX_INTEGER_CLASSES = 20  # whole numbers of more distinct values are measured, not named
MIN_ROWS_OF_AN_ID = 20
ID_SHARE = 0.5  # distinct texts per row from which a column names rows rather than groups


@dataclass(frozen=True)
class Decision:
    """What one column is taken as."""

    name: str
    kind: Kind
    why: str
    n_missing: int
    n_distinct: int


@dataclass(frozen=True)
class Description:
    """What a run would take a table as.

    Attributes:
        source: What the table is called.
        n_rows: Training rows, from which the columns are decided.
        target: Name of the target column.
        goal: What it is.
        why: The reason.
        classes: Its classes, none for a regression.
        columns: One decision per feature column.
    """

    source: str
    n_rows: int
    target: str
    goal: Goal
    why: str
    classes: Classes
    columns: list[Decision]


def decide_columns(table: Table, target: str, recipe: ColumnsRecipe) -> list[Decision]:
    """Decide what each feature column is, in the table's order.

    Args:
        table: Rows to train on.
        target: Name of the target column; it gets no decision.
        recipe: Columns whose kind the user names.

    Raises:
        DataError: The recipe names a column that is not there, or one kind fits no cell.
    """
    left_out = {*recipe.drop, *recipe.id, *filter(None, [recipe.weight])}
    named = {*recipe.categorical, *recipe.numeric, *left_out}
    if target in named:
        raise DataError(
            "the target is no feature, weight or column to drop",
            found=f"{target!r} is the target and named as one of them",
            cure="pass another --target, or do not name it",
        )
    absent = [name for name in named if name not in table.columns]
    if absent:
        raise DataError(
            "columns named in the recipe or by a flag are columns of the table",
            found=f"{table.source} has no column {listed(sorted(absent))}",
            cure=f"its columns are {listed(list(table.columns))}",
        )
    decisions = [_decide(table, name, recipe, left_out) for name in table.columns if name != target]
    if all(decision.kind == "left out" for decision in decisions):
        raise DataError(
            "a table needs at least one feature beside its target",
            found=f"{table.source} has no usable column but {target!r}{_say_first(decisions)}",
            cure="add feature columns",
        )
    return decisions


def warn_about(decisions: list[Decision]) -> None:
    """Warn of columns that are left out without the user having said so."""
    for decision in _left_out_unasked(decisions):
        warnings.warn(
            f"column {decision.name!r} is left out: {decision.why}", KdexportWarning, stacklevel=3
        )


def _left_out_unasked(decisions: list[Decision]) -> list[Decision]:
    return [d for d in decisions if d.kind == "left out" and not d.why.startswith("--")]


def _say_first(decisions: list[Decision]) -> str:
    """Say why the first column is left out, where the user did not ask for it."""
    return "".join(f"; {d.name!r}: {d.why}" for d in _left_out_unasked(decisions)[:1])


def find_goal(labels: Column, goal: Goal | Literal["auto"]) -> tuple[Goal, str]:
    """Return what a target is, and why.

    Args:
        labels: **Shape** `[n]`, no cell missing.
        goal: The user's word, or "auto".
    """
    if goal != "auto":
        return goal, "--goal"
    if labels.dtype.kind not in "fiu":
        return "classification", "its values are names"
    if not np.isfinite(labels).all():
        return "regression", "it holds infinite numbers"
    n_distinct = len(np.unique(labels))
    if labels.dtype.kind == "f" and bool((labels != np.round(labels)).any()):
        return "regression", "it holds fractions"
    if n_distinct > MAX_INTEGER_CLASSES:
        return "regression", f"it holds {n_distinct} distinct numbers"
    return "classification", f"it holds {n_distinct} distinct whole numbers"


def find_classes(labels: Column, target: str) -> Classes:
    """Return the sorted distinct labels.

    Raises:
        DataError: They are no classes: fractions, a single one, dates, or nearly as many as rows.
    """
    values = list_classes(labels, target)
    warn_about_blanks(values, target)
    n_rows = len(labels)
    if len(values) > MAX_CLASSES or 2 * len(values) > n_rows:
        raise DataError(
            f"a class has two rows or more on average, and a target at most {MAX_CLASSES} classes",
            found=f"{target!r} holds {len(values)} distinct values in {n_rows} rows",
            cure="pass more rows, or a target that is not an id or a measured number",
        )
    return values


def list_classes(labels: Column, target: str) -> Classes:
    """Return the sorted distinct labels, however many rows each of them has.

    Raises:
        DataError: They are no classes: fractions, a single one, or dates.
    """
    values: Classes
    kind = labels.dtype.kind
    if kind == "b":
        values = tuple(bool(v) for v in np.unique(labels))
    elif kind in "iu" or (kind == "f" and bool(is_whole(labels).all())):
        values = tuple(int(v) for v in np.unique(labels))
    elif kind == "O":
        types = {type(v).__name__ for v in labels.tolist() if not isinstance(v, str)}
        has_text = any(isinstance(v, str) for v in labels.tolist())
        if types == {"int"} and not has_text:
            raise _too_long(target, str(max(labels.tolist(), key=abs)))
        if types:
            raise DataError(
                "labels are all text, all flags or all whole numbers of 64 bits",
                found=f"{target!r} holds {' and '.join([*sorted(types), *['text'] * has_text])}",
                cure="turn them into text",
            )
        values = tuple(sorted(set(labels.tolist())))
    elif kind == "f" and bool((np.isfinite(labels) & (labels == np.round(labels))).all()):
        raise _too_long(target, f"{float(labels[~is_whole(labels)][0]):.0f}")
    elif kind == "f":
        raise DataError(
            "classes are text, flags or whole numbers",
            found=f"{target!r} holds fractions, such as {float(labels[~is_whole(labels)][0])!r}",
            cure="pass --goal regression, or another --target",
        )
    else:
        raise DataError(
            "a target holds text, flags or numbers",
            found=f"{target!r} is of type {labels.dtype}",
            cure="turn it into one of them",
        )
    if len(values) < 2:
        raise DataError(
            "a target has at least two classes",
            found=f"{target!r} holds only {listed(values)} in {len(labels)} rows",
            cure="pass rows of every class, or another --target",
        )
    return values


def warn_about_blanks(values: Iterable[object], name: str) -> None:
    """Warn where texts of a column, all distinct, differ by nothing but blanks around them."""
    bare: dict[str, str] = {}
    for text in (value for value in values if isinstance(value, str)):
        twin = bare.setdefault(text.strip(), text)
        if twin != text:
            warnings.warn(
                f"{name!r} holds {twin!r} and {text!r}, which differ by blanks alone and are "
                "taken as two; mend those cells if they are one",
                KdexportWarning,
                stacklevel=3,
            )
            return


def _too_long(target: str, label: str) -> DataError:
    """Return the refusal of whole numbers that no file answers, or that were rounded before."""
    return DataError(
        "labels that are whole numbers fit int64, or float64 to the last digit",
        found=f"{target!r} holds {label}",
        cure="turn them into text, or pass --goal regression",
    )


def _decide(table: Table, name: str, recipe: ColumnsRecipe, left_out: set[str]) -> Decision:
    values = table.columns[name]
    missing = is_missing(values)
    n_missing, n_rows = int(missing.sum()), len(values)
    n_distinct = _count_distinct(values[~missing])

    def decide(kind: Kind, why: str) -> Decision:
        return Decision(name, kind, why, n_missing, n_distinct)

    if name in left_out:
        flag = (
            "--id" if name in recipe.id else "--drop" if name in recipe.drop else "--weight-column"
        )
        return decide("left out", flag)
    if name in recipe.categorical:
        return decide("category", "--categorical")
    if name in recipe.numeric:
        numbers_of(table, name)
        is_flag = values.dtype.kind == "b" or holds_flags(values, missing)
        return decide("boolean" if is_flag else "number", "--numeric")
    if n_missing == n_rows:
        return decide("left out", "every cell is empty")
    if values.dtype.kind == "b" or holds_flags(values, missing):
        return decide("boolean", "true and false")
    are_merged = merges_in_float64(values)
    if values.dtype.kind in "iuf" and not are_merged:
        return decide("number", "whole numbers" if values.dtype.kind in "iu" else "numbers")
    if values.dtype.kind == "M":
        return decide("date", "days since 1970-01-01")
    if values.dtype.kind != "O" and not are_merged:
        raise DataError(
            "a feature holds numbers, flags, dates or text",
            found=f"column {name!r} of {table.source} is of type {values.dtype}",
            cure=f"turn it into one of them, or pass {shlex.join(['--drop', name])}",
        )
    n_known, option = n_rows - n_missing, shlex.join(["--categorical", name])
    what = "whole numbers, too large for float64 to tell apart," if are_merged else "texts"
    if n_known >= MIN_ROWS_OF_AN_ID and n_distinct > ID_SHARE * n_known:
        return decide(
            "left out",
            f"{n_distinct} distinct {what} in {n_rows} rows: it looks like an id "
            f"({option} takes it all the same)",
        )
    if not _has_frequent(table, name, n_known, n_distinct, recipe.min_category_rows):
        return decide(
            "left out",
            f"none of its {n_distinct} {what} has {recipe.min_category_rows} training rows "
            f"({option} takes it all the same)",
        )
    if are_merged:
        return decide("category", "whole numbers that float64 cannot tell apart")
    return decide("category", "text")


def _has_frequent(table: Table, name: str, n_known: int, n_distinct: int, n_rows: int) -> bool:
    """Say whether a text, or the gap, is in so many rows that it gets a weight of its own."""
    if n_known > n_distinct * (n_rows - 1):  # then one of them is, without a count
        return True
    return max(Counter(texts_of(table, name).tolist()).values()) >= n_rows


def _count_distinct(values: Column) -> int:
    return len(set(values.tolist())) if values.dtype.kind == "O" else len(np.unique(values))


def holds_flags(values: Column, missing: np.ndarray) -> bool:
    """Say whether an object column holds flags, some of them missing."""
    return values.dtype.kind == "O" and all(isinstance(v, bool) for v in values[~missing].tolist())
