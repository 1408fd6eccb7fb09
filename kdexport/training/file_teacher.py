"""ONNX files of anybody's as teachers: fed by their inputs, read by their outputs.

Takes a loaded file, gives a `Teacher`. What it answers is checked in `own_teacher`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdexport.errors import DataError
from kdexport.records import Column, Table
from kdexport.runtime import Session
from kdexport.signature import Signature, listed
from kdexport.training.teachers import Call, Labels, refuse_strangers, stack_numbers


@dataclass(frozen=True)
class FileTeacher:
    """An ONNX file of anybody's: probabilities as a tensor or as maps (ZipMap), or numbers.

    Takes what kdexport's own files take, one input of all columns as numbers, or one input per
    column by name.

    Attributes:
        name: What messages call it.
        session: The file, loaded.
        task_classes: The task's, which the keys of maps are looked up among; none of a regression.
    """

    name: str
    session: Session
    task_classes: Labels

    @property
    def classes(self) -> Labels:
        signature = self._signature
        return signature.classes if signature is not None else ()

    @property
    def _signature(self) -> Signature | None:
        return self.session.signature if "kdexport.schema" in self.session.metadata else None

    def answer(self, table: Table) -> Column:
        outputs = [self.session.run(feeds) for feeds in self._feed_batches(table)]
        return self._join_answers(outputs, table.n_rows)

    def prepare_call(self, table: Table) -> Call:
        """Feed the rows; return the call that answers them."""
        runs = [self.session.prepare_call(feeds) for feeds in self._feed_batches(table)]
        names, n_rows = self.session.output_names, table.n_rows

        def call() -> Column:
            outputs = [dict(zip(names, run(), strict=True)) for run in runs]
            return self._join_answers(outputs, n_rows)

        return call

    def _feed_batches(self, table: Table) -> list[dict[str, Column]]:
        """Feed all rows at once; or, where the file takes so many and no others, in batches of
        them, the last of which the last row fills up.
        """
        feeds, n_rows = self._feed(table), table.n_rows
        size = next((one.shape[0] for one in self.session.inputs if one.shape), None)
        if not size or not n_rows:
            return [feeds]
        rows = np.minimum(np.arange(-(-n_rows // size) * size), n_rows - 1).reshape(-1, size)
        return [{name: values[part] for name, values in feeds.items()} for part in rows]

    def _feed(self, table: Table) -> dict[str, Column]:
        if (signature := self._signature) is not None:
            return signature.take_inputs(table).feeds()
        inputs = self.session.inputs
        if len(inputs) == 1 and inputs[0].name not in table.columns:
            return {inputs[0].name: stack_numbers(table).astype(inputs[0].dtype)}
        absent = [one.name for one in inputs if one.name not in table.columns]
        if absent:
            raise DataError(
                "an ONNX teacher takes one input of all columns, or one input per column",
                found=f"{self.name} takes {listed(absent)}, which is no column",
                cure=f"the columns are {listed(list(table.columns))}",
            )
        feeds = {}
        for one in inputs:
            values = table.columns[one.name]
            if one.dtype.kind == "O":
                texts = ["" if v is None else str(v) for v in values.tolist()]
                values = np.array(texts, dtype=object)
            feeds[one.name] = values.astype(one.dtype)[:, None]
        return feeds

    def _join_answers(self, outputs: Sequence[dict[str, Any]], n_rows: int) -> Column:
        """Put the answers of batches together, without those that fill up the last one."""
        parts = [self._find_answer(one) for one in outputs]
        return (parts[0] if len(parts) == 1 else np.concatenate(parts))[:n_rows]

    def _find_answer(self, outputs: dict[str, Any]) -> Column:
        """Return probabilities among a file's outputs, or its numbers."""
        for values in outputs.values():
            if isinstance(values, list) and values and isinstance(values[0], dict):
                return self._spread(values)
        numbers = [np.asarray(v) for v in outputs.values() if np.asarray(v).dtype.kind == "f"]
        if self.task_classes:
            numbers = [v for v in numbers if v.ndim == 2]
        if len(numbers) != 1:
            raise DataError(
                "an ONNX teacher has one output of probabilities, or of numbers in a regression",
                found=f"{self.name} has {len(numbers)} among {listed(list(outputs))}",
                cure="pass a file that gives probabilities as a tensor or through ZipMap",
            )
        return numbers[0]

    def _spread(self, rows: Sequence[dict[Any, float]]) -> Column:
        """Maps to columns in the order of the task's classes; one that a map has not is 0."""
        strangers = [key for key in rows[0] if key not in self.task_classes]
        refuse_strangers(strangers, self.task_classes, self.name)
        return np.array([[row.get(label, 0.0) for label in self.task_classes] for row in rows])
