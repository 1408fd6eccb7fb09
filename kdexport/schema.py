"""What the columns mean: which features a model takes, in which order, and its classes.

`Signature` is what a file needs to be called (names and classes) and travels inside the ONNX
metadata; `Schema` adds what training needs (centre and scale of each column). Imports numpy,
pydantic, `errors` and `records` only.
"""

import json
import warnings
from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from kdexport.errors import DataError, KdexportWarning
from kdexport.records import Column, Float32, Float64, Int64, Rows, Table

FLOAT32_MAX = float(np.finfo(np.float32).max)
MAX_CLASSES = 1000
MAX_NAMES_SHOWN = 8

Classes = tuple[int, ...] | tuple[str, ...]


class Signature(BaseModel):
    """How a model file is called: its input columns in order, and its classes in column order."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    numeric: tuple[str, ...]
    classes: Classes
    target: str

    @property
    def label_dtype(self) -> Literal["int64", "string"]:
        return "string" if isinstance(self.classes[0], str) else "int64"

    @property
    def label_values(self) -> Column:
        """**Shape** `[K]`: the classes as an array, int64 or object (text)."""
        return np.array(self.classes, dtype=object if self.label_dtype == "string" else np.int64)

    def to_metadata(self) -> dict[str, str]:
        """Return the `kdexport.` entries of an ONNX file's metadata_props."""
        schema = {"numeric": self.numeric, "target": self.target}
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
            return cls(
                numeric=tuple(schema["numeric"]),
                classes=tuple(json.loads(metadata["kdexport.classes"])),
                target=schema["target"],
            )
        except (KeyError, TypeError, ValueError, ValidationError) as error:
            raise DataError(
                "a kdexport file carries kdexport.schema and kdexport.classes in its metadata",
                found=f"{type(error).__name__}: {str(error).splitlines()[0]}",
                cure="pass a file that kdexport wrote",
            ) from error

    def feature_matrix(self, table: Table) -> Float32:
        """Return the table's features by name, whatever the order of its columns.

        **Shape** `[n, F]` float32. A missing cell becomes NaN.

        Raises:
            DataError: A column is absent or is not numeric.
        """
        absent = [name for name in self.numeric if name not in table.columns]
        if absent:
            raise DataError(
                f"{table.source} must have every column that the model takes",
                found=f"no column {_listed(absent)}",
                cure=f"its columns are {_listed(list(table.columns))}",
            )
        matrix = np.empty((table.n_rows, len(self.numeric)), np.float32)
        for i, name in enumerate(self.numeric):
            with np.errstate(over="ignore"):  # beyond float32 becomes infinite; the graph clips it
                matrix[:, i] = numeric_values(table, name)
        return matrix


class Schema(BaseModel):
    """The signature, and what standardising needs: centre and scale of each numeric column.

    A scale of 0 marks a column that is constant in the rows it was fitted on: it carries nothing,
    so whatever it holds later moves no answer.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    signature: Signature
    center: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def fit(cls, table: Table, target: str) -> "Schema":
        """Decide features, classes and scaling from the rows to learn from.

        Args:
            table: Rows to learn from (training and validation), target included.
            target: Name of the target column.

        Raises:
            DataError: A column cannot be used; the message names it and the rows concerned.
        """
        labels = _column(table, target)
        classes = find_classes(labels, target)
        names = tuple(name for name in table.columns if name != target)
        if not names:
            raise DataError(
                "a table needs at least one feature beside its target",
                found=f"{table.source} has only {target!r}",
                cure="add feature columns",
            )
        stats = [_center_and_scale(table, name) for name in names]
        return cls(
            signature=Signature(numeric=names, classes=classes, target=target),
            center=tuple(center for center, _ in stats),
            scale=tuple(scale for _, scale in stats),
        )

    def encode(self, table: Table) -> Rows:
        """Turn a labelled table into rows: float32 features and class positions.

        Raises:
            DataError: A column is absent, or a label is none of the classes.
        """
        labels = _column(table, self.signature.target)
        return Rows(
            self.signature.feature_matrix(table), self._label_positions(labels), table.row_ids
        )

    def _label_positions(self, labels: Column) -> Int64:
        classes = self.signature.classes
        position = {value: i for i, value in enumerate(classes)}
        codes = np.array([position.get(value, -1) for value in labels.tolist()], np.int64)
        if (codes < 0).any():
            first = labels[int(np.argmax(codes < 0))]
            raise DataError(
                "every label is one of the classes seen in the rows to learn from",
                found=f"{int((codes < 0).sum())} rows of {self.signature.target!r} "
                f"hold others, the first {first!r}",
                cure=f"the classes are {_listed(classes)}",
            )
        return codes


def numeric_values(table: Table, name: str) -> Float64:
    """Return a column as float64, missing cells as NaN.

    Raises:
        DataError: The column holds text, dates or anything else that is not a number.
    """
    values = table.columns[name]
    if values.dtype.kind in "fiub":
        return values.astype(np.float64)
    if values.dtype.kind == "O":
        texts = [value for value in values.tolist() if value is not None]
        if not texts:
            return np.full(table.n_rows, np.nan)
        found = f"column {name!r} of {table.source} holds text in {len(texts)} rows, "
        found += f"the first {str(texts[0])[:40]!r}"
    else:
        found = f"column {name!r} of {table.source} is of type {values.dtype}"
    raise DataError("every feature is numeric for now", found=found, cure="drop or encode it")


def _center_and_scale(table: Table, name: str) -> tuple[float, float]:
    """Return mean and standard deviation of a training column, after refusing what cannot train."""
    values = numeric_values(table, name)
    n_missing = int(np.isnan(values).sum())
    if n_missing:
        raise DataError(
            "a training table has no missing cells for now",
            found=f"column {name!r} of {table.source} has {n_missing}",
            cure="fill them or drop those rows",
        )
    n_huge = int((np.abs(values) > FLOAT32_MAX).sum())
    if n_huge:
        raise DataError(
            "training cells are finite and fit float32",
            found=f"column {name!r} of {table.source} has {n_huge} rows that are infinite "
            f"or beyond {FLOAT32_MAX:.1e}",
            cure="replace them or drop those rows",
        )
    center, scale = float(values.mean()), float(values.std())
    resolution = float(np.abs(values).max()) * 2.0**-24
    if scale <= resolution:  # constant, or constant once it is float32
        if values.min() != values.max():
            _warn_about_precision(name, scale, resolution)
        return center, 0.0
    if resolution > 1e-3 * scale:
        _warn_about_precision(name, scale, resolution)
    return center, scale


def _warn_about_precision(name: str, scale: float, resolution: float) -> None:
    warnings.warn(
        f"column {name!r} varies by {scale:.3g} around values that float32 holds only to "
        f"{resolution:.3g}: subtract a constant from it to keep its detail",
        KdexportWarning,
        stacklevel=4,
    )


def find_classes(labels: Column, target: str) -> Classes:
    """Return the sorted distinct labels.

    Raises:
        DataError: They are those of no classification target: fractions, a single class, dates,
            or nearly as many values as rows.
    """
    values: Classes
    is_float = labels.dtype.kind == "f"
    if labels.dtype.kind in "iu" or (is_float and bool((labels == np.round(labels)).all())):
        values = tuple(int(v) for v in np.unique(labels))
    elif labels.dtype.kind == "O":
        values = tuple(sorted({str(v) for v in labels.tolist()}))
    elif labels.dtype.kind == "f":
        raise DataError(
            "the target holds classes: regression is not handled for now",
            found=f"{target!r} holds fractions, such as {float(labels[labels % 1 != 0][0])!r}",
            cure="pass a target of text or whole numbers",
        )
    else:
        raise DataError(
            "the target holds text or whole numbers",
            found=f"{target!r} is of type {labels.dtype}",
            cure="turn it into text or whole numbers",
        )
    n_rows = len(labels)
    if len(values) < 2:
        raise DataError(
            "a target has at least two classes",
            found=f"{target!r} holds only {_listed(values)} in {n_rows} rows",
            cure="pass rows of every class, or another --target",
        )
    if len(values) > MAX_CLASSES or 2 * len(values) > n_rows:
        raise DataError(
            f"a class has two rows or more on average, and a target at most {MAX_CLASSES} classes",
            found=f"{target!r} holds {len(values)} distinct values in {n_rows} rows",
            cure="pass more rows, or a target that is not an id or a measured number",
        )
    return values


def _column(table: Table, name: str) -> Column:
    if name not in table.columns:
        raise DataError(
            "the target is a column of the table",
            found=f"{table.source} has no column {name!r}",
            cure=f"its columns are {_listed(list(table.columns))}",
        )
    return table.columns[name]


def _listed(values: Classes | list[str]) -> str:
    shown = ", ".join(repr(value) for value in values[:MAX_NAMES_SHOWN])
    rest = len(values) - MAX_NAMES_SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown


def _compact_json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
