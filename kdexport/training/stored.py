"""A teacher of which only the answers are left: stored probabilities or numbers, row by row.

Takes the rows that they were stored for, gives a teacher that knows these rows and no others: so
there are no synthetic ones.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kdexport.columns import numbers_of
from kdexport.errors import DataError
from kdexport.records import Column, Float64, Inputs, Parts, Rows, Table, Unlabeled
from kdexport.signature import Signature, listed
from kdexport.training.own_teacher import check_answers
from kdexport.training.teachers import Labels

PREFIX, NUMBER = "probability_", "prediction"  # what `kdexport predict` writes


@dataclass(frozen=True)
class StoredTeacher:
    """Answers by the content of a row; rows that are equal share the mean of theirs.

    Attributes:
        name: What messages call it.
        signature: Which columns make a row, and the classes.
        known: Hash of each row to its answer, **Shape** each `[K]` float64.
    """

    name: str
    signature: Signature
    known: Mapping[bytes, Float64]

    @property
    def classes(self) -> Labels:
        return self.signature.classes

    def answer(self, table: Table) -> Column:
        """Return what was stored for these rows.

        Raises:
            DataError: A row is none of those that there are answers for.
        """
        hashes = [*self.signature.take_inputs(table).hash_rows()]
        n_strange = sum(key not in self.known for key in hashes)
        if n_strange:
            raise DataError(
                "stored answers are for every row that is asked",
                found=f"{self.name} has none for {n_strange} of {len(hashes)} rows",
                cure="pass a teacher that can be asked, or transfer.n_synthetic = 0",
            )
        return np.stack([self.known[key] for key in hashes])


def read_stored(
    table: Table,
    rows: Parts[Rows],
    signature: Signature,
    *,
    unlabeled: Unlabeled | None = None,
    unlabeled_table: Table | None = None,
) -> StoredTeacher:
    """Take stored answers as the teacher of a task.

    Args:
        table: One column `probability_CLASS` (or CLASS) per class, or `prediction`; one row per
            row of the data, in its order.
        rows: The task's parts, which know their positions in the data.
        signature: Columns and classes.
        unlabeled: Rows without labels, if there are any.
        unlabeled_table: Answers for them, in the same form and in their order.

    Raises:
        DataError: Rows or columns do not fit the data, or are no probabilities.
    """
    n_used = sum(part.n_rows for _, part in rows.items())
    n_rows = 1 + max(int(part.row_ids.max()) for _, part in rows.items())
    # Of rows without a label, the data may have had some more at its end.
    if table.n_rows < n_rows or (n_used == n_rows and table.n_rows != n_rows):
        raise _refuse_length(table, f"the data {n_rows}")
    answers = _read_answers(table, signature)
    known = [(part.inputs, answers[part.row_ids]) for _, part in rows.items()]
    if (unlabeled is None) != (unlabeled_table is None):
        raise DataError(
            "stored answers are for every row that is learned from",
            found="unlabelled rows without answers, or answers without those rows",
            cure="pass both --unlabeled and --unlabeled-probabilities, or neither",
        )
    if unlabeled is not None and unlabeled_table is not None:
        if unlabeled_table.n_rows != unlabeled.inputs.n_rows:
            raise _refuse_length(unlabeled_table, f"{unlabeled.source} {unlabeled.inputs.n_rows}")
        known.append((unlabeled.inputs, _read_answers(unlabeled_table, signature)))
    return StoredTeacher(_name(table), signature, _index(known))


def _read_answers(table: Table, signature: Signature) -> Float64:
    """Return a table's answers, columns in class order, **Shape** `[n, K]`."""
    classes = signature.classes
    wanted = [NUMBER] if signature.is_regression else [str(label) for label in classes]
    found = [f"{PREFIX}{label}" for label in wanted if f"{PREFIX}{label}" in table.columns]
    columns = found if len(found) == len(wanted) else wanted
    absent = [column for column in columns if column not in table.columns]
    if absent:
        raise DataError(
            f"stored answers have a column {PREFIX}CLASS for each class, or {NUMBER}",
            found=f"{table.source} has no {listed(absent)}",
            cure=f"its columns are {listed(list(table.columns))}",
        )
    stacked = np.stack([numbers_of(table, column) for column in columns], axis=1)
    return check_answers(stacked, _name(table), classes, classes, table.n_rows)


def _index(known: Sequence[tuple[Inputs, Float64]]) -> dict[bytes, Float64]:
    """Hash of each row to the mean answer of all rows that are equal to it."""
    sums: dict[bytes, Float64] = {}
    counts: Counter[bytes] = Counter()
    for inputs, answers in known:
        for key, answer in zip(inputs.hash_rows(), answers, strict=True):
            sums[key] = sums.get(key, 0.0) + answer
            counts[key] += 1
    return {key: total / counts[key] for key, total in sums.items()}


def _name(table: Table) -> str:
    return f"the teacher's answers in {table.source}"


def _refuse_length(table: Table, wanted: str) -> DataError:
    return DataError(
        "stored answers have one row per row that they were asked about",
        found=f"{table.source} has {table.n_rows} rows, {wanted}",
        cure="pass answers for all rows, in their order",
    )
