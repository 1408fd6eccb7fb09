"""How many faults were tried, and how many of them left nothing broken.

Stops at random moments, hostile files, fuzzed readers, and the load of many calls and many rows.

    python -m benchmarks.faults [--stops 200] [--fuzzed 100000] [--rows 5000000]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import kdexport.training  # noqa: F401  (sets OpenMP's spinning before torch is imported)
from benchmarks.fuzzing import fuzz, open_targets
from benchmarks.hostile import MAX_MB, list_attacks, open_range
from benchmarks.record import make_claim, write_result
from benchmarks.stops import CODE, QUICK, try_stops
from kdexport import open_session
from kdexport.pipeline import run
from kdexport.recipe import read_recipe

Rows = list[dict[str, Any]]
ROOT = Path(__file__).parents[1]
N_THREADS, N_COLUMNS = 8, 8
SIZES = (0.02, 0.2, 1.0)  # shares of --rows: memory has to stay flat over them
TELLING = (
    """
import atexit, pathlib, sys
path = pathlib.Path(sys.argv.pop(1))
atexit.register(lambda: path.write_text(pathlib.Path("/proc/self/status").read_text()))
"""
    + CODE
)


def measure_stops(n_trials: int) -> Rows:
    """Stop run, export and report at random moments."""
    return [
        {
            "kind": f"{trial.command} and {trial.number.name}",
            "name": f"{trial.way}, after {trial.moment_s} s",
            "found": f"exit code {trial.code}, the {trial.left} bundle",
            "faults": list(trial.faults),
        }
        for trial in try_stops(n_trials, seed=0)
    ]


def measure_hostile() -> Rows:
    """Run commands on files that were made to do harm."""
    rows = []
    with open_range() as attempt:
        for attack in list_attacks():
            verdict = attempt(attack)
            rows.append(
                {
                    "kind": f"hostile {verdict.kind}",
                    "name": verdict.name,
                    "found": f"exit code {verdict.code}",
                    "peak_mb": min(verdict.peak_mb, 1e6),
                    "faults": list(verdict.faults),
                }
            )
    return rows


def measure_fuzzed(n_inputs: int, bundle: Path) -> Rows:
    """Feed every reader changed files."""
    rows = []
    with open_targets(bundle) as targets:
        for name, target in targets.items():
            n_tried, found = fuzz(*target, n_inputs)
            row = {"kind": f"fuzzed {name}", "name": f"{n_tried} inputs", "tried": n_tried}
            rows.append({**row, "faults": [found] if found else []})
    return rows


def measure_calls(n_calls: int, bundle: Path) -> Rows:
    """Share one session between threads; every answer has to be the one given alone."""
    session = open_session(bundle / "student.onnx")
    draw = np.random.default_rng(0)
    numeric = draw.normal(size=(64, len(session.signature.numeric))).astype(np.float32)
    texts = np.full((64, len(session.signature.categorical)), "p", object)
    both = {"numeric": numeric, "categorical": texts}
    feeds = [
        {name: both[name][i : i + 1] for name in session.input_names} for i in range(len(numeric))
    ]
    expected = [session.run(feed)["probabilities"] for feed in feeds]
    wrong = [0] * N_THREADS

    def call(thread: int) -> None:
        for i in range(n_calls // N_THREADS):
            which = (i + thread) % len(feeds)
            answer = session.run(feeds[which])["probabilities"]
            wrong[thread] += not np.array_equal(answer, expected[which])

    for _ in range(2000):
        session.run(feeds[0])
    before_mb = _resident_mb()
    threads = [threading.Thread(target=call, args=(i,)) for i in range(N_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    grown_mb = _resident_mb() - before_mb
    faults = [f"{sum(wrong)} wrong answers"] if any(wrong) else []
    name = f"{n_calls} calls from {N_THREADS} threads"
    return [{"kind": "load", "name": name, "grown_mb": round(grown_mb, 1), "faults": faults}]


def measure_predict(n_rows: int, bundle: Path) -> Rows:
    """Predict files of growing size, CSV and Parquet, in and out: memory stays flat."""
    signature = open_session(bundle / "student.onnx").signature
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for ending in ("csv", "parquet"):
            for share in SIZES:
                n_here = int(n_rows * share)
                source = folder / f"rows.{ending}"
                _write_rows(source, n_here, signature.numeric, signature.categorical)
                output = folder / f"answers.{ending}"
                arguments = ["predict", str(bundle / "student.onnx"), str(source)]
                peak = folder / "peak"
                command = [sys.executable, "-c", TELLING, str(peak), *arguments]
                done = subprocess.run(
                    [*command, "-o", str(output), "--force"], capture_output=True, text=True
                )
                faults = [] if done.returncode == 0 else [done.stderr[-300:]]
                n_out = _count_rows(output) if output.exists() else 0
                faults += [] if n_out == n_here else [f"{n_out} rows out"]
                lines = peak.read_text().splitlines()
                peak_mb = next(int(line.split()[1]) / 1024 for line in lines if "VmHWM" in line)
                rows.append(
                    {
                        "kind": f"predict {ending}",
                        "name": f"{n_here} rows",
                        "peak_mb": round(peak_mb, 1),
                        "faults": faults,
                    }
                )
    return rows


def _write_rows(
    path: Path, n_rows: int, numeric: Sequence[str], categorical: Sequence[str]
) -> None:
    draw = np.random.default_rng(0)
    extra = max(0, N_COLUMNS - len(numeric) - len(categorical))
    names = [*numeric, *(f"extra{i}" for i in range(extra))]
    columns: dict[str, Any] = {name: draw.normal(size=n_rows).round(4) for name in names}
    columns |= {name: draw.choice(["p", "q", "r"], n_rows) for name in categorical}
    frame = pl.DataFrame(columns)
    frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_csv(path)


def _count_rows(path: Path) -> int:
    scan = pl.scan_parquet(path) if path.suffix == ".parquet" else pl.scan_csv(path)
    return int(scan.select(pl.len()).collect().item())


def _resident_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def count_by_kind(rows: Sequence[Mapping[str, Any]]) -> Rows:
    """Return how many faults of each kind were tried and survived."""
    kinds = dict.fromkeys(str(row["kind"]) for row in rows)
    counted = []
    for kind in kinds:
        of_kind = [row for row in rows if row["kind"] == kind]
        broken = [row for row in of_kind if row["faults"]]
        counted.append(
            {
                "kind": kind,
                "tried": sum(int(row.get("tried", 1)) for row in of_kind),
                "survived": sum(int(row.get("tried", 1)) for row in of_kind if not row["faults"]),
                "broken": [{"name": row["name"], "faults": row["faults"]} for row in broken],
            }
        )
    return counted


def make_claims(rows: Rows, counted: Rows) -> Rows:
    """Return what must hold."""

    def survived(prefix: Sequence[str]) -> float:
        of = [row for row in counted if str(row["kind"]).startswith(tuple(prefix))]
        return sum(row["survived"] for row in of) / max(1, sum(row["tried"] for row in of))

    claims = [
        make_claim(name, survived(prefix), unit="share", target=1.0, at_least=True)
        for name, prefix in (
            ("stops survived", ("run and", "export and", "report and")),
            ("hostile files survived", ("hostile",)),
            ("fuzzed inputs survived", ("fuzzed",)),
        )
        if any(str(row["kind"]).startswith(tuple(prefix)) for row in counted)
    ]
    peaks = [row["peak_mb"] for row in rows if str(row["kind"]).startswith("hostile")]
    if peaks:
        name = "peak memory of a command on a hostile file"
        claims.append(make_claim(name, max(peaks), unit="MB", target=MAX_MB, at_least=False))
    for row in rows:
        if row["kind"] == "load":
            name = f"memory grown over {row['name']}"
            claims.append(make_claim(name, row["grown_mb"], unit="MB", target=20, at_least=False))
    for ending in ("csv", "parquet"):
        grown = [row["peak_mb"] for row in rows if row["kind"] == f"predict {ending}"]
        if grown:
            name = f"peak memory of predict, {ending}, largest over middle"
            value = grown[-1] / grown[-2]
            claims.append(make_claim(name, value, unit="ratio", target=1.25, at_least=False))
    return claims


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stops", type=int, default=200)
    parser.add_argument("--fuzzed", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=2_000_000)
    parser.add_argument("--rows", type=int, default=5_000_000)
    asked = parser.parse_args()
    rows = measure_stops(asked.stops) + measure_hostile()
    with tempfile.TemporaryDirectory() as name:
        bundle = Path(name) / "bundle"
        run(read_recipe(None, {**QUICK, "data.target": "y"}), bundle, data=_make_table())
        rows += measure_fuzzed(asked.fuzzed, bundle)
        rows += measure_calls(asked.calls, bundle)
        rows += measure_predict(asked.rows, bundle)
    counted = count_by_kind(rows)
    claims = make_claims(rows, counted)
    measured = [row for row in rows if "peak_mb" in row or "grown_mb" in row]
    command = " ".join(["python -m benchmarks.faults", *sys.argv[1:]])
    path = write_result("faults", command, [*counted, *measured], claims)
    print(json.dumps(claims, indent=1))
    print(path)


def _make_table() -> dict[str, Any]:
    draw = np.random.default_rng(3)
    a, b = draw.normal(size=(2, 200))
    c = draw.choice(["p", "q", "r"], 200)
    return {"a": a, "b": b, "c": c, "y": np.where(a + b > 0, "yes", "no")}


if __name__ == "__main__":
    main()
