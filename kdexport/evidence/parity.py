"""Parity: does a file answer as its source does?

Takes two sets of answers for the same rows, gives what differs. Never passes on zero rows or on
anything that is not a finite number.
"""

from dataclasses import dataclass

import numpy as np

from kdexport.bundle import STUDENT
from kdexport.errors import ParityError
from kdexport.evidence.facts import Evidence, ParityFact
from kdexport.records import Answers, Bools, Column, Float64

PROBABILITY_TOLERANCE = 1e-6
ROUNDING = 2.0**-24  # of a sum's terms: what float32 cannot tell apart
RELATIVE_TOLERANCE = 1e-5  # of a row's largest logit, or of a number's way from the median
NUMBER_ROUNDING = 4 * ROUNDING  # of a number or its terms: a few sums in float32, and the answer
MOST_ROUNDING = 1e-5  # beyond it, rounding is no excuse
ABSURD = 1e6  # times the terms of ordinary rows: no real row has terms as large
SMALLEST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Tolerance:
    """How far a file's answers may be from its source's.

    Attributes:
        probability: Of one probability.
        relative: Of logits or numbers, as a share of their row's size.
        rounding: What a number may differ by beyond that, as a share of itself and of the terms
            behind it: those of a target far from 0 are large, however little it varies.
        is_coarse: The file's weights are rounded: of rows with an absurdly large cell it is asked
            that answers are finite, and no more.
    """

    probability: float = PROBABILITY_TOLERANCE
    relative: float = RELATIVE_TOLERANCE
    rounding: float = NUMBER_ROUNDING
    is_coarse: bool = False


FLOAT32 = Tolerance()


def find_tolerance(evidence: Evidence, name: str) -> Tolerance:
    """Return how far a bundle's file may be from its source: further where it is in int8."""
    fact = evidence.quantized
    if name != STUDENT or fact is None:
        return FLOAT32
    return Tolerance(
        probability=fact.probability_tolerance, relative=fact.relative_tolerance, is_coarse=True
    )


def compare_answers(source: Answers, file: Answers, tolerance: Tolerance = FLOAT32) -> ParityFact:
    """Compare a file's answers with its source's, row by row.

    A flip is a row whose class differs; where the source's two best classes lie within twice the
    tolerance it is a tie, which rounding may decide either way, and is counted apart. Numbers may
    differ by a share of their distance from the median, and by what float32 rounds them by.

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
        return _compare_numbers(source, file.predictions, tolerance)
    differences = differ_by_row(source.probabilities, file.probabilities)
    allowed = _allow_differences(source, tolerance)
    passes = differences <= allowed
    largest_logit = mean_logit = largest_relative = None
    if source.logits is not None and file.logits is not None:
        logit_differences = differ_by_row(source.logits, file.logits)
        scale = measure_scale(source, tolerance)
        passes &= np.isfinite(logit_differences)  # an infinite scale would allow anything
        passes &= logit_differences <= tolerance.relative * scale
        largest_logit = float(logit_differences.max())
        mean_logit = float(logit_differences.mean())
        largest_relative = _largest_share(logit_differences, scale)
    best_two = np.sort(source.probabilities.astype(np.float64), axis=1)[:, -2:]
    tied = best_two[:, 1] - best_two[:, 0] <= 2 * allowed
    spared = find_spared(source, tolerance)
    passes |= spared & np.isfinite(differences)
    tied |= spared
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
        failed_rows=int((~passes | flipped).sum()),
        passed=bool((passes & ~flipped).all()),
    )


def _allow_differences(source: Answers, tolerance: Tolerance) -> Float64:
    """How far each row's probabilities may be from their source's, **Shape** `[n]`.

    The tolerance, or what float32 rounds a sum of large terms by: a logit of terms of size 20 is
    known to about 1e-6, on either side.
    """
    allowed = np.full(source.n_rows, tolerance.probability)
    if source.terms is None:
        return allowed
    rounding = np.minimum(ROUNDING * source.terms, MOST_ROUNDING)
    return np.asarray(np.maximum(allowed, rounding), np.float64)


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


def raw_values(answers: Answers) -> Float64:
    """Logits (a forest's probabilities), or the numbers of a regression, **Shape** `[n, K]`."""
    values = answers.logits
    if values is None:
        is_forest = bool(answers.probabilities.shape[1])
        values = answers.probabilities if is_forest else answers.predictions[:, None]
    return values.astype(np.float64)


def measure_scale(source: Answers, tolerance: Tolerance = FLOAT32) -> Float64:
    """The size of each row's logits or number, which differences are measured in. **Shape** `[n]`.

    Logits are no smaller than 1. A number's size is its distance from the median, no smaller than
    the usual one, so that a constant added to all of them excuses nothing; what float32 rounds it
    by comes on top. Where a cell is absurdly large, so are the terms behind the answer, and
    rounding is a share of those even where they cancel: there, their size is the row's, and nothing
    there is usual.
    """
    exact = raw_values(source)
    absurd = _find_absurd(source)
    terms = np.zeros(len(exact)) if source.terms is None else source.terms
    scale = np.abs(exact).max(axis=1)
    if source.probabilities.shape[1]:
        scale = np.maximum(scale, 1.0)
    else:
        rounding = tolerance.rounding * np.maximum(scale, terms)
        distances = np.abs(exact[:, 0] - np.median(exact[~absurd, 0]))
        usual = max(float(np.median(distances[~absurd])), SMALLEST)
        scale = np.maximum(distances, usual) + rounding / max(tolerance.relative, SMALLEST)
    return np.asarray(np.where(absurd, np.maximum(scale, terms), scale), np.float64)


def find_spared(source: Answers, tolerance: Tolerance) -> Bools:
    """Say which rows rounded weights may answer otherwise, **Shape** `[n]`.

    None where the tolerance is not coarse; else those whose logits or numbers are so large that no
    real row has them: whatever cell is behind one drowns all others. What is usual, rows with
    absurd terms do not say: of few test rows of a wide table, most golden rows have them.
    """
    if not tolerance.is_coarse:
        return np.zeros(source.n_rows, np.bool_)
    sizes = np.abs(raw_values(source)).max(axis=1)
    usual = float(np.median(sizes[~_find_absurd(source)]))
    return np.asarray(sizes > ABSURD * max(usual, 1.0), np.bool_)


def _find_absurd(source: Answers) -> Bools:
    """Say which rows have terms that no real row has, **Shape** `[n]`."""
    if source.terms is None:
        return np.zeros(source.n_rows, np.bool_)
    usual = max(float(np.quantile(source.terms, 0.1)), SMALLEST)
    return np.asarray(source.terms > ABSURD * usual, np.bool_)


def _compare_numbers(source: Answers, file: Column, tolerance: Tolerance) -> ParityFact:
    differences = differ_by_row(source.predictions[:, None], file[:, None])
    scale = measure_scale(source, tolerance)
    close = (differences <= tolerance.relative * scale) | find_spared(source, tolerance)
    passes = np.isfinite(differences) & close
    return ParityFact(
        rows=source.n_rows,
        max_prediction_difference=float(differences.max()),
        max_relative_difference=_largest_share(differences, scale),
        worst_row=_worst(differences, passes),
        failed_rows=int((~passes).sum()),
        passed=bool(passes.all()),
    )


def _largest_share(differences: Float64, scale: Float64) -> float:
    """Largest difference in units of its row's size; infinite where it is no finite number."""
    finite = np.isfinite(differences) & np.isfinite(scale)
    return float(np.divide(differences, scale, out=np.full(len(scale), np.inf), where=finite).max())


def _worst(differences: Float64, passes: np.ndarray) -> int:
    """The row that fails by most, or, where all pass, the one that differs by most."""
    return int(np.argmax(np.where(passes, -1.0, differences) if not passes.all() else differences))


def differ(first: Column, second: Column) -> Float64:
    """Difference of each pair of numbers; infinite where either is no finite number."""
    with np.errstate(invalid="ignore"):
        apart: Float64 = np.abs(first.astype(np.float64) - second.astype(np.float64))
    return np.where(np.isfinite(apart), apart, np.inf)


def differ_by_row(first: Column, second: Column) -> Float64:
    """Largest difference in each row, **Shape** `[n, K]` twice to `[n]`."""
    largest: Float64 = differ(first, second).max(axis=1)
    return largest
