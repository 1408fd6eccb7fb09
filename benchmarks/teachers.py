"""Teachers of one's own: how much of their edge students recover, and how much faster they are.

Five tables, and on each LightGBM, XGBoost, histogram boosting, a pipeline of one-hot columns and a
random forest, and the mixture of the four: fitted on the training rows (64 %; 16 % are for
validation, 20 % for testing), their answers distilled. Then the built-in task: twelve torch modules
that were trained the article's way, passed as `teacher=[...]`, beside the native ensemble.

Teachers answer on one thread, as students do, where they have a setting for it. `--set
teacher.fitting=out_of_fold` distills copies fitted out of fold in their place.

Pairs that were measured before are kept. Needs `pip install 'kdexport[libraries]'`.

Usage: python -m benchmarks.teachers --data DIR [--only adult,clicks] [--teacher lightgbm]
"""

import argparse
import json
import math
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from benchmarks.record import RESULTS, make_claim, write_result
from benchmarks.training import claim, train_networks
from kdexport import read_recipe, read_table, run
from kdexport.cli.options import parse_settings
from kdexport.evidence.facts import Evidence
from kdexport.evidence.latency_facts import NATIVE
from kdexport.prepare import prepare
from kdexport.training.tasks import make_clicks

import torch  # isort: skip  # after the package, which bounds OpenMP's spinning first
from torch import Tensor, nn  # isort: skip

TABLES = ("adult", "bank_marketing", "online_shoppers", "spambase", "electricity")
DROPPED = {"bank_marketing": ["duration"]}
TASK, MODULES, ENSEMBLE = "clicks", "12 torch modules", "native ensemble"
ON_TASK = (MODULES, ENSEMBLE)
MIN_RECOVERED = 0.75
PART = "part"
SETTINGS = {"rival.model": "none", "bench.batches": [1], "bench.seconds": 4.0}
# As on the built-in task: nothing is chosen per draw.
FIXED = {
    "teacher.family": "mlp",
    "teacher.regularisation": "given",
    "transfer.method": "gaussian_mixture",
    "transfer.selection": "given",
}


def make_lightgbm() -> Any:
    import lightgbm

    return lightgbm.LGBMClassifier(n_estimators=200, learning_rate=0.05, n_jobs=1, verbose=-1)


def make_xgboost() -> Any:
    import xgboost

    settings = {"n_estimators": 200, "learning_rate": 0.1, "max_depth": 5, "n_jobs": 1}
    return xgboost.XGBClassifier(**settings, enable_categorical=True)


def make_histogram() -> Any:
    settings = {"max_iter": 200, "learning_rate": 0.05, "categorical_features": "from_dtype"}
    return HistGradientBoostingClassifier(**settings, random_state=0)


def make_forest() -> Any:
    one_hot = OneHotEncoder(handle_unknown="ignore", min_frequency=20)
    texts = make_column_selector(dtype_include="category")
    encode = make_column_transformer((one_hot, texts), remainder="passthrough")
    forest = RandomForestClassifier(200, min_samples_leaf=5, n_jobs=1, random_state=0)
    return make_pipeline(encode, forest)


MAKERS: dict[str, Callable[[], Any]] = {
    "lightgbm": make_lightgbm,
    "xgboost": make_xgboost,
    "hist_gradient_boosting": make_histogram,
    "random_forest": make_forest,
}
TEACHERS = (*MAKERS, "mixture")

Key = tuple[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default=",".join([*TABLES, TASK]))
    parser.add_argument("--teacher", default=",".join([*TEACHERS, *ON_TASK]))
    parser.add_argument("--set", action="append", default=[], help="any recipe key, to try it out")
    parser.add_argument("--again", action="store_true", help="measure what was measured before")
    options = parser.parse_args()
    tables, teachers = options.only.split(","), options.teacher.split(",")
    settings = {**SETTINGS, **parse_settings(options.set, "--set", "SECTION.KEY=VALUE")}
    saved = RESULTS / "teachers.json"
    known = json.loads(saved.read_text())["rows"] if saved.exists() else []
    rows: dict[Key, dict[str, Any]] = {(row["table"], row["teacher"]): row for row in known}

    def keep(row: dict[str, Any]) -> None:
        rows[row["table"], row["teacher"]] = row
        print(json.dumps(row), flush=True)
        ordered = [rows[key] for key in sorted(rows)]
        write_result("teachers", "python -m benchmarks.teachers", ordered, make_claims(ordered))

    for table in tables:
        kinds, measure = (TEACHERS, measure_table) if table != TASK else (ON_TASK, measure_task)
        asked = [name for name in kinds if name in teachers]
        todo = [name for name in asked if options.again or (table, name) not in rows]
        for row in measure(options.data / table, todo, settings):
            keep(row)
    print(json.dumps(make_claims(list(rows.values())), indent=1))


def measure_table(folder: Path, names: list[str], settings: dict[str, Any]) -> Any:
    """Fit the teachers on a table's training rows; distill each, and yield its row."""
    if not names:
        return
    frame, target = read_frame(folder)
    frame[PART] = draw_parts(frame[target].to_numpy())
    train = frame[frame[PART] == "train"]
    features = train.drop(columns=[target, PART])
    needed = MAKERS if "mixture" in names else [name for name in names if name in MAKERS]
    fitted = {name: MAKERS[name]().fit(features, train[target]) for name in needed}
    for name in names:
        teacher = [*fitted.values()] if name == "mixture" else fitted[name]
        overrides = {"data.target": target, "data.split_column": PART, **settings}
        yield distill(folder.name, name, overrides, data=frame, teacher=teacher)


def read_frame(folder: Path) -> tuple[pd.DataFrame, str]:
    """Return a table with categories as pandas has them, its classes as 0 and 1, and the target.

    Columns get plain names: LightGBM and XGBoost refuse some of their characters.
    """
    about = json.loads((folder / f"{folder.name}.json").read_text())
    (path,) = (path for path in folder.iterdir() if path.suffix != ".json")
    frame = pd.DataFrame(dict(read_table(path).columns))
    frame = frame.drop(columns=DROPPED.get(folder.name, []))
    names = [name for name in frame if name != about["target"]]
    target = "target"
    frame = frame.rename(columns={about["target"]: target})
    frame = frame.rename(columns={name: f"x{i}" for i, name in enumerate(names)})
    frame[target] = np.unique(frame[target].astype(str), return_inverse=True)[1]
    texts = [name for name in frame if frame[name].dtype.kind not in "fiub"]
    return frame.astype(dict.fromkeys(texts, "category")), target


def draw_parts(labels: np.ndarray) -> np.ndarray:
    """Say of each row whether it trains, validates or tests: 64, 16 and 20 % of each class."""
    parts, rng = np.empty(len(labels), dtype=object), np.random.default_rng(0)
    for label in np.unique(labels):
        places = rng.permutation(np.flatnonzero(labels == label))
        cuts = [round(share * len(places)) for share in (0.64, 0.8)]
        names = ("train", "validation", "test")
        for name, some in zip(names, np.split(places, cuts), strict=True):
            parts[some] = name
    return parts


class Scaled(nn.Module):
    """Raw numbers as a network of the article's takes them."""

    def __init__(self, center: tuple[float, ...], scale: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("center", torch.tensor(center, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))

    def forward(self, rows: Tensor) -> Tensor:
        return (rows - self.center) / self.scale


def measure_task(folder: Path, names: list[str], settings: dict[str, Any]) -> Any:
    """Distill the article's twelve networks, and the native ensemble, on the built-in task."""
    task = make_clicks()
    overrides = {"data.target": task.target, **settings, **FIXED}
    data: dict[str, Any] = {"data": task.learn, "test": task.test}
    for name in names:
        modules = None
        if name == MODULES:
            prepared = prepare(read_recipe(None, overrides), **data)
            scale = Scaled(prepared.schema.center, prepared.schema.scale)
            modules = [nn.Sequential(scale, network) for network in train_networks(prepared)]
        yield distill(folder.name, name, overrides, **data, teacher=modules)


def distill(table: str, name: str, overrides: dict[str, Any], **given: Any) -> dict[str, Any]:
    """Run one pair and return its row of results."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        evidence = run(read_recipe(None, overrides), Path(folder) / "x", **given)
    return {
        "table": table,
        "teacher": name,
        "rows": {part: fact.rows for part, fact in evidence.task.rows.items()},
        "quality": {
            role: {metric: interval.value for metric, interval in by_metric.items()}
            for role, by_metric in evidence.quality.items()
        },
        "recovered": {m: share.model_dump() for m, share in evidence.recovered.items()},
        "edge": {m: edge.model_dump() for m, edge in evidence.edge.items()},
        "teacher_file": describe_file(evidence),
        "student_bytes": evidence.files["student.onnx"].bytes,
        **describe_latency(evidence),
        "warnings": sorted({str(one.message) for one in said if "fitted on" in str(one.message)}),
        "seconds": round(time.perf_counter() - start, 1),
    }


def describe_file(evidence: Evidence) -> dict[str, Any]:
    """The bytes of teacher.onnx, or why there is none."""
    file = evidence.files.get("teacher.onnx")
    return {"bytes": file.bytes} if file else {"absent": evidence.absent.get("teacher.onnx")}


def describe_latency(evidence: Evidence) -> dict[str, Any]:
    """p50 at batch 1 of whoever was timed, and how many times longer the native teacher takes."""
    latency = evidence.latency
    plain = [row for row in latency.rows if row.path != "io_binding" and row.p50_us]
    ratios = [ratio for ratio in latency.ratios if (ratio.name, ratio.path) == (NATIVE, "call")]
    return {
        "p50_us": {row.name: row.p50_us.model_dump() for row in plain if row.p50_us},
        "native_over_student": ratios[0].ratio.model_dump() if ratios else None,
    }


def make_claims(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the pairs have to show."""
    claims = []
    pairs = [row for row in rows if row["table"] in TABLES]
    if pairs:
        shares = np.array([row["recovered"]["log_loss"]["value"] for row in pairs])
        name = f"recovered log loss edge, median of {len(pairs)} pairs"
        claims.append(claim(name, shares, "share", MIN_RECOVERED, at_least=True))
        has_edge = [row["recovered"]["log_loss"]["verdict"] != "NO_EDGE" for row in pairs]
        if any(has_edge):
            name = f"the same, median of the {sum(has_edge)} pairs that have an edge"
            claims.append(claim(name, shares[has_edge], "share", MIN_RECOVERED, at_least=True))
        ratios = [row["native_over_student"] for row in pairs]
        name = f"times faster than the native teacher, batch 1, median of {len(pairs)} pairs"
        values = np.array([ratio["value"] for ratio in ratios])
        claims.append(claim(name, values, "times", 1.0, at_least=True))
        lowest = min(ratio["low"] for ratio in ratios)
        name = "the same, lowest end of any pair's interval"
        claims.append(make_claim(name, lowest, unit="times", target=1.0, at_least=True))
    two = {row["teacher"]: row["recovered"] for row in rows if row["table"] == TASK}
    for metric in ("accuracy", "log_loss") if {MODULES, ENSEMBLE} <= {*two} else ():
        claims.append(compare_shares(metric, two[MODULES][metric], two[ENSEMBLE][metric]))
    return claims


def compare_shares(metric: str, own: dict[str, Any], native: dict[str, Any]) -> dict[str, Any]:
    """Modules less native ensemble in margins of the difference's 95 % interval: at most one."""
    margins = [(share["high"] - share["low"]) / 2 for share in (own, native)]
    difference = own["value"] - native["value"]
    return make_claim(
        f"recovered {metric.replace('_', ' ')} edge: {MODULES} less the {ENSEMBLE}",
        abs(difference) / math.hypot(*margins),
        unit="margins",
        target=1.0,
        at_least=False,
    )


if __name__ == "__main__":
    main()
