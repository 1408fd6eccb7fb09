"""What a busy neighbour costs training, with OpenMP's own spinning and with the product's bound.

Each run trains a few epochs of the default teacher in a process of its own, because OpenMP reads
its settings once. The four kinds of run (spinning long or bounded, beside a process at full load
or not) take turns, so that whatever else the machine does hits all of them.

Usage: python -m benchmarks.spinning [--rounds 5]
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys

from benchmarks.neighbour import busy_neighbour
from benchmarks.record import make_claim, write_result

SPINS = {"default": "300000", "bounded": "10000"}  # libgomp's default count, and the product's
MAX_SLOW_DOWN, MAX_COST = 3.0, 1.05
TRAIN = """
import time
from kdexport.prepare import prepare
from kdexport.recipe import read_recipe
from kdexport.training.ensemble import train_ensemble
from kdexport.training.tasks import make_clicks
from kdexport.training.threads import use_threads
task = make_clicks(draw=7)
recipe = read_recipe(None, {"data.target": task.target, "teacher.max_epochs": 5})
prepared = prepare(recipe, data=task.learn, test=task.test)
start = time.perf_counter()
with use_threads(0):
    train_ensemble(prepared.rows, prepared.schema, recipe)
print(time.perf_counter() - start)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rows = []
    for _ in range(options.rounds):
        row = {}
        for neighbour in ("idle", "busy"):
            for name, spins in SPINS.items():
                with busy_neighbour() if neighbour == "busy" else contextlib.nullcontext():
                    row[f"{name}_{neighbour}_s"] = round(time_training(spins), 3)
        rows.append(row)
        print(json.dumps(row), flush=True)

    def ratio(over: str, under: str) -> list[float]:
        return [row[over] / row[under] for row in rows]

    claims = [
        claim(
            "training beside a busy neighbour over alone, bounded spinning",
            ratio("bounded_busy_s", "bounded_idle_s"),
            MAX_SLOW_DOWN,
        ),
        claim(
            "training alone, bounded spinning over OpenMP's own",
            ratio("bounded_idle_s", "default_idle_s"),
            MAX_COST,
        ),
    ]
    write_result(
        "spinning", f"python -m benchmarks.spinning --rounds {options.rounds}", rows, claims
    )
    print(json.dumps(claims, indent=1))


def time_training(spins: str) -> float:
    """Train in a process of its own and return the seconds that training took."""
    done = subprocess.run(
        [sys.executable, "-c", TRAIN],
        env={**os.environ, "GOMP_SPINCOUNT": spins},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def claim(name: str, ratios: list[float], target: float) -> dict[str, object]:
    """The median ratio, with the smallest and the largest seen as its bounds."""
    value, low, high = statistics.median(ratios), min(ratios), max(ratios)
    return make_claim(name, value, low=low, high=high, unit="times", target=target, at_least=False)


if __name__ == "__main__":
    main()
