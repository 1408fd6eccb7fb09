"""Tables of a report: what was measured, as rows of text.

Takes evidence, gives `Grid`s that the HTML and the Markdown page draw alike. Roles, metrics,
batches and files are those that the evidence holds, whatever their number.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from kdexport.bundle import STUDENT
from kdexport.evidence.facts import Evidence, ParityFact
from kdexport.evidence.few_rows import bound_share
from kdexport.evidence.latency_facts import FLOOR, LatencyFact
from kdexport.evidence.parity import FLOAT32, MOST_ROUNDING, find_tolerance
from kdexport.report.figures import (
    Quoted,
    style_metric,
    title_metric,
    write_difference,
    write_interval,
    write_metric,
    write_percent,
    write_roughly,
)
from kdexport.report.headline import find_call, title_verdict

MAIN_METRICS = 2
SHIPPED = "shipped"
ABSENT = "-"
FIDELITIES = {
    "agreement": "rows with the same class",
    "kl": "KL(teacher || student), nats",
    "rmse": "RMSE between the two",
}
FIRST_ROLES = ("teacher", "control", "student")


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes:
        title: What it is of.
        columns: Heads; the first column names its rows.
        rows: Cells; those of class `Quoted` are the user's own text.
        note: What a reader has to know about it, a sentence or nothing.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def list_roles(evidence: Evidence) -> list[str]:
    """Return the roles with a quality, in reading order; the file that ships is none of them."""
    roles = [role for role in FIRST_ROLES if role in evidence.quality]
    return roles + [role for role in evidence.quality if role not in {*roles, SHIPPED}]


def list_metrics(evidence: Evidence) -> list[str]:
    """Return every metric of any role, those with an edge first, the leading one in front."""
    names = dict.fromkeys(evidence.recovered)
    for quality in evidence.quality.values():
        names |= dict.fromkeys(quality)
    return list(names)


def describe_role(evidence: Evidence, role: str) -> str:
    """Return a role's name, and of how many trained networks its figures are the mean."""
    n = count_replicates(evidence, role)
    name = role.replace("_", " ")
    return f"{name}, mean of {n}" if n > 1 else name


def find_control(evidence: Evidence, metric: str) -> str:
    """Return the control that counts in a metric: where there are two, the better one."""
    return evidence.controls.get(metric, "control")


def count_replicates(evidence: Evidence, role: str) -> int:
    """Return how many trained models a role's figures are the mean of."""
    return max((len(values) for values in evidence.replicates.get(role, {}).values()), default=1)


def make_main_grid(evidence: Evidence) -> Grid:
    """Teacher, control, student and whoever else was measured: quality, size, latency."""
    metrics = list(evidence.recovered)[:MAIN_METRICS]
    batches = sorted({row.batch for row in evidence.latency.rows})
    columns = ["", *[title_metric(metric) for metric in metrics], "bytes", "parameters"]
    columns += [f"p50 us, batch {batch:,}" for batch in batches]
    rows = []
    for role in list_roles(evidence):
        file = evidence.files.get(f"{role}.onnx")
        cells = [describe_role(evidence, role)]
        cells += [_quality(evidence, role, metric) for metric in metrics]
        cells += [f"{file.bytes:,}" if file else ABSENT]
        cells += [f"{file.parameters:,}" if file and file.parameters else ABSENT]
        cells += [_write_p50(find_call(evidence, role, batch)) for batch in batches]
        rows.append(tuple(cells))
    if any(row.name == FLOOR for row in evidence.latency.rows):
        blank = [ABSENT] * (len(metrics) + 2)
        times = [_write_p50(evidence.latency.find_row(FLOOR, batch=batch)) for batch in batches]
        rows.append(("empty graph", *blank, *times))
    note = f"Intervals of quality are 95 %, of latency 99 %. {describe_shipped(evidence)}"
    return Grid("At a glance", tuple(columns), tuple(rows), note)


def describe_shipped(evidence: Evidence) -> str:
    """Say which of the students ships, and what it scores by itself."""
    leading = next(iter(evidence.recovered))
    n = len(evidence.replicates.get("student", {}).get(leading, []))
    line = f"{STUDENT} is replicate {evidence.shipped_replicate + 1} of {n}, "
    line += "chosen on validation rows"
    own = evidence.quality.get(SHIPPED, {}).get(leading)
    if own is None:
        return f"{line}."
    return f"{line}: by itself its {style_metric(leading).title} is {write_metric(leading, own)}."


def make_edge_grid(evidence: Evidence) -> Grid:
    """Edge and recovered edge by metric, with verdicts."""
    rows = []
    for metric, share in evidence.recovered.items():
        settle = ABSENT
        if share.rows_to_settle:
            settle = write_roughly(share.rows_to_settle)
        elif share.verdict == "INCONCLUSIVE":
            settle = "needs more replicates" if evidence.quantized is None else "not known of int8"
        rows.append(
            (
                style_metric(metric).title,
                write_difference(metric, evidence.edge[metric]),
                *_gain_cells(evidence, metric),
                write_percent(share),
                f"{100 * share.asked_share:g} %",
                title_verdict(share.verdict),
                settle,
            )
        )
    columns = ["metric", "edge", *(["student minus control"] if evidence.gained else [])]
    columns += ["recovered", "asked", "verdict", "test rows that would settle it"]
    counted = [
        f"{style_metric(metric).title}: {role.replace('_', ' ')}"
        for metric, role in evidence.controls.items()
        if metric in evidence.recovered
    ]
    note = (
        "Edge: teacher minus control"
        + (f" (of two, the better one counts; {', '.join(counted)})" if counted else "")
        + ". Recovered: (student minus control) / edge, in the same draws "
        "of test rows and replicates; nothing is clipped, so it may lie beyond 0 and 100 %."
    )
    return Grid("Recovered edge", tuple(columns), tuple(rows), note)


def _gain_cells(evidence: Evidence, metric: str) -> list[str]:
    """The student's gain over the control, a cell where any metric has one."""
    if not evidence.gained:
        return []
    gained = evidence.gained.get(metric)
    return [write_difference(metric, gained) if gained else ABSENT]


def make_quality_grid(evidence: Evidence) -> Grid:
    """Every metric of every role, and of the file that ships."""
    roles = [*list_roles(evidence), *([SHIPPED] if SHIPPED in evidence.quality else [])]
    titles = [
        f"{STUDENT} that ships" if role == SHIPPED else describe_role(evidence, role)
        for role in roles
    ]
    rows = []
    for metric in list_metrics(evidence):
        better = style_metric(metric).better
        head = title_metric(metric) + (f" ({better} is better)" if better else "")
        rows.append((head, *[_quality(evidence, role, metric) for role in roles]))
    note = "Intervals: 95 %, over test rows, and over replicates where it is a mean of them."
    return Grid("Every metric", ("metric", *titles), tuple(rows), note)


def make_fidelity_grid(evidence: Evidence) -> Grid:
    """How the student answers beside its teacher."""
    n, rows = evidence.task.rows["test"].rows, []
    is_weighted = bool(evidence.read_setting("columns", "weight", ""))
    for name, value in evidence.fidelity.items():
        if name == "agreement" and not is_weighted:
            rows.append((FIDELITIES[name], write_percent(bound_share(value, n))))
            continue
        title = FIDELITIES.get(name, name)
        rows.append((title, f"{value:.3g} (a mean whose spread is not kept: no interval)"))
    note = f"On {n:,} test rows, right or wrong."
    return Grid("Fidelity: student beside teacher", ("", "value"), tuple(rows), note)


def make_parity_grid(evidence: Evidence) -> Grid:
    """How far each file is from the network it was exported from."""
    rows = [
        (
            Quoted(name),
            f"{fact.rows:,}",
            *[_write_difference(value) for value in _list_differences(fact)],
            f"{fact.flips:,}",
            f"{fact.ties:,}",
            "passed" if fact.passed else "FAILED",
        )
        for name, fact in evidence.parity.items()
    ]
    columns = ["file", "rows", "largest difference of a probability", "mean of it"]
    columns += ["largest of a logit or number", "flips", "ties", "verdict"]
    note = (
        f"{describe_tolerances(evidence)} Largest of all rows, altered ones among them, so there "
        "is no interval. A flip is another class; a tie could go either way."
    )
    return Grid("Parity: file beside network", tuple(columns), tuple(rows), note)


def describe_tolerances(evidence: Evidence) -> str:
    """Say how far files may be from what they were made of."""
    text = (
        f"At most {FLOAT32.probability:g} for probabilities, or what float32 rounds their row by "
        f"({MOST_ROUNDING:g} at most); {FLOAT32.relative:g} for logits and numbers, as a share of "
        "their size."
    )
    if evidence.quantized is None:
        return text
    coarse = find_tolerance(evidence, STUDENT)
    return (
        f"{text} {STUDENT}, in int8, stands beside the float32 file that it was made of: at most "
        f"{coarse.probability:g} and {coarse.relative:.0%}."
    )


def _list_differences(fact: ParityFact) -> Iterable[float | None]:
    yield fact.max_probability_difference
    yield fact.mean_probability_difference
    yield fact.max_relative_difference


def _write_difference(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.1e}"


def _quality(evidence: Evidence, role: str, metric: str) -> str:
    found = evidence.quality[role].get(metric)
    style = style_metric(metric)
    return write_interval(found, scale=style.scale) if found else ABSENT


def _write_p50(row: LatencyFact | None) -> str:
    if row is None:
        return ABSENT
    if row.p50_us is None:
        return f"needs {row.calls_needed.get('p50', 0):,} calls"
    return write_interval(row.p50_us)
