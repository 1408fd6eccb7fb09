"""Write what is generated in README.md, docs/ and models/clicks/report.md: code, saved results.

Usage: python benchmarks/document.py [--check]     --check fails where a file is stale
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from kdexport.bundle import hash_bytes
from kdexport.cli import cli
from kdexport.evidence.facts import Evidence, parse_evidence
from kdexport.recipe import Recipe
from kdexport.report.pages import render_markdown

ROOT = Path(__file__).parent.parent
CLICKS = ROOT / "models/clicks/evidence.json"
BATCHES = (1, 1024)
START, END = "<!-- generated: {} -->", "<!-- end -->"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = []
    for path, parts in {
        ROOT / "README.md": {
            "headline": headline(),
            "results": results(),
            "training": claims("training"),
            "tables": tables(),
            "peers": peers(),
            "install": install(),
            "rivals": rivals(),
        },
        ROOT / "docs" / "cli.md": {"commands": commands()},
        ROOT / "docs" / "recipes.md": {"keys": recipe_keys()},
        ROOT / "docs" / "deploy.md": {"runtimes": runtimes()},
        ROOT / "docs" / "quantize.md": {"forms": forms()},
        ROOT / "docs" / "latency.md": {"claims": claims("latency"), "rivals": rivals()},
    }.items():
        text = path.read_text(encoding="utf-8")
        fresh = text
        for name, content in parts.items():
            fresh = replace_part(fresh, name, content)
        if fresh != text:
            stale.append(path.name)
            if not check:
                path.write_text(fresh, encoding="utf-8")
    report = ROOT / "models/clicks/report.md"
    text = clicks_report()
    if not report.exists() or report.read_text(encoding="utf-8") != text:
        stale.append("models/clicks/report.md")
        if not check:
            report.write_text(text, encoding="utf-8")
    if check and stale:
        print(f"stale: {', '.join(stale)}; run make readme")
        return 1
    return 0


def replace_part(text: str, name: str, content: str) -> str:
    """Replace what stands between a part's marks."""
    start = START.format(name)
    before, rest = text.split(start, 1)
    _, after = rest.split(END, 1)
    return f"{before}{start}\n{content}\n{END}{after}"


def headline() -> str:
    evidence = _clicks()
    share = evidence.recovered["accuracy"]
    student, teacher = evidence.files["student.onnx"], evidence.files["teacher.onnx"]
    one = {row.name: row for row in evidence.latency.rows if (row.batch, row.path) == (1, "run")}
    p50 = {name: fact.p50_us.value for name, fact in one.items() if fact.p50_us}
    return (
        f"Measured on {evidence.task.rows['test'].rows:,} test rows: a file of "
        f"**{student.bytes:,} bytes** (the ensemble has {teacher.bytes:,}) keeps "
        f"**{100 * share.value:.0f} % [{100 * share.low:.0f}, {100 * share.high:.0f}]** of the "
        f"ensemble's accuracy edge and answers in {p50['student.onnx']:.0f} us "
        f"(ensemble {p50['teacher.onnx']:.0f}, empty graph {p50['floor']:.0f})."
    )


def results() -> str:
    evidence = _clicks()
    lines = ["| | accuracy, % | log loss | bytes | parameters | p50 us, batch 1 | batch 1,024 |"]
    lines += ["|---|---|---|---|---|---|---|"]
    titles = {
        "teacher": "teacher",
        "control": "control",
        "plain_control": "plain control",
        "student": "student",
        "rival": "rival: one boosted model",
    }
    for role, title in titles.items():
        accuracy, log_loss = (evidence.quality[role][m] for m in ("accuracy", "log_loss"))
        file = evidence.files.get(f"{role}.onnx")
        rows = [row for row in evidence.latency.rows if row.path == "run"]
        times = {row.batch: row.p50_us for row in rows if row.name == f"{role}.onnx"}
        cells = [
            f"{100 * accuracy.value:.2f} [{100 * accuracy.low:.2f}, {100 * accuracy.high:.2f}]",
            f"{log_loss.value:.4f} [{log_loss.low:.4f}, {log_loss.high:.4f}]",
            f"{file.bytes:,}" if file else "-",
            f"{file.parameters:,}" if file else "-",
            *[f"{p50.value:,.1f}" if (p50 := times.get(b)) else "-" for b in (1, 1024)],
        ]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    for metric in ("accuracy", "log_loss"):
        share = evidence.recovered[metric]
        lines.append(
            f"\nRecovered edge, {metric.replace('_', ' ')}: {100 * share.value:.1f} % "
            f"[{100 * share.low:.1f}, {100 * share.high:.1f}], {share.verdict}."
        )
    return "\n".join(lines)


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


def _result(name: str) -> dict[str, Any]:
    return json.loads((ROOT / f"benchmarks/results/{name}.json").read_text())


def install() -> str:
    """What the two ways to install take."""
    (row,) = _result("torch_free")["rows"]
    core, full = (row[name] / 1e6 for name in ("core_bytes", "full_bytes"))
    return (
        f"`check`, `bench`, `predict`, `info` and `report` need no torch: `pip install kdexport` "
        f"takes {core:,.0f} MB and {row['core_install_seconds']:.0f} s, `kdexport[train]` and what "
        f"the tests need {full:,.0f} MB (with a CPU build of torch)."
    )


def tables() -> str:
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


def recipe_keys() -> str:
    lines = ["| key | default | meaning |", "|---|---|---|"]
    lines += _describe_section(Recipe(), "")
    return "\n".join(lines)


def _describe_section(section: BaseModel, prefix: str) -> list[str]:
    lines = []
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            lines += _describe_section(value, f"{prefix}{name}.")
        else:
            shown = "-" if value is None else json.dumps(value)
            text = field.description or _inherited_description(type(section), name)
            lines.append(f"| `{prefix}{name}` | `{shown}` | {text} |")
    return lines


def _inherited_description(section: type[BaseModel], name: str) -> str:
    bases = [base for base in section.__mro__[1:] if issubclass(base, BaseModel)]
    texts = [base.model_fields[name].description for base in bases if name in base.model_fields]
    return next(filter(None, texts), "version of this format")


def commands() -> str:
    """What each command's --help prints."""
    parts = []
    for name, command in cli.commands.items():
        context = click.Context(command, info_name=f"kdexport {name}", terminal_width=88)
        lines = [line.rstrip() for line in command.get_help(context).splitlines()]
        text = "\n".join(lines)
        parts.append(f"## kdexport {name}\n\n```text\n{text}\n```")
    return "\n\n".join(parts)


def clicks_report() -> str:
    """The report of the bundle that ships with the repository, as Markdown."""
    return render_markdown(_clicks(), hash_bytes(CLICKS.read_bytes()))


def _clicks() -> Evidence:
    """The evidence of the bundle that ships with the repository."""
    return parse_evidence(CLICKS.read_bytes(), CLICKS.name)


if __name__ == "__main__":
    sys.exit(main())
