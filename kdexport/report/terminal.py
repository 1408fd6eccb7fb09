"""Evidence for the terminal: one table that reads at a glance, and the verdict in words.

Takes evidence, gives a rich renderable. Reads no file and measures nothing.
"""

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from kdexport.bundle import STUDENT, TEACHER
from kdexport.evidence.facts import ControlRole, Evidence
from kdexport.evidence.latency_facts import FLOOR
from kdexport.evidence.parity import describe_parity
from kdexport.evidence.rival import Axis, compare_axes
from kdexport.evidence.shape import Interval, Quality
from kdexport.report.comparison_grids import write_side
from kdexport.report.figures import (
    round_interval,
    style_metric,
    title_metric,
    write_difference,
    write_metric,
    write_percent,
    write_roughly,
    write_value,
)
from kdexport.report.grids import describe_shipped
from kdexport.report.headline import (
    RIVAL_REASONS,
    compare_sizes,
    find_call,
    title_verdict,
    write_headline,
)
from kdexport.report.plain import write_plain
from kdexport.report.prose import describe_task

SHOWN = ("accuracy", "log_loss", "rmse", "r2")
VERDICTS = {
    "RECOVERED": "the asked share of the edge is recovered",
    "NOT_RECOVERED": "the student falls short of the asked share",
    "INCONCLUSIVE": "the test rows cannot tell",
    "NO_EDGE": "the teacher is not measurably better than the control: do not distill for this",
}
CONTROL_NAMES: dict[ControlRole, str] = {
    "control": "the student's own recipe",
    "plain_control": "the plain recipe",
}


def render_evidence(evidence: Evidence) -> Group:
    """Return the summary of a bundle: quality, size and latency, recovered edge, parity."""
    leading = next(iter(evidence.recovered))
    n = len(evidence.replicates["student"][leading])
    headline = write_headline(evidence)
    style = "bold" if headline.verdict == "RECOVERED" else "bold yellow"
    return Group(
        write_plain(f"{evidence.task.source}: {describe_task(evidence)}"),
        write_plain(f"{headline.title}: {headline.sentence}", style=style),
        _main_table(evidence, n),
        write_plain(describe_shipped(evidence)),
        *_sizes(evidence),
        *[_recovered_line(metric, evidence) for metric in list(evidence.recovered)[:2]],
        *_control_lines(evidence),
        *_rival_lines(evidence),
        *_slice_lines(evidence),
        *_parity_lines(evidence),
    )


def _main_table(evidence: Evidence, n_replicates: int) -> Table:
    """One column per candidate and one number per cell, so that it fits 80 characters; what does
    not fit is folded, never cut.
    """
    gap = 0 if evidence.rival else 1
    table = Table(box=box.SIMPLE_HEAD, padding=(0, gap, 0, 0), show_edge=False)
    table.add_column("", no_wrap=True)
    roles = ["teacher", "control", "student", *(["rival"] if evidence.rival else [])]
    for name in (*roles, FLOOR):
        table.add_column(name, justify="right", overflow="fold")
    quality = [_pick_quality(evidence, role) for role in roles]
    files = [evidence.files.get(f"{role}.onnx") for role in roles]
    trained = ["1", f"mean of {n_replicates}", f"mean of {n_replicates}", "1"]
    table.add_row("models", *trained[: len(roles)], "")
    for metric in [metric for metric in SHOWN if metric in evidence.recovered]:
        scale = style_metric(metric).scale
        shown = [round_interval(q[metric], scale=scale) for q in quality]
        table.add_row(title_metric(metric), *[value for value, _, _ in shown], "")
        table.add_row("  95 % from", *[low for _, low, _ in shown], "")
        table.add_row("       to", *[high for _, _, high in shown], "")
    table.add_row("bytes", *[_count(file.bytes if file else None) for file in files], "")
    table.add_row("parameters", *[_count(file.parameters if file else None) for file in files], "")
    for batch in sorted({fact.batch for fact in evidence.latency.rows}):
        facts = [find_call(evidence, role, batch) for role in roles]
        facts.append(evidence.latency.find_row(FLOOR, batch=batch))
        table.add_row(f"p50 us at {batch:,}", *[_value(f.p50_us) if f else "-" for f in facts])
        table.add_row("p99 us", *[_value(f.p99_us) if f else "-" for f in facts])
    return table


def _pick_quality(evidence: Evidence, role: str) -> Quality:
    """A role's quality; that of the control is metric by metric the one that counts."""
    own = evidence.quality[role]
    if role != "control":
        return own
    counting = evidence.controls
    return {m: evidence.quality[counting.get(m, "control")][m] for m in evidence.recovered}


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _sizes(evidence: Evidence) -> list[Text]:
    """How much smaller the student is; nothing where the teacher has no file."""
    student, teacher = evidence.files[STUDENT], evidence.files.get(TEACHER)
    if teacher is None:
        return []
    line = (
        f"beside the teacher's, the file is {compare_sizes(teacher.bytes, student.bytes)} in bytes"
    )
    if student.parameters and teacher.parameters:
        line += f", {compare_sizes(teacher.parameters, student.parameters)} in parameters"
    return [write_plain(line)]


def _recovered_line(metric: str, evidence: Evidence) -> Text:
    share = evidence.recovered[metric]
    title = style_metric(metric).title
    line = f"recovered edge, {title}: {write_percent(share)}: {title_verdict(share.verdict)}, "
    line += f"{VERDICTS[share.verdict]} (asked {100 * share.asked_share:g} %; "
    line += f"edge {write_difference(metric, evidence.edge[metric])}"
    gained = evidence.gained.get(metric)
    if gained is not None:
        line += f", of it gained {write_difference(metric, gained)}"
    line += ")"
    if share.rows_to_settle:
        line += f"; about {write_roughly(share.rows_to_settle)} test rows would settle it"
    elif share.verdict == "INCONCLUSIVE" and evidence.quantized is None:
        line += "; more replicates are needed, more test rows alone would not settle it"
    return write_plain(line, style="bold" if share.verdict == "RECOVERED" else "bold yellow")


def _control_lines(evidence: Evidence) -> list[Text]:
    """Say of each shown metric which control counted, and what the other one has."""
    lines = []
    for metric in [name for name in evidence.recovered if name in evidence.controls][:2]:
        counting = evidence.controls[metric]
        other = next(role for role in CONTROL_NAMES if role != counting)
        value = write_metric(metric, evidence.quality[other][metric])
        lines.append(
            f"control in {style_metric(metric).title}: {CONTROL_NAMES[counting]}, the better one "
            f"on the test rows; {CONTROL_NAMES[other]}: {value}"
        )
    return [write_plain(line) for line in lines]


def _rival_lines(evidence: Evidence) -> list[Text]:
    """Say which to ship, the student or the rival, and what each wins."""
    if evidence.rival is None:
        return []
    rival, axes = evidence.rival, compare_axes(evidence)
    lead = ", ".join(
        f"{style_metric(axis.name).title} {write_difference(axis.name, interval)}"
        for axis in axes
        if axis.name in SHOWN and (interval := rival.lead.get(axis.name))
    )
    line = f"rival, {rival.name}: {title_verdict(rival.verdict)}, {RIVAL_REASONS[rival.verdict]}"
    lines = [write_plain(f"{line} (the student's lead: {lead})", style="bold")]
    for side in ("student", "rival"):
        won = [_describe_axis(axis) for axis in axes if axis.winner == side]
        if won:
            lines.append(write_plain(f"the {side} wins {', '.join(won)}"))
    return lines


def _describe_axis(axis: Axis) -> str:
    native = " in its own library" if axis.is_native else ""
    student, rival = (write_side(axis, value) for value in (axis.student, axis.rival))
    return f"{style_metric(axis.name).title} ({student}, the rival {rival}{native})"


def _slice_lines(evidence: Evidence) -> list[Text]:
    """Name the slice on which the student falls short the most."""
    if evidence.slices is None:
        return []
    metric, worst = next(iter(evidence.slices.worst.items()))
    if not worst:
        return []
    first, n_worse = worst[0], evidence.slices.n_worse[metric]
    student, teacher = (write_value(metric, value) for value in (first.student, first.teacher))
    return [
        write_plain(
            f"worst of {evidence.slices.n_slices} slices beside the teacher: {first.column} "
            f"{first.value}, {style_metric(metric).title} {student} for {teacher} on "
            f"{first.rows:,} rows: worse by {write_difference(metric, first.shortfall)}; "
            f"worse beyond chance on {n_worse}"
        )
    ]


def _parity_lines(evidence: Evidence) -> list[Text]:
    return [
        write_plain(
            f"parity of {name}: {'passed' if fact.passed else 'FAILED'} on {fact.rows:,} rows, "
            f"{describe_parity(fact)}"
        )
        for name, fact in evidence.parity.items()
    ]


def _value(interval: Interval | None) -> str:
    return "too few" if interval is None else round_interval(interval)[0]
