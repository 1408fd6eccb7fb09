"""The whole job as scikit-learn estimators: `DistilledClassifier` and `DistilledRegressor`.

Takes a teacher and rows the way scikit-learn does, gives a small network that predicts, and on
request its bundle with evidence. Knows scikit-learn's base classes; the work is the pipeline's.
"""

import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from numbers import Integral
from operator import attrgetter
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_array
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from kdexport.bundle import claim_output
from kdexport.errors import DataError, InputError, KdexportWarning, RecipeError
from kdexport.evidence.facts import Evidence
from kdexport.pipeline import Learned, assemble, learn, write_files
from kdexport.prepare import prepare
from kdexport.recipe import Recipe, RecipeLike, read_recipe
from kdexport.records import Column, Float64, Table
from kdexport.tables import as_table
from kdexport.teacher import Given
from kdexport.training.checkpoints import Shipped, load_shipped

TARGET, WEIGHT = "y", "sample_weight"
GIVEN_BY = {
    "data.target": "the y of fit",
    "columns.goal": "that of the class",
    "columns.weight": "the sample_weight of fit",
    "student.hidden": "its hidden",
    "seed": "its random_state",
}
"""Keys of a recipe that an estimator sets, and by what."""

Assembled = tuple[Evidence, dict[str, bytes]]


class _Distilled(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What both estimators share.

    Args:
        teacher: None trains the native ensemble; else one teacher or a list of them: fitted models
            with scikit-learn's interface, torch modules, paths of ONNX files, functions of a frame.
        weights: One per teacher of a list, or None for equal ones.
        hidden: Widths of the student's hidden layers; a number is one layer.
        oof: Fit copies of the teachers out of fold: for those that have seen the rows of `fit`, or
            that are not fitted yet. Nothing is asked of the native ensemble by it.
        recipe: Any recipe key to its value, such as `{"transfer.n_synthetic": 50_000}`, or the path
            of a recipe's file.
        random_state: Of splits and of every network; None is 0.
    """

    _goal = "classification"
    _learned: Learned
    _bundle: Assembled | None
    _student: Shipped

    def __init__(
        self,
        teacher: Any = None,
        *,
        weights: Sequence[float] | None = None,
        hidden: Sequence[int] | int = (64, 32),
        oof: bool = False,
        recipe: RecipeLike | None = None,
        random_state: int | None = None,
    ) -> None:
        self.teacher = teacher
        self.weights = weights
        self.hidden = hidden
        self.oof = oof
        self.recipe = recipe
        self.random_state = random_state

    def __sklearn_clone__(self) -> Self:
        """A clone keeps its teacher as it is: fitted teachers stay fitted in a grid search."""
        params = self.get_params(deep=False)
        return type(self)(**{k: v if k == "teacher" else deepcopy(v) for k, v in params.items()})

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        unlabeled: Any = None,
    ) -> Self:
        """Train the teacher (or ask the given one) and the student.

        A share of the rows (`data.test_share` of the recipe) trains nothing: the evidence is
        measured on it.

        Args:
            X: **Shape** `[n, F]`: numbers, or a pandas or polars frame of any columns.
            y: **Shape** `[n]`: classes or numbers.
            sample_weight: **Shape** `[n]`: how much each row counts; rows of weight 0 are left out.
            unlabeled: **Shape** `[m, F]`: rows without labels, in the form of `X`; the teacher
                labels them, and the student learns from them too.

        Raises:
            InputError: See its message.
        """
        data, labels = self._check_rows(X, y)
        try:
            self._learn(data, labels, sample_weight, self._check_unlabeled(unlabeled))
        except DataError as error:  # scikit-learn's word for it is ValueError
            raise InputError(error.rule, found=error.found, cure=error.cure) from error
        return self

    def export(self, path: str | Path, *, force: bool = False) -> Evidence:
        """Write the whole bundle: the student's file, its evidence and reports.

        Args:
            path: The bundle's folder.
            force: Replace a bundle that exists.
        """
        check_is_fitted(self)
        with claim_output(path, force=force) as claimed:
            evidence, files = self._assembled
            write_files(claimed, evidence, files)
        return evidence

    @property
    def evidence_(self) -> Evidence:
        """Edge, recovered edge, intervals and verdict, measured when they are first asked for."""
        check_is_fitted(self)
        return self._assembled[0]

    @property
    def _assembled(self) -> Assembled:
        if self._bundle is None:
            self._bundle = assemble(self._learned)
        return self._bundle

    def _check_rows(self, X: Any, y: Any) -> tuple[Any, Column]:
        """Check rows and labels as scikit-learn does; a frame stays as it is."""
        if _is_frame(X):
            validate_data(self, X, skip_check_array=True)
        else:
            X = validate_data(self, X, ensure_all_finite="allow-nan", ensure_min_samples=2)
        if y is None:
            raise InputError(
                "an estimator is fitted on rows and their labels",
                found=f"{type(self).__name__} requires y to be passed, but the target y is None",
                cure="pass labels",
            )
        labels: Column = column_or_1d(y, warn=True)
        if len(labels) != len(X):
            raise InputError(
                "there is one label per row",
                found=f"inconsistent numbers of samples, {len(X)} and {len(labels)}",
                cure="pass as many",
            )
        return X, labels

    def _check_unlabeled(self, rows: Any) -> Table | None:
        """Check rows without labels as scikit-learn does those to predict."""
        if rows is None:
            return None
        if _is_frame(rows):
            validate_data(self, rows, reset=False, skip_check_array=True)
        else:
            rows = validate_data(self, rows, reset=False, ensure_all_finite="allow-nan")
        return replace(as_table(rows), source="unlabeled")

    def _learn(
        self, data: Any, labels: Column, sample_weight: Any, unlabeled: Table | None
    ) -> None:
        features = as_table(data, source="X")
        columns = dict(features.columns)
        target = self._free_name(TARGET, columns)
        columns[target] = as_table({TARGET: labels}).columns[TARGET]
        weight = None
        if sample_weight is not None:
            weight = self._free_name(WEIGHT, columns)
            columns[weight] = _check_sample_weight(sample_weight, labels, dtype=np.float64)
        table = Table(columns, features.row_ids, "X")
        prepared = prepare(self._make_recipe(target, weight), data=table, unlabeled=unlabeled)
        oof = self.oof and self.teacher is not None
        if self.oof and not oof:
            warnings.warn(
                "oof=True is for teachers of yours: the native one is trained here, without it",
                KdexportWarning,
                stacklevel=4,
            )
        self._learned = learn(prepared, Given(self.teacher, data, self.weights, oof))
        self._bundle = None
        self._student = load_shipped(prepared, self._learned.students)
        self.n_outputs_ = max(len(prepared.schema.signature.classes), 1)

    def _make_recipe(self, target: str, weight: str | None) -> Recipe:
        hidden = self.hidden
        given: dict[str, Any] = {
            "data.target": target,
            "columns.goal": self._goal,
            "columns.weight": weight,
            "student.hidden": [hidden] if isinstance(hidden, Integral) else hidden,
            "seed": self.random_state or 0,
        }
        usual, asked = Recipe(), read_recipe(None, given)
        noted = read_recipe(self.recipe)
        for key, by in GIVEN_BY.items():
            value = attrgetter(key)
            if value(asked) == value(usual):
                del given[key]
            elif value(noted) not in (value(usual), value(asked)):
                raise RecipeError(
                    "what an estimator is given is not set otherwise in its recipe",
                    found=f"its recipe's {key} is not {by}",
                    cure="leave it out of the recipe",
                )
        return read_recipe(noted, given)

    def _free_name(self, name: str, columns: Mapping[str, Column]) -> str:
        while name in columns:
            name += "_"
        return name

    def _ask(self, X: Any) -> Float64:
        """The student's probabilities or numbers, **Shape** `[n, K]` float64."""
        check_is_fitted(self)
        if _is_frame(X):
            validate_data(self, X, reset=False, skip_check_array=True)
        else:
            X = validate_data(self, X, reset=False, ensure_all_finite=False)
        try:
            signature = self._learned.prepared.schema.signature
            return self._student.answer(signature.take_inputs(as_table(X, source="X")))
        except DataError as error:
            raise InputError(error.rule, found=error.found, cure=error.cure) from error


class DistilledClassifier(ClassifierMixin, _Distilled):  # type: ignore[misc]  # as above
    """A small network that does nearly the job of an ensemble, as a scikit-learn classifier.

    Attributes:
        classes_: The classes, in the order of the probabilities.

    Example:
        >>> from kdexport import DistilledClassifier
        >>> DistilledClassifier(hidden=(32,)).get_params()["hidden"]
        (32,)
    """

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        unlabeled: Any = None,
    ) -> Self:
        super().fit(X, y, sample_weight, unlabeled=unlabeled)
        self.classes_ = self._learned.prepared.schema.signature.label_values
        return self

    def predict_proba(self, X: Any) -> Float64:
        """Return class probabilities, **Shape** `[n, K]`, columns as in `classes_`."""
        return self._ask(X)

    def predict(self, X: Any) -> Column:
        """Return the likeliest class of each row, **Shape** `[n]`."""
        positions = self._ask(X).argmax(axis=1)
        labels: Column = self.classes_[positions]
        return labels

    def _check_rows(self, X: Any, y: Any) -> tuple[Any, Column]:
        data, labels = super()._check_rows(X, y)
        check_classification_targets(labels)
        return data, labels


class DistilledRegressor(RegressorMixin, _Distilled):  # type: ignore[misc]  # as above
    """A small network that does nearly the job of an ensemble, as a scikit-learn regressor."""

    _goal = "regression"

    def predict(self, X: Any) -> Float64:
        """Return the predicted numbers, **Shape** `[n]`."""
        return self._ask(X)[:, 0]

    def _check_rows(self, X: Any, y: Any) -> tuple[Any, Column]:
        data, labels = super()._check_rows(X, y)
        return data, check_array(labels, ensure_2d=False, dtype=np.float64, input_name="y")


def _is_frame(data: Any) -> bool:
    """Whether columns have names and types of their own: pandas or polars."""
    return hasattr(data, "iloc") or hasattr(data, "with_columns")
