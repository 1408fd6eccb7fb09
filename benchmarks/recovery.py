"""How much of the edge students of several sizes recover, on fresh draws of the built-in task.

For every draw the teacher is trained once; students and controls of each width learn from it, five
of each. Beside them stands the recipe that the task comes from, as we read it: the same teacher,
training rows alone, temperature 3, seven tenths of the loss the teacher's, Adam for 30 epochs, its
controls by the same schedule. 100,000 test rows; intervals over rows and replicates.

Usage: python -m benchmarks.recovery [--draws 42,0,1,2,3]
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS, make_claim, write_result
from benchmarks.tables import describe_quality
from kdexport import read_recipe
from kdexport.evidence.facts import Evidence
from kdexport.pipeline import distill, export, train
from kdexport.training.tasks import make_clicks

PUBLISHED = "64-32, as published"
STUDENTS: dict[str, dict[str, Any]] = {
    "64-32": {"student.hidden": [64, 32]},
    "16-16": {"student.hidden": [16, 16]},
    "8-8": {"student.hidden": [8, 8]},
    PUBLISHED: {
        "student.hidden": [64, 32],
        "student.temperature": 3.0,
        "student.alpha": 0.7,
        "student.batch_size": 64,
        "student.learning_rate": 1e-3,
        "student.weight_decay": 0.0,
        "student.schedule": "constant",
        "student.max_epochs": 30,
        "transfer.n_synthetic": 0,
    },
}
MUST = {"64-32": 0.95, "16-16": 0.85, "8-8": 0.54}
# As on the built-in task: nothing is chosen per draw.
FIXED = {
    "teacher.family": "mlp",
    "teacher.regularisation": "given",
    "transfer.method": "gaussian_mixture",
    "transfer.selection": "given",
    "student.form": "plain",
    "bench.batches": [1],
    "bench.seconds": 1.0,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", default="42,0,1,2,3")
    options = parser.parse_args()
    saved = RESULTS / "recovery.json"
    rows = json.loads(saved.read_text())["rows"] if saved.exists() else []
    for draw in map(int, options.draws.split(",")):
        rows = [row for row in rows if row["draw"] != draw] + measure_draw(draw)
        write_result("recovery", "python -m benchmarks.recovery", rows, make_claims(rows))
    print(json.dumps(make_claims(rows), indent=1))


def measure_draw(draw: int) -> list[dict[str, Any]]:
    """Train one teacher, and every kind of student on it; return a row for each."""
    task = make_clicks(draw=draw)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        work, recipe_path = Path(folder) / "work", Path(folder) / "recipe.toml"
        settings = {"data.target": task.target, **FIXED}
        train(read_recipe(None, settings), work, data=task.learn, test=task.test)
        for name, student in STUDENTS.items():
            start = time.perf_counter()
            recipe = read_recipe(None, {**settings, **student})
            recipe_path.write_text(recipe.to_toml())
            distill(work, recipe_path=recipe_path)
            evidence = export(work, Path(folder) / name)
            rows.append(describe(draw, name, evidence, time.perf_counter() - start))
            print(json.dumps(rows[-1]), flush=True)
    return rows


def describe(draw: int, name: str, evidence: Evidence, seconds: float) -> dict[str, Any]:
    """Return one row of results."""
    files = evidence.files
    compression = (files["teacher.onnx"].parameters or 0) / (files["student.onnx"].parameters or 1)
    return {
        "draw": draw,
        "student": name,
        "compression": round(compression, 1),
        "bytes": files["student.onnx"].bytes,
        "recovered": {m: share.model_dump() for m, share in evidence.recovered.items()},
        "edge": {m: edge.model_dump() for m, edge in evidence.edge.items()},
        "quality": describe_quality(evidence),
        "seconds": round(seconds, 1),
    }


def make_claims(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the median recovered accuracy edge of every width."""
    claims = []
    for name, must in MUST.items():
        shares = [row["recovered"]["accuracy"]["value"] for row in rows if row["student"] == name]
        if shares:
            claim = f"recovered accuracy edge, {name}, median of {len(shares)} draws"
            median = statistics.median(shares)
            claims.append(
                make_claim(
                    claim,
                    median,
                    low=min(shares),
                    high=max(shares),
                    unit="share",
                    target=must,
                    at_least=True,
                )
            )
    return claims


if __name__ == "__main__":
    main()
