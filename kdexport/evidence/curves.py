"""How training went, as evidence: losses on the validation rows, look by look.

Takes what the training loop recorded, gives `CurveFact`s; takes evidence, says where they
contradict it.
"""

import numpy as np

from kdexport.evidence.facts import Evidence
from kdexport.evidence.learning_facts import CurveFact, JudgedBy
from kdexport.records import Float64, Int64

DIGITS = 6
STEPS = {"teacher": "teacher_steps", "student": "student_steps", "control": "student_steps"}


def trace_curve(steps: Int64, losses: Float64, judged_by: JudgedBy) -> CurveFact | None:
    """Return how the networks of one role trained.

    Looks at which one of them had no finite loss are left out; None where no look is left.

    Args:
        steps: Optimiser steps before each look, **Shape** `[L]` int64.
        losses: Each network's loss, **Shape** `[L, M]` float64.
        judged_by: What the loss compares with.
    """
    kept = np.isfinite(losses).all(axis=1)
    lines = losses[kept]
    if not kept.any():
        return None
    return CurveFact(
        judged_by=judged_by,
        steps=steps[kept].tolist(),
        mean=_shorten(lines.mean(axis=1)),
        low=_shorten(lines.min(axis=1)),
        high=_shorten(lines.max(axis=1)),
    )


def find_wrong_curves(evidence: Evidence) -> list[str]:
    """Say which curves leave their range, do not grow, or go on behind the end of training."""
    problems = []
    for role, curve in evidence.curves.items():
        columns = (curve.mean, curve.low, curve.high)
        if any(not low <= mean <= high for mean, low, high in zip(*columns, strict=True)):
            problems.append(f"the mean of the curve of the {role} lies outside its range")
        if sorted(set(curve.steps)) != curve.steps:
            problems.append(f"the steps of the curve of the {role} do not grow")
        taken = evidence.training.get(STEPS.get(role, ""))
        if isinstance(taken, int) and curve.steps[-1] > taken:
            last = curve.steps[-1]
            problems.append(f"the curve of the {role} ends at step {last}, training at {taken}")
    return problems


def _shorten(values: Float64) -> list[float]:
    """Enough digits for a picture: evidence stays small."""
    return [float(f"{value:.{DIGITS}g}") for value in values]
