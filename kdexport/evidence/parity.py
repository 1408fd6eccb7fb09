"""Parity: does a file answer as its source does?

Takes two sets of answers for the same rows, gives what differs. Never passes on zero rows or on
anything that is not a finite number.
"""

import numpy as np

from kdexport.errors import ParityError
from kdexport.evidence.facts import ParityFact
from kdexport.records import Answers, Column, Float64

PROBABILITY_TOLERANCE = 1e-6
RELATIVE_TOLERANCE = 1e-5  # of the row's largest logit, or of a regression's prediction


def compare_answers(source: Answers, file: Answers) -> ParityFact:
    """Compare a file's answers with its source's, row by row.

    A flip is a row whose class differs; where the source's two best classes lie within twice the
    tolerance it is a tie, which rounding may decide either way, and is counted apart. Numbers may
    differ by a share of themselves, or of their usual distance from the median.

    Raises:
        ParityError: There is nothing to compare, or the two sides answer different things.
    """
    if source.n_rows == 0 or source.probabilities.shape != file.probabilities.shape:
        raise ParityError(
            "both sides answer for the same rows and classes, at least one row",
            found=f"shapes {source.probabilities.shape} and {file.probabilities.shape}",
            cure="pass the rows that both have answered",
        )
    if (source.logits is None) != (file.logits is None) or source.n_rows != file.n_rows:
        raise ParityError(
            "both sides give their logits or neither, for the same rows",
            found=f"{source.n_rows} and {file.n_rows} rows, logits on one side only"
            if source.n_rows == file.n_rows
            else f"{source.n_rows} and {file.n_rows} rows",
            cure="expose the file's logits",
        )
    if not source.probabilities.shape[1]:
        return _compare_numbers(source.predictions, file.predictions)
    differences = _row_differences(source.probabilities, file.probabilities)
    passes = differences <= PROBABILITY_TOLERANCE
    largest_logit = mean_logit = largest_relative = None
    if source.logits is not None and file.logits is not None:
        logit_differences = _row_differences(source.logits, file.logits)
        scale = np.maximum(1.0, np.abs(source.logits.astype(np.float64)).max(axis=1))
        passes &= logit_differences <= RELATIVE_TOLERANCE * scale
        largest_logit = float(logit_differences.max())
        mean_logit = float(logit_differences.mean())
        largest_relative = float((logit_differences / scale).max())
    best_two = np.sort(source.probabilities.astype(np.float64), axis=1)[:, -2:]
    tied = best_two[:, 1] - best_two[:, 0] <= 2 * PROBABILITY_TOLERANCE
    flipped = (source.predictions != file.predictions) & ~tied
    return ParityFact(
        rows=source.n_rows,
        max_probability_difference=float(differences.max()),
        mean_probability_difference=float(differences.mean()),
        max_logit_difference=largest_logit,
        mean_logit_difference=mean_logit,
        max_relative_difference=largest_relative,
        flips=int(flipped.sum()),
        ties=int(tied.sum()),
        worst_row=_worst(differences, passes & ~flipped),
        passed=bool((passes & ~flipped).all()),
    )


def describe_parity(fact: ParityFact) -> str:
    """Return how far a file is from its source, in words."""
    relative = fact.max_relative_difference
    if fact.max_probability_difference is None:
        return f"predictions within {relative:.1e} of their size"
    line = f"probabilities within {fact.max_probability_difference:.1e}"
    if fact.mean_probability_difference is not None:
        line += f" (mean {fact.mean_probability_difference:.1e})"
    line += ", "
    if relative is not None:
        line += f"logits within {relative:.1e} of their size, "
    return f"{line}{fact.flips} flips, {fact.ties} ties"


def _compare_numbers(source: Column, file: Column) -> ParityFact:
    differences = _row_differences(source[:, None], file[:, None])
    exact = source.astype(np.float64)
    usual = float(np.median(np.abs(exact - np.median(exact))))
    scale = np.maximum(np.maximum(np.abs(exact), usual), np.finfo(np.float32).tiny)
    passes = np.isfinite(differences) & (differences <= RELATIVE_TOLERANCE * scale)
    return ParityFact(
        rows=len(source),
        max_prediction_difference=float(differences.max()),
        max_relative_difference=float((differences / scale).max()),
        worst_row=_worst(differences, passes),
        passed=bool(passes.all()),
    )


def _worst(differences: Float64, passes: np.ndarray) -> int:
    """The row that fails by most, or, where all pass, the one that differs by most."""
    return int(np.argmax(np.where(passes, -1.0, differences) if not passes.all() else differences))


def _row_differences(first: np.ndarray, second: np.ndarray) -> Float64:
    """Largest difference in each row; infinite where either side is no finite number."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(first.astype(np.float64) - second.astype(np.float64)).max(axis=1)
    return np.where(np.isfinite(apart), apart, np.inf)
