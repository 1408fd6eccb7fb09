"""Where there is nothing to gain, nothing is claimed."""

from pathlib import Path

import numpy as np

from kdexport import load_bundle, read_recipe, run
from tests.conftest import QUICK


def make_columns(n_rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Three numbers and a text of no meaning."""
    rng = np.random.default_rng(seed)
    columns = {name: rng.normal(size=n_rows) for name in "abc"}
    return {**columns, "t": rng.choice(["x", "z"], n_rows).astype(object)}


def test_random_labels(tmp_path: Path) -> None:
    """G4: on labels that nothing explains, the test accuracy is chance, within 3 errors of it."""
    labels = np.random.default_rng(1).choice(["no", "yes"], 400).astype(object)
    recipe = read_recipe(None, {**QUICK, "data.target": "y"})
    evidence = run(recipe, tmp_path / "x", data={**make_columns(400), "y": labels})
    n_test = evidence.task.rows["test"].rows
    margin = 3 * 0.5 / n_test**0.5
    for role in ("teacher", "control", "student", "shipped"):
        assert abs(evidence.quality[role]["accuracy"].value - 0.5) < margin
    assert evidence.recovered["accuracy"].verdict == "NO_EDGE"


def test_separable(tmp_path: Path) -> None:
    """G5: where the control makes no mistake, it is shown and no gain is claimed."""
    columns = make_columns(600)
    columns["a"] += np.where(columns["a"] > 0, 3.0, -3.0)
    labels = np.where(columns["a"] > 0, "yes", "no").astype(object)
    quick = {**QUICK, "student.max_epochs": 20, "teacher.max_epochs": 20, "data.target": "y"}
    run(read_recipe(None, quick), tmp_path / "x", data={**columns, "y": labels})
    evidence = load_bundle(tmp_path / "x").evidence
    assert evidence.quality["control"]["accuracy"].value == 1.0
    assert evidence.edge["accuracy"].value <= 0.0
    assert evidence.recovered["accuracy"].verdict == "NO_EDGE"
