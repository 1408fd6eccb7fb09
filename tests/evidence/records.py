"""Latency facts and records with times that the test chooses; evidence with a rival."""

from collections.abc import Mapping

import numpy as np

from kdexport.evidence.compare import compare_rows
from kdexport.evidence.facts import Evidence, FileFact
from kdexport.evidence.latency_facts import (
    LatencyFact,
    LatencyRecord,
    MachineFact,
    MemoryFact,
    StartFact,
    pack_times,
    unpack_times,
)
from kdexport.evidence.metrics import METRICS, improvement
from kdexport.evidence.percentiles import estimate_percentiles
from kdexport.evidence.rival import judge_rival
from kdexport.evidence.shape import Interval

MACHINE = MachineFact(
    system="Linux x86_64",
    cpu="a CPU",
    cpu_flags=("avx2",),
    cores_allowed=2,
    core_quota=None,
    memory_limit_bytes=None,
    governor=None,
    python="3.11.7",
    numpy="2.4.6",
    runtime={"onnxruntime": "1.32.0", "provider": "CPUExecutionProvider"},
)


def make_row(name: str, times_ns: np.ndarray, batch: int = 1) -> LatencyFact:
    """A lane with these times, **Shape** `[blocks, turns]`."""
    percentiles, needed = estimate_percentiles(times_ns.ravel() / 1e3)
    raw = pack_times(times_ns.astype(np.int64))
    return LatencyFact(
        name=name,
        path="run",
        batch=batch,
        threads=1,
        calls=times_ns.size,
        **{f"{key}_us": value for key, value in percentiles.items()},
        after_others_p50_us=percentiles["p50"],
        floor_p50_us=4.5,
        over_floor_us=Interval(value=4.5, low=4.4, high=4.6),
        cpu_share=1.0,
        calls_needed=needed,
        raw=raw,
        raw_after_others=raw,
    )


def scale_times(row: LatencyFact, factor: float) -> LatencyFact:
    """The same lane with all its times multiplied."""
    times_ns = unpack_times(row.raw.packed_ns or "", blocks=row.raw.blocks)
    return make_row(row.name, times_ns * factor, row.batch).model_copy(update={"path": row.path})


def make_record(levels_us: Mapping[str, float], batches: tuple[int, ...] = (1,)) -> LatencyRecord:
    """A quiet run: each candidate takes its level in every batch size, give or take 1 %."""
    rng = np.random.default_rng(0)
    rows = [
        make_row(name, 1e3 * us * rng.lognormal(0, 0.01, (30, 40)), batch)
        for batch in batches
        for name, us in levels_us.items()
    ]
    start = StartFact(
        name=next(iter(levels_us)),
        batch=1,
        threads=1,
        open_us=[800.0],
        first_call_us=[60.0],
        warm_up_calls=40,
        steady_share=1.0,
    )
    memory = MemoryFact(
        name=start.name, batch=batches[-1], growth_bytes=4_000_000, peak_growth_bytes=5_000_000
    )
    return LatencyRecord(
        kdexport_version="0.1.0",
        machine=MACHINE,
        seconds=1.0,
        load_before=0.1,
        load_after=0.2,
        notes=[],
        rows=rows,
        starts=[start],
        ratios=[],
        memory=[memory],
        load=[],
    )


def make_interval(low: float, high: float) -> Interval:
    """An interval around its middle."""
    return Interval(value=(low + high) / 2, low=low, high=high)


def add_rival(evidence: Evidence, *, is_native: bool = False) -> Evidence:
    """Add a rival that answers as the teacher does: better, larger, slower at batch 1 alone.

    It leads by 0.1 either way; a native one has no file and is timed in its own library.
    """
    rng = np.random.default_rng(0)
    name = "rival" if is_native else "rival.onnx"
    rows = []
    for who, batch, us in (
        ("student.onnx", 1, 7.0),
        (name, 1, 12.0),
        ("student.onnx", 1024, 150.0),
        (name, 1024, 150.0),
    ):
        row = make_row(who, 1e3 * us * rng.lognormal(0, 0.01, (30, 40)), batch)
        rows.append(row.model_copy(update={"path": "call" if who == "rival" else "run"}))
    ratios = [one for one in evidence.latency.ratios if one.name != name]
    for batch in (1, 1024):
        timed = [row for row in rows if row.batch == batch]
        ratios += compare_rows(timed, "student.onnx", "student.onnx again")
    quality = {**evidence.quality, "rival": evidence.quality["teacher"]}
    lead = {}
    for metric in evidence.recovered:
        ours, theirs = (np.asarray(quality[role][metric].value) for role in ("student", "rival"))
        value = float(improvement(METRICS[metric], ours, theirs))
        lead[metric] = Interval(value=value, low=value - 0.1, high=-1e-9)
    own = {} if is_native else {"rival.onnx": FileFact(sha256="0", bytes=10**6)}
    update = {
        "rival": judge_rival("boosted trees", lead),
        "quality": quality,
        "replicates": {**evidence.replicates, "rival": evidence.replicates["teacher"]},
        "files": {**evidence.files, **own},
        "latency": evidence.latency.model_copy(update={"rows": rows, "ratios": ratios}),
    }
    return evidence.model_copy(update=update)


def add_plain_control(evidence: Evidence) -> Evidence:
    """Add a second control that is as good as the first one, which counts."""
    quality = {**evidence.quality, "plain_control": evidence.quality["control"]}
    replicates = {**evidence.replicates, "plain_control": evidence.replicates["control"]}
    controls = dict.fromkeys(evidence.recovered, "control")
    update = {"quality": quality, "replicates": replicates, "controls": controls}
    return evidence.model_copy(update=update)
