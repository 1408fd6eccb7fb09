"""The scikit-learn estimators: everything that scikit-learn asks of one, and the bundle."""

import pickle
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from kdexport import DistilledClassifier, DistilledRegressor
from kdexport.bundle import load_bundle
from kdexport.errors import DataError, KdexportWarning, OutputError, RecipeError
from kdexport.evidence.checks import check_bundle
from kdexport.pipeline import learn
from kdexport.recipe import NOTHING, Recipe, RecipeLike, read_recipe
from tests.conftest import QUICK
from tests.test_docs import read_blocks

TINY = {
    "threads": 1,
    "teacher.n_members": 2,
    "teacher.hidden": [32],
    "teacher.family": "mlp",
    "teacher.regularisation": "given",
    "teacher.max_epochs": 40,
    "teacher.batch_size": 32,
    "teacher.weight_decay": 0.01,
    "teacher.dropout": 0.0,
    "transfer.selection": "given",
    "transfer.n_synthetic": 1000,
    "student.n_replicates": 2,
    "student.max_epochs": 30,
    "student.form": "plain",
    "student.plain_control": "none",
}
OPEN = {**QUICK, **TINY, "rival.model": "none"}
del OPEN["student.hidden"]
SMALL = {**OPEN, "student.hidden": [8]}

RNG = np.random.default_rng(3)
FRAME = pd.DataFrame(
    {
        "a": RNG.normal(size=400),
        "b": RNG.integers(0, 9, 400),
        "c": RNG.choice(["x", "y", "z"], 400),
    }
)
LABELS = np.where(FRAME["a"] + (FRAME["c"] == "x") + RNG.normal(size=400) / 2 > 0.4, "yes", "no")

WEIGHTS_DIFFER = (
    "a row of weight 2 is one row to the split and to the steps that draw rows, two rows are two"
)


def explain_failures(estimator: Any) -> dict[str, str]:
    """The checks that cannot hold, and why."""
    return {"check_sample_weight_equivalence_on_dense_data": WEIGHTS_DIFFER}


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [DistilledClassifier(hidden=(16,), recipe=TINY), DistilledRegressor(hidden=(16,), recipe=TINY)],
    expected_failed_checks=explain_failures,
)
def test_scikit_learn_accepts_it(estimator: Any, check: Any) -> None:
    """Every check of scikit-learn's passes, but for the one that is explained."""
    check(estimator)


def test_names_are_there_without_loading_anything() -> None:
    """`import kdexport` loads neither scikit-learn nor torch: names are looked up later."""
    code = "import sys, kdexport; assert 'DistilledClassifier' in kdexport.__all__; "
    code += "assert not {'sklearn', 'torch', 'onnxruntime'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_fitted_pipeline_of_a_frame_is_distilled(tmp_path: Path) -> None:
    """A pipeline on mixed columns teaches; the bundle it makes passes its own checks."""
    encode = make_column_transformer((OneHotEncoder(), ["c"]), remainder="passthrough")
    teacher = make_pipeline(encode, LogisticRegression()).fit(FRAME, LABELS)
    model = DistilledClassifier(teacher, recipe=SMALL).fit(FRAME, LABELS)
    assert model.classes_.tolist() == ["no", "yes"]
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]
    assert (model.predict(FRAME) == teacher.predict(FRAME)).mean() > 0.9
    evidence = model.export(tmp_path / "x")
    assert evidence is model.evidence_
    assert "the teacher Pipeline: it is none of" in evidence.absent["teacher.onnx"]
    assert evidence.training["teachers"] == ["the teacher Pipeline"]
    assert all(result.passed for result in check_bundle(load_bundle(tmp_path / "x")))
    assert not (tmp_path / "x" / "teacher.onnx").exists()
    assert "the teacher Pipeline: it is none of" in (tmp_path / "x" / "report.md").read_text()


def test_a_student_answers_as_its_file(tmp_path: Path) -> None:
    """The estimator's probabilities are those of the exported student.onnx."""
    from kdexport import as_table, open_session, predict

    model = DistilledClassifier(recipe=SMALL).fit(FRAME, LABELS)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").touch()
    with pytest.raises(OutputError):
        model.export(tmp_path / "full")
    assert "_assembled" not in vars(model)  # refused before it is measured
    model.export(tmp_path / "x")
    answers = predict(open_session(tmp_path / "x" / "student.onnx"), as_table(FRAME))
    gap = np.abs(model.predict_proba(FRAME)[:, 1] - answers["probability_yes"]).max()
    assert gap < 1e-6
    assert (model.predict(FRAME) == answers["label"]).all()


def test_a_regressor_keeps_the_target_s_unit() -> None:
    """A forest of large numbers teaches a student that answers such numbers."""
    features, target = make_regression(300, 4, random_state=0)
    target = target * 10 + 1e4
    teacher = RandomForestRegressor(20, random_state=0).fit(features[:100], target[:100])
    with warnings.catch_warnings():
        warnings.simplefilter("error", KdexportWarning)
        model = DistilledRegressor(teacher, recipe=SMALL).fit(features[100:], target[100:])
    assert 8e3 < model.predict(features).mean() < 1.2e4
    assert np.corrcoef(model.predict(features), teacher.predict(features))[0, 1] > 0.8


def test_seen_rows_are_noticed_and_cured() -> None:
    """A forest that knows the labels by heart is warned of; oof=True fits copies out of fold."""
    forest = RandomForestClassifier(30, random_state=0).fit(FRAME[["a", "b"]], LABELS)
    with pytest.warns(
        KdexportWarning, match=r"agrees with .* of the training labels.*--oof \(oof=True\)"
    ):
        DistilledClassifier(forest, recipe=SMALL).fit(FRAME[["a", "b"]], LABELS)
    with warnings.catch_warnings():
        warnings.simplefilter("error", KdexportWarning)
        model = DistilledClassifier(forest, oof=True, recipe=SMALL).fit(FRAME[["a", "b"]], LABELS)
    teacher = model._learned.teacher
    own = np.exp(teacher.own_outputs).argmax(axis=1)
    agreement = (own == model._learned.prepared.rows.train.targets).mean()
    assert 0.6 < agreement < 0.95
    assert len(teacher.teachers) == model._learned.prepared.recipe.teacher.n_folds
    assert model.evidence_.training["out_of_fold"]


def test_unfitted_models_are_fitted_out_of_fold_only() -> None:
    """A model that is not fitted is refused as it is, and fitted with oof=True."""
    unfitted = LogisticRegression()
    with pytest.raises(DataError, match="LogisticRegression"):
        DistilledClassifier(unfitted, recipe=SMALL).fit(FRAME[["a", "b"]], LABELS)
    DistilledClassifier(unfitted, oof=True, recipe=SMALL).fit(FRAME[["a", "b"]], LABELS)
    assert not hasattr(unfitted, "coef_")
    model = DistilledClassifier(lambda frame: frame, oof=True, recipe=SMALL)
    with pytest.raises(DataError, match="cannot be fitted"):
        model.fit(FRAME[["a", "b"]], LABELS)


def test_torch_is_left_as_it_was() -> None:
    """To fit, and to measure, sets torch's threads for as long as it takes."""
    before = torch.get_num_threads()
    model = DistilledClassifier(recipe={**SMALL, "threads": before + 1}).fit(FRAME, LABELS)
    assert torch.get_num_threads() == before
    assert model.evidence_.environment["training_threads"] == str(before + 1)
    assert torch.get_num_threads() == before


def test_several_teachers_are_mixed() -> None:
    """A list with weights is one teacher; the evidence names its parts and their weights."""
    numbers = FRAME[["a", "b"]]
    first = LogisticRegression().fit(numbers, LABELS)
    second = RandomForestClassifier(5, max_depth=3, random_state=0).fit(numbers, LABELS)
    model = DistilledClassifier([first, second], weights=np.array([1, 3]), recipe=SMALL)
    learned = model.fit(numbers, LABELS)._learned
    expected = 0.25 * first.predict_proba(numbers) + 0.75 * second.predict_proba(numbers)
    inputs = learned.prepared.rows.test.inputs
    rows = learned.prepared.rows.test.row_ids
    assert np.abs(learned.teacher.make_answers(inputs).probabilities - expected[rows]).max() < 1e-6
    assert learned.teacher.weights == (0.25, 0.75)
    assert learned.prepared.recipe.teacher.weights == (1.0, 3.0)


@pytest.mark.parametrize("weights", [["a", "b"], [1, 2, 3], 3])
def test_weights_are_one_number_per_teacher(weights: Any) -> None:
    """Weights that do not fit the teachers, or are no numbers, are shown."""
    numbers = FRAME[["a", "b"]]
    teacher = LogisticRegression().fit(numbers, LABELS)
    model = DistilledClassifier([teacher, teacher], weights=weights, recipe=SMALL)
    with pytest.raises(DataError, match="one weight of 0 or more for each, however: 2 teachers"):
        model.fit(numbers, LABELS)


def test_weights_need_teachers() -> None:
    """Weights are no word on the native teacher, and not passed over."""
    with pytest.raises(DataError, match="weights and oof"):
        DistilledClassifier(recipe=SMALL, weights=[1, 2]).fit(FRAME[["a", "b"]], LABELS)


def test_a_grid_compares_the_native_teacher_with_a_model() -> None:
    """Where teacher is None, oof=True asks for nothing, and a warning says so."""
    numbers = FRAME[["a", "b"]]
    model = DistilledClassifier(oof=True, recipe=SMALL)
    grid = {"teacher": [None, LogisticRegression()]}
    search = GridSearchCV(model, grid, cv=2, refit=False, error_score="raise")
    with pytest.warns(KdexportWarning, match="oof=True is for teachers of yours") as caught:
        search.fit(numbers, LABELS)
    assert len(caught) == 2  # of four fits
    assert all(search.cv_results_["mean_test_score"] > 0.6)


@pytest.mark.parametrize(
    ("recipe", "found"),
    [
        ({"data.target": "b"}, "data.target is not the y of fit"),
        ({"columns.goal": "regression"}, "columns.goal is not that of the class"),
        ({"columns.weight": "b"}, "columns.weight is not the sample_weight of fit"),
        ({"student": {"hidden": [8]}}, "student.hidden is not its hidden"),
        ({"seed": 2}, "seed is not its random_state"),
    ],
)
def test_a_recipe_says_nothing_else_than_its_estimator(recipe: dict[str, Any], found: str) -> None:
    """What fit and the constructor were given holds, whatever else a recipe says."""
    model = DistilledClassifier(hidden=(9,), random_state=1, recipe={**OPEN, **recipe})
    with pytest.raises(RecipeError, match=found):
        model.fit(FRAME[["a", "b"]], LABELS, np.ones(len(FRAME)))


@pytest.mark.parametrize("form", [dict, read_recipe, "file"])
def test_a_recipe_may_be_a_file(form: Any, tmp_path: Path) -> None:
    """Keys, a recipe or the path of its file: the estimator's own arguments join them."""
    (tmp_path / "recipe.toml").write_text(read_recipe(OPEN).to_toml())
    recipe = str(tmp_path / "recipe.toml") if form == "file" else form(OPEN)
    model = clone(DistilledClassifier(hidden=9, random_state=1, recipe=recipe))
    learned = model.fit(FRAME[["a", "b"]], LABELS)._learned.prepared.recipe
    assert (learned.student.hidden, learned.seed) == ((9,), 1)
    assert learned.student.n_replicates == OPEN["student.n_replicates"]


def test_clones_keep_the_fitted_teacher() -> None:
    """A grid search and cross-validation ask the teacher as it was fitted."""
    numbers = FRAME[["a", "b"]]
    teacher = LogisticRegression().fit(numbers, LABELS)
    model = DistilledClassifier(teacher, recipe=OPEN)
    assert clone(model).teacher is teacher
    search = GridSearchCV(model, {"hidden": [(4,), (8,)]}, cv=2).fit(numbers, LABELS)
    learned = search.best_estimator_._learned.prepared.recipe
    assert learned.student.hidden == search.best_params_["hidden"]
    assert cross_val_score(model, numbers, LABELS, cv=2).mean() > 0.6


def test_it_stands_in_a_pipeline() -> None:
    """Behind a scaler, native teacher and all, it predicts and keeps its classes."""
    features, labels = make_classification(200, 5, random_state=1)
    model = make_pipeline(StandardScaler(), DistilledClassifier(recipe=SMALL)).fit(features, labels)
    assert model.score(features, labels) > 0.7
    assert model.predict(features).dtype == labels.dtype


def test_it_takes_what_set_output_asks_of_the_steps_before_it() -> None:
    """Behind steps that answer frames, by `set_output` or scikit-learn's own setting, it learns
    their names, and answers arrays as other predictors do.
    """
    numbers = FRAME[["a", "b"]]
    steps = make_pipeline(StandardScaler(), DistilledClassifier(recipe=SMALL))
    named = steps.set_output(transform="pandas").fit(numbers, LABELS)
    assert named[-1].feature_names_in_.tolist() == ["a", "b"]
    assert named[-1]._learned.prepared.schema.signature.columns == ("a", "b")
    assert isinstance(named.predict_proba(numbers), np.ndarray)
    with config_context(transform_output="polars"):
        assert np.array_equal(
            named.predict(numbers), clone(steps).fit(numbers, LABELS).predict(numbers)
        )


def test_a_recipe_names_teachers_that_were_passed() -> None:
    """recipe.toml says that a teacher was passed in Python: none is trained in its place."""
    numbers = FRAME[["a", "b"]]
    teacher = LogisticRegression().fit(numbers, LABELS)
    learned = DistilledClassifier(teacher, recipe=SMALL).fit(numbers, LABELS)._learned
    recipe = learned.prepared.recipe
    assert recipe.teacher.own == ("LogisticRegression (passed in Python)",)
    with pytest.raises(DataError, match=r"LogisticRegression \(passed in Python\), and no teacher"):
        learn(learned.prepared)


def test_polars_frames_are_rows_too() -> None:
    """A polars frame fits and predicts as the pandas frame of the same cells does."""
    frame = pl.DataFrame({name: FRAME[name].to_list() for name in FRAME})
    fitted = [DistilledClassifier(recipe=SMALL).fit(rows, LABELS) for rows in (FRAME, frame)]
    assert np.array_equal(fitted[0].predict_proba(FRAME), fitted[1].predict_proba(frame))
    assert np.array_equal(fitted[1].predict_proba(frame), fitted[1].predict_proba(FRAME))


def test_it_survives_a_pickle() -> None:
    """A fitted estimator and its teacher come back from a pickle of the user's own."""
    numbers = FRAME[["a", "b"]]
    teacher = LogisticRegression().fit(numbers, LABELS)
    model = DistilledClassifier(teacher, recipe=SMALL).fit(numbers, LABELS)
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict_proba(numbers), model.predict_proba(numbers))


def test_columns_called_y_are_features() -> None:
    """A feature may have the name that the target or the weights would get."""
    frame = FRAME.rename(columns={"a": "y", "b": "sample_weight"})
    model = DistilledClassifier(recipe=SMALL).fit(frame, LABELS, np.ones(len(frame)))
    signature = model._learned.prepared.schema.signature
    assert signature.target == "y_"
    assert signature.columns == ("y", "sample_weight", "c")


def test_the_guide_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The Python of docs/teachers.md runs from top to bottom, here with a recipe of seconds."""

    def read_small(given: RecipeLike | None, overrides: Mapping[str, Any] = NOTHING) -> Recipe:
        return read_recipe(given, {**SMALL, **overrides})

    monkeypatch.setattr("kdexport.distilled.read_recipe", read_small)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for language, code in read_blocks("teachers.md"):
        if language == "python":
            exec(compile(code, "teachers.md", "exec"), names)
    said = capsys.readouterr().out.split()
    assert said[0] in {"RECOVERED", "NOT_RECOVERED", "INCONCLUSIVE", "NO_EDGE"}
    assert said[1:] == ["True", "True", "True"]
    assert (tmp_path / "models/own/student.onnx").exists()
