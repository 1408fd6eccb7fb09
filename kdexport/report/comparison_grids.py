"""Tables of a report that compare: the student with a rival, and with the teacher slice by slice.

Takes evidence, gives `Grid`s, none where the evidence has nothing of the kind.
"""

from kdexport.evidence.facts import Evidence
from kdexport.evidence.rival import Axis, compare_axes
from kdexport.report.figures import (
    Quoted,
    style_metric,
    write_difference,
    write_number,
    write_value,
)
from kdexport.report.grids import ABSENT, Grid
from kdexport.report.headline import describe_rival, title_verdict


def make_comparison_grids(evidence: Evidence) -> list[Grid]:
    """Return every comparison that the evidence has."""
    return [*_make_rival_grids(evidence), *_make_slice_grids(evidence)]


def _make_rival_grids(evidence: Evidence) -> list[Grid]:
    rival = evidence.rival
    if rival is None:
        return []
    rows = []
    for axis in compare_axes(evidence):
        lead = rival.lead.get(axis.name)
        rows.append(
            (
                style_metric(axis.name).title,
                write_side(axis, axis.student),
                write_side(axis, axis.rival) + (" in its own library" if axis.is_native else ""),
                write_difference(axis.name, lead) if lead else ABSENT,
                axis.winner,
            )
        )
    columns = ("", "student", "rival", "the student's lead", "the better one")
    note = (
        f"Verdict: {describe_rival(rival.verdict)}. A lead is positive where the student is "
        "the better one; 95 % intervals over test rows and the student's replicates. Bytes are "
        "counted; of times one is the better where the ratio of paired blocks is beyond what the "
        "student shows against itself."
    )
    title = f"Student or rival: {title_verdict(rival.verdict)}"
    return [Grid(title, columns, tuple(rows), note)]


def write_side(axis: Axis, value: float) -> str:
    """Return the figure of one of the two: bytes in full, what has no interval here in short."""
    return f"{value:,.0f}" if axis.name == "bytes" else write_value(axis.name, value)


def _make_slice_grids(evidence: Evidence) -> list[Grid]:
    slices = evidence.slices
    if slices is None:
        return []
    grids = []
    for metric, worst in slices.worst.items():
        style = style_metric(metric)
        rows = [
            (
                Quoted(part.column),
                Quoted(part.value),
                f"{part.rows:,}",
                write_number(style.scale * part.teacher),
                write_number(style.scale * part.student),
                write_difference(metric, part.shortfall),
            )
            for part in worst
        ]
        note = (
            f"The largest of {slices.n_slices:,} slices of the test rows"
            + (f" ({slices.n_left_out:,} more were left out)" if slices.n_left_out else "")
            + f"; {slices.n_worse.get(metric, 0):,} are worse beyond chance. Intervals are 95 % "
            "for all slices together; those of the two values themselves are not kept."
        )
        columns = ("column", "slice", "rows", "teacher", "student", "the student is worse by")
        grids.append(Grid(f"Worst slices: {style.title}", columns, tuple(rows), note))
    return [grid for grid in [*grids, *_make_class_grids(evidence)] if grid.rows]


def _make_class_grids(evidence: Evidence) -> list[Grid]:
    classes = evidence.slices.classes if evidence.slices else []
    rows = [
        (
            Quoted(str(fact.label)),
            f"{fact.rows:,}",
            f"{100 * fact.teacher_recall:.1f} %",
            f"{100 * fact.student_recall:.1f} %",
            write_number(fact.teacher_log_loss),
            write_number(fact.student_log_loss),
        )
        for fact in classes
    ]
    columns = ["class", "rows", "teacher's recall", "student's recall"]
    columns += ["teacher's log loss", "student's log loss"]
    note = "Classes of the largest shortfall; counts of rows, whose intervals are not kept."
    return [Grid("Class by class", tuple(columns), tuple(rows), note)]
