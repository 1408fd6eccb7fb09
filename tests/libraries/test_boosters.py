"""LightGBM, XGBoost and CatBoost as trees: they answer as the library does, or say why not."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from kdexport.errors import DataError
from kdexport.training.tree_answers import compute_tree_outputs
from kdexport.training.tree_readers import read_trees
from kdexport.trees import LEAF, Trees
from tests.libraries.models import (
    FRAME,
    GAPPY,
    MAKERS,
    NUMBERS,
    ON_CATEGORIES,
    SCORE,
    THREE,
    TWO,
    make_catboost,
    make_lightgbm,
    make_xgboost,
)

pytestmark = [pytest.mark.teachers, pytest.mark.filterwarnings("ignore")]

LIBRARIES = list(MAKERS)


def answer(trees: Trees, rows: Any) -> np.ndarray:
    """Probabilities or numbers of trees, `[n, K]`."""
    outputs = compute_tree_outputs(trees, np.asarray(rows, np.float32))
    if trees.meaning == "number":
        return outputs
    grown = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return grown / grown.sum(axis=1, keepdims=True)


def ask(model: Any, rows: Any) -> np.ndarray:
    """What the library itself answers, `[n, K]`."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(rows))
    return np.asarray(model.predict(rows)).reshape(len(rows), 1)


def make_odd_rows(trees: Trees, rows: np.ndarray) -> np.ndarray:
    """Rows on every threshold, right below and right above it, and with every cell missing."""
    inner = np.flatnonzero((trees.feature != LEAF) & np.isfinite(trees.threshold))
    at = trees.threshold[inner].astype(np.float32)
    values = [np.nextafter(at, np.float32(-np.inf)), at, np.nextafter(at, np.float32(np.inf))]
    moved = np.tile(rows, (1 + 3 * len(inner) // len(rows), 1))[: 3 * len(inner)].astype(np.float32)
    moved[np.arange(len(moved)), np.tile(trees.feature[inner], 3)] = np.concatenate(values)
    blank = np.repeat(rows[:30], rows.shape[1], axis=0).astype(np.float32)
    blank[np.arange(len(blank)), np.arange(len(blank)) % rows.shape[1]] = np.nan
    return np.concatenate([moved, blank, np.full((1, rows.shape[1]), np.nan, np.float32)])


@pytest.mark.parametrize("gappy", [False, True], ids=["whole", "gappy"])
@pytest.mark.parametrize("labels", [TWO, THREE, SCORE.to_numpy() * 1000 + 5e4], ids="23n")
@pytest.mark.parametrize("library", LIBRARIES)
def test_trees_answer_as_the_library(library: str, labels: np.ndarray, gappy: bool) -> None:
    """Probabilities and numbers are the library's on the table's rows, on every threshold and
    beside it, and with missing cells, whether or not training had any.
    """
    kind = "number" if labels.dtype.kind == "f" else "class"
    rows = (GAPPY if gappy else FRAME)[NUMBERS].to_numpy(np.float32)
    model = MAKERS[library](kind).fit(rows[:400], labels[:400])
    trees = read_trees(model).trees
    assert trees.n_trees >= 20
    asked = np.concatenate([rows, make_odd_rows(trees, rows)])
    expected = ask(model, asked)
    allowed = 1e-6 * max(1.0, np.abs(expected).max())
    assert np.abs(answer(trees, asked) - expected).max() < allowed


@pytest.mark.parametrize(
    "make",
    [
        lambda: make_lightgbm("class", boosting_type="dart"),
        lambda: make_lightgbm("class", boosting_type="rf", bagging_freq=1, bagging_fraction=0.5),
        lambda: make_lightgbm("class", objective="binary", sigmoid=2.0),
        lambda: make_lightgbm("number", objective="quantile"),
        lambda: make_xgboost("class", num_parallel_tree=3, subsample=0.5),
        lambda: make_xgboost("class", base_score=0.2, scale_pos_weight=3),
        lambda: make_catboost("class", nan_mode="Max"),
        lambda: make_catboost("number", loss_function="MAE"),
    ],
)
def test_settings_that_change_the_sum(make: Any) -> None:
    """Dart, forests, slopes, base scores and where missing cells go are in the trees too."""
    model, rows = make(), GAPPY[NUMBERS].to_numpy(np.float32)
    model.fit(rows, TWO if hasattr(model, "predict_proba") else SCORE)
    expected = ask(model, rows)
    assert np.abs(answer(read_trees(model).trees, rows) - expected).max() < 1e-5


def test_early_stopping_leaves_the_last_trees_out() -> None:
    """Only the rounds that predict uses are read."""
    rows = FRAME[NUMBERS].to_numpy(np.float32)
    held = rows[400:], np.random.default_rng(0).permutation(TWO[400:])
    import lightgbm

    stop = [lightgbm.early_stopping(3, verbose=False)]
    light = make_lightgbm("class").fit(rows[:400], TWO[:400], eval_set=[held], callbacks=stop)
    extreme = make_xgboost("class", early_stopping_rounds=3)
    extreme.fit(rows[:400], TWO[:400], eval_set=[held], verbose=False)
    cat = make_catboost("class").fit(rows[:400], TWO[:400], eval_set=held)
    for model in (light, extreme, cat):
        trees = read_trees(model).trees
        assert trees.n_trees < 20
        assert np.abs(answer(trees, rows) - ask(model, rows)).max() < 1e-6


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: make_lightgbm("class", zero_as_missing=True), "it takes 0 for a missing cell"),
        (lambda: make_lightgbm("number", linear_tree=True), "its leaves are linear models"),
        (lambda: make_lightgbm("number", objective="poisson"), "'poisson' it answers no plain sum"),
        (lambda: make_lightgbm("number", reg_sqrt=True), "regression sqrt"),
        (lambda: make_xgboost("class", booster="gblinear"), "its booster is 'gblinear'"),
        (lambda: make_xgboost("class", booster="dart"), "its booster is 'dart'"),
        (lambda: make_xgboost("class", missing=-1.0), "it takes -1.0 for a missing cell"),
        (lambda: make_xgboost("number", objective="reg:gamma"), "no plain sum"),
        (lambda: make_catboost("class", grow_policy="Lossguide"), "its trees are not symmetric"),
        (lambda: make_catboost("number", loss_function="Poisson"), "no plain sum"),
    ],
)
def test_what_is_no_plain_sum_is_refused(make: Any, why: str) -> None:
    """A model whose answer is something else says so, instead of answering otherwise."""
    model, rows = make(), FRAME[NUMBERS].to_numpy(np.float32)
    model.fit(rows, TWO if hasattr(model, "predict_proba") else np.abs(SCORE) + 1)
    with pytest.raises(DataError, match=why):
        read_trees(model)


def test_statistics_of_categories_are_refused() -> None:
    """CatBoost splits on statistics of categories, which are no sets."""
    frame = FRAME[["text", "a"]].astype({"text": "category"})
    labels = TWO ^ (FRAME["text"] == "x").to_numpy()
    model = make_catboost("class", **ON_CATEGORIES["catboost"], one_hot_max_size=2)
    with pytest.raises(DataError, match="statistics of categories"):
        read_trees(model.fit(frame, labels))


def test_ordered_categories_are_refused() -> None:
    """LightGBM takes an ordered column of pandas for a number, which the file has as text."""
    ordered = pd.Categorical(FRAME["text"], ["x", "y", "z"], ordered=True)
    frame = FRAME[["a"]].assign(text=ordered)
    with pytest.raises(DataError, match="for ordered ones"):
        read_trees(make_lightgbm("class").fit(frame, TWO ^ (FRAME["text"] == "x").to_numpy()))
