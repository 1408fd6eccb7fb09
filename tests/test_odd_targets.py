"""Regressions whose target is mostly one number, spans decades or lies far from 0."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest

from kdexport import load_bundle, read_recipe, run
from kdexport.bundle import STUDENT, Bundle
from kdexport.evidence.checks import check_bundle
from tests.conftest import QUICK, RIVAL

N_ROWS = 400
RNG = np.random.default_rng(3)
FRAME = pd.DataFrame(RNG.normal(size=(N_ROWS, 4)).astype(np.float32), columns=list("abcd"))
SCORE = (FRAME["a"] + FRAME["b"] * FRAME["c"]).to_numpy(np.float64)
TARGETS = {
    "mostly zero": np.where(RNG.random(N_ROWS) < 0.9, 0.0, 100 * np.exp(SCORE)),
    "mostly five": np.where(SCORE > 1.5, 5 + 300 * np.exp(SCORE), 5.0),
    "six decades": 10.0 ** np.clip(3 + SCORE, 0, 6),
    "far from zero": 3e6 + 100 * SCORE,
}


def make_bundle(kind: str, output: Path) -> Bundle:
    """A bundle whose parity passed when it was made."""
    changes = {"data.target": "y", "columns.goal": "regression"}
    recipe = read_recipe(None, {**QUICK, **RIVAL, **changes})
    run(recipe, output, data=FRAME.assign(y=TARGETS[kind]))
    return load_bundle(output)


def find_failed(bundle: Bundle) -> list[str]:
    """Names of the checks that fail."""
    return [result.name for result in check_bundle(bundle) if not result.passed]


def change_last_layer(bundle: Bundle, change: Callable[[np.ndarray], np.ndarray]) -> Bundle:
    """The bundle with other weights in its student's last layer."""
    model = onnx.load_model_from_string(bundle.files[STUDENT])
    last = [node for node in model.graph.node if node.op_type == "Gemm"][-1]
    (weights,) = [one for one in model.graph.initializer if one.name == last.input[1]]
    changed = change(onnx.numpy_helper.to_array(weights)).astype(np.float32)
    weights.CopyFrom(onnx.numpy_helper.from_array(changed, weights.name))
    return replace(bundle, files={**bundle.files, STUDENT: model.SerializeToString()})


@pytest.mark.parametrize("kind", ["mostly zero", "mostly five", "six decades"])
def test_good_files_pass(kind: str, tmp_path: Path) -> None:
    """What float32 rounds the terms behind a small number by fails no check."""
    assert not find_failed(make_bundle(kind, tmp_path / "b"))


def test_wrong_files_fail(tmp_path: Path) -> None:
    """Where the mean is 20,000 deviations, the file that was made passes, and one that answers the
    mean, or with its last layer's sign turned, does not.
    """
    bundle = make_bundle("far from zero", tmp_path / "b")
    assert not find_failed(bundle)
    for factor in (0.0, -1.0, 1.5):
        wrong = change_last_layer(bundle, lambda weights, factor=factor: factor * weights)
        assert {"student.onnx/source", "bundle/golden_quality"} <= set(find_failed(wrong))
