"""Is the latency run to be believed, and what does it find? One part per promise.

  same      50 runs of one file against itself, a neighbour at full load beside them
  node      20 runs of 10 s: is one node more, some 0.4 us, told from the original?
  overhead  what the runner adds to an empty function
  default   how long `kdexport bench models/clicks` takes
  alone     student and teacher over the floor, each without company; the student's network alone
  rivals    what one would ship instead, in one run: the teacher, boosted trees, torch

Each part replaces its own rows and claims in the result, so that parts can be run apart. Every
candidate has one thread.

Usage: python -m benchmarks.latency [--only same,node,...]
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from scipy.stats import binomtest
from threadpoolctl import threadpool_limits

from benchmarks.neighbour import busy_neighbour
from benchmarks.rivals import make_rivals
from kdexport.bundle import STUDENT, TEACHER, load_bundle
from kdexport.contract import LABEL, NUMERIC, PROBABILITIES, parse_model, serialize_model
from kdexport.evidence.compare import estimate_mean, estimate_ratio
from kdexport.evidence.golden import unpack_golden
from kdexport.evidence.latency import measure_latency
from kdexport.evidence.latency_facts import LatencyRecord, find_block_medians
from kdexport.evidence.machine import describe_machine, read_load
from kdexport.evidence.shape import Interval
from kdexport.runtime import open_session

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "benchmarks" / "results" / "latency.json"
CLICKS = load_bundle(ROOT / "models" / "clicks")
FEEDS = unpack_golden(CLICKS.files).inputs.feeds()
Outcome = tuple[list[dict[str, Any]], list[dict[str, Any]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(PARTS), help="parts between commas")
    names = parser.parse_args().only.split(",")
    torch.set_num_threads(1)
    for name in names:
        load_before, start = read_load(), time.perf_counter()
        with threadpool_limits(1):
            rows, claims = PARTS[name]()
        run = {"load_before": load_before, "seconds": round(time.perf_counter() - start, 1)}
        save_part(name, [{**row, **run} for row in rows], claims)
        print(name, json.dumps(claims, indent=1), flush=True)


def measure_same() -> Outcome:
    """The same file under two names, beside a process at full load."""
    rows = []
    with busy_neighbour():
        for seed in range(50):
            student = open_session(CLICKS.files[STUDENT])
            pair = {"one": student, "same": open_session(CLICKS.files[STUDENT])}
            record = measure_latency(pair, FEEDS, batches=[1], seconds=2.0, seed=seed)
            rows.append(describe_verdicts(record, "same"))
    n_right = sum(set(row["verdicts"]) == {"NO_DIFFERENCE"} for row in rows)
    return rows, [claim_count("same file: no difference", n_right, 50, 48)]


def measure_node() -> Outcome:
    """The student with one node more than it needs."""
    rows = []
    more = open_session(add_node(CLICKS.files[STUDENT]))
    for seed in range(20):
        pair = {"student": open_session(CLICKS.files[STUDENT]), "one node more": more}
        record = measure_latency(pair, FEEDS, batches=[1], seconds=10.0, seed=seed)
        rows.append(describe_verdicts(record, "one node more"))
    n_right = sum(set(row["verdicts"]) == {"SLOWER"} for row in rows)
    return rows, [claim_count("one node more: slower", n_right, 20, 18)]


def measure_overhead() -> Outcome:
    """Median reading of an empty function less its time in a bare loop."""

    def empty(_: Any) -> None:
        return None

    n_loops, overheads_us = 20_000, []
    for seed in range(10):
        record = measure_latency({"empty": empty}, FEEDS, batches=[1], seconds=0.5, seed=seed)
        start = time.perf_counter_ns()
        for _ in range(n_loops):
            empty(FEEDS)
        bare_us = (time.perf_counter_ns() - start) / n_loops / 1e3
        overheads_us.append(record.find_row("empty", path="call").p50_us.value - bare_us)
    overhead = estimate_mean(np.array(overheads_us))
    return [{"overheads_us": overheads_us}], [
        claim("runner's overhead per call", overhead, "us", 0.3)
    ]


def measure_default() -> Outcome:
    """The command as a user starts it, from a cold interpreter."""
    code = "from kdexport.cli import main; main()"
    command = [sys.executable, "-c", code, "bench", str(CLICKS.path)]
    times_s = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        times_s.append(time.perf_counter() - start)
    found = Interval(value=float(np.median(times_s)), low=min(times_s), high=max(times_s))
    return [{"times_s": times_s}], [claim("kdexport bench models/clicks", found, "s", 20.0)]


def measure_alone() -> Outcome:
    """Student and teacher in runs of their own: nothing else of any size in the caches."""
    students = {
        "student": open_session(CLICKS.files[STUDENT]),
        "network alone": open_session(strip_student(CLICKS.files[STUDENT])),
    }
    small = measure_latency(students, FEEDS, batches=[1, 1024], seconds=30.0)
    teacher = {"teacher": open_session(CLICKS.files[TEACHER])}
    big = measure_latency(teacher, FEEDS, batches=[1, 1024], seconds=30.0)
    shipped, network = (small.find_row(name).over_floor_us for name in students)
    plain, bound = (
        find_block_medians(small.find_row("student", path=path).raw)
        for path in ("run", "io_binding")
    )
    one, many = (big.find_row("teacher", batch=batch).p50_us for batch in (1, 1024))
    return [*describe_rows(small), *describe_rows(big)], [
        claim("student over the floor, batch 1", shipped, "us", 2.0),
        claim("its network alone over the floor, batch 1", network, "us", 2.0),
        claim("IO binding over plain, batch 1", estimate_ratio(bound, plain), "times", 0.8),
        claim("teacher, batch 1", one, "us", 61.0),
        claim("teacher, batch 1,024", many, "us", 11_500.0),
    ]


def measure_rivals() -> Outcome:
    """Everything one could ship, in one run; ratios are over the student's time."""
    rivals, absent = make_rivals(CLICKS.files[STUDENT])
    files = {Path(name).stem: open_session(CLICKS.files[name]) for name in (STUDENT, TEACHER)}
    record = measure_latency({**files, **rivals}, FEEDS, batches=[1, 1024], seconds=80.0)
    rows = describe_rows(record)
    rows += [{"name": name, "absent": "library or compiler not installed"} for name in absent]
    return rows, []


PARTS = {
    "same": measure_same,
    "node": measure_node,
    "overhead": measure_overhead,
    "default": measure_default,
    "alone": measure_alone,
    "rivals": measure_rivals,
}


def add_node(content: bytes) -> bytes:
    """Put an operator that changes nothing, and is not optimized away, behind the probabilities."""
    model = parse_model(content)
    (softmax,) = [node for node in model.graph.node if PROBABILITIES in node.output]
    softmax.output[0] = "before"
    model.graph.node.append(onnx.helper.make_node("Abs", ["before"], [PROBABILITIES]))
    return serialize_model(model)


def strip_student(content: bytes) -> bytes:
    """Keep layers and softmax: no label, nothing for missing or extreme cells."""
    model = parse_model(content)
    graph = model.graph
    first = next(node for node in graph.node if node.op_type == "Gemm")
    before = list(graph.node)[: list(graph.node).index(first)]
    label = [node for node in graph.node if LABEL in node.output]
    for node in (*before, *label):
        graph.node.remove(node)
    first.input[0] = NUMERIC
    graph.output.remove(next(value for value in graph.output if value.name == LABEL))
    onnx.checker.check_model(model)
    return serialize_model(model)


def describe_verdicts(record: LatencyRecord, name: str) -> dict[str, Any]:
    """Plain and bound verdicts of one run, and what they rest on."""
    ratios = [ratio for ratio in record.ratios if ratio.name == name]
    return {
        "verdicts": [ratio.verdict for ratio in ratios],
        "ratios": [[ratio.ratio.low, ratio.ratio.value, ratio.ratio.high] for ratio in ratios],
        "noise": [ratio.noise for ratio in ratios],
    }


def describe_rows(record: LatencyRecord) -> list[dict[str, Any]]:
    """What the README shows of each lane; `kdexport bench --json` keeps the raw times."""
    ratios = {(r.name, r.path, r.batch): r.ratio.model_dump() for r in record.ratios}
    rows = []
    for row in record.rows:
        kept = row.model_dump(exclude={"raw", "raw_after_others", "threads"})
        rate = row.batch / row.p50_us.value * 1e6 if row.p50_us else None
        ratio = ratios.get((row.name, row.path, row.batch))
        rows.append({**kept, "rows_per_second": rate, "times_the_student": ratio})
    return [*rows, {"notes": record.notes}]


def claim_count(name: str, n_right: int, n_runs: int, target: int) -> dict[str, Any]:
    """How many of the runs were right, with the binomial 95 % interval."""
    share = binomtest(n_right, n_runs).proportion_ci()
    found = Interval(value=n_right, low=n_runs * share.low, high=n_runs * share.high)
    return claim(name, found, f"of {n_runs} runs", target, at_least=True)


def claim(
    name: str, found: Interval, unit: str, target: float, *, at_least: bool = False
) -> dict[str, Any]:
    met = found.value >= target if at_least else found.value <= target
    interval = {key: float(value) for key, value in found.model_dump().items()}
    return {"name": name, **interval, "unit": unit, "target": target, "met": met}


def save_part(part: str, rows: Sequence[dict[str, Any]], claims: Sequence[dict[str, Any]]) -> None:
    """Replace what an earlier run left of this part, and keep the parts in order."""
    old = json.loads(RESULT.read_text()) if RESULT.exists() else {"rows": [], "claims": []}
    result: dict[str, Any] = {
        "name": "latency",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": describe_machine().model_dump(mode="json") | {"torch": torch.__version__},
        "command": "python -m benchmarks.latency",
    }
    for kind, fresh in (("rows", rows), ("claims", claims)):
        kept = [entry for entry in old[kind] if entry["part"] != part]
        kept += [{"part": part, **entry} for entry in fresh]
        result[kind] = sorted(kept, key=lambda entry: list(PARTS).index(entry["part"]))
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
