"""Evidence for the terminal: one table that reads at a glance, and the verdict in words.

Takes evidence, gives a rich renderable. Reads no file and measures nothing.
"""

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from kdexport.evidence.facts import Evidence, Interval, Recovered
from kdexport.evidence.latency_facts import LatencyFact
from kdexport.evidence.parity import describe_parity

SHOWN = ("accuracy", "log_loss", "rmse", "r2")
PERCENT = {"accuracy"}
TEN = 10  # from here on five digits say more than four decimals
VERDICTS = {
    "RECOVERED": "the asked share of the edge is recovered",
    "NOT_RECOVERED": "the student falls short of the asked share",
    "INCONCLUSIVE": "the test rows cannot tell",
    "NO_EDGE": "the teacher is not measurably better than the control: do not distill for this",
}


def render_evidence(evidence: Evidence) -> Group:
    """Return the summary of a bundle: quality, size and latency, recovered edge, parity."""
    parts = ", ".join(f"{fact.rows:,} {name}" for name, fact in evidence.task.rows.items())
    head = f"{evidence.task.source}: {parts} rows, {evidence.task.n_features} features, "
    n_classes = len(evidence.task.classes)
    head += f"{n_classes} classes" if n_classes else "a number"
    leading = next(iter(evidence.recovered))
    n = len(evidence.replicates["student"][leading])
    shipped = evidence.quality["shipped"][leading]
    return Group(
        Text(head),
        _main_table(evidence, n),
        Text(
            f"student.onnx is replicate {evidence.shipped_replicate + 1} of {n}, chosen on "
            f"validation rows: {_name(leading)} {_with_bounds(leading, shipped)}"
        ),
        _sizes(evidence),
        *[_recovered_line(metric, evidence) for metric in list(evidence.recovered)[:2]],
        *_parity_lines(evidence),
    )


def _main_table(evidence: Evidence, n_replicates: int) -> Table:
    """One column per candidate, so that it fits 80 characters."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for name in ("teacher", "control", "student", "floor"):
        table.add_column(name, justify="right")
    roles = ("teacher", "control", "student")
    quality = [evidence.quality[role] for role in roles]
    files = [evidence.files.get(f"{role}.onnx") for role in roles]
    table.add_row("trained networks", "1", f"mean of {n_replicates}", f"mean of {n_replicates}", "")
    for metric in SHOWN[:2] if "accuracy" in quality[0] else SHOWN[2:]:
        table.add_row(_name(metric), *[_scaled(metric, q[metric].value) for q in quality], "")
        table.add_row("  95 %", *[_bounds(metric, q[metric]) for q in quality], "")
    table.add_row("bytes", *[f"{file.bytes:,}" if file else "-" for file in files], "")
    table.add_row("parameters", *[f"{file.parameters:,}" if file else "-" for file in files], "")
    for batch in sorted({fact.batch for fact in evidence.latency.rows}):
        names = (*[f"{role}.onnx" for role in roles], "floor")
        facts = [_find_latency(evidence, name, batch) for name in names]
        table.add_row(f"p50 us, batch {batch:,}", *[_value(f.p50_us) if f else "-" for f in facts])
        table.add_row("p99 us", *[_value(f.p99_us) if f else "-" for f in facts])
    return table


def _bounds(metric: str, interval: Interval) -> str:
    return f"{_scaled(metric, interval.low)}-{_scaled(metric, interval.high)}"


def _name(metric: str) -> str:
    name = metric.replace("_", " ")
    return f"{name}, %" if metric in PERCENT else name


def _scaled(metric: str, value: float) -> str:
    if metric in PERCENT:
        return f"{100 * value:.2f}"
    return f"{value:.4f}" if abs(value) < TEN else f"{value:,.5g}"


def _with_bounds(metric: str, interval: Interval) -> str:
    low, high = _scaled(metric, interval.low), _scaled(metric, interval.high)
    return f"{_scaled(metric, interval.value)} [{low}, {high}]"


def _find_latency(evidence: Evidence, name: str, batch: int) -> LatencyFact | None:
    key = (name, batch, "run")
    found = [row for row in evidence.latency.rows if (row.name, row.batch, row.path) == key]
    return found[0] if found else None


def _sizes(evidence: Evidence) -> Text:
    student, teacher = evidence.files["student.onnx"], evidence.files["teacher.onnx"]
    line = f"the file is {teacher.bytes / student.bytes:.0f} times smaller in bytes"
    if student.parameters and teacher.parameters:
        line += f", {teacher.parameters / student.parameters:.0f} times in parameters"
    return Text(line)


def _recovered_line(metric: str, evidence: Evidence) -> Text:
    share: Recovered = evidence.recovered[metric]
    edge = evidence.edge[metric]
    name = metric.replace("_", " ")
    line = f"recovered edge, {name}: {_percent(share)}: {share.verdict.replace('_', ' ')}, "
    line += f"{VERDICTS[share.verdict]} (asked {share.asked_share:.0%}; "
    line += f"edge {edge.value:.4g} [{edge.low:.4g}, {edge.high:.4g}])"
    if share.rows_to_settle:
        line += f"; about {share.rows_to_settle:,} test rows would settle it"
    elif share.verdict == "INCONCLUSIVE":
        line += "; more replicates are needed, more test rows alone would not settle it"
    return Text(line, style="bold" if share.verdict == "RECOVERED" else "bold yellow")


def _parity_lines(evidence: Evidence) -> list[Text]:
    return [
        Text(
            f"parity of {name}: {'passed' if fact.passed else 'FAILED'} on {fact.rows:,} rows, "
            f"{describe_parity(fact)}"
        )
        for name, fact in evidence.parity.items()
    ]


def _percent(interval: Interval) -> str:
    low, high = 100 * interval.low, 100 * interval.high
    return f"{100 * interval.value:.2f} % [{low:.2f}, {high:.2f}]"


def _value(interval: Interval | None) -> str:
    return "too few" if interval is None else f"{interval.value:,.1f}"
