"""teacher.onnx of a user's own trees: it answers as they do, or it is not there."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from kdexport import DistilledClassifier, DistilledRegressor, open_session
from kdexport.bundle import load_bundle
from kdexport.evidence.checks import check_bundle
from kdexport.report.headline import write_headline
from kdexport.tables import as_table
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


def test_native_categories_and_sparse_pipelines_are_refused() -> None:
    """Boosting with native categories (C3) and a pipeline of one-hot columns (C5) teach, but get
    no file that could answer otherwise.
    """
    frame = FRAME[["a", "whole"]]
    native = HistGradientBoostingClassifier(max_iter=5, categorical_features=["whole"])
    encode = make_column_transformer((OneHotEncoder(), ["text"]), remainder="passthrough")
    sparse = make_pipeline(encode, GradientBoostingClassifier(n_estimators=3))
    for model, rows, why in (
        (native, frame, "are categories to it"),
        (sparse, FRAME[["text", "a"]], "the teacher Pipeline: it is none of"),
    ):
        model.fit(rows[:200], LABELS[:200])
        assert why in distill(model, rows, LABELS).evidence_.absent["teacher.onnx"]


def test_a_model_that_answers_otherwise_has_no_file() -> None:
    """A subclass with an answer of its own is found out on the rows, not trusted by its class."""

    class Flattened(RandomForestClassifier):
        def predict_proba(self, rows: Any) -> np.ndarray:
            return 0.9 * super().predict_proba(rows) + 0.05

    model = Flattened(5, random_state=0).fit(FRAME[NUMBERS][:200], LABELS[:200])
    evidence = distill(model, FRAME, LABELS).evidence_
    assert "answer otherwise in" in evidence.absent["teacher.onnx"]
