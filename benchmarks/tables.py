"""Real tables through `kdexport run`, with no option but the target (and columns to drop).

For every table of a folder: rows, columns and their kinds, quality of teacher, controls, student
and rival, recovered edge, what validation rows chose, bytes, latency and parity. A table's own
folder holds the table and a JSON that names its target.

Usage: python -m benchmarks.tables --data DIR [--only adult,abalone] [--keep DIR]
       python -m benchmarks.tables --times DIR [--only adult,abalone]
"""

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.kept import NO_TIMES, describe_times, open_folder, time_kept
from benchmarks.record import RESULTS, make_claim, write_result
from kdexport import open_session, read_recipe, run
from kdexport.evidence.facts import Evidence

DROPPED = {"bank_marketing": ["duration"], "telco_churn": ["customerID"]}
MAX_ADULT_BYTES, MAX_ADULT_US = 60_000, 9.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path)
    source.add_argument("--times", type=Path, help="only time the bundles kept there")
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", type=Path, help="where bundles stay, to be timed later")
    options = parser.parse_args()
    saved = RESULTS / "tables.json"
    rows = {r["table"]: r for r in json.loads(saved.read_text())["rows"]} if saved.exists() else {}
    found = options.times.glob("*") if options.times else options.data.glob("*/*.json")
    for path in sorted(found):
        if options.only and path.stem not in options.only.split(","):
            continue
        if options.times:
            rows[path.stem] |= time_kept(path)
        else:
            rows[path.stem] = measure_table(path, options.keep)
        print(json.dumps(rows[path.stem]), flush=True)
        ordered = [rows[name] for name in sorted(rows)]
        write_result("tables", "python -m benchmarks.tables", ordered, make_claims(rows))
    print(json.dumps(make_claims(rows), indent=1))


def measure_table(about: Path, keep: Path | None) -> dict[str, Any]:
    """Run one table and return its row of results."""
    data, overrides = read_task(about)
    with open_folder(keep) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        output = folder / about.stem
        start = time.perf_counter()
        evidence = run(read_recipe(None, overrides), output, data=data)
        seconds = time.perf_counter() - start
        signature = open_session(output / "student.onnx").signature
    student = evidence.files["student.onnx"]
    return {
        "table": about.stem,
        "kind": evidence.task.kind,
        "rows": {name: fact.rows for name, fact in evidence.task.rows.items()},
        "numeric": len(signature.numeric),
        "categorical": len(signature.categorical),
        "quality": describe_quality(evidence),
        "recovered": {m: share.model_dump() for m, share in evidence.recovered.items()},
        "edge": {m: edge.model_dump() for m, edge in evidence.edge.items()},
        "rival": evidence.rival.model_dump() if evidence.rival else None,
        "chosen": dict(evidence.training),
        "bytes": {name: f.bytes for name, f in evidence.files.items() if name.endswith(".onnx")},
        "student_bytes": student.bytes,
        "student_parameters": student.parameters,
        **(NO_TIMES if keep else describe_times(evidence.latency)),
        "parity": {
            name: fact.model_dump(exclude_none=True) for name, fact in evidence.parity.items()
        },
        "seconds": round(seconds, 1),
    }


def read_task(about: Path) -> tuple[Path, dict[str, Any]]:
    """Find the table beside a JSON of facts, and what a recipe has to say about it."""
    facts = json.loads(about.read_text())
    (data,) = (path for path in about.parent.iterdir() if path.suffix != ".json")
    return data, {"data.target": facts["target"], "columns.drop": DROPPED.get(about.stem, [])}


def describe_quality(evidence: Evidence) -> dict[str, dict[str, float]]:
    """Return every role's metrics, without their intervals."""
    return {
        role: {metric: interval.value for metric, interval in by_metric.items()}
        for role, by_metric in evidence.quality.items()
    }


def make_claims(rows: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what these tables have to show."""
    parities = [fact for row in rows.values() for fact in row["parity"].values()]
    largest = max((fact.get("max_probability_difference", 0.0) for fact in parities), default=0.0)
    claims = [
        make_claim("tables that ran", len(rows), unit="tables", target=15, at_least=True),
        make_claim(
            "largest difference of probabilities, real and altered rows",
            largest,
            unit="probability",
            target=1e-6,
            at_least=False,
        ),
        make_claim(
            "flips outside ties",
            sum(fact["flips"] for fact in parities),
            unit="rows",
            target=0,
            at_least=False,
        ),
        *make_edge_claims(list(rows.values())),
    ]
    if "adult" in rows:
        adult = rows["adult"]
        claims.append(
            make_claim(
                "bytes of adult's student",
                adult["student_bytes"],
                unit="bytes",
                target=MAX_ADULT_BYTES,
                at_least=False,
            )
        )
        if adult["over_floor_us"] is not None:
            claims.append(
                make_claim(
                    "p50 of adult's student over the floor, batch 1",
                    adult["over_floor_us"],
                    unit="us",
                    target=MAX_ADULT_US,
                    at_least=False,
                )
            )
    return claims


def make_edge_claims(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the classifications show: recovered edge where there is one, and the rival."""
    judged = [row for row in rows if "log_loss" in row["recovered"]]
    with_edge = [row for row in judged if row["edge"]["log_loss"]["low"] > 0]
    shares = [row["recovered"]["log_loss"]["value"] for row in with_edge]
    return [
        make_claim(
            f"median recovered edge in log loss, {len(shares)} classifications with an edge",
            float(np.median(shares)) if shares else 0.0,
            unit="share",
            target=0.9,
            at_least=True,
        ),
        make_rival_claim(with_edge, "classifications with an edge", 7 / 9),
        make_rival_claim(judged, "classifications", 2 / 3),
    ]


def make_rival_claim(rows: list[dict[str, Any]], of_what: str, share: float) -> dict[str, Any]:
    """Say on how many tables the student's log loss is the rival's or less."""
    quality = [row["quality"] for row in rows if row["rival"]]
    return make_claim(
        f"{of_what}, {len(quality)}: the student has the rival's log loss or less",
        sum(q["student"]["log_loss"] <= q["rival"]["log_loss"] for q in quality),
        unit="tables",
        target=len(quality) * share,
        at_least=True,
    )


if __name__ == "__main__":
    main()
