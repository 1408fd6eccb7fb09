"""Write what is generated in README.md, docs/ and models/clicks/report.md: code, saved results.

Usage: python -m benchmarks.document [--check]     --check fails where a file is stale
"""

import argparse
import json
import sys
from pathlib import Path

import click
from pydantic import BaseModel

from benchmarks import result_tables as tables
from benchmarks import search_tables
from kdexport.bundle import hash_bytes
from kdexport.cli import cli
from kdexport.evidence.facts import Evidence, parse_evidence
from kdexport.recipe import Recipe
from kdexport.report.pages import render_markdown

ROOT = Path(__file__).parent.parent
CLICKS = ROOT / "models/clicks/evidence.json"
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
            "recovery": tables.recovery(),
            "smallest": search_tables.smallest(_clicks().files["teacher.onnx"].parameters or 0),
            "training": tables.claims("training"),
            "tables": tables.real_tables(),
            "beside rivals": tables.beside_rivals(),
            "networks alone": tables.networks_alone(),
            "peers": tables.peers(),
            "install": tables.install(),
            "rivals": tables.rivals(),
        },
        ROOT / "docs" / "concepts.md": {"network teachers": tables.network_teachers()},
        ROOT / "docs" / "cli.md": {"commands": commands()},
        ROOT / "docs" / "recipes.md": {"keys": recipe_keys()},
        ROOT / "docs" / "deploy.md": {"runtimes": tables.runtimes()},
        ROOT / "docs" / "search.md": {
            "front": search_tables.front(),
            "found": search_tables.found_students(),
            "claims": tables.claims("search"),
        },
        ROOT / "docs" / "teachers.md": {
            "pairs": tables.own_teachers(),
            "claims": tables.claims("teachers"),
        },
        ROOT / "docs" / "quantize.md": {"forms": tables.forms()},
        ROOT / "docs" / "latency.md": {
            "claims": tables.claims("latency"),
            "rivals": tables.rivals(),
        },
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
        timed = [evidence.latency.find_row(f"{role}.onnx", batch=batch) for batch in (1, 1024)]
        cells = [
            f"{100 * accuracy.value:.2f} [{100 * accuracy.low:.2f}, {100 * accuracy.high:.2f}]",
            f"{log_loss.value:.4f} [{log_loss.low:.4f}, {log_loss.high:.4f}]",
            f"{file.bytes:,}" if file else "-",
            f"{file.parameters:,}" if file else "-",
            *[f"{row.p50_us.value:,.1f}" if row and row.p50_us else "-" for row in timed],
        ]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    for metric in ("accuracy", "log_loss"):
        share = evidence.recovered[metric]
        lines.append(
            f"\nRecovered edge, {metric.replace('_', ' ')}: {100 * share.value:.1f} % "
            f"[{100 * share.low:.1f}, {100 * share.high:.1f}], {share.verdict}."
        )
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
