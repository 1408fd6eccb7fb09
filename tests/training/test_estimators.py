"""What of scikit-learn is read as a sum of trees, and what is refused."""

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import (
    AdaBoostClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression

from kdexport.errors import DataError
from kdexport.training.estimators import trees_of
from kdexport.training.tree_answers import compute_tree_outputs

RNG = np.random.default_rng(2)
FEATURES = RNG.integers(0, 6, (200, 3)).astype(float)
NUMBERS = FEATURES @ [1.0, -2.0, 0.5] + 20.0
TWO_TARGETS = np.stack([NUMBERS, -NUMBERS], axis=1)


@pytest.mark.parametrize(
    ("estimator", "targets", "message"),
    [
        (HistGradientBoostingRegressor(categorical_features=[1]), NUMBERS, "sets of categories"),
        (HistGradientBoostingRegressor(loss="poisson"), NUMBERS, "with loss 'poisson'"),
        (HistGradientBoostingRegressor(loss="gamma"), NUMBERS, "with loss 'gamma'"),
        (GradientBoostingRegressor(init=LinearRegression()), NUMBERS, "a model of its own"),
        (RandomForestRegressor(3), TWO_TARGETS, "it answers 2 targets"),
        (AdaBoostClassifier(n_estimators=3), NUMBERS > 20, "none of RandomForestClassifier"),
    ],
)
def test_refusals(estimator: Any, targets: Any, message: str) -> None:
    """A model that is no plain sum of threshold trees is refused, and the reason said."""
    with pytest.raises(DataError, match=message):
        trees_of(estimator.fit(FEATURES, targets))


def test_not_fitted() -> None:
    """A model that has learned nothing is refused."""
    with pytest.raises(DataError, match="it is not fitted; fit it first"):
        trees_of(HistGradientBoostingClassifier())


def test_many_rows() -> None:
    """Rows are asked in parts, and each is answered as if it were asked alone."""
    model = HistGradientBoostingRegressor(max_iter=20).fit(FEATURES, NUMBERS)
    rows = RNG.uniform(-1, 7, (20_000, 3))
    outputs = compute_tree_outputs(trees_of(model), rows)
    np.testing.assert_allclose(outputs[:, 0], model.predict(rows), rtol=1e-6)
    np.testing.assert_array_equal(
        compute_tree_outputs(trees_of(model), rows[8190:8195]), outputs[8190:8195]
    )
