"""Real tables with an ensemble of networks alone as the teacher: what do its students recover?

The default on a user's table mixes boosting into the teacher. Here twelve MLPs stand alone, trained
once per table; students and controls of 64-32 learn from them twice, as plain networks and in the
form that validation rows choose. No other option but the target (and columns to drop).

Usage: python -m benchmarks.network_teachers --data DIR [--only adult,satimage]
"""

import argparse
import json
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS, make_claim, write_result
from benchmarks.tables import describe_quality, read_task
from kdexport import read_recipe
from kdexport.evidence.facts import Evidence
from kdexport.pipeline import distill, export, train

FORMS = {"plain": "plain", "best": "auto"}
FIXED = {"teacher.family": "mlp", "bench.batches": [1], "bench.seconds": 1.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    saved = RESULTS / "network_teachers.json"
    rows = json.loads(saved.read_text())["rows"] if saved.exists() else []
    for about in sorted(options.data.glob("*/*.json")):
        asked = not options.only or about.stem in options.only.split(",")
        if not asked or json.loads(about.read_text())["task"] == "regression":
            continue
        rows = [row for row in rows if row["table"] != about.stem] + measure_table(about)
        rows.sort(key=lambda row: row["table"])
        command = "python -m benchmarks.network_teachers --data DIR"
        write_result("network_teachers", command, rows, make_claims(rows))
    print(json.dumps(make_claims(rows), indent=1))


def measure_table(about: Path) -> list[dict[str, Any]]:
    """Train a table's teacher, and the students of both forms on it; return a row for each."""
    data, overrides = read_task(about)
    rows = []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        work, recipe_path = Path(folder) / "work", Path(folder) / "recipe.toml"
        settings = {**overrides, **FIXED}
        train(read_recipe(None, settings), work, data=data)
        for name, form in FORMS.items():
            start = time.perf_counter()
            recipe = read_recipe(None, {**settings, "student.form": form})
            recipe_path.write_text(recipe.to_toml())
            distill(work, recipe_path=recipe_path)
            evidence = export(work, Path(folder) / name)
            rows.append(describe(about.stem, name, evidence, time.perf_counter() - start))
            print(json.dumps(rows[-1]), flush=True)
    return rows


def describe(table: str, form: str, evidence: Evidence, seconds: float) -> dict[str, Any]:
    """Return one row of results."""
    student = evidence.files["student.onnx"]
    return {
        "table": table,
        "form": form,
        "quality": describe_quality(evidence),
        "recovered": {m: share.model_dump() for m, share in evidence.recovered.items()},
        "edge": {m: edge.model_dump() for m, edge in evidence.edge.items()},
        "chosen": dict(evidence.training),
        "bytes": student.bytes,
        "parameters": student.parameters,
        "seconds": round(seconds, 1),
    }


def make_claims(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the median recovered log-loss edge of each form, over the tables that have an edge."""
    claims = []
    for form in FORMS:
        own = [row for row in rows if row["form"] == form]
        shares = [
            row["recovered"]["log_loss"]["value"]
            for row in own
            if row["edge"]["log_loss"]["low"] > 0
        ]
        if shares:
            claims.append(
                make_claim(
                    f"median recovered edge in log loss, {form} 64-32, "
                    f"{len(shares)} classifications with an edge",
                    statistics.median(shares),
                    low=min(shares),
                    high=max(shares),
                    unit="share",
                    target=0.9,
                    at_least=True,
                )
            )
    return claims


if __name__ == "__main__":
    main()
