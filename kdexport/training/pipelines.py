"""scikit-learn's pipelines in front of trees, folded into what the trees ask.

Takes a fitted pipeline and the trees of its last step, gives trees over the pipeline's own columns.
A scaler moves thresholds: to the largest float32 number that it leaves below the old one. An
imputed cell goes where the value in its place goes. A one-hot column is a set of categories.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    RobustScaler,
    StandardScaler,
)

from kdexport.records import Column, Float32, Float64
from kdexport.training.sets import (
    BETWEEN,
    CategorySet,
    Codes,
    FittedTrees,
    SetColumns,
    is_gap,
    number_cells,
)
from kdexport.trees import LEAF

SCALERS = (StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler)
ONE_BY_ONE = (*SCALERS, SimpleImputer)  # what they make of a column depends on it alone
N_HALVINGS = 33  # of the 2^32 float32 numbers
LARGEST = np.finfo(np.float32).max  # scalers take no infinite number


@dataclass(frozen=True)
class Numbers:
    """A column of the table as it comes out of scalers and imputers.

    Attributes:
        column: Of the table.
        steps: Each transformer, with the column's place among those that it transforms.
    """

    column: int
    steps: tuple[tuple[Any, int], ...] = ()

    def transform(self, values: Float64) -> Float64:
        """**Shape** `[n]` to `[n]` float64."""
        with warnings.catch_warnings():  # of columns without the names that they were fitted on
            warnings.simplefilter("ignore", UserWarning)
            for transformer, place in self.steps:
                table = np.zeros((len(values), transformer.n_features_in_))
                table[:, place] = values
                values = np.asarray(transformer.transform(table), np.float64)[:, place]
        return values


@dataclass(frozen=True)
class OneHot:
    """A column of 0 and 1: whether a category of the table is one of a set."""

    asked: CategorySet


Feature = Numbers | OneHot


class UnfoldedError(ValueError):
    """A step that trees cannot ask for."""


def fold_pipeline(
    pipeline: Pipeline, last: FittedTrees, *, narrow: bool, takes_sparse: bool
) -> FittedTrees:
    """Put the steps in front of trees into what the trees ask.

    Args:
        pipeline: Fitted.
        last: The trees of its last step.
        narrow: Whether that step reads float32 numbers.
        takes_sparse: Whether to it a zero of sparse columns is a zero.

    Raises:
        UnfoldedError: It has a step that trees cannot ask for; the message says which.
    """
    if last.sets:
        raise UnfoldedError("its model splits on sets of categories behind other steps")
    if not takes_sparse and any(_is_sparse(step) for _, step in pipeline.steps[:-1]):
        raise UnfoldedError("its model takes the zeros of sparse columns for missing cells")
    n_columns = pipeline.n_features_in_
    codes: dict[int, Codes] = {}
    features: Sequence[Feature] = [Numbers(i) for i in range(n_columns)]
    for _, step in pipeline.steps[:-1]:
        features = _apply(step, features, codes)
    sets = SetColumns(n_columns)
    trees = last.trees
    feature, threshold = trees.feature.copy(), trees.threshold.copy()
    missing_left = trees.missing_left.copy()
    for i in np.unique(trees.feature[trees.feature != LEAF]):
        nodes, made = trees.feature == i, features[i]
        if isinstance(made, OneHot):
            feature[nodes], threshold[nodes] = sets.find(made.asked), BETWEEN
            missing_left[nodes] = False
            continue
        feature[nodes] = made.column
        if made.steps:
            kept = threshold[nodes]
            threshold[nodes] = _move_thresholds(made, kept, narrow=narrow)
            (imputed,) = _read(made, np.array([np.nan]), narrow=narrow)
            if not np.isnan(imputed):
                missing_left[nodes] = imputed <= kept
    folded = replace(trees, feature=feature, threshold=threshold, missing_left=missing_left)
    return FittedTrees(folded, n_columns, sets.sets, codes)


def _is_sparse(step: Any) -> bool:
    if isinstance(step, ColumnTransformer):
        return bool(step.sparse_output_)
    return isinstance(step, OneHotEncoder) and bool(step.sparse_output)


def _apply(step: Any, features: Sequence[Feature], codes: dict[int, Codes]) -> list[Feature]:
    """What a step makes of features, and the codes of the categories that it names."""
    is_none = isinstance(step, FunctionTransformer) and step.func is None
    if is_none or step is None or (isinstance(step, str) and step == "passthrough"):
        return list(features)
    if isinstance(step, Pipeline):
        for _, inner in step.steps:
            features = _apply(inner, features, codes)
        return list(features)
    if isinstance(step, ColumnTransformer):
        made: list[Feature] = []
        for name, transformer, _ in step.transformers_:
            taken = [features[i] for i in step._transformer_to_input_indices[name]]
            is_dropped = isinstance(transformer, str) and transformer == "drop"
            if taken and not is_dropped:  # one of no columns was never fitted
                made += _apply(transformer, taken, codes)
        return made
    if isinstance(step, OneHotEncoder):
        return _one_hot(step, features, codes)
    name = type(step).__name__
    if not isinstance(step, ONE_BY_ONE) or getattr(step, "add_indicator", False):
        raise UnfoldedError(f"its step {name} is none that trees can ask for")
    if isinstance(step, SimpleImputer):
        _refuse_other_imputers(step)
    scaled = []
    for place, one in enumerate(features):
        if isinstance(one, OneHot):
            raise UnfoldedError(f"its step {name} stands behind one-hot columns")
        scaled.append(Numbers(one.column, (*one.steps, (step, place))))
    return list(scaled)


def _refuse_other_imputers(imputer: SimpleImputer) -> None:
    """Imputers give a number for a NaN in every column, and nothing else."""
    fills = imputer.statistics_
    if fills.dtype.kind != "f":
        raise UnfoldedError("its step SimpleImputer fills categories")
    if np.isnan(fills).any() or not is_gap(imputer.missing_values):
        raise UnfoldedError("its step SimpleImputer drops columns, or fills what is no NaN")


def _one_hot(
    encoder: OneHotEncoder, features: Sequence[Feature], codes: dict[int, Codes]
) -> list[Feature]:
    """One column per category, then one for all rare ones, where the encoder joins them."""
    if encoder.drop_idx_ is not None:
        raise UnfoldedError("its step OneHotEncoder drops a category")
    rare = getattr(encoder, "infrequent_categories_", [None] * len(features))
    made: list[Feature] = []
    for one, categories, joined in zip(features, encoder.categories_, rare, strict=True):
        if not isinstance(one, Numbers) or one.steps:
            raise UnfoldedError("its step OneHotEncoder stands behind another")
        cells = categories.tolist()
        few = set() if joined is None else {cells.index(cell) for cell in joined.tolist()}
        groups = [{code} for code in range(len(cells)) if code not in few]
        groups += [few] if few else []
        gap = next((code for code, cell in enumerate(cells) if is_gap(cell)), None)
        takes_unknown = encoder.handle_unknown in ("infrequent_if_exist", "warn")
        codes[one.column] = number_cells(cells)
        made += [
            OneHot(
                CategorySet(
                    one.column,
                    frozenset(group),
                    has_missing=gap in group if gap is not None else group is few and takes_unknown,
                    has_unknown=group is few and takes_unknown,
                )
            )
            for group in groups
        ]
    return made


def _read(column: Numbers, values: Column, *, narrow: bool) -> Float64:
    """What trees read of a column's values."""
    made = column.transform(values.astype(np.float64))
    with np.errstate(over="ignore"):
        return made.astype(np.float32).astype(np.float64) if narrow else made


def _move_thresholds(column: Numbers, thresholds: Float64, *, narrow: bool) -> Float64:
    """The largest float32 number that is read as at most each threshold, -infinity for none.

    Scalers keep the order of numbers, so halving finds it among all that there are.
    """
    low = np.full(len(thresholds), _position(np.float32(-np.inf)))
    high = np.full(len(thresholds), _position(LARGEST))
    for _ in range(N_HALVINGS):  # low stays at most the place that is looked for
        middle = low + (high - low + 1) // 2
        read = _read(column, _number(middle), narrow=narrow)
        is_left = read <= thresholds
        low = np.where(is_left, middle, low)
        high = np.where(is_left, high, middle - 1)
    return _number(low).astype(np.float64)


def _position(number: np.float32) -> int:
    """The place of a float32 number in the order of all of them."""
    bits = int(number.view(np.int32))
    return bits if bits >= 0 else -(bits & 0x7FFFFFFF)


def _number(positions: Column) -> Float32:
    """The numbers at places, **Shape** `[n]` int64 to `[n]` float32."""
    bits = np.abs(positions).astype(np.uint32) | (np.uint32(0x80000000) * (positions < 0))
    return bits.astype(np.uint32).view(np.float32)
