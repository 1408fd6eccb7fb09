"""teacher.onnx of a user's own trees: it answers as they do, or it is not there."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from kdexport import DistilledClassifier, DistilledRegressor, open_session
from kdexport.bundle import load_bundle
from kdexport.errors import DataError
from kdexport.evidence.checks import check_bundle
from kdexport.records import Inputs
from kdexport.report.headline import write_headline
from kdexport.tables import as_table
from kdexport.training.convert import _compare, _leave_blank
from tests.test_distilled import SMALL

RNG = np.random.default_rng(8)
FRAME = pd.DataFrame(
    {
        "text": RNG.choice(["x", "y"], 500),
        "b": RNG.normal(size=500).astype(np.float32),
        "a": RNG.normal(size=500).astype(np.float32),
        "whole": RNG.integers(0, 50, 500),
    }
)
GAPPY = FRAME.assign(a=FRAME["a"].mask(np.arange(500) % 6 == 0))
SCORE = FRAME["a"] + FRAME["whole"] / 25 + RNG.normal(size=500) / 2
LABELS = np.where(SCORE > 1.2, "yes", "no")
THREE = np.where(SCORE > 2, "high", np.where(SCORE > 1, "mid", "low"))
NUMBERS = ["whole", "a", "b"]  # another order than the table's


def distill(model: Any, frame: pd.DataFrame, labels: Any, **options: Any) -> Any:
    """A student of the model, on rows that the model has not seen."""
    kind = DistilledRegressor if np.asarray(labels).dtype.kind == "f" else DistilledClassifier
    return kind(model, recipe=SMALL, **options).fit(frame[200:], labels[200:])


def export(model: Any, frame: pd.DataFrame, labels: Any, path: Path, **options: Any) -> Any:
    """The evidence of its bundle, whose checks all pass."""
    evidence = distill(model, frame, labels, **options).export(path)
    failed = [result for result in check_bundle(load_bundle(path)) if not result.passed]
    assert not failed
    return evidence


@pytest.mark.parametrize(
    ("model", "labels"),
    [
        (RandomForestClassifier(20, random_state=0), LABELS),
        (ExtraTreesClassifier(10, random_state=0), THREE),
        (HistGradientBoostingClassifier(max_iter=20), THREE),
        (DecisionTreeClassifier(max_depth=3), LABELS),
    ],
)
@pytest.mark.filterwarnings("ignore:the teacher agrees")
def test_trees_over_numbers_get_a_file(model: Any, labels: Any, tmp_path: Path) -> None:
    """Labels and probabilities of teacher.onnx are predict's and predict_proba's, rows with
    missing cells included; its columns are found by name (C1, C6).
    """
    model.fit(GAPPY[NUMBERS][:200], labels[:200])
    evidence = export(model, GAPPY, labels, tmp_path / "x")
    assert "teacher.onnx" in evidence.files
    assert not evidence.absent
    assert {("teacher", "call"), ("teacher.onnx", "run")} <= {
        (row.name, row.path) for row in evidence.latency.rows
    }
    assert "own code" not in write_headline(evidence).sentence
    session = open_session(tmp_path / "x" / "teacher.onnx")
    answers = session.answer(session.signature.take_inputs(as_table(GAPPY)))
    expected = model.predict_proba(GAPPY[NUMBERS])
    assert np.abs(answers.probabilities - expected).max() < 1e-5
    best = np.sort(expected, axis=1)
    clear = best[:, -1] - best[:, -2] > 1e-5
    assert (answers.predictions == model.predict(GAPPY[NUMBERS]))[clear].all()


@pytest.mark.parametrize(
    "model", [RandomForestRegressor(10, random_state=0), HistGradientBoostingRegressor(max_iter=30)]
)
def test_regressors_get_a_file(model: Any, tmp_path: Path) -> None:
    """Its predictions are predict's, in the target's own unit."""
    target = SCORE.to_numpy() * 1000 + 5e4
    model.fit(FRAME[NUMBERS][:200], target[:200])
    export(model, FRAME, target, tmp_path / "x")
    session = open_session(tmp_path / "x" / "teacher.onnx")
    answers = session.answer(session.signature.take_inputs(as_table(FRAME)))
    assert np.abs(answers.predictions / model.predict(FRAME[NUMBERS]) - 1).max() < 1e-5


@pytest.mark.parametrize(
    ("answer", "is_same"),
    [
        (lambda x: 1e6 + 100 * x, True),
        (lambda x: np.float32(1e6 + 100 * x) + np.float32(0.5), True),
        (lambda x: np.full(len(x), 1e6), False),
        (lambda x: 1e6 - 100 * x, False),
        (lambda x: 1e6 + 103 * x, False),
    ],
)
def test_numbers_far_from_zero(answer: Callable[[np.ndarray], np.ndarray], is_same: bool) -> None:
    """Beside a mean of 10,000 deviations, trees may answer as far from their teacher as sums in
    float32 would: neither its mean nor the opposite passes for its answers.
    """
    numbers = RNG.normal(size=(500, 1))
    signature = SimpleNamespace(is_regression=True)
    own = SimpleNamespace(
        schema=SimpleNamespace(signature=signature, target_center=1e6, target_scale=100.0),
        restorer=SimpleNamespace(restore=lambda rows: rows),
        answer=lambda rows: 1e6 + 100 * rows.numeric,
    )
    mixture = SimpleNamespace(
        trees=SimpleNamespace(n_trees=100), answer=lambda rows: answer(rows.numeric)
    )
    with contextlib.nullcontext() if is_same else pytest.raises(DataError, match="otherwise"):
        _compare(own, mixture, Inputs(numbers, np.empty((500, 0), object)), "rows")


def test_every_column_is_left_blank() -> None:
    """Where columns are more than rows, several are blank in one."""
    blank = _leave_blank(Inputs(np.zeros((4, 30)), np.full((4, 9), "known", object)))
    assert np.isnan(blank.numeric).any(axis=0).all()
    assert (blank.categorical == "").any(axis=0).all()
    one = _leave_blank(Inputs(np.zeros((6, 2)), np.full((6, 1), "known", object)))
    assert (np.isnan(one.numeric).sum(axis=1) + (one.categorical == "").sum(axis=1) == 1).all()


def test_forests_of_a_mixture_get_one_file(tmp_path: Path) -> None:
    """Two forests with weights, and copies out of fold, are one file of all their trees."""
    forests = [RandomForestClassifier(5, random_state=seed) for seed in range(2)]
    numbers = FRAME[NUMBERS]
    learned = distill(forests, numbers, LABELS, weights=[1, 3], oof=True)
    learned.export(tmp_path / "x")
    session = open_session(tmp_path / "x" / "teacher.onnx")
    table = as_table(numbers[:100])
    answers = session.answer(session.signature.take_inputs(table))
    expected = learned._learned.teacher.answer(table)
    assert np.abs(answers.probabilities - expected).max() < 1e-5


@pytest.mark.parametrize(
    ("model", "columns", "why"),
    [
        (LogisticRegression(), NUMBERS, "the teacher LogisticRegression: it is none of"),
        (
            [GradientBoostingClassifier(n_estimators=3) for _ in range(2)],
            NUMBERS,
            "no sum of trees",
        ),
    ],
)
def test_what_has_no_file_says_why(model: Any, columns: list[str], why: str) -> None:
    """A model that is no sum of trees has no teacher.onnx; the reason is in the evidence."""
    for one in model if isinstance(model, list) else [model]:
        one.fit(FRAME[columns][:200], LABELS[:200])
    evidence = distill(model, FRAME[columns], LABELS).evidence_
    assert "teacher.onnx" not in evidence.files
    assert why in evidence.absent["teacher.onnx"]


def test_category_codes_are_refused() -> None:
    """Numbers that a model takes for categories, where the file takes them for numbers, teach, but
    get no file that could answer otherwise (C3).
    """
    frame = FRAME[["a"]].assign(whole=FRAME["whole"] % 4)
    odd = np.where(frame["whole"] % 2 == 0, "yes", "no")
    native = HistGradientBoostingClassifier(max_iter=5, categorical_features=["whole"])
    native.fit(frame[:200], odd[:200])
    why = distill(native, frame, odd).evidence_.absent["teacher.onnx"]
    assert "takes 'whole' for categories, which the file takes for a number" in why


def test_sets_of_categories_get_a_file(tmp_path: Path) -> None:
    """Trees that split on sets of categories (C3): the file knows every text that the model knows,
    rare ones too, and answers as it does with a cell missing and with a text never seen.
    """
    texts = [*RNG.choice([*"abcdefgh"], 490), *[f"rare {i}" for i in range(10)]]
    frame = GAPPY[["a"]].assign(
        letter=pd.Categorical(np.where(np.arange(500) % 9 == 0, None, texts)),
        level=pd.Categorical(RNG.integers(0, 6, 500)),
    )
    one = frame["letter"].isin([*"adeg"]) * 2 + frame["level"].isin([1, 4]) + frame["a"].fillna(0)
    labels = np.where(one > 1.5, "yes", "no")
    model = HistGradientBoostingClassifier(
        max_iter=20, categorical_features="from_dtype", min_samples_leaf=2
    ).fit(frame, labels)
    learned = distill(model, frame, labels)
    assert not learned.export(tmp_path / "x").absent
    assert all(result.passed for result in check_bundle(load_bundle(tmp_path / "x")))
    session = open_session(tmp_path / "x" / "teacher.onnx")
    answers = session.answer(session.signature.take_inputs(as_table(frame)))
    assert np.abs(answers.probabilities - model.predict_proba(frame)).max() < 1e-6
    odd = frame.astype({"letter": object, "level": object})[:2].assign(letter=["new", None])
    found = session.answer(session.signature.take_inputs(as_table(odd)))
    unknown = pd.Categorical([None, None], frame["letter"].cat.categories)
    expected = model.predict_proba(frame[:2].assign(letter=unknown))
    assert np.abs(found.probabilities - expected).max() < 1e-6


def test_sets_of_too_many_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where texts times sets make no file that anybody would load, there is none."""
    frame = FRAME[["a"]].assign(letter=pd.Categorical(RNG.choice([*"abcdefgh"], 500)))
    labels = np.where(frame["letter"].isin([*"adeg"]), "yes", "no")
    model = HistGradientBoostingClassifier(max_iter=5, categorical_features="from_dtype")
    monkeypatch.setattr("kdexport.training.sets.MAX_CELLS", 3)
    learned = distill(model.fit(frame[:200], labels[:200]), frame, labels)
    assert "of 8 texts in all" in learned.evidence_.absent["teacher.onnx"]


def test_models_with_sets_of_their_own_make_one_file(tmp_path: Path) -> None:
    """Two regressors that know other categories in another order: each one's sets are its own."""
    frame = FRAME[["a"]].assign(letter=RNG.choice([*"abcdefgh"], 500))
    target = frame["letter"].isin([*"adeg"]).to_numpy() * 2.0 + frame["a"].to_numpy()
    models = []
    for known in ("abcdefgh", "hgfed"):
        seen = frame.assign(letter=pd.Categorical(frame["letter"], [*known]))[:200]
        model = HistGradientBoostingRegressor(max_iter=10, categorical_features="from_dtype")
        models.append(model.fit(seen, target[:200]))
    frame = frame.astype({"letter": "category"})
    distill(models, frame, target).export(tmp_path / "x")
    session = open_session(tmp_path / "x" / "teacher.onnx")
    answers = session.answer(session.signature.take_inputs(as_table(frame)))
    expected = np.mean([model.predict(frame) for model in models], axis=0)
    assert np.abs(answers.predictions - expected).max() < 1e-5
