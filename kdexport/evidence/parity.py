"""Parity: does a file answer as its source does?

Takes two sets of answers for the same rows, gives what differs. Never passes on zero rows or on
anything that is not a finite number.
"""

import numpy as np

from kdexport.errors import ParityError
from kdexport.evidence.facts import ParityFact
from kdexport.records import Answers, Float64

PROBABILITY_TOLERANCE = 1e-5  # float32 sums in another order move answers by some 1e-6
LOGIT_TOLERANCE = 1e-5  # relative to the largest logit of the source


def compare_answers(source: Answers, file: Answers) -> ParityFact:
    """Compare a file's answers with its source's, row by row.

    A flip is a row whose most probable class differs; where the source's two best classes lie
    within twice the tolerance it is a tie, which rounding may decide either way, and is counted
    apart.

    **Shape** probabilities and logits `[n, K]` float32 on both sides.

    Raises:
        ParityError: There is nothing to compare, or the shapes differ.
    """
    if source.logits is None or file.logits is None:
        raise ParityError(
            "both sides give their logits", found="one does not", cure="expose the file's logits"
        )
    if len(source.probabilities) == 0 or source.probabilities.shape != file.probabilities.shape:
        raise ParityError(
            "both sides answer for the same rows and classes, at least one row",
            found=f"shapes {source.probabilities.shape} and {file.probabilities.shape}",
            cure="pass the rows that both have answered",
        )
    differences = _row_differences(source.probabilities, file.probabilities)
    logit_differences = _row_differences(source.logits, file.logits)
    best_two = np.sort(source.probabilities.astype(np.float64), axis=1)[:, -2:]
    tied = best_two[:, 1] - best_two[:, 0] <= 2 * PROBABILITY_TOLERANCE
    flipped = source.labels != file.labels
    flips = int((flipped & ~tied).sum())
    largest, largest_logit = float(differences.max()), float(logit_differences.max())
    allowed_logit = LOGIT_TOLERANCE * max(1.0, float(np.abs(source.logits).max()))
    finite = bool(np.isfinite(differences).all() and np.isfinite(logit_differences).all())
    return ParityFact(
        rows=len(differences),
        max_probability_difference=largest,
        max_logit_difference=largest_logit,
        flips=flips,
        ties=int(tied.sum()),
        worst_row=int(np.argmax(differences)),
        passed=finite
        and flips == 0
        and largest <= PROBABILITY_TOLERANCE
        and largest_logit <= allowed_logit,
    )


def _row_differences(first: np.ndarray, second: np.ndarray) -> Float64:
    """Largest difference in each row; infinite where either side is no finite number."""
    difference: Float64 = np.abs(first.astype(np.float64) - second.astype(np.float64)).max(axis=1)
    return np.where(np.isfinite(difference), difference, np.inf)
