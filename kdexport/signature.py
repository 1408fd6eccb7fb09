"""How a model file is called: its columns in order, their kinds, and what it answers.

A `Signature` travels inside the ONNX metadata, so a file can be called with nothing else at hand.
Imports numpy, pydantic, `errors`, `records` and `columns` only.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from kdexport.columns import days_of, flags_of, numbers_of, texts_of
from kdexport.errors import DataError
from kdexport.records import Column, Inputs, Table

MAX_NAMES_SHOWN = 8
READERS = {None: numbers_of, "boolean": flags_of, "date": days_of}

Classes = tuple[bool, ...] | tuple[int, ...] | tuple[str, ...]
LabelType = Literal["bool", "int64", "string"]


class Signature(BaseModel):
    """The columns and the answers of a model file.

    Attributes:
        numeric: Columns of the input `numeric`, in order.
        categorical: Columns of the input `categorical`, in order.
        kinds: The numeric columns that are no plain numbers: flags (1 and 0) and dates (days
            since 1970-01-01, UTC).
        precision: Type of `numeric`: float64 where a column does not survive float32.
        classes: What `label` answers, in the order of the probabilities; empty for a regression.
        target: Name of the column it answers for.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    numeric: tuple[str, ...]
    categorical: tuple[str, ...] = ()
    kinds: dict[str, Literal["boolean", "date"]] = {}
    precision: Literal["float32", "float64"] = "float32"
    classes: Classes = ()
    target: str

    @property
    def is_regression(self) -> bool:
        return not self.classes

    @property
    def columns(self) -> tuple[str, ...]:
        return self.numeric + self.categorical

    @property
    def numbers_and_flags(self) -> tuple[str, ...]:
        """Columns whose cells are read one by one."""
        return tuple(name for name in self.numeric if self.kinds.get(name) != "date")

    @property
    def label_dtype(self) -> LabelType:
        first = self.classes[0]
        if isinstance(first, bool):
            return "bool"
        return "string" if isinstance(first, str) else "int64"

    @property
    def label_values(self) -> Column:
        """**Shape** `[K]`: the classes as an array of bool, int64 or object (text)."""
        dtypes: dict[LabelType, Any] = {"bool": bool, "int64": np.int64, "string": object}
        return np.array(self.classes, dtype=dtypes[self.label_dtype])

    def to_metadata(self) -> dict[str, str]:
        """Return the `kdexport.` entries of an ONNX file's metadata_props."""
        schema = self.model_dump(exclude={"classes"}, exclude_defaults=True)
        return {
            "kdexport.schema": _compact_json(schema),
            "kdexport.classes": _compact_json(self.classes),
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> "Signature":
        """Read the signature back from metadata_props.

        Raises:
            DataError: The entries are missing or damaged.
        """
        try:
            schema = json.loads(metadata["kdexport.schema"])
            schema["classes"] = json.loads(metadata["kdexport.classes"])
            return cls.model_validate_json(json.dumps(schema))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise DataError(
                "a kdexport file carries kdexport.schema and kdexport.classes in its metadata",
                found=f"{type(error).__name__}: {str(error).splitlines()[0][:200]}",
                cure="pass a file that kdexport wrote",
            ) from error

    def refuse_absent(self, names: Sequence[str], source: str) -> None:
        """Refuse a table that lacks a column.

        Raises:
            DataError: The message has all the names that there are.
        """
        absent = [name for name in self.columns if name not in names]
        if absent:
            raise DataError(
                f"{source} must have every column that the model takes",
                found=f"no column {listed(absent)}",
                cure=f"its columns are {listed(names)}",
            )

    def take_inputs(self, table: Table) -> Inputs:
        """Return what the file takes for a table's rows, columns found by name.

        Raises:
            DataError: A column is absent or holds something else than in training.
        """
        self.refuse_absent(list(table.columns), table.source)
        numeric = np.empty((table.n_rows, len(self.numeric)), self.precision)
        categorical = np.empty((table.n_rows, len(self.categorical)), object)
        with np.errstate(over="ignore"):  # beyond float32 becomes infinite; the graph clips it
            for i, name in enumerate(self.numeric):
                numeric[:, i] = READERS[self.kinds.get(name)](table, name)
        for i, name in enumerate(self.categorical):
            categorical[:, i] = texts_of(table, name)
        return Inputs(numeric, categorical)


def listed(values: Sequence[object]) -> str:
    """Return the first few values for a message, and how many more there are."""
    shown = ", ".join(repr(value) for value in values[:MAX_NAMES_SHOWN])
    rest = len(values) - MAX_NAMES_SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown


def _compact_json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
