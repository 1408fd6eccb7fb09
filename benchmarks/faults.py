"""How many faults were tried, and how many of them left nothing broken.

Stops at random moments, hostile files, odd tables, fuzzed readers, and the load of many calls and
many rows. A part that is measured again replaces what was saved of it.

    python -m benchmarks.faults [--parts stops,fuzzed] [--stops 200] [--fuzzed 100000]
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import kdexport.training  # noqa: F401  (sets OpenMP's spinning before torch is imported)
from benchmarks.fuzzing import fuzz, open_targets
from benchmarks.hostile import MAX_MB, list_attacks, try_attacks
from benchmarks.loads import (
    E4_MB,
    E4_ROWS,
    FORMATS,
    N_COLUMNS,
    Row,
    Rows,
    measure_calls,
    measure_predict,
)
from benchmarks.odd_tables import list_tables, try_table
from benchmarks.record import RESULTS, make_claim, write_result
from benchmarks.stops import QUICK, try_stops
from kdexport.pipeline import run
from kdexport.recipe import read_recipe

SURVIVING = {
    "stops": "stops survived",
    "hostile": "hostile files survived",
    "tables": "odd tables survived",
    "fuzzed": "fuzzed inputs survived",
    "calls": "loads survived",
    "rows": "predictions of many rows survived",
}
PARTS = tuple(SURVIVING)
MEASURED = {"peak_mb", "grown_mb"}
MAX_GROWN_MB, MAX_RATIO = 20, 1.25


def measure_stops(n_trials: int) -> Iterator[Row]:
    """Stop run, export and report at random moments."""
    for trial in try_stops(n_trials, seed=0):
        yield {
            "kind": f"{trial.command} and {trial.number.name}",
            "name": f"{trial.way}, after {trial.moment_s} s",
            "found": f"exit code {trial.code}, the {trial.left} bundle",
            "faults": list(trial.faults),
        }


def measure_hostile() -> Iterator[Row]:
    """Run commands on files that were made to do harm."""
    with try_attacks(list_attacks()) as tried:
        for verdict in (attempt.result() for attempt in tried):
            yield {
                "kind": f"hostile {verdict.kind}",
                "name": verdict.name,
                "found": f"exit code {verdict.code}",
                "peak_mb": min(verdict.peak_mb, 1e6),
                "faults": list(verdict.faults),
            }


def measure_odd_tables() -> Iterator[Row]:
    """Train on tables of odd numbers and odd sizes."""
    for table in list_tables():
        with tempfile.TemporaryDirectory() as folder:
            outcome = try_table(table, Path(folder))
        row = {"kind": "odd table", "name": outcome.name, "found": outcome.found[:300]}
        yield {**row, "faults": list(outcome.faults)}


def measure_fuzzed(n_inputs: int, bundle: Path) -> Iterator[Row]:
    """Feed every reader changed files."""
    with open_targets(bundle) as targets:
        for name, target in targets.items():
            n_tried, found = fuzz(*target, n_inputs)
            row = {"kind": f"fuzzed {name}", "name": f"{n_tried} inputs", "tried": n_tried}
            yield {**row, "faults": [found] if found else []}


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


def summarize(part: str, rows: Rows) -> Rows:
    """Return what is saved of a part: its counts, and whatever was measured."""
    measured = [row for row in rows if not row.keys().isdisjoint(MEASURED)]
    return [{"part": part, **row} for row in [*count_by_kind(rows), *measured]]


def make_claims(rows: Rows) -> Rows:
    """Return what must hold, of the parts that were measured."""
    claims = []
    for part, name in SURVIVING.items():
        counted = [row for row in rows if row["part"] == part and "tried" in row]
        if counted:
            survived = sum(row["survived"] for row in counted)
            share = survived / max(1, sum(row["tried"] for row in counted))
            claims.append(make_claim(name, share, unit="share", target=1.0, at_least=True))
    limits = {
        "peak memory of a command on a hostile file": (
            "MB",
            MAX_MB,
            [row["peak_mb"] for row in rows if row["part"] == "hostile" and "peak_mb" in row],
        ),
        "memory grown over all calls": (
            "MB",
            MAX_GROWN_MB,
            [row["grown_mb"] for row in rows if "grown_mb" in row],
        ),
        f"predict {E4_ROWS:,} rows of {N_COLUMNS} columns: memory above the import": (
            "MB",
            E4_MB,
            [row["above_import_mb"] for row in rows if row.get("n_rows") == E4_ROWS],
        ),
    }
    for ending in FORMATS:
        name = f"predict {ending}: peak memory of the most rows over half of them"
        limits[name] = ("ratio", MAX_RATIO, _compare_peaks(rows, ending))
    for name, (unit, target, values) in limits.items():
        if values:
            claims.append(make_claim(name, max(values), unit=unit, target=target, at_least=False))
    return claims


def _compare_peaks(rows: Rows, ending: str) -> list[float]:
    peaks = {
        r["n_rows"]: r["peak_mb"]
        for r in rows
        if r["kind"] == f"predict {ending}" and "n_rows" in r
    }
    most = max(peaks, default=0)
    return [peaks[most] / peaks[most // 2]] if most // 2 in peaks else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help="those to measure (again)")
    parser.add_argument("--stops", type=int, default=200)
    parser.add_argument("--fuzzed", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=2_000_000)
    parser.add_argument("--rows", type=int, default=10_000_000)
    asked = parser.parse_args()
    saved = RESULTS / "faults.json"
    rows = json.loads(saved.read_text())["rows"] if saved.exists() else []
    with tempfile.TemporaryDirectory() as name:
        bundle = Path(name) / "bundle"
        run(read_recipe(None, {**QUICK, "data.target": "y"}), bundle, data=_make_table())
        measure: dict[str, Callable[[], Iterable[Row]]] = {
            "stops": lambda: measure_stops(asked.stops),
            "hostile": measure_hostile,
            "tables": measure_odd_tables,
            "fuzzed": lambda: measure_fuzzed(asked.fuzzed, bundle),
            "calls": lambda: measure_calls(asked.calls, bundle),
            "rows": lambda: measure_predict(asked.rows, bundle),
        }
        for part in asked.parts.split(","):
            others, found = [row for row in rows if row["part"] != part], []
            for row in measure[part]():  # saved as it grows: a part that is cut off is counted
                found.append(row)
                rows = others + summarize(part, found)
                write_result("faults", "python -m benchmarks.faults", rows, make_claims(rows))
                if row["faults"]:
                    print(part, json.dumps(row), flush=True)
    print(json.dumps(make_claims(rows), indent=1))


def _make_table() -> dict[str, Any]:
    """Eight columns, one of them text."""
    draw = np.random.default_rng(3)
    numbers = dict(zip("abdefgh", draw.normal(size=(7, 200)), strict=True))
    label = np.where(numbers["a"] + numbers["b"] > 0, "yes", "no")
    return {**numbers, "c": draw.choice(["p", "q", "r"], 200), "y": label}


if __name__ == "__main__":
    main()
