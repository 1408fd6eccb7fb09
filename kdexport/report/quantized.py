"""What int8 saved and cost, in words: evidence in, lines out."""

from kdexport.bundle import STUDENT
from kdexport.evidence.facts import Evidence
from kdexport.evidence.latency_facts import FLOAT_STUDENT


def describe_quantized(evidence: Evidence) -> list[str]:
    """Say what int8 saved and cost, and what it is good for."""
    fact, size = evidence.quantized, evidence.files[STUDENT].bytes
    if fact is None:
        return []
    metric = next(iter(evidence.recovered))
    loss, edge = fact.loss[metric], evidence.edge[metric]
    said = f"{loss.value:.2g} [{loss.low:.2g}, {loss.high:.2g}] of {metric}"
    if edge.low > 0:
        said += f", {loss.value / edge.value:.1%} of the edge"
    lines = [f"{size:,} bytes of {fact.source_bytes:,}; it costs {said}"]
    if not evidence.signature.is_regression:
        n_rows = evidence.task.rows["test"].rows
        lines[0] += f"; {fact.flips:,} of {n_rows:,} test rows change their class"
    times = {
        row.name: row.p50_us
        for row in evidence.latency.rows
        if (row.path, row.batch) == ("run", min(r.batch for r in evidence.latency.rows))
    }
    ours, theirs = times.get(STUDENT), times.get(FLOAT_STUDENT)
    if ours is not None and theirs is not None:
        lines.append(f"one call takes {ours.value:.1f} us, {theirs.value:.1f} us as float32")
    lines.append("do not quantize for speed; do for flash")
    return lines
