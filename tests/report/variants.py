"""Evidence with figures of the tests' own, and what it would be of other bundles."""

from functools import cache
from pathlib import Path
from typing import Any

from kdexport.evidence.facts import ClassFact, Evidence, SliceFact, SlicesFact, parse_evidence
from kdexport.evidence.few_rows import bound_share
from kdexport.evidence.latency_facts import (
    Histogram,
    LatencyRecord,
    Percentile,
    RawTimes,
    find_block_medians,
)
from kdexport.evidence.learning_facts import BinFact, CurveFact, JudgedBy
from kdexport.evidence.shape import Interval, Recovered, Verdict
from kdexport.signature import Signature
from tests.evidence.records import add_plain_control, add_rival

ROOT = Path(__file__).parents[2]
SHA256 = "0" * 64
HOSTILE = (
    "</script><script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "a|b`c```d\n# e\u202e & [f](javascript:window.hacked=1) @g {{7*7}}",
)


MODEL_FILES = {"teacher.onnx": (2_244_553, 559_874), "student.onnx": (15_479, 3_490)}
QUALITY = {
    "teacher": {
        "accuracy": (0.97848, 0.97757, 0.97942),
        "log_loss": (0.0833, 0.0806, 0.0862),
        "brier": (0.0365, 0.0353, 0.0378),
    },
    "control": {
        "accuracy": (0.9659, 0.9596, 0.9726),
        "log_loss": (0.1144, 0.1016, 0.1278),
        "brier": (0.0560, 0.0468, 0.0647),
    },
    "student": {
        "accuracy": (0.97815, 0.97722, 0.97901),
        "log_loss": (0.0843, 0.0816, 0.0872),
        "brier": (0.0371, 0.0359, 0.0385),
    },
    "shipped": {
        "accuracy": (0.97817, 0.97726, 0.97908),
        "log_loss": (0.0844, 0.0816, 0.0871),
        "brier": (0.0371, 0.0359, 0.0384),
        "ece": (0.0151, 0.0144, 0.0160),
    },
}
EDGE = {
    "accuracy": (0.0126, 0.0062, 0.0191),
    "log_loss": (0.0311, 0.0184, 0.0434),
    "brier": (0.0195, 0.0111, 0.0279),
}
SHARE = {
    "accuracy": (0.9738, 0.9249, 1.0127),
    "log_loss": (0.9684, 0.9421, 0.9836),
    "brier": (0.9661, 0.9377, 0.9840),
}
P50_US = {"student.onnx": (7.832, 7.812, 7.849), "floor": (5.092, 5.075, 5.109)}
TIMES = (10.9787, 10.8108, 11.1491)


def interval(value: float, low: float, high: float) -> Interval:
    """An interval of three numbers."""
    return Interval(value=value, low=low, high=high)


@cache
def shipped() -> Evidence:
    """The evidence of the bundle that ships with the repository, whatever was measured for it."""
    return parse_evidence((ROOT / "models/clicks/evidence.json").read_bytes(), "evidence.json")


@cache
def clicks() -> Evidence:
    """A bundle of a task, networks alone, whose figures are written above.

    Its shape is that of the bundle that ships with the repository: remaking that one changes none
    of the figures that tests look for.
    """
    evidence = shipped()
    files = {name: fact for name, fact in evidence.files.items() if "rival" not in name}
    for name, (n_bytes, parameters) in MODEL_FILES.items():
        files[name] = files[name].model_copy(update={"bytes": n_bytes, "parameters": parameters})
    shares = {
        metric: Recovered(
            value=value,
            low=low,
            high=high,
            verdict="RECOVERED",
            asked_share=0.9,
            rows_to_settle=None,
        )
        for metric, (value, low, high) in SHARE.items()
    }
    replicates = {
        role: {
            metric: [value] if role == "teacher" else [value + i * 1e-4 for i in range(-2, 3)]
            for metric, (value, _, _) in QUALITY[role].items()
        }
        for role in ("teacher", "control", "student")
    }
    update = {
        "files": files,
        "quality": {role: _intervals(found) for role, found in QUALITY.items()},
        "replicates": replicates,
        "edge": _intervals(EDGE),
        "recovered": shares,
        "parity": {name: evidence.parity[name] for name in MODEL_FILES},
        "latency": _set_latency(evidence.latency),
        "recipe": {name: part for name, part in evidence.recipe.items() if name != "rival"},
        "controls": {},
        "rival": None,
        "slices": None,
        "gained": {},
        "calibration": {},
        "curves": {},
    }
    return evidence.model_copy(update=update)


def _intervals(figures: dict[str, tuple[float, float, float]]) -> dict[str, Interval]:
    return {metric: interval(*numbers) for metric, numbers in figures.items()}


def _set_latency(record: LatencyRecord) -> LatencyRecord:
    """A record without a rival, whose figures at batch 1 are those above."""
    kept: dict[str, list[Any]] = {
        part: [fact for fact in getattr(record, part) if "rival" not in fact.name]
        for part in ("rows", "starts", "ratios", "memory", "load")
    }
    for i, row in enumerate(kept["rows"]):
        if (row.path, row.batch) == ("run", 1) and row.name in P50_US:
            value, low, high = P50_US[row.name]
            p50 = Percentile(value=value, low=low, high=high)
            update = {"p50_us": p50, "p999_us": None, "calls_needed": {"p999": 5296}}
            kept["rows"][i] = row.model_copy(update=update)
    for i, ratio in enumerate(kept["ratios"]):
        if (ratio.name, ratio.path, ratio.batch) == ("teacher.onnx", "run", 1):
            update = {"ratio": interval(*TIMES), "verdict": "SLOWER"}
            kept["ratios"][i] = ratio.model_copy(update=update)
    return record.model_copy(update=kept)


def with_verdict(verdict: Verdict, rows_to_settle: int | None = None) -> Evidence:
    """The same with another verdict on the leading metric."""
    evidence = clicks()
    changed = {"verdict": verdict, "rows_to_settle": rows_to_settle}
    share = evidence.recovered["accuracy"].model_copy(update=changed)
    return evidence.model_copy(update={"recovered": {**evidence.recovered, "accuracy": share}})


def without_teacher() -> Evidence:
    """A bundle whose teacher could not be converted."""
    evidence = clicks()
    latency = evidence.latency
    rows = [row for row in latency.rows if row.name != "teacher.onnx"]
    ratios = [ratio for ratio in latency.ratios if ratio.name != "teacher.onnx"]
    files = {name: fact for name, fact in evidence.files.items() if name != "teacher.onnx"}
    parity = {"student.onnx": evidence.parity["student.onnx"]}
    latency = latency.model_copy(update={"rows": rows, "ratios": ratios})
    return evidence.model_copy(update={"latency": latency, "files": files, "parity": parity})


def with_slices() -> Evidence:
    """A bundle with a second control, a rival, and slices and classes of hostile names."""
    parts = [
        SliceFact(
            column=HOSTILE[1],
            value=HOSTILE[i % 3],
            rows=77 + i,
            teacher=0.2,
            student=0.3,
            shortfall=Interval(value=0.1 - i / 10, low=-0.05, high=0.25),
        )
        for i in range(15)
    ]
    classes = [
        ClassFact(
            label=HOSTILE[0],
            rows=9,
            teacher_recall=0.9,
            student_recall=0.8,
            teacher_log_loss=0.2,
            student_log_loss=0.4,
        )
    ]
    slices = SlicesFact(
        n_slices=15,
        n_left_out=3,
        n_worse={"accuracy": 1},
        worst={"accuracy": parts, "log_loss": parts},
        classes=classes,
    )
    evidence = add_plain_control(add_rival(clicks()))
    return evidence.model_copy(update={"slices": slices})


def with_learning(*, is_positive: bool = True) -> Evidence:
    """A bundle with calibration, training curves and the gain beside the edge."""

    def bins(*rows: tuple[int, float, float]) -> list[BinFact]:
        total = sum(n for n, _, _ in rows)
        return [
            BinFact(rows=n, share=n / total, confidence=sure, accuracy=bound_share(right, n))
            for n, sure, right in rows
        ]

    def curve(judged_by: JudgedBy, *mean: float) -> CurveFact:
        low = [0.9 * loss if is_positive else 0.0 for loss in mean]
        high = [1.1 * loss for loss in mean]
        steps = [500 * (i + 1) for i in range(len(mean))]
        return CurveFact(judged_by=judged_by, steps=steps, mean=list(mean), low=low, high=high)

    update = {
        "gained": _intervals({"accuracy": (0.0123, 0.0059, 0.0188)}),
        "calibration": {
            "teacher": bins((900, 0.55, 0.5512), (99_100, 0.992, 0.9824)),
            "student": bins((1100, 0.56, 0.5345), (20_000, 0.8, 0.8), (78_900, 0.99, 0.9877)),
        },
        "curves": {
            "teacher": curve("labels", 0.31, 0.1234),
            "student": curve("teacher", 0.4, 0.21, 0.0987),
            "control": curve("labels", 0.35, 0.1456, 0.1678),
        },
    }
    return clicks().model_copy(update=update)


def with_rival() -> Evidence:
    """A bundle with a fourth role, a metric of its own, and its own file."""
    evidence = clicks()
    auc = Interval(value=0.9932, low=0.9921, high=0.9943)
    quality = {role: {**found, "auc": auc} for role, found in evidence.quality.items()}
    quality["rival"] = {**quality["teacher"]}
    row = next(row for row in evidence.latency.rows if row.name == "teacher.onnx")
    rows = [*evidence.latency.rows, row.model_copy(update={"name": "rival.onnx"})]
    files = {**evidence.files, "rival.onnx": evidence.files["teacher.onnx"]}
    latency = evidence.latency.model_copy(update={"rows": rows})
    return evidence.model_copy(update={"quality": quality, "files": files, "latency": latency})


def regression() -> Evidence:
    """A bundle that predicts a number from numbers and texts."""
    evidence = clicks()
    signature = Signature(
        numeric=("x", "since"),
        categorical=("plan",),
        target="price",
        kinds={"since": "date"},
        precision="float64",
    )
    names = {"accuracy": "rmse", "log_loss": "mae", "brier": "r2"}
    renamed = {
        field: {
            role: {names[metric]: value for metric, value in found.items() if metric in names}
            for role, found in getattr(evidence, field).items()
        }
        for field in ("quality", "replicates")
    }
    shares: dict[str, Recovered] = {names[m]: v for m, v in evidence.recovered.items()}
    fact = evidence.parity["student.onnx"].model_copy(
        update={"max_probability_difference": None, "mean_probability_difference": None}
    )
    task = evidence.task.model_copy(update={"kind": "regression", "classes": (), "target": "price"})
    return evidence.model_copy(
        update={
            **renamed,
            "recovered": shares,
            "edge": {names[m]: v for m, v in evidence.edge.items()},
            "signature": signature,
            "task": task,
            "fidelity": {"rmse": 0.25},
            "parity": dict.fromkeys(evidence.parity, fact),
        }
    )


def hostile() -> Evidence:
    """A bundle whose table, columns, classes and files are named by an attacker."""
    evidence = clicks()
    signature = Signature(numeric=HOSTILE, categorical=HOSTILE, target=HOSTILE[0], classes=HOSTILE)
    task = {"source": HOSTILE[2], "target": HOSTILE[0], "classes": HOSTILE, "n_features": 6}
    machine = evidence.latency.machine.model_copy(update={"cpu": HOSTILE[1]})
    rows = [
        row.model_copy(update={"name": HOSTILE[0]}) if row.name == "teacher.onnx" else row
        for row in evidence.latency.rows
    ]
    latency = {"machine": machine, "rows": rows, "notes": list(HOSTILE)}
    return evidence.model_copy(
        update={
            "signature": signature,
            "task": evidence.task.model_copy(update=task),
            "latency": evidence.latency.model_copy(update=latency),
            "files": {**evidence.files, HOSTILE[0]: evidence.files["recipe.toml"]},
            "parity": {**evidence.parity, HOSTILE[1]: evidence.parity["teacher.onnx"]},
            "environment": {**evidence.environment, "system": HOSTILE[0]},
        }
    )


def with_histogram() -> Evidence:
    """A long run: the calls of the student are counted in bins."""
    evidence = clicks()
    rows = list(evidence.latency.rows)
    medians = find_block_medians(rows[0].raw)
    bins = Histogram(lowest_ns=7000, counts=[1, 5, 90, 4], block_medians_ns=medians.tolist())
    raw = RawTimes(blocks=rows[0].raw.blocks, packed_ns=None, histogram=bins)
    rows[0] = rows[0].model_copy(update={"raw": raw})
    latency = evidence.latency.model_copy(update={"rows": rows})
    return evidence.model_copy(update={"latency": latency})
