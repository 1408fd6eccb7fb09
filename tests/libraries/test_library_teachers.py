"""Models of other libraries as teachers: what they are asked, and the files that they get."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from kdexport import DistilledClassifier, DistilledRegressor, open_session
from kdexport.bundle import load_bundle
from kdexport.evidence.checks import check_bundle
from kdexport.tables import as_table
from tests.libraries.models import (
    FRAME,
    GAPPY,
    MAKERS,
    NUMBERS,
    ON_CATEGORIES,
    SCORE,
    THREE,
    TWO,
)
from tests.test_distilled import SMALL

pytestmark = [pytest.mark.teachers, pytest.mark.filterwarnings("ignore")]

LIBRARIES = list(MAKERS)


@pytest.mark.parametrize("labels", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_numbers_get_a_file(library: str, labels: np.ndarray, tmp_path: Path) -> None:
    """Fitted on some columns in an order of its own, with missing cells: teacher.onnx answers as
    the library does, and the bundle passes its checks (C1).
    """
    model = MAKERS[library]("class").fit(GAPPY[NUMBERS][:300], labels[:300])
    learned = DistilledClassifier(model, recipe=SMALL).fit(GAPPY[300:], labels[300:])
    evidence = learned.export(tmp_path / "x")
    assert not evidence.absent
    assert all(result.passed for result in check_bundle(load_bundle(tmp_path / "x")))
    session = open_session(tmp_path / "x" / "teacher.onnx")
    answers = session.answer(session.signature.take_inputs(as_table(GAPPY)))
    assert np.abs(answers.probabilities - model.predict_proba(GAPPY[NUMBERS])).max() < 1e-5
    assert {row.name for row in evidence.latency.rows} >= {"teacher", "teacher.onnx"}


@pytest.mark.parametrize("library", LIBRARIES)
def test_arrays_and_numbers_to_predict(library: str) -> None:
    """A regressor fitted on an array is asked with one, and its file keeps the target's unit."""
    rows, target = FRAME[NUMBERS].to_numpy(np.float32), SCORE.to_numpy() * 100 + 5000
    model = MAKERS[library]("number").fit(rows[:300], target[:300])
    learned = DistilledRegressor(model, recipe=SMALL).fit(rows[300:], target[300:])
    assert not learned.evidence_.absent
    assert np.corrcoef(learned.predict(rows), model.predict(rows))[0, 1] > 0.8


@pytest.mark.parametrize("gappy", [False, True], ids=["whole", "gappy"])
@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_sets_of_categories_get_a_file(library: str, gappy: bool, tmp_path: Path) -> None:
    """Trees that split on sets of categories (C3), texts and numbers: teacher.onnx answers as the
    library does, with cells missing, whether or not training had any.
    """
    rng = np.random.default_rng(2)
    letters = np.where(gappy & (np.arange(600) % 7 == 0), None, rng.choice([*"abcdefghijkl"], 600))
    frame = GAPPY[["a"]].assign(
        letter=pd.Categorical(letters), level=pd.Categorical(rng.integers(0, 9, 600))
    )
    sure = frame["letter"].isin([*"adgj"]) * 2 + frame["level"].isin([2, 5, 7]) + SCORE / 2
    labels = (sure > sure.median()).astype(int).to_numpy()
    settings = {"lightgbm": {"cat_smooth": 1, "min_data_per_group": 5}, "xgboost": {}}[library]
    model = MAKERS[library]("class", **ON_CATEGORIES[library], **settings)
    model.fit(frame[:300], labels[:300])
    learned = DistilledClassifier(model, recipe=SMALL).fit(frame[300:], labels[300:])
    assert not learned.export(tmp_path / "x").absent
    assert all(result.passed for result in check_bundle(load_bundle(tmp_path / "x")))
    session = open_session(tmp_path / "x" / "teacher.onnx")
    blank = frame.assign(letter=frame["letter"].where(np.arange(600) % 2 == 0))
    for rows in (frame, blank):
        answers = session.answer(session.signature.take_inputs(as_table(rows)))
        assert np.abs(answers.probabilities - model.predict_proba(rows)).max() < 1e-6


def test_codes_of_categories_get_a_file() -> None:
    """Whole numbers that a model takes for categories get a file where the table does too."""
    rows = FRAME[["a", "whole"]].to_numpy(np.float32)
    labels = TWO ^ (FRAME["whole"] % 3 == 0).to_numpy()
    model = MAKERS["lightgbm"]("class", cat_smooth=1, min_data_per_group=5)
    model.fit(rows[:300], labels[:300], categorical_feature=[1])
    learned = DistilledClassifier(model, recipe=SMALL).fit(rows[300:], labels[300:])
    why = learned.evidence_.absent["teacher.onnx"]
    assert "'x1' for categories, which the file takes for a number" in why
    as_texts = {**SMALL, "columns.categorical": ["x1"]}
    learned = DistilledClassifier(model, recipe=as_texts).fit(rows[300:], labels[300:])
    assert not learned.evidence_.absent


def test_statistics_of_categories_teach_without_a_file() -> None:
    """A model on a frame with categories of its own is asked in their types; no file, and why."""
    library = "catboost"
    frame = FRAME[["a", "text"]].astype({"text": "category"})
    labels = TWO ^ (FRAME["text"] == "x").to_numpy()
    model = MAKERS[library]("class", **ON_CATEGORIES[library]).fit(frame[:300], labels[:300])
    learned = DistilledClassifier(model, recipe=SMALL).fit(frame[300:], labels[300:])
    own = learned._learned.teacher
    found = own.answer(own.restorer.restore(learned._learned.prepared.rows.test.inputs))
    expected = model.predict_proba(frame)[learned._learned.prepared.rows.test.row_ids + 300]
    assert np.abs(found - expected).max() < 1e-6
    assert "statistics of categories" in learned.evidence_.absent["teacher.onnx"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_copies_out_of_fold(library: str) -> None:
    """Models that are not fitted are fitted out of fold, on frames and with weights."""
    weights = np.where(np.arange(600) % 2 == 0, 1.0, 2.0)
    model = DistilledClassifier(MAKERS[library]("class"), oof=True, recipe=SMALL)
    model.fit(FRAME[NUMBERS], TWO, weights)
    assert model._learned.teacher.own_outputs is not None
    assert model.score(FRAME[NUMBERS], TWO) > 0.7


def test_sparse_columns_into_xgboost() -> None:
    """A pipeline of sparse one-hot columns into XGBoost, which takes their zeros for missing
    cells, teaches; it gets no file (C5). With dense ones it gets one.
    """
    encode = make_column_transformer(
        (OneHotEncoder(), ["text"]), remainder="passthrough", sparse_threshold=1.0
    )
    model = make_pipeline(encode, MAKERS["xgboost"]("class")).fit(FRAME[:300], TWO[:300])
    learned = DistilledClassifier(model, recipe=SMALL).fit(FRAME[300:], TWO[300:])
    assert "zeros of sparse columns" in learned.evidence_.absent["teacher.onnx"]
    dense = (
        clone(model).set_params(columntransformer__sparse_threshold=0).fit(FRAME[:300], TWO[:300])
    )
    learned = DistilledClassifier(dense, recipe=SMALL).fit(FRAME[300:], TWO[300:])
    assert not learned.evidence_.absent
