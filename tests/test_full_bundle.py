"""A run with everything on: mixture, chosen transfer set, rival and plain control."""

from pathlib import Path

import numpy as np
import pytest

from kdexport import read_recipe
from kdexport.bundle import RIVAL, STUDENT, TEACHER, load_bundle, read_bundle
from kdexport.evidence.checks import check_bundle
from kdexport.evidence.facts import Evidence
from kdexport.pipeline import distill, export, run, train
from kdexport.recheck import check_against_source
from tests.conftest import QUICK

FULL = {**QUICK, "rival.model": "hist_gradient_boosting", "student.plain_control": "trained"}


def make_rows(target: str) -> dict[str, list[object]]:
    """400 rows of two numbers, one of them missing at times, and a text that both matter to."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 400))
    word = rng.choice(["x", "y", "z"], 400)
    score = a * (word == "x") + b + 0.3 * rng.normal(size=400)
    cells = [
        None if missing else value for value, missing in zip(a, rng.random(400) < 0.1, strict=True)
    ]
    targets = {
        "binary": ["yes" if s > 0 else "no" for s in score],
        "multiclass": [int(s > -0.5) + int(s > 0.5) + 7 for s in score],
        "regression": [1000 + 50 * s for s in score],
    }
    return {"a": cells, "b": list(b), "word": list(word), "y": targets[target]}


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a work folder and the bundle that was exported from it."""
    folder = tmp_path_factory.mktemp(request.param)
    recipe = read_recipe(None, {**FULL, "data.target": "y"})
    train(recipe, folder / "work", data=make_rows(request.param))
    distill(folder / "work")
    export(folder / "work", folder / "bundle")
    return folder


def load_evidence(full: Path) -> Evidence:
    """Read what the bundle says of itself."""
    return load_bundle(full / "bundle").evidence


def test_all_files_pass(full: Path) -> None:
    """Student, teacher and rival ship by one contract; every check of the bundle passes."""
    bundle = read_bundle(full / "bundle")
    assert {STUDENT, TEACHER, RIVAL} <= set(bundle.files)
    assert set(bundle.evidence.parity) == {STUDENT, TEACHER, RIVAL}
    assert [r.message for r in check_bundle(bundle) if not r.passed] == []


def test_files_answer_as_their_checkpoints(full: Path) -> None:
    """The work folder alone gives all three sources back."""
    results = check_against_source(read_bundle(full / "bundle"), full / "work")
    assert [r.message for r in results if not r.passed] == []
    assert len(results) == 3


def test_all_roles_are_measured(full: Path) -> None:
    """Quality has five roles; the rival has its verdict, each metric the control that counts."""
    evidence = load_evidence(full)
    assert {"teacher", "student", "control", "plain_control", "rival"} <= set(evidence.quality)
    assert evidence.rival is not None
    assert set(evidence.controls or {}) == set(evidence.edge)


def test_what_was_chosen_is_stated(full: Path) -> None:
    """The evidence says which share boosting has, and how synthetic rows were made."""
    evidence = load_evidence(full)
    assert 0 <= evidence.training["teacher_boosting_share"] <= 1
    assert evidence.recipe["transfer"]["method"] == "mixed"


def test_same_rows_make_the_same_bytes(tmp_path: Path) -> None:
    """Folds that train side by side, and everything that is chosen, leave nothing to chance."""
    recipe = read_recipe(None, {**FULL, "data.target": "y"})
    contents = []
    for name in ("first", "second"):
        run(recipe, tmp_path / name, data=make_rows("binary"))
        files = read_bundle(tmp_path / name).files
        contents.append([files[file] for file in (STUDENT, TEACHER, RIVAL)])
    assert contents[0] == contents[1]
