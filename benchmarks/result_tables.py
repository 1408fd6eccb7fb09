"""Markdown tables of the saved results, for README.md and docs/.

Takes benchmarks/results, gives text; `document.py` puts it where it belongs.
"""

import json
import statistics
from collections.abc import Iterable
from typing import Any

from record import RESULTS  # isort: skip  # beside this script

BATCHES = (1, 1024)


def claims(name: str) -> str:
    """The claims of a benchmark's saved result."""
    rows = [
        [
            c["name"],
            f"{c['value']:,.2f} {c['unit']}",
            f"[{c['low']:,.2f}, {c['high']:,.2f}]",
            f"{c['target']:,}",
            "yes" if c["met"] else "no",
        ]
        for c in _result(name)["claims"]
    ]
    return _table(["claim", "value", "interval", "target", "met"], rows)


def runtimes() -> str:
    """The same rows in every runtime: largest difference, flips, p50 of a single row."""
    rows = _result("runtimes")["rows"]
    titles = ["bundle", "runtime", "version", "largest difference", "flips", "p50 us, batch 1"]
    cells = [
        [
            row["bundle"],
            row["runtime"],
            row["version"],
            f"{row['max_probability_difference']:.1e} of {row['rows']} rows",
            str(row["flips"]),
            f"{row['p50_us']:,.1f}",
        ]
        for row in rows
    ]
    bare, service = (
        next(row for row in rows if (row["bundle"], row["runtime"]) == ("clicks", name))
        for name in ("onnxruntime", "service")
    )
    return (
        f"{_table(titles, cells)}\n\n"
        f"The service answers a row of clicks over HTTP in {service['p50_us']:,.0f} us, "
        f"{service['requests_per_second']:,.0f} requests per second on one connection, where the "
        f"bare session takes {bare['p50_us']:,.1f} us: HTTP and JSON are the rest."
    )


def forms() -> str:
    """The student in float32 and in forms of int8."""
    titles = ["models/clicks/student.onnx", "bytes", "p50 us, batch 1", "batch 1,024"]
    titles += ["accuracy, %", "log loss", "same class, %", "largest difference"]
    titles += ["moved by its batch"]
    result = _result("quantize")
    cells = [
        [
            row["form"],
            f"{row['bytes']:,}",
            *[f"{time:,.1f}" if (time := row[f"p50_us_batch_{b}"]) else "-" for b in BATCHES],
            f"{100 * row['accuracy']:.3f}",
            f"{row['log_loss']:.4f}",
            f"{100 * row['agreement']:.2f}",
            f"{row['max_probability_difference']:.3f}",
            f"{row['moved_by_its_batch']:.3f}",
        ]
        for row in result["rows"]
    ]
    lost = result["claims"][1]["value"]
    return (
        f"{_table(titles, cells)}\n\n"
        f"On the same 100,000 test rows, `{result['command']}`. int8 costs {100 * lost:.1f} % of "
        "the accuracy edge; below 0, chance favours it. onnxruntime's static forms round the "
        "probabilities as well, which log loss shows."
    )


def rivals() -> str:
    """The student and what one could ship instead, p50 in microseconds, one thread."""
    rows = [row for row in _result("latency")["rows"] if row["part"] == "rivals"]
    plain = [row for row in rows if row.get("path") in ("run", "call")]
    names = dict.fromkeys(row["name"] for row in plain if not row["name"].endswith(" again"))
    cells = []
    for name in names:
        one, many = (
            next(r for r in plain if (r["name"], r["batch"]) == (name, b)) for b in BATCHES
        )
        times = [f"{row['p50_us']['value']:,.1f}" for row in (one, many)]
        cells.append([name, *times, f"{many['rows_per_second']:,.0f}"])
    absent = [row["name"] for row in rows if "absent" in row]
    table = _table(["", "batch 1", "batch 1,024", "rows per second"], cells)
    return table + (f"\n\nNot installed: {', '.join(absent)}." if absent else "")


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
    roles = ("teacher", "rival", "control", "student")
    titles = ["table", "rows, columns", "metric", *roles, "recovered", "bytes", "us over floor"]
    cells = []
    for row in _result("tables")["rows"]:
        metric = "rmse" if row["kind"] == "regression" else "log_loss"
        found = {role: by_metric[metric] for role, by_metric in row["quality"].items()}
        found["control"] = min(found["control"], found.get("plain_control", found["control"]))
        values = [found[role] for role in roles]
        share = row["recovered"][metric]
        cells.append(
            [
                row["table"],
                f"{sum(row['rows'].values()):,}, {row['numeric']} + {row['categorical']} text",
                metric.replace("_", " "),
                *[f"{value:.4f}" if value < 10 else f"{value:,.0f}" for value in values],
                "no edge" if share["verdict"] == "NO_EDGE" else _show_share(share),
                f"{row['student_bytes']:,}",
                f"{row['over_floor_us']:.1f}",
            ]
        )
    return _table(titles, cells)


def peers() -> str:
    """Log loss of the shipped student beside other tools' on the same rows."""
    titles = ["table", "our student", "AutoGluon's best distilled", "LightGBM"]
    titles += ["AutoGluon's ensemble", "our bytes", "our us"]
    cells = []
    for row in _result("peers")["rows"]:
        shipped = row["quality"]["shipped"]["log_loss"]
        cells.append(
            [
                row["table"],
                f"{shipped['value']:.4f} [{shipped['low']:.3f}, {shipped['high']:.3f}]",
                *[f"{row[key]:.4f}" for key in ("best_distilled", "boosted")],
                f"{row['tools']['AutoGluon ensemble']['log_loss']:.4f}",
                f"{row['bytes']:,}",
                f"{row['p50_us']:.1f}",
            ]
        )
    return _table(titles, cells)


def recovery() -> str:
    """Recovered accuracy edge of students of several sizes, draw by draw."""
    rows = _result("recovery")["rows"]
    draws = list(dict.fromkeys(row["draw"] for row in rows))
    titles = ["student", "times smaller", "bytes", *[f"draw {d}" for d in draws], "median"]
    cells = []
    for name in dict.fromkeys(row["student"] for row in rows):
        own = {row["draw"]: row for row in rows if row["student"] == name}
        first, shares = own[draws[0]], [own[draw]["recovered"]["accuracy"] for draw in draws]
        middle = statistics.median(share["value"] for share in shares)
        sizes = [f"{first['compression']:,.0f}", f"{first['bytes']:,}"]
        cells.append([name, *sizes, *map(_show_share, shares), f"{100 * middle:.1f} %"])
    return _table(titles, cells)


def _table(titles: list[str], rows: Iterable[list[str]]) -> str:
    """A table of Markdown, its columns under these titles."""
    head = [f" {title} " if title else " " for title in titles]
    lines = [f"|{'|'.join(head)}|", "|---" * len(titles) + "|"]
    lines += [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join(lines)


def _show_share(share: dict[str, Any]) -> str:
    low, high = (f"{100 * share[bound]:.0f}" for bound in ("low", "high"))
    return f"{100 * share['value']:.0f} % [{low}, {high}]"


def _result(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text())
