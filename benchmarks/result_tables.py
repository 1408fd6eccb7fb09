"""Markdown tables of the saved results, for README.md and docs/.

Takes benchmarks/results, gives text; `document.py` puts it where it belongs.
"""

import math
import re
import statistics
from typing import Any, get_args

from benchmarks.show import BATCHES, make_table, read_result, show_ratio, show_share, show_time
from kdexport.evidence.latency_facts import is_again
from kdexport.student_section import Form


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
        for c in read_result(name)["claims"]
    ]
    return make_table(["claim", "value", "interval", "target", "met"], rows)


def beside_rivals() -> str:
    """On how many real tables the student is as good as the rival, and how many were asked."""
    named = {c["name"]: c for c in read_result("tables")["claims"]}
    starts = ("classifications, ", "classifications with an edge, ", "median recovered edge")
    every, some, share = (next(n for n in named if n.startswith(start)) for start in starts)
    n_every, n_some = (re.findall(r"\d+", name)[0] for name in (every, some))
    return (
        f"The student has the rival's log loss or less on {named[every]['value']} of the {n_every} "
        f"classifications ({named[every]['target']:g} were asked for), on {named[some]['value']} "
        f"of the {n_some} with an edge ({named[some]['target']:g} were asked for). The median "
        f"share of the edge on these is {named[share]['value']:.0%} "
        f"({named[share]['target']:.0%} was asked for).".replace("%", " %")
    )


def runtimes() -> str:
    """The same rows in every runtime: largest difference, flips, p50 of a single row."""
    rows = read_result("runtimes")["rows"]
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
        f"{make_table(titles, cells)}\n\n"
        f"The service answers a row of clicks over HTTP in {service['p50_us']:,.0f} us, "
        f"{service['requests_per_second']:,.0f} requests per second on one connection, where the "
        f"bare session takes {bare['p50_us']:,.1f} us: HTTP and JSON are the rest."
    )


def forms() -> str:
    """The student in float32 and in forms of int8."""
    titles = ["models/clicks/student.onnx", "bytes", "p50 us, batch 1", "batch 1,024"]
    titles += ["accuracy, %", "log loss", "same class, %", "largest difference"]
    titles += ["moved by its batch"]
    result = read_result("quantize")
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
        f"{make_table(titles, cells)}\n\n"
        f"On the same 100,000 test rows, `{result['command']}`. int8 costs {100 * lost:.1f} % of "
        "the accuracy edge; below 0, chance favours it. onnxruntime's static forms round the "
        "probabilities as well, which log loss shows."
    )


def rivals() -> str:
    """The student and what one could ship instead, p50 in microseconds, one thread."""
    rows = [row for row in read_result("latency")["rows"] if row["part"] == "rivals"]
    plain = [row for row in rows if row.get("path") in ("run", "call")]
    names = dict.fromkeys(row["name"] for row in plain if not is_again(row["name"]))
    cells = []
    for name in names:
        one, many = (
            next(r for r in plain if (r["name"], r["batch"]) == (name, b)) for b in BATCHES
        )
        times = [f"{row['p50_us']['value']:,.1f}" for row in (one, many)]
        cells.append([name, *times, f"{many['rows_per_second']:,.0f}"])
    absent = [row["name"] for row in rows if "absent" in row]
    shown = make_table(["", "batch 1", "batch 1,024", "rows per second"], cells)
    return shown + (f"\n\nNot installed: {', '.join(absent)}." if absent else "")


def install() -> str:
    """What the two ways to install take."""
    (row,) = read_result("torch_free")["rows"]
    core, full = (row[name] / 1e6 for name in ("core_bytes", "full_bytes"))
    return (
        f"`check`, `bench`, `predict`, `info`, `report` and `pack` need no torch: `pip install "
        f"kdexport` takes {core:,.0f} MB and {row['core_install_seconds']:.0f} s, "
        f"`kdexport[train]` and what the tests need {full:,.0f} MB (with a CPU build of torch)."
    )


def real_tables() -> str:
    """Real tables: quality by the metric that the edge is stated in, size, latency, parity."""
    roles = ("teacher", "rival", "control", "student")
    titles = ["table", "rows, columns", "metric", *roles, "recovered"]
    titles += ["form", "bytes", "us over floor"]
    cells = []
    for row in read_result("tables")["rows"]:
        metric = "rmse" if row["kind"] == "regression" else "log_loss"
        found = _find_roles(row, metric)
        values = [found[role] for role in roles]
        cells.append(
            [
                row["table"],
                f"{sum(row['rows'].values()):,}, {row['numeric']} + {row['categorical']} text",
                metric.replace("_", " "),
                *[f"{value:.4f}" if value < 10 else f"{value:,.0f}" for value in values],
                _show_recovered(row, metric),
                _find_form(row["chosen"]),
                f"{row['student_bytes']:,}",
                show_time(row["over_floor_us"]),
            ]
        )
    return make_table(titles, cells)


def _find_form(chosen: dict[str, Any]) -> str:
    """How a run's students read numbers."""
    forms = [form for form in get_args(Form) if chosen.get(f"student_{form}")]
    return forms[0] if forms else "plain"


def peers() -> str:
    """Log loss of the shipped student beside other tools' on the same rows."""
    titles = ["table", "our student", "AutoGluon's best distilled", "LightGBM"]
    titles += ["AutoGluon's ensemble", "our bytes", "our us"]
    cells = []
    for row in read_result("peers")["rows"]:
        shipped = row["quality"]["shipped"]["log_loss"]
        cells.append(
            [
                row["table"],
                f"{shipped['value']:.4f} [{shipped['low']:.3f}, {shipped['high']:.3f}]",
                *[f"{row[key]:.4f}" for key in ("best_distilled", "boosted")],
                f"{row['tools']['AutoGluon ensemble']['log_loss']:.4f}",
                f"{row['bytes']:,}",
                show_time(row["p50_us"]),
            ]
        )
    return make_table(titles, cells)


def network_teachers() -> str:
    """Real tables whose teacher is an ensemble of networks alone, students of both forms."""
    rows = read_result("network_teachers")["rows"]
    by_form = {(row["table"], row["form"]): row for row in rows}
    titles = ["table", "teacher", "control", "plain student", "recovered"]
    titles += ["chosen form", "student", "recovered"]
    cells = []
    for name in dict.fromkeys(row["table"] for row in rows):
        plain, best = by_form[name, "plain"], by_form[name, "best"]
        losses = _find_roles(plain, "log_loss")
        cells.append(
            [
                name,
                *[f"{losses[role]:.4f}" for role in ("teacher", "control", "student")],
                _show_recovered(plain, "log_loss"),
                _find_form(best["chosen"]),
                f"{_find_roles(best, 'log_loss')['student']:.4f}",
                _show_recovered(best, "log_loss"),
            ]
        )
    return make_table(titles, cells)


def networks_alone() -> str:
    """What students of networks alone recover, in words."""
    plain, best = read_result("network_teachers")["claims"]
    n_tables = plain["name"].rsplit(", ", 1)[1].split()[0]
    return (
        f"Where the teacher is twelve networks alone, the median on the {n_tables} classifications "
        f"with an edge is {100 * plain['value']:.0f} % of it for plain 64-32 students and "
        f"{100 * best['value']:.0f} % in the form that validation rows choose "
        "([docs/concepts.md](docs/concepts.md#the-teacher))."
    )


def recovery() -> str:
    """Recovered accuracy edge of students of several sizes, draw by draw."""
    rows = read_result("recovery")["rows"]
    draws = list(dict.fromkeys(row["draw"] for row in rows))
    titles = ["student", "times smaller", "bytes", *[f"draw {d}" for d in draws], "median"]
    cells = []
    for name in dict.fromkeys(row["student"] for row in rows):
        own = {row["draw"]: row for row in rows if row["student"] == name}
        first, shares = own[draws[0]], [own[draw]["recovered"]["accuracy"] for draw in draws]
        middle = statistics.median(share["value"] for share in shares)
        sizes = [f"{first['compression']:,.0f}", f"{first['bytes']:,}"]
        cells.append([name, *sizes, *map(show_share, shares), f"{100 * middle:.1f} %"])
    return make_table(titles, cells)


def own_teachers() -> str:
    """Teachers of one's own: what their students recover, and how much faster they are."""
    titles = ["table", "teacher", "its log loss", "control", "student", "recovered"]
    titles += ["times faster than the native teacher", "teacher.onnx"]
    cells = []
    for row in read_result("teachers")["rows"]:
        losses = _find_roles(row, "log_loss")
        ratio, file = row["native_over_student"], row["teacher_file"]
        cells.append(
            [
                row["table"],
                row["teacher"].replace("_", " "),
                *[f"{losses[role]:.4f}" for role in ("teacher", "control", "student")],
                _show_recovered(row, "log_loss"),
                show_ratio(ratio) if ratio else "-",
                f"{file['bytes']:,}" if "bytes" in file else "none",
            ]
        )
    return make_table(titles, cells)


def _find_roles(row: dict[str, Any], metric: str) -> dict[str, float]:
    """Each role's value in a metric that is better lower; the control is the better of the two."""
    found = {role: by_metric[metric] for role, by_metric in row["quality"].items()}
    return {**found, "control": min(found["control"], found.get("plain_control", math.inf))}


def _show_recovered(row: dict[str, Any], metric: str) -> str:
    """The recovered edge, or that there is none to recover."""
    share = row["recovered"][metric]
    return "no edge" if share["verdict"] == "NO_EDGE" else show_share(share)
