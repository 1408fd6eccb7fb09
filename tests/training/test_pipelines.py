"""Pipelines in front of trees get a file that answers as they do, or say why not."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    RobustScaler,
    StandardScaler,
)

from kdexport import open_session
from kdexport.errors import DataError
from kdexport.tables import as_table
from kdexport.training.pipelines import Numbers, _move_thresholds, _read
from kdexport.training.tree_readers import read_trees
from tests.training.test_convert import distill

RNG = np.random.default_rng(3)
FRAME = pd.DataFrame(
    {
        "letter": [*RNG.choice([*"abcdef"], 590), *[f"rare {i}" for i in range(10)]],
        "a": RNG.normal(size=600) * 3 + 7,
        "b": RNG.normal(size=600) * 1e-3,
    }
)
GAPPY = FRAME.assign(a=FRAME["a"].mask(np.arange(600) % 7 == 0))
SURE = FRAME["letter"].isin([*"ace"]) * 2 + FRAME["b"] * 1e3 + FRAME["a"] / 3
LABELS = np.where(SURE.gt(SURE.median()), "yes", "no")


def imputed(*scalers: Any) -> Any:
    """Numbers without gaps, scaled."""
    return make_pipeline(SimpleImputer(strategy="median"), *scalers)


def one_hot(**settings: Any) -> OneHotEncoder:
    """An encoder that knows no category that it did not see."""
    return OneHotEncoder(**{"handle_unknown": "ignore", **settings})


def in_front(numbers: Any, texts: Any, **settings: Any) -> Any:
    """Columns of both kinds, numbers in another order than the table's."""
    return make_column_transformer((texts, ["letter"]), (numbers, ["b", "a"]), **settings)


@pytest.mark.parametrize(
    "pipeline",
    [
        make_pipeline(in_front(imputed(StandardScaler()), one_hot()), RandomForestClassifier(15)),
        make_pipeline(
            in_front(imputed(MinMaxScaler()), one_hot(min_frequency=5)), ExtraTreesClassifier(15)
        ),
        make_pipeline(
            in_front(
                imputed(RobustScaler(), MaxAbsScaler()),
                one_hot(max_categories=4, handle_unknown="infrequent_if_exist"),
            ),
            GradientBoostingClassifier(n_estimators=15),
        ),
        make_pipeline(
            make_column_transformer(
                (one_hot(sparse_output=False), ["letter"]), remainder="passthrough"
            ),
            HistGradientBoostingClassifier(max_iter=15),
        ),
        make_pipeline(in_front("drop", one_hot(), remainder="drop"), RandomForestClassifier(5)),
        make_pipeline(
            in_front(FunctionTransformer(), one_hot()),
            "passthrough",
            HistGradientBoostingClassifier(max_iter=9),
        ),
    ],
)
def test_pipelines_get_a_file(pipeline: Any, tmp_path: Path) -> None:
    """One-hot columns, rare categories joined, imputers and scalers: the file takes the table as
    it is, and answers as the pipeline does, also for a category that it never saw.
    """
    is_dense = isinstance(pipeline[-1], HistGradientBoostingClassifier)
    if is_dense:
        pipeline[0].set_params(sparse_threshold=0)
    pipeline.fit(GAPPY[:300], LABELS[:300])
    learned = distill(pipeline, GAPPY, LABELS)
    assert not learned.export(tmp_path / "x").absent
    session = open_session(tmp_path / "x" / "teacher.onnx")
    odd = GAPPY[:3].assign(letter=["never seen", "rare 3", "f"])
    for rows in (GAPPY, odd):
        asked = session.signature.take_inputs(as_table(rows))
        found = session.answer(asked).probabilities
        as_float32 = rows.assign(a=rows["a"].astype(np.float32), b=rows["b"].astype(np.float32))
        assert np.abs(found - pipeline.predict_proba(as_float32)).max() < 1e-6


def test_a_step_of_no_columns() -> None:
    """A selector that finds no column of its kind leaves its encoder out."""
    nothing = make_column_selector(dtype_include="category")
    front = make_column_transformer((one_hot(), nothing), remainder="passthrough")
    model = make_pipeline(front, RandomForestClassifier(3)).fit(FRAME[["a", "b"]], LABELS)
    read = read_trees(model)
    assert (read.n_columns, read.sets) == (2, ())
    with pytest.raises(DataError, match="not fitted"):
        read_trees(make_pipeline(front, RandomForestClassifier(3)))


@pytest.mark.parametrize("narrow", [True, False])
@pytest.mark.parametrize(
    "scaler", [StandardScaler(), MinMaxScaler(), RobustScaler(), MaxAbsScaler(), imputed()]
)
def test_thresholds_move_without_moving_a_row(scaler: Any, narrow: bool) -> None:
    """Every float32 number beside a moved threshold falls as the pipeline has it."""
    values = RNG.normal(size=(500, 2)) * [1e-4, 1e5] + [3, -7]
    scaler.fit(values)
    for place in range(2):
        column = Numbers(place, ((scaler, place),))
        thresholds = _read(column, values[:, place], narrow=narrow)[:200]
        thresholds[100:] += RNG.normal(size=100) * 1e-9
        at = _move_thresholds(column, thresholds, narrow=narrow).astype(np.float32)
        for beside in (at, np.nextafter(at, np.float32(np.inf))):
            read = _read(column, beside.astype(np.float64), narrow=narrow)
            np.testing.assert_array_equal(read <= thresholds, beside <= at)


@pytest.mark.parametrize(
    ("front", "why"),
    [
        (in_front(PCA(1), one_hot()), "its step PCA is none that trees can ask for"),
        (in_front("passthrough", one_hot(drop="first")), "drops a category"),
        (in_front(SimpleImputer(add_indicator=True), one_hot()), "SimpleImputer is none"),
        (
            in_front(FunctionTransformer(np.abs), one_hot()),
            "FunctionTransformer is none",
        ),
    ],
)
def test_other_steps_are_named(front: Any, why: str) -> None:
    """A step that trees cannot ask for is named: no file could answer as it does."""
    model = make_pipeline(front, RandomForestClassifier(3)).fit(FRAME, LABELS)
    with pytest.raises(DataError, match=why):
        read_trees(model)
    behind = make_pipeline(
        in_front("passthrough", one_hot(sparse_output=False)),
        StandardScaler(),
        RandomForestClassifier(3),
    )
    with pytest.raises(DataError, match="behind one-hot columns"):
        read_trees(behind.fit(FRAME, LABELS))
