"""What training and export need to know of the columns, beyond their names.

`Schema.fit` learns it from the training rows alone: centre and scale of each number, which columns
need an indicator of missing cells, the categories worth a weight of their own. Imports numpy,
pydantic and the rooms above it only.
"""

from collections import Counter

import numpy as np
from pydantic import BaseModel, ConfigDict

from kdexport.columns import numbers_of
from kdexport.errors import DataError
from kdexport.kinds import decide_columns, warn_about, warn_about_blanks
from kdexport.knots import Knots, find_knots
from kdexport.records import Column, Float32, Float64, Int64, Rows, Table
from kdexport.sections import ColumnsRecipe
from kdexport.signature import Classes, Signature, listed

FLOAT32_MAX = float(np.finfo(np.float32).max)
MAX_ROUNDING = 1e-5  # of a deviation: beyond it, float32 loses detail that a network could use
SMALLEST_SCALE = 1e-30  # below it, 1 / scale would not fit float32: the column is constant
LARGEST_TARGET_SCALE = (
    1e15  # beyond it, a row with an infinite cell would be answered with infinity
)
MAX_TARGET_ROUNDING = 0.01  # of a deviation: float32's steps beside a target's mean, as answered
OTHER = 0  # the code of every category without a weight of its own
MISSING = ""


class Category(BaseModel):
    """The categories of one column.

    Attributes:
        kept: Categories with a weight of their own; the first has code 1. Missing cells are the
            empty text, kept like any other where training had enough of them.
        shares: Share of the training rows of each kept category.
        has_other: Whether training had rows of code 0 (rare categories). Where it had none, code
            0 answers as the average of the kept ones.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    kept: tuple[str, ...]
    shares: tuple[float, ...]
    has_other: bool

    @classmethod
    def fit(cls, texts: Column, recipe: ColumnsRecipe) -> "Category":
        """Keep the most frequent categories, in order of their spelling."""
        counts = Counter(texts.tolist())
        frequent = [v for v, n in counts.items() if n >= recipe.min_category_rows]
        frequent = sorted(frequent, key=lambda v: (-counts[v], v))[: recipe.max_categories]
        kept = tuple(sorted(frequent))
        n_kept = sum(counts[v] for v in kept)
        return cls(
            kept=kept,
            shares=tuple(counts[v] / n_kept for v in kept),
            has_other=n_kept < len(texts),
        )

    @property
    def n_codes(self) -> int:
        return 1 + len(self.kept)

    def encode(self, texts: Column) -> Int64:
        """**Shape** `[n]` object to `[n]` int64 codes."""
        codes = {value: code for code, value in enumerate(self.kept, start=1)}
        return np.array([codes.get(value, OTHER) for value in texts.tolist()], np.int64)


class Schema(BaseModel):
    """The signature, and what networks need to read its inputs.

    Attributes:
        signature: Columns and classes.
        center: Mean of each numeric column, in the signature's precision.
        scale: Deviation of each; 0 marks a column that was constant in training: whatever number
            it holds later moves no answer. Whether it is missing may, see `indicators`.
        indicators: Positions of the numeric columns that had missing cells in training.
        categories: One per categorical column.
        knots: Where a network that reads numbers piece by piece may bend, see `kdexport.knots`; in
            a float64 signature less the column's centre.
        target_center: Mean of a regression's target, 0 for classes.
        target_scale: Deviation of a regression's target, 1 for classes.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    signature: Signature
    center: tuple[float, ...]
    scale: tuple[float, ...]
    indicators: tuple[int, ...] = ()
    categories: tuple[Category, ...] = ()
    knots: Knots = ()
    target_center: float = 0.0
    target_scale: float = 1.0

    @classmethod
    def fit(
        cls, table: Table, target: str, recipe: ColumnsRecipe, *, classes: Classes = ()
    ) -> "Schema":
        """Learn columns and scaling from the training rows.

        Args:
            table: Training rows, target included.
            target: Name of the target column.
            recipe: What the user says of single columns.
            classes: The classes of a classification; none for a regression.

        Raises:
            DataError: A column cannot be used; the message names it and the rows concerned.
        """
        decisions = decide_columns(table, target, recipe)
        warn_about(decisions)
        numeric = tuple(d.name for d in decisions if d.kind in ("number", "boolean", "date"))
        signature = Signature(
            numeric=numeric,
            categorical=tuple(d.name for d in decisions if d.kind == "category"),
            kinds={d.name: d.kind for d in decisions if d.kind in ("boolean", "date")},
            precision="float64",
            classes=classes,
            target=target,
        )
        inputs = signature.take_inputs(table)
        for name, texts in zip(signature.categorical, inputs.categorical.T, strict=True):
            warn_about_blanks(dict.fromkeys(texts.tolist()), name)
        exact = inputs.numeric.astype(np.float64)
        for i, name in enumerate(numeric):
            refuse_huge(exact[:, i], name, table.source)
        precision = "float32" if _survives_float32(exact) else "float64"
        signature = signature.model_copy(update={"precision": precision})
        values = exact.astype(precision).astype(np.float64)
        center, scale = _center_and_scale(values)
        if precision == "float32":  # so that file and source subtract the same number
            center = center.astype(np.float32).astype(np.float64)
        target_center, target_scale = (
            _target_scaling(table, target) if signature.is_regression else (0.0, 1.0)
        )
        return cls(
            signature=signature,
            center=tuple(center.tolist()),
            scale=tuple(scale.tolist()),
            indicators=tuple(np.flatnonzero(np.isnan(values).any(axis=0)).tolist()),
            categories=tuple(Category.fit(texts, recipe) for texts in inputs.categorical.T),
            knots=find_knots(values if precision == "float32" else values - center),
            target_center=target_center,
            target_scale=target_scale,
        )

    @property
    def has_knots(self) -> bool:
        """Whether a network can read its numbers piece by piece."""
        return any(self.knots)

    @property
    def n_codes(self) -> int:
        """Codes of all categorical columns together: rows of the first layer's table."""
        return sum(category.n_codes for category in self.categories)

    def encode(self, table: Table, *, weight: str | None = None) -> Rows:
        """Turn a labelled table into rows.

        Raises:
            DataError: A column is absent, or a label is none of the classes.
        """
        weights = np.ones(table.n_rows) if weight is None else table.columns[weight]
        return Rows(
            self.signature.take_inputs(table),
            self._targets(table),
            weights / weights.mean(),
            table.row_ids,
        )

    def encode_categories(self, categorical: Column) -> Int64:
        """Return the code of each cell, **Shape** `[n, C]` object to `[n, C]` int64."""
        codes = np.empty(categorical.shape, np.int64)
        for i, category in enumerate(self.categories):
            codes[:, i] = category.encode(categorical[:, i])
        return codes

    def standardise(self, numbers: Column) -> Float64:
        """Turn numbers of a regression's target into what networks give, in float64."""
        standardised: Float64 = (numbers - self.target_center) / self.target_scale
        return standardised

    def in_units(self, outputs: Float64) -> Float64:
        """Turn what networks give into numbers in the target's own unit."""
        return outputs * self.target_scale + self.target_center

    def _targets(self, table: Table) -> Column:
        target = self.signature.target
        labels = column_of(table, target)
        if self.signature.is_regression:
            numbers = numbers_of(table, target)
            refuse_huge(numbers, target, table.source)
            return numbers
        classes = self.signature.classes
        position = {value: i for i, value in enumerate(classes)}
        codes = np.array([position.get(value, -1) for value in labels.tolist()], np.int64)
        if (codes < 0).any():
            first = labels.tolist()[int(np.argmax(codes < 0))]
            raise DataError(
                "every label is one of the classes seen in the rows to learn from",
                found=f"{int((codes < 0).sum())} rows of {target!r} "
                f"hold others, the first {first!r}",
                cure=f"the classes are {listed(classes)}",
            )
        return codes


def column_of(table: Table, target: str) -> Column:
    """Return the target column.

    Raises:
        DataError: There is none of that name.
    """
    if target not in table.columns:
        raise DataError(
            "the target is a column of the table",
            found=f"{table.source} has no column {target!r}",
            cure=f"its columns are {listed(list(table.columns))}",
        )
    return table.columns[target]


def refuse_huge(values: Float32 | Float64, name: str, source: str) -> None:
    """Refuse a column that the networks cannot read.

    Raises:
        DataError: Some of its cells are infinite or beyond float32.
    """
    n_huge = int((np.abs(values) > FLOAT32_MAX).sum())
    if n_huge:
        raise DataError(
            "training cells are finite and fit float32",
            found=f"column {name!r} of {source} has {n_huge} rows that are infinite "
            f"or beyond {FLOAT32_MAX:.1e}",
            cure="replace them or drop those rows",
        )


def _survives_float32(values: Float64) -> bool:
    """Say whether rounding to float32 keeps what a network could tell apart.

    Whole numbers have to stay what they are; other numbers may move by a hundred-thousandth of
    their column's deviation.
    """
    rounding = np.abs(values.astype(np.float32).astype(np.float64) - values)
    whole = ((values == np.round(values)) | np.isnan(values)).all(axis=0)
    _, scale = _center_and_scale(values)
    allowed = np.where(whole, 0.0, MAX_ROUNDING * scale)
    lost = np.nanmax(np.nan_to_num(rounding), axis=0, initial=0.0)
    return bool((lost <= allowed)[scale > 0].all())


def _center_and_scale(values: Float64) -> tuple[Float64, Float64]:
    """Mean and deviation of each column over its known cells; 0 and 0 where there are none."""
    known = ~np.isnan(values)
    n_known = np.maximum(known.sum(axis=0), 1)
    center: Float64 = np.where(known, values, 0.0).sum(axis=0) / n_known
    squares = np.where(known, np.square(values - center), 0.0).sum(axis=0)
    scale = np.sqrt(squares / n_known)
    lowest = np.where(known, values, np.inf).min(axis=0, initial=np.inf)
    highest = np.where(known, values, -np.inf).max(axis=0, initial=-np.inf)
    varies = (lowest < highest) & (scale > SMALLEST_SCALE)
    return center, np.where(varies, scale, 0.0)


def _target_scaling(table: Table, target: str) -> tuple[float, float]:
    values = table.columns[target]
    if values.dtype.kind not in "fiub":
        raise DataError(
            "a regression's target holds numbers",
            found=f"{target!r} is of type {values.dtype}",
            cure="pass --goal classification, or another --target",
        )
    exact = values.astype(np.float64)
    refuse_huge(exact, target, table.source)
    if values.min() == values.max():  # whole numbers may be apart where float64 is not
        raise DataError(
            "a regression's target varies",
            found=f"{target!r} is {exact[0]:g} in all {len(exact)} training rows",
            cure="pass another --target",
        )
    center, scale = float(exact.mean()), float(exact.std())
    step = float(np.spacing(np.float32(abs(center))))
    if abs(center) > SMALLEST_SCALE and step > MAX_TARGET_ROUNDING * scale:
        raise DataError(
            f"a regression's target deviates by {1 / MAX_TARGET_ROUNDING:g} of float32's steps "
            "beside its mean or more: predictions are float32",
            found=f"{target!r} has a mean of {center:.6g}, where steps are {step:.3g}, and a "
            f"standard deviation of {scale:.3g}",
            cure=f"subtract a constant from the target, such as {center:.3g}",
        )
    if not SMALLEST_SCALE < scale < LARGEST_TARGET_SCALE:
        raise DataError(
            f"a regression's target deviates by {SMALLEST_SCALE:g} to {LARGEST_TARGET_SCALE:g}",
            found=f"{target!r} has a standard deviation of {scale:.3g}",
            cure="give it in another unit",
        )
    return center, scale
