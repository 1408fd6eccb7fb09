"""Golden rows: does the shipped student still answer as its source did when it was exported?

Takes a verified bundle, gives the comparison. Needs no torch.
"""

import numpy as np

from kdexport.bundle import STUDENT, Bundle, unpack_golden
from kdexport.contract import INPUT, LABEL, PROBABILITIES
from kdexport.evidence.facts import Fact
from kdexport.evidence.parity import PROBABILITY_TOLERANCE
from kdexport.runtime import open_session


class GoldenFact(Fact):
    """How the student answers on the golden rows beside what is stored."""

    rows: int
    max_probability_difference: float
    flips: int
    worst_row: int
    passed: bool


def replay_golden(bundle: Bundle) -> GoldenFact:
    """Answer the golden rows again and compare; zero rows or a non-finite answer never pass.

    Raises:
        DataError: The golden rows are absent or damaged.
    """
    golden = unpack_golden(bundle.files)
    answers = open_session(bundle.files[STUDENT]).answer(golden[INPUT])
    stored = golden[PROBABILITIES].astype(np.float64)
    same_shape = stored.shape == answers.probabilities.shape and len(stored) > 0
    if not same_shape:
        return GoldenFact(
            rows=len(stored),
            max_probability_difference=float("inf"),
            flips=0,
            worst_row=0,
            passed=False,
        )
    differences = np.abs(stored - answers.probabilities).max(axis=1)
    differences = np.where(np.isfinite(differences), differences, np.inf)
    flips = int((golden[LABEL] != answers.labels).sum())
    return GoldenFact(
        rows=len(stored),
        max_probability_difference=float(differences.max()),
        flips=flips,
        worst_row=int(differences.argmax()),
        passed=flips == 0 and float(differences.max()) <= PROBABILITY_TOLERANCE,
    )
