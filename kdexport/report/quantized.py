"""What int8 saved and cost, in words: evidence in, lines out."""

from kdexport.bundle import STUDENT
from kdexport.evidence.facts import Evidence
from kdexport.evidence.latency_facts import FLOAT_STUDENT
from kdexport.report.figures import round_interval, style_metric, write_difference


def describe_quantized(evidence: Evidence) -> list[str]:
    """Say what int8 saved and cost, and what it is good for."""
    fact, size = evidence.quantized, evidence.files[STUDENT].bytes
    if fact is None:
        return []
    metric = next(iter(evidence.recovered))
    loss, edge = fact.loss[metric], evidence.edge[metric]
    said = f"{write_difference(metric, loss)} of {style_metric(metric).title}"
    if min(edge.low, edge.value) > 0:
        said += f", {loss.value / edge.value:z.1%} of the edge"
    lines = [f"{size:,} bytes of {fact.source_bytes:,}; it costs {said}"]
    if not evidence.signature.is_regression:
        n_rows = evidence.task.rows["test"].rows
        lines[0] += f"; {fact.flips:,} of {n_rows:,} test rows change their class"
    both = [evidence.latency.find_row(name) for name in (STUDENT, FLOAT_STUDENT)]
    times = [round_interval(row.p50_us)[0] for row in both if row and row.p50_us]
    if len(times) == len(both):
        ours, theirs = times
        lines.append(f"one call takes {ours} us, {theirs} us as float32")
    lines.append("do not quantize for speed; do for flash")
    return lines
