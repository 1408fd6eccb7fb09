"""kdexport beside what other tools reached on exactly the same rows.

A folder holds fixed training and test rows of several tables, `splits/NAME-0-{train,test}.parquet`,
and `figures.json`: what AutoGluon's distilled students, LightGBM and others reached on them. Every
table goes through `kdexport run` with its test rows as `--test`; they report, and choose nothing.

Usage: python -m benchmarks.peers --peers DIR [--only adult,spambase] [--keep DIR]
       python -m benchmarks.peers --peers DIR --times DIR [--only adult,spambase]
"""

import argparse
import json
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.kept import NO_TIMES, describe_times, open_folder, time_kept
from benchmarks.record import RESULTS, make_claim, write_result
from kdexport import read_recipe, run

DISTILLED, BOOSTED = "AutoGluon distilled", "LightGBM"
MUST = {DISTILLED: 6, BOOSTED: 5}  # of the eight tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", type=Path, help="where bundles stay, to be timed later")
    parser.add_argument("--times", type=Path, help="only time the bundles kept there")
    options = parser.parse_args()
    figures = json.loads((options.peers / "figures.json").read_text())["tables"]
    saved = RESULTS / "peers.json"
    rows = {r["table"]: r for r in json.loads(saved.read_text())["rows"]} if saved.exists() else {}
    for name in sorted(figures):
        if options.only and name not in options.only.split(","):
            continue
        if options.times:
            rows[name]["p50_us"] = time_kept(options.times / name)["p50_us"]["student.onnx"]
        else:
            splits = options.peers / "splits"
            rows[name] = measure_table(name, figures[name], splits, options.keep)
        print(json.dumps(rows[name]), flush=True)
        ordered = [rows[name] for name in sorted(rows)]
        write_result("peers", "python -m benchmarks.peers", ordered, make_claims(ordered))
    print(json.dumps(make_claims(list(rows.values())), indent=1))


def measure_table(
    name: str, figures: Mapping[str, Any], splits: Path, keep: Path | None
) -> dict[str, Any]:
    """Run one table and return its row of results."""
    learn, test = (splits / f"{name}-0-{part}.parquet" for part in ("train", "test"))
    recipe = read_recipe(None, {"data.target": figures["target"]})
    with open_folder(keep) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.perf_counter()
        evidence = run(recipe, folder / name, data=learn, test=test)
        seconds = time.perf_counter() - start
    quality = {
        role: {metric: by_metric[metric].model_dump() for metric in ("accuracy", "log_loss")}
        for role, by_metric in evidence.quality.items()
    }
    return {
        "table": name,
        "rows": {part: fact.rows for part, fact in evidence.task.rows.items()},
        "quality": quality,
        "recovered": evidence.recovered["log_loss"].model_dump(),
        "chosen": dict(evidence.training),
        "bytes": evidence.files["student.onnx"].bytes,
        "p50_us": (NO_TIMES if keep else describe_times(evidence.latency))["p50_us"].get(
            "student.onnx"
        ),
        "tools": figures["tools"],
        "best_distilled": find_best(figures["tools"], DISTILLED),
        "boosted": find_best(figures["tools"], BOOSTED),
        "seconds": round(seconds, 1),
    }


def find_best(tools: Mapping[str, Mapping[str, float]], start: str) -> float:
    """Return the lowest log loss of the tools whose name starts so."""
    return min(figure["log_loss"] for name, figure in tools.items() if name.startswith(start))


def make_claims(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Count the tables whose shipped student has the peers' log loss or less."""
    peers = (
        (DISTILLED, "best_distilled", "AutoGluon's best distilled student"),
        (BOOSTED, "boosted", "LightGBM"),
    )
    return [
        make_claim(
            f"tables of {len(rows)} with the log loss of {described} or less",
            sum(row["quality"]["shipped"]["log_loss"]["value"] <= row[key] for row in rows),
            unit="tables",
            target=MUST[start],
            at_least=True,
        )
        for start, key, described in peers
    ]


if __name__ == "__main__":
    main()
