"""A table into its three parts: rows that fit, rows that choose, rows that only report.

Takes labelled tables, gives `Parts`. Rows without a label, and rows that count for nothing, are
dropped here, before anything is counted. Imports numpy and the rooms above it only.
"""

import warnings
from collections import Counter

import numpy as np

from kdexport.columns import LARGEST_INT64, is_unlabelled, is_whole, numbers_of
from kdexport.errors import DataError, KdexportWarning
from kdexport.records import Bools, Column, Int64, Parts, Table
from kdexport.schema import column_of

PARTS = {"train": 0, "validation": 1, "valid": 1, "val": 1, "test": 2}
MAX_CLASSES_NAMED = 5
N_STRATA, MIN_STRATUM = 10, 10  # of a regression's target, and their rows


def drop_unlabelled(table: Table, target: str) -> Table:
    """Return the table without the rows that have no label, and warn with their number.

    Raises:
        DataError: The table has no such column, or no row has a label.
    """
    missing = is_unlabelled(column_of(table, target))
    if missing.all():
        raise DataError(
            "rows need a label to learn from",
            found=f"all {table.n_rows} cells of {target!r} in {table.source} are empty",
            cure="pass labelled rows, or another --target",
        )
    if missing.any():
        n_missing = int(missing.sum())
        warnings.warn(
            f"{n_missing} rows of {table.source} have no {target!r} and were dropped",
            KdexportWarning,
            stacklevel=2,
        )
        table = table.take(~missing)
    labels = table.columns[target]
    # A gap among flags or whole numbers made their column objects or fractions: 7.0 is class 7.
    if labels.dtype.kind == "O" and all(isinstance(value, bool) for value in labels.tolist()):
        return table.replacing(target, labels.astype(bool))
    if labels.dtype.kind == "O" and all(
        type(value) is int and abs(value) <= LARGEST_INT64 for value in labels.tolist()
    ):
        return table.replacing(target, labels.astype(np.int64))
    if labels.dtype.kind == "f" and bool(is_whole(labels).all()):
        return table.replacing(target, labels.astype(np.int64))
    return table


def drop_weightless(table: Table, weight: str | None) -> Table:
    """Return the table with its weights as numbers, without the rows that weigh 0, or next to
    nothing beside the heaviest: what float64 does not tell from 0.

    Raises:
        DataError: A weight is missing, negative, infinite or no number, or all are 0.
    """
    if weight is None:
        return table
    if weight not in table.columns:
        raise DataError(
            "the weight column is a column of the table",
            found=f"{table.source} has no column {weight!r}",
            cure="check --weight-column",
        )
    values = numbers_of(table, weight)
    wrong = ~(np.isfinite(values) & (values >= 0))
    if wrong.any() or not values.any():
        raise DataError(
            "a weight is a number of 0 or more, and some are more",
            found=f"column {weight!r} of {table.source} has {int(wrong.sum())} others"
            if wrong.any()
            else f"column {weight!r} of {table.source} is 0 in every row",
            cure="mend those cells, or pass another --weight-column",
        )
    shares = values / values.max()
    return table.replacing(weight, values).take(shares > np.finfo(np.float64).tiny)


def split_table(
    table: Table,
    target: str,
    *,
    test: Table | None,
    is_regression: bool,
    split_column: str | None,
    test_share: float,
    validation_share: float,
    seed: int,
) -> Parts[Table]:
    """Split labelled rows into train, validation and test, stratified by label.

    A target of numbers is stratified by tenths of its range of ranks.

    Args:
        table: Labelled rows.
        target: Name of the target column.
        test: The user's own test rows, or None to keep `test_share` of the table for testing.
        is_regression: Whether the target is a number rather than a class.
        split_column: A column that says which part each row belongs to, or None.
        test_share: Share of the rows kept for testing.
        validation_share: Share of the rows to learn from that only choose.
        seed: Decides which rows.

    Raises:
        DataError: The split column holds other values, or a part comes out empty.
    """
    rng = np.random.default_rng(seed)
    learn = table
    validation = None
    if split_column is not None:
        train, validation, column_test = _split_by_column(table, split_column)
        if test is None:
            test = column_test
        else:
            _warn_about_other_test_rows(column_test, split_column)
            test = test.without(split_column)
        learn = train
    elif test is None:
        chosen = _draw_stratified(_strata(table.columns[target], is_regression), test_share, rng)
        learn, test = table.take(~chosen), table.take(chosen)
    if validation is None:
        if not is_regression:
            _warn_about_lone_classes(learn.columns[target], target)
        strata = _strata(learn.columns[target], is_regression)
        chosen = _draw_stratified(strata, validation_share, rng)
        learn, validation = learn.take(~chosen), learn.take(chosen)
    parts = Parts(learn, validation, test)
    for name, part in parts.items():
        if part.n_rows == 0:
            raise DataError(
                "each of train, validation and test has rows",
                found=f"no row is left for {name} out of {table.n_rows}",
                cure="pass more rows, or larger shares",
            )
    return parts


def _draw_stratified(codes: Int64, share: float, rng: np.random.Generator) -> Bools:
    """Choose `share` of the rows of each stratum, which never gives all its rows away."""
    chosen = np.zeros(len(codes), bool)
    for code in range(int(codes.max()) + 1):
        positions: Int64 = np.flatnonzero(codes == code)
        n_chosen = min(round(share * len(positions)), len(positions) - 1)
        chosen[rng.permutation(positions)[:n_chosen]] = True
    return chosen


def _strata(labels: Column, is_regression: bool) -> Int64:
    """Return the stratum of each row: its class, or a tenth (of few rows less) by rank."""
    if is_regression:
        ranks = np.argsort(np.argsort(labels, kind="stable"), kind="stable")
        n_strata = min(N_STRATA, max(1, len(labels) // MIN_STRATUM))
        return ranks * n_strata // len(labels)
    named = labels.astype(str) if labels.dtype.kind == "O" else labels
    _, codes = np.unique(named, return_inverse=True)
    return codes.astype(np.int64)


def _split_by_column(table: Table, split_column: str) -> tuple[Table, Table | None, Table]:
    if split_column not in table.columns:
        raise DataError(
            "the split column is a column of the table",
            found=f"{table.source} has no column {split_column!r}",
            cure="check --split-column",
        )
    values = table.columns[split_column].tolist()
    parts = np.array([PARTS.get(str(value).lower(), -1) for value in values])
    if (parts < 0).any():
        first = values[int(np.argmax(parts < 0))]
        raise DataError(
            "a split column says train, validation or test in every row",
            found=f"{split_column!r} says something else in {int((parts < 0).sum())} rows, "
            f"the first {first!r}",
            cure="rename those values",
        )
    rest = table.without(split_column)
    train, validation, test = (rest.take(parts == part) for part in range(3))
    return train, validation if validation.n_rows else None, test


def _warn_about_other_test_rows(rows: Table, split_column: str) -> None:
    if rows.n_rows:
        warnings.warn(
            f"{rows.n_rows} rows that {split_column!r} calls test are left out: "
            "there is a file of test rows",
            KdexportWarning,
            stacklevel=3,
        )


def _warn_about_lone_classes(labels: Column, target: str) -> None:
    counts = Counter(labels.tolist())
    lone = sorted(str(value) for value, n in counts.items() if n == 1)
    if lone:
        shown = ", ".join(map(repr, lone[:MAX_CLASSES_NAMED]))
        warnings.warn(
            f"{len(lone)} classes of {target!r} have a single row, kept for training: {shown}",
            KdexportWarning,
            stacklevel=3,
        )
