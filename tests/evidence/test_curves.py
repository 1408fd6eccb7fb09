"""Training curves as evidence."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from kdexport.bundle import load_bundle
from kdexport.describe import _warn_of_divergence
from kdexport.errors import KdexportWarning
from kdexport.evidence.curves import find_wrong_curves, trace_curve
from tests.report import variants


def test_curve_of_several_networks() -> None:
    """Mean and range at each look; a look at which a network had no finite loss is left out."""
    losses = np.array([[0.5, 0.7], [np.inf, 0.6], [0.2, 1 / 3], [np.nan, 0.1]])
    curve = trace_curve(np.array([10, 20, 30, 40]), losses, "labels")
    assert curve is not None
    assert curve.steps == [10, 30]
    assert curve.mean == [0.6, 0.266667]
    assert (curve.low, curve.high) == ([0.5, 0.2], [0.7, 0.333333])


def test_networks_that_diverged_have_no_curve() -> None:
    """Where no look is left there is none, and a network that never had a loss is warned of."""
    losses = np.array([[np.inf, 0.6], [np.nan, 0.5]])
    assert trace_curve(np.array([10, 20]), losses, "labels") is None
    with pytest.warns(KdexportWarning, match="1 of 2 networks of the control .* student.learning"):
        _warn_of_divergence("control", losses)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _warn_of_divergence("teacher", np.array([[np.inf, 0.6], [0.5, np.inf]]))


def test_curves_of_a_run(bundle_path: Path) -> None:
    """Teacher, student and control are looked at up to their last step, through a work folder."""
    evidence = load_bundle(bundle_path).evidence
    by = {role: curve.judged_by for role, curve in evidence.curves.items()}
    assert by == {"teacher": "labels", "student": "teacher", "control": "labels"}
    for role, steps in (("teacher", "teacher_steps"), ("control", "student_steps")):
        assert evidence.curves[role].steps[-1] == evidence.training[steps]
    assert evidence.curves["student"].mean != evidence.curves["control"].mean
    assert find_wrong_curves(evidence) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mean": [0.4, 0.5, 0.0987]}, "outside its range"),
        ({"mean": [0.4, float("nan"), 0.0987]}, "outside its range"),
        ({"steps": [500, 400, 600]}, "do not grow"),
        ({"steps": [500, 1000, 10**6]}, "ends at step 1000000, training at 3000"),
    ],
)
def test_wrong_curves(change: Mapping[str, object], said: str) -> None:
    """A curve that is none, or that goes on behind the end of training, is named."""
    evidence = variants.with_learning()
    evidence = evidence.model_copy(update={"training": {"student_steps": 3000}})
    assert find_wrong_curves(evidence) == []
    edited = evidence.curves["student"].model_copy(update=change)
    curves = {**evidence.curves, "student": edited}
    (problem,) = find_wrong_curves(evidence.model_copy(update={"curves": curves}))
    assert "the student" in problem
    assert said in problem
