"""Tables of a report that stand further down: latency, schema, files, environment.

Takes evidence, gives `Grid`s. Every percentile that the calls cannot support says what would.
"""

from kdexport.evidence.facts import Evidence
from kdexport.evidence.latency_facts import (
    FLOOR,
    PERCENTILES,
    LatencyFact,
    LoadFact,
    list_percentiles,
    name_percentile,
)
from kdexport.report.figures import Quoted, name_difference, write_bytes, write_interval
from kdexport.report.grids import ABSENT, Grid

PATHS = {"run": "plain call", "io_binding": "bound", "call": "function"}


def make_latency_grid(evidence: Evidence) -> Grid:
    """Steady state: percentiles, distance to the empty graph, CPU time."""
    rows = [
        (
            f"{row.batch:,}" + (f" x{row.threads}" if row.threads > 1 else ""),
            Quoted(row.name),
            PATHS[row.path],
            f"{row.calls:,}",
            *_write_percentiles(row),
            ABSENT if row.name == FLOOR else write_interval(row.over_floor_us),
            f"{row.cpu_share:.0%}".replace("%", " %"),
        )
        for row in evidence.latency.rows
    ]
    heads = [f"{name_percentile(key)}, us" for key in PERCENTILES]
    columns = ("batch", "candidate", "called", "calls", *heads, "over the empty graph, us", "CPU")
    note = (
        "Intervals: 99 %, from order statistics. CPU: process time over wall time, one figure per "
        "run and so without an interval. Bound: inputs and outputs stay where they are."
    )
    return Grid("Latency", columns, tuple(rows), note)


def make_ratio_grid(evidence: Evidence) -> Grid:
    """Time over that of the reference, from paired blocks."""
    rows = [
        (
            f"{fact.batch:,}" + (f" x{fact.threads}" if fact.threads > 1 else ""),
            Quoted(fact.name),
            Quoted(fact.reference),
            PATHS[fact.path],
            write_interval(fact.ratio),
            f"{fact.noise:.3f}" if fact.noise else "is what chance shows",
            name_difference(fact),
        )
        for fact in evidence.latency.ratios
    ]
    columns = ("batch", "candidate", "over", "called", "ratio", "chance", "verdict")
    note = (
        "Geometric mean over paired blocks, 99 % interval. Chance: what the same file against "
        "itself could show; a difference is named only beyond it."
    )
    return Grid("Ratios", columns, tuple(rows), note)


def make_start_grid(evidence: Evidence) -> Grid:
    """What comes before the steady state, and memory."""
    memory = {(fact.name, fact.batch): fact for fact in evidence.latency.memory}
    rows = []
    for start in evidence.latency.starts:
        fact = memory.get((start.name, start.batch))
        steady = "" if start.steady_share == 1 else " (not always steady)"
        rows.append(
            (
                f"{start.batch:,}",
                Quoted(start.name),
                _write_range(start.open_us),
                _write_range(start.first_call_us),
                f"{start.warm_up_calls}{steady}",
                write_bytes(fact.growth_bytes) if fact else ABSENT,
                write_bytes(fact.peak_growth_bytes) if fact else ABSENT,
            )
        )
    columns = ["batch", "candidate", "open, us", "first call, us", "warm-up calls"]
    columns += ["memory added", "at its peak"]
    note = "Median and, between brackets, the fastest and slowest opening. Memory: measured once."
    return Grid("Before the steady state", tuple(columns), tuple(rows), note)


def make_load_grid(evidence: Evidence) -> Grid:
    """Client threads that call one session at once; no rows where that was not measured."""
    rows = [
        (
            f"{fact.batch:,}",
            Quoted(fact.name),
            f"{fact.clients}",
            f"{fact.calls_per_second:,.0f}",
            *_write_percentiles(fact),
        )
        for fact in evidence.latency.load
    ]
    heads = [f"{name_percentile(key)}, us" for key in PERCENTILES]
    columns = ("batch", "candidate", "clients", "calls per second", *heads)
    return Grid("Under load", columns, tuple(rows), "Calls per second: one run, no interval.")


def make_schema_grid(evidence: Evidence) -> Grid:
    """Every column that the file takes, in order."""
    signature = evidence.signature
    rows = []
    for i, name in enumerate(signature.numeric):
        kind = signature.kinds.get(name, "number")
        meaning = {
            "number": "a number; NaN where it is missing",
            "boolean": "1 or 0; NaN where it is missing",
            "date": "days since 1970-01-01 UTC; NaN where it is missing",
        }[kind]
        rows.append((Quoted(name), "numeric", f"{i}", kind, meaning))
    for i, name in enumerate(signature.categorical):
        rows.append((Quoted(name), "categorical", f"{i}", "text", "empty where it is missing"))
    columns = ("column", "input", "position", "kind", "a cell is")
    note = (
        f"numeric is {signature.precision} [n, {len(signature.numeric)}]"
        if signature.numeric
        else "there is no numeric input"
    )
    if signature.categorical:
        note += f"; categorical is string [n, {len(signature.categorical)}]"
    return Grid("What the file takes", columns, tuple(rows), f"{note[0].upper()}{note[1:]}.")


def make_answer_grid(evidence: Evidence) -> Grid:
    """What the file answers, class by class."""
    signature = evidence.signature
    if signature.is_regression:
        note = "prediction is float32 [n], in the target's own unit."
        return Grid("What it answers", ("output",), (("prediction",),), note)
    rows = [
        (str(i), Quoted(value if isinstance(value, str) else str(value)))
        for i, value in enumerate(signature.classes)
    ]
    note = (
        f"label is {signature.label_dtype} [n]; probabilities is float32 "
        f"[n, {len(signature.classes)}], its columns in this order."
    )
    return Grid("What it answers", ("column of probabilities", "class"), tuple(rows), note)


def make_file_grid(evidence: Evidence, evidence_sha256: str) -> Grid:
    """Every file of the bundle with its hash."""
    rows = [
        (
            Quoted(name),
            f"{fact.bytes:,}",
            f"{fact.parameters:,}" if fact.parameters else ABSENT,
            f"{fact.opset}, IR {fact.ir_version}" if fact.opset else ABSENT,
            Quoted(fact.sha256),
        )
        for name, fact in evidence.files.items()
    ]
    rows.append((Quoted("evidence.json"), ABSENT, ABSENT, ABSENT, Quoted(evidence_sha256)))
    columns = ("file", "bytes", "parameters", "opset", "sha256")
    note = "This report is made from evidence.json alone and can be made again from it."
    return Grid("Files", columns, tuple(rows), note)


def make_data_grid(evidence: Evidence) -> Grid:
    """How many rows each part had, and which."""
    rows = [
        (part, f"{fact.rows:,}", Quoted(fact.ids_sha256))
        for part, fact in evidence.task.rows.items()
    ]
    rows.append(("training and validation data", ABSENT, Quoted(evidence.task.data_sha256)))
    columns = ("part", "rows", "sha256 of the row ids, or of the data")
    return Grid("Rows", columns, tuple(rows), "Test rows choose nothing.")


def make_environment_grid(evidence: Evidence) -> Grid:
    """Where it was trained and measured."""
    machine = evidence.latency.machine
    found = {f"{key}": value for key, value in evidence.environment.items()}
    found["kdexport"] = evidence.kdexport_version
    found["CPU"] = machine.cpu
    found["cores allowed"] = f"{machine.cores_allowed}"
    found["core quota"] = "none" if machine.core_quota is None else f"{machine.core_quota:g}"
    limit = machine.memory_limit_bytes
    found["memory limit"] = "none" if limit is None else write_bytes(limit)
    found["governor"] = machine.governor or "not known"
    before, after = evidence.latency.load_before, evidence.latency.load_after
    if before is not None and after is not None:
        found["load average, before and after"] = f"{before:.2f}, {after:.2f}"
    rows = tuple((key.replace("_", " "), Quoted(value)) for key, value in found.items())
    return Grid("Environment", ("", "value"), rows)


def make_recipe_grid(evidence: Evidence) -> Grid:
    """Every key of the recipe that made it."""
    rows = []
    for key, value in evidence.recipe.items():
        inner = value if isinstance(value, dict) else {"": value}
        rows += [(f"{key}.{name}".rstrip("."), Quoted(str(item))) for name, item in inner.items()]
    note = "kdexport run --recipe recipe.toml makes the bundle again."
    return Grid("Recipe", ("key", "value"), tuple(rows), note)


def _write_percentiles(fact: LatencyFact | LoadFact) -> list[str]:
    needed = {key: f"needs {n:,} calls" for key, n in fact.calls_needed.items()}
    return [
        write_interval(found) if found else needed.get(key, ABSENT)
        for key, found in zip(PERCENTILES, list_percentiles(fact), strict=True)
    ]


def _write_range(values: list[float]) -> str:
    if not values:
        return ABSENT
    ordered = sorted(values)
    middle = ordered[len(ordered) // 2]
    if len(ordered) == 1:
        return f"{middle:,.0f} (once)"
    return f"{middle:,.0f} [{ordered[0]:,.0f}, {ordered[-1]:,.0f}]"
