"""Markdown tables of the saved results, for README.md and docs/.

Takes benchmarks/results, gives text; `document.py` puts it where it belongs.
"""

import json
import statistics
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
BATCHES = (1, 1024)


def claims(name: str) -> str:
    """The claims of a benchmark's saved result."""
    lines = ["| claim | value | interval | target | met |", "|---|---|---|---|---|"]
    lines += [
        f"| {c['name']} | {c['value']:,.2f} {c['unit']} | [{c['low']:,.2f}, {c['high']:,.2f}] "
        f"| {c['target']:,} | {'yes' if c['met'] else 'no'} |"
        for c in _result(name)["claims"]
    ]
    return "\n".join(lines)


def runtimes() -> str:
    """The same rows in every runtime: largest difference, flips, p50 of a single row."""
    rows = _result("runtimes")["rows"]
    lines = ["| bundle | runtime | version | largest difference | flips | p50 us, batch 1 |"]
    lines += ["|---|---|---|---|---|---|"]
    lines += [
        f"| {row['bundle']} | {row['runtime']} | {row['version']} "
        f"| {row['max_probability_difference']:.1e} of {row['rows']} rows | {row['flips']} "
        f"| {row['p50_us']:,.1f} |"
        for row in rows
    ]
    bare, service = (
        next(row for row in rows if (row["bundle"], row["runtime"]) == ("clicks", name))
        for name in ("onnxruntime", "service")
    )
    lines.append(
        f"\nThe service answers a row of clicks over HTTP in {service['p50_us']:,.0f} us, "
        f"{service['requests_per_second']:,.0f} requests per second on one connection, where the "
        f"bare session takes {bare['p50_us']:,.1f} us: HTTP and JSON are the rest."
    )
    return "\n".join(lines)


def forms() -> str:
    """The student in float32 and in forms of int8."""
    lines = [
        "| models/clicks/student.onnx | bytes | p50 us, batch 1 | batch 1,024 | accuracy, % "
        "| log loss | same class, % | largest difference | moved by its batch |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    result = _result("quantize")
    for row in result["rows"]:
        times = [row[f"p50_us_batch_{batch}"] for batch in BATCHES]
        cells = [
            row["form"],
            f"{row['bytes']:,}",
            *[f"{time:,.1f}" if time else "-" for time in times],
            f"{100 * row['accuracy']:.3f}",
            f"{row['log_loss']:.4f}",
            f"{100 * row['agreement']:.2f}",
            f"{row['max_probability_difference']:.3f}",
            f"{row['moved_by_its_batch']:.3f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lost = result["claims"][1]["value"]
    lines.append(
        f"\nOn the same 100,000 test rows, `{result['command']}`. int8 costs {100 * lost:.1f} % of "
        "the accuracy edge; below 0, chance favours it. onnxruntime's static forms round the "
        "probabilities as well, which log loss shows."
    )
    return "\n".join(lines)


def rivals() -> str:
    """The student and what one could ship instead, p50 in microseconds, one thread."""
    rows = [row for row in _result("latency")["rows"] if row["part"] == "rivals"]
    plain = [row for row in rows if row.get("path") in ("run", "call")]
    names = dict.fromkeys(row["name"] for row in plain if not row["name"].endswith(" again"))
    lines = ["| | batch 1 | batch 1,024 | rows per second |", "|---|---|---|---|"]
    for name in names:
        one, many = (
            next(r for r in plain if (r["name"], r["batch"]) == (name, b)) for b in BATCHES
        )
        cells = [f"{row['p50_us']['value']:,.1f}" for row in (one, many)]
        lines.append(f"| {name} | {' | '.join(cells)} | {many['rows_per_second']:,.0f} |")
    absent = [row["name"] for row in rows if "absent" in row]
    return "\n".join(lines) + (f"\n\nNot installed: {', '.join(absent)}." if absent else "")


def install() -> str:
    """What the two ways to install take."""
    (row,) = _result("torch_free")["rows"]
    core, full = (row[name] / 1e6 for name in ("core_bytes", "full_bytes"))
    return (
        f"`check`, `bench`, `predict`, `info` and `report` need no torch: `pip install kdexport` "
        f"takes {core:,.0f} MB and {row['core_install_seconds']:.0f} s, `kdexport[train]` and what "
        f"the tests need {full:,.0f} MB (with a CPU build of torch)."
    )


def real_tables() -> str:
    """Real tables: quality by the metric that the edge is stated in, size, latency, parity."""
    lines = [
        "| table | rows, columns | metric | teacher | rival | control | student | recovered "
        "| bytes | us over floor |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in _result("tables")["rows"]:
        metric = "rmse" if row["kind"] == "regression" else "log_loss"
        found = {role: by_metric[metric] for role, by_metric in row["quality"].items()}
        found["control"] = min(found["control"], found.get("plain_control", found["control"]))
        values = [found[role] for role in ("teacher", "rival", "control", "student")]
        share = row["recovered"][metric]
        recovered = "no edge"
        if share["verdict"] != "NO_EDGE":
            bounds = f"[{100 * share['low']:.0f}, {100 * share['high']:.0f}]"
            recovered = f"{100 * share['value']:.0f} % {bounds}"
        cells = [
            row["table"],
            f"{sum(row['rows'].values()):,}, {row['numeric']} + {row['categorical']} text",
            metric.replace("_", " "),
            *[f"{value:.4f}" if value < 10 else f"{value:,.0f}" for value in values],
            recovered,
            f"{row['student_bytes']:,}",
            f"{row['over_floor_us']:.1f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def peers() -> str:
    """Log loss of the shipped student beside other tools' on the same rows."""
    lines = [
        "| table | our student | AutoGluon's best distilled | LightGBM | AutoGluon's ensemble "
        "| our bytes | our us |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in _result("peers")["rows"]:
        shipped = row["quality"]["shipped"]["log_loss"]
        cells = [
            row["table"],
            f"{shipped['value']:.4f} [{shipped['low']:.3f}, {shipped['high']:.3f}]",
            *[f"{row[key]:.4f}" for key in ("best_distilled", "boosted")],
            f"{row['tools']['AutoGluon ensemble']['log_loss']:.4f}",
            f"{row['bytes']:,}",
            f"{row['p50_us']:.1f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def recovery() -> str:
    """Recovered accuracy edge of students of several sizes, draw by draw."""
    rows = _result("recovery")["rows"]
    draws = list(dict.fromkeys(row["draw"] for row in rows))
    lines = [
        "| student | times smaller | bytes | "
        + " | ".join(f"draw {d}" for d in draws)
        + " | median |",
        "|---" * (len(draws) + 4) + "|",
    ]
    for name in dict.fromkeys(row["student"] for row in rows):
        own = {row["draw"]: row for row in rows if row["student"] == name}
        shares = [own[draw]["recovered"]["accuracy"] for draw in draws]
        cells = [name, f"{own[draws[0]]['compression']:,.0f}", f"{own[draws[0]]['bytes']:,}"]
        cells += [_show_share(share) for share in shares]
        cells.append(f"{100 * statistics.median(share['value'] for share in shares):.1f} %")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _show_share(share: dict[str, Any]) -> str:
    low, high = (f"{100 * share[bound]:.0f}" for bound in ("low", "high"))
    return f"{100 * share['value']:.0f} % [{low}, {high}]"


def _result(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text())
