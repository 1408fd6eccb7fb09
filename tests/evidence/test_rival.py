"""A second control and a rival: which control counts, and which model to ship."""

from pathlib import Path

import numpy as np
import pytest

from kdexport.bundle import load_bundle
from kdexport.evidence.edge import EdgeResult, measure_edge
from kdexport.evidence.metrics import CLASSIFICATION
from kdexport.evidence.rival import compare_axes, decide_rival, judge_rival
from tests.evidence.records import add_rival, make_interval

N_ROWS = 4000
LEVELS = {"teacher": (0.95, 1), "control": (0.85, 5), "student": (0.93, 5)}


def simulate(levels: dict[str, tuple[float, int]]) -> EdgeResult:
    """Roles that are right with these chances; loss and Brier are 1 where they are wrong."""
    rng = np.random.default_rng(0)
    order = rng.random(N_ROWS)
    scores = {}
    for role, (level, n) in levels.items():
        right = (order < level + 0.002 * rng.standard_normal((n, 1))).astype(np.float64)
        scores[role] = {name: right if name == "accuracy" else 1 - right for name in CLASSIFICATION}
    return measure_edge(scores, CLASSIFICATION, asked_share=0.8, n_draws=200, seed=0)


@pytest.mark.parametrize(("level", "counting"), [(0.8, "control"), (0.9, "plain_control")])
def test_better_control_counts(level: float, counting: str) -> None:
    """Edge and share are against the better control, and both are in the quality."""
    plain = simulate({**LEVELS, "plain_control": (level, 3)})
    best = max(0.85, level)
    assert set(plain.quality) == {"teacher", "control", "student", "plain_control"}
    for metric in CLASSIFICATION:
        assert plain.controls[metric] == counting
        assert plain.edge[metric].value == pytest.approx(0.95 - best, abs=0.01)
        share = (0.93 - best) / (0.95 - best)
        assert plain.recovered[metric].value == pytest.approx(share, abs=0.05)


def test_choice_is_by_metric() -> None:
    """A control that is better in one metric counts in that one only."""
    rng = np.random.default_rng(1)
    flat = {"teacher": (0.9, 0.2), "student": (0.89, 0.21)}
    flat |= {"control": (0.8, 0.4), "plain_control": (0.85, 0.5)}
    metrics = {name: CLASSIFICATION[name] for name in ("accuracy", "log_loss")}
    scores = {
        role: {
            name: value + 0.1 * rng.standard_normal((1 if role == "teacher" else 3, N_ROWS))
            for name, value in zip(metrics, values, strict=True)
        }
        for role, values in flat.items()
    }
    result = measure_edge(scores, metrics, asked_share=0.8, n_draws=200, seed=0)
    assert result.controls == {"accuracy": "plain_control", "log_loss": "control"}


def test_no_rival_no_lead() -> None:
    """Without a rival nothing is said of one."""
    assert simulate(LEVELS).lead == {}


@pytest.mark.parametrize(
    ("level", "verdict"),
    [(0.97, "SHIP_THE_RIVAL"), (0.9, "SHIP_THE_STUDENT"), (0.93, "NO_DIFFERENCE")],
)
def test_lead(level: float, verdict: str) -> None:
    """The lead is positive where the student is better, whatever the metric's sign."""
    lead = simulate({**LEVELS, "rival": (level, 1)}).lead
    for metric in CLASSIFICATION:
        assert lead[metric].value == pytest.approx(0.93 - level, abs=0.01)
        assert lead[metric].low < lead[metric].value < lead[metric].high
    assert judge_rival("a forest", lead).verdict == verdict


@pytest.mark.parametrize(
    ("accuracy", "log_loss", "verdict"),
    [
        ((-0.1, 0.1), (-0.2, -0.1), "SHIP_THE_RIVAL"),
        ((-0.1, 0.1), (0.1, 0.2), "SHIP_THE_STUDENT"),
        ((0.1, 0.2), (-0.2, -0.1), "MIXED"),
        ((-0.1, 0.1), (-0.1, 0.0), "NO_DIFFERENCE"),
    ],
)
def test_verdict(
    accuracy: tuple[float, float], log_loss: tuple[float, float], verdict: str
) -> None:
    """A verdict needs an interval that excludes 0, in a leading metric."""
    lead = {"accuracy": make_interval(*accuracy), "log_loss": make_interval(*log_loss)}
    assert decide_rival({**lead, "brier": make_interval(-2, -1)}) == verdict


@pytest.mark.parametrize("is_native", [False, True])
def test_axes(bundle_path: Path, is_native: bool) -> None:
    """Quality, bytes and latency stand side by side, each with its winner; a tie has none."""
    evidence = load_bundle(bundle_path).evidence
    assert compare_axes(evidence) == []
    axes = {axis.name: axis for axis in compare_axes(add_rival(evidence, is_native=is_native))}
    assert axes["log_loss"].winner == "rival"
    assert axes["p50 us, batch 1"].winner == "student"
    assert axes["p50 us, batch 1"].is_native == is_native
    assert axes["p50 us, batch 1,024"].winner == "neither"
    assert ("bytes" in axes) != is_native


def test_luck_wins_nothing(bundle_path: Path) -> None:
    """Medians apart are no win where pairs of blocks show none: two openings of one file differ."""
    evidence = add_rival(load_bundle(bundle_path).evidence)
    alike = [one.model_copy(update={"verdict": "NO_DIFFERENCE"}) for one in evidence.latency.ratios]
    for ratios in (alike, []):
        latency = evidence.latency.model_copy(update={"ratios": ratios})
        axes = {
            axis.name: axis
            for axis in compare_axes(evidence.model_copy(update={"latency": latency}))
        }
        assert axes["p50 us, batch 1"].student < axes["p50 us, batch 1"].rival / 1.5
        assert axes["p50 us, batch 1"].winner == "neither"
