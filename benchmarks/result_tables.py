"""Markdown tables of the saved results, for README.md and docs/.

Takes benchmarks/results, gives text; `document.py` puts it where it belongs.
"""

import json
import math
import statistics
from collections.abc import Iterable
from typing import Any, get_args

from kdexport.evidence.front import Limits, choose, list_measured
from kdexport.evidence.search_facts import SearchFact
from kdexport.student_section import Form

from record import RESULTS  # isort: skip  # beside this script

BATCHES = (1, 1024)
SHARE_TO_KEEP = Limits(min_recovered_lower=0.8)


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
    titles = ["table", "rows, columns", "metric", *roles, "recovered"]
    titles += ["form", "bytes", "us over floor"]
    cells = []
    for row in _result("tables")["rows"]:
        metric = "rmse" if row["kind"] == "regression" else "log_loss"
        found = _find_roles(row, metric)
        values = [found[role] for role in roles]
        share = row["recovered"][metric]
        cells.append(
            [
                row["table"],
                f"{sum(row['rows'].values()):,}, {row['numeric']} + {row['categorical']} text",
                metric.replace("_", " "),
                *[f"{value:.4f}" if value < 10 else f"{value:,.0f}" for value in values],
                "no edge" if share["verdict"] == "NO_EDGE" else _show_share(share),
                _find_form(row["chosen"]),
                f"{row['student_bytes']:,}",
                _show_time(row["over_floor_us"]),
            ]
        )
    return _table(titles, cells)


def _find_form(chosen: dict[str, Any]) -> str:
    """How a run's students read numbers."""
    forms = [form for form in get_args(Form) if chosen.get(f"student_{form}")]
    return forms[0] if forms else "plain"


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
                _show_time(row["p50_us"]),
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


def front() -> str:
    """Every measured candidate of the search on the built-in task, the smallest first."""
    fact = _search("clicks")
    usual = next(one for one in fact.candidates if one.name == fact.usual)
    titles = ["student", "weights", "bytes", "accuracy edge recovered", "on validation rows"]
    titles += [f"batch {batch}, times {fact.usual}" for batch in BATCHES]
    cells = [
        [
            one.name,
            f"{one.parameters:,}",
            f"{one.bytes:,}",
            _show_share(one.recovered["accuracy"].model_dump()),
            f"{100 * (one.share or 0):.0f} %",
            *[f"{one.p50_us[str(b)] / usual.p50_us[str(b)]:.2f}" for b in BATCHES],
        ]
        for one in list_measured(fact.candidates)
    ]
    return _table(titles, cells)


def smallest(teacher_parameters: int) -> str:
    """What a search with a share to keep finds on the built-in task, in words."""
    fact = _search("clicks")
    found, _ = choose(fact.candidates, SHARE_TO_KEEP, usual=fact.usual)
    if found is None:
        raise ValueError("no candidate keeps the share")
    tried = len({one.name.removesuffix(" int8") for one in fact.candidates})
    return (
        f"How small a student can be, the search says: of {tried} tried on draw 42, the "
        f"smallest that keeps {SHARE_TO_KEEP.min_recovered_lower:.0%} of the way on validation "
        f"rows is {found.name}. On the test rows its **{found.parameters:,} weights** "
        f"({teacher_parameters / found.parameters:,.0f} times fewer than the ensemble's) recover "
        f"**{_show_share(found.recovered['accuracy'].model_dump())}** of the accuracy edge, in "
        f"{found.bytes:,} bytes ([docs/search.md](docs/search.md))."
    )


def found_students() -> str:
    """Real tables: the student that a search ships beside the usual one."""
    titles = ["table", "student", "bytes", "log loss", "recovered", "one row, times the usual"]
    cells = []
    for row in (row for row in _result("search")["rows"] if row["task"] != "clicks"):
        fact = SearchFact.model_validate(row["search"])
        by_name = {one.name: one for one in fact.candidates}
        usual = by_name[fact.usual]
        for one in dict.fromkeys([fact.usual, fact.chosen]):
            shown = by_name[one]
            role = "found" if one == fact.chosen else "usual"
            metric = row["metric"]
            cells.append(
                [
                    row["task"],
                    f"{role}: {one}",
                    f"{shown.bytes:,}",
                    f"{shown.quality[metric].value:.4f}",
                    _show_share(shown.recovered[metric].model_dump()),
                    f"{shown.p50_us['1'] / usual.p50_us['1']:.2f}",
                ]
            )
    return _table(titles, cells)


def own_teachers() -> str:
    """Teachers of one's own: what their students recover, and how much faster they are."""
    titles = ["table", "teacher", "its log loss", "control", "student", "recovered"]
    titles += ["times faster than the native teacher", "teacher.onnx"]
    cells = []
    for row in _result("teachers")["rows"]:
        losses = _find_roles(row, "log_loss")
        share, ratio = row["recovered"]["log_loss"], row["native_over_student"]
        file = row["teacher_file"]
        cells.append(
            [
                row["table"],
                row["teacher"].replace("_", " "),
                *[f"{losses[role]:.4f}" for role in ("teacher", "control", "student")],
                "no edge" if share["verdict"] == "NO_EDGE" else _show_share(share),
                _show_ratio(ratio) if ratio else "-",
                f"{file['bytes']:,}" if "bytes" in file else "none",
            ]
        )
    return _table(titles, cells)


def _find_roles(row: dict[str, Any], metric: str) -> dict[str, float]:
    """Each role's value in a metric that is better lower; the control is the better of the two."""
    found = {role: by_metric[metric] for role, by_metric in row["quality"].items()}
    return {**found, "control": min(found["control"], found.get("plain_control", math.inf))}


def _table(titles: list[str], rows: Iterable[list[str]]) -> str:
    """A table of Markdown, its columns under these titles."""
    head = [f" {title} " if title else " " for title in titles]
    lines = [f"|{'|'.join(head)}|", "|---" * len(titles) + "|"]
    lines += [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join(lines)


def _show_time(microseconds: float | None) -> str:
    """Return a time, or a dash where it was not measured yet."""
    return "-" if microseconds is None else f"{microseconds:.1f}"


def _show_share(share: dict[str, Any]) -> str:
    low, high = (f"{100 * share[bound]:.0f}" for bound in ("low", "high"))
    return f"{100 * share['value']:.0f} % [{low}, {high}]"


def _show_ratio(ratio: dict[str, Any]) -> str:
    value, low, high = (f"{ratio[part]:,.0f}" for part in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _search(task: str) -> SearchFact:
    """What a search found on one task."""
    row = next(row for row in _result("search")["rows"] if row["task"] == task)
    return SearchFact.model_validate(row["search"])


def _result(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text())
