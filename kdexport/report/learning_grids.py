"""Tables of a report about training: how sure the answers are, and how the loss fell.

Takes evidence, gives `Grid`s; none where the evidence does not have the figures.
"""

from kdexport.evidence.facts import Evidence
from kdexport.evidence.learning_facts import BinFact, CurveFact
from kdexport.report.figures import write_number, write_percent
from kdexport.report.grids import Grid

JUDGED_BY = {
    "labels": "labels",
    "teacher": "the teacher's answers",
    "both": "labels and the teacher's answers",
}


def make_learning_grids(evidence: Evidence) -> list[Grid]:
    """Return a table of calibration and one of training, as far as there are figures."""
    grids = []
    if evidence.calibration:
        grids.append(make_calibration_grid(evidence))
    if evidence.curves:
        grids.append(make_curve_grid(evidence))
    return grids


def make_calibration_grid(evidence: Evidence) -> Grid:
    """How often answers of about the same confidence are right, role by role."""
    rows = [
        (role, f"{100 * one.confidence:.1f} %", write_percent(one.accuracy), f"{one.rows:,}")
        for role, one in list_bins(evidence)
    ]
    note = (
        "Test rows in bins of equal width by the probability of the most probable class (its mean "
        "is the confidence). Calibrated: the accuracy is the confidence. Intervals: 95 %, over "
        "rows; those of few rows are wide."
    )
    return Grid("Calibration", ("", "confidence", "accuracy", "test rows"), tuple(rows), note)


def make_curve_grid(evidence: Evidence) -> Grid:
    """Where each role's validation loss began, how low it fell, and where it ended."""
    rows = []
    for role, curve in evidence.curves.items():
        lowest = min(range(len(curve.mean)), key=curve.mean.__getitem__)
        rows.append(
            (
                role,
                JUDGED_BY[curve.judged_by],
                _write_look(curve, 0),
                _write_look(curve, lowest),
                _write_look(curve, -1),
            )
        )
    columns = ("", "validation rows compared with", "first look", "lowest", "last look")
    note = (
        f"Loss in {describe_loss(evidence)}, mean over the networks of a role (trees have no "
        "curve) and, between brackets, the best and the worst of them (a range, no interval). "
        "Losses that compare with other things have other lowest values."
    )
    return Grid("Training", columns, tuple(rows), note)


def make_look_grid(evidence: Evidence) -> Grid:
    """Every look at the validation rows: the numbers behind the picture."""
    rows = [
        (role, f"{step:,}", _write_range(curve, i))
        for role, curve in evidence.curves.items()
        for i, step in enumerate(curve.steps)
    ]
    columns = ("", "steps", f"validation loss, {describe_loss(evidence)}")
    return Grid("Training", columns, tuple(rows))


def list_bins(evidence: Evidence) -> list[tuple[str, BinFact]]:
    """Return every bin of confidence beside the role that it is of."""
    return [(role, one) for role, bins in evidence.calibration.items() for one in bins]


def describe_loss(evidence: Evidence) -> str:
    """Return the unit of a loss."""
    return "variances of the target" if evidence.signature.is_regression else "nats"


def _write_look(curve: CurveFact, position: int) -> str:
    return f"{_write_range(curve, position)} at step {curve.steps[position]:,}"


def _write_range(curve: CurveFact, position: int) -> str:
    mean, low, high = (
        write_number(values[position]) for values in (curve.mean, curve.low, curve.high)
    )
    return f"{mean} [{low}, {high}]"
