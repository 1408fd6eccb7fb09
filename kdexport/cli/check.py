"""`check`: the gate. It needs no torch, but for `--from-source`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kdexport.cli.options import PATH, csv_format_of, csv_options, parse_settings
from kdexport.cli.outputs import (
    GuardedCommand,
    OutputPath,
    json_option,
    refuse_unwritable,
    write_json,
    write_text,
)

if TYPE_CHECKING:
    from kdexport.bundle import Bundle
    from kdexport.evidence.user_rows import UserRows
    from kdexport.records import CheckResult
    from kdexport.sections import Budgets
    from kdexport.signature import Signature


@click.command(cls=GuardedCommand)
@click.argument("subject", metavar="BUNDLE", type=PATH)
@click.option("--data", type=PATH, help="CSV or Parquet: answer these rows too, and score them.")
@click.option("--against", type=PATH, help="A model file or bundle that must answer alike.")
@click.option("--from-source", type=PATH, help="Work folder: compare with its checkpoints (torch).")
@click.option("--verify", "public_key", type=PATH, help="Public key (PEM) of whoever signed it.")
@click.option("--budget", "budgets", multiple=True, help="A limit: KEY=NUMBER. Repeat for more.")
@click.option("--junit", type=OutputPath(), help="Write JUnit XML; - is stdout.")
@click.option("--summary", type=OutputPath(), help="Append Markdown, as for $GITHUB_STEP_SUMMARY.")
@csv_options
@json_option
def check(
    subject: Path,
    data: Path | None,
    against: Path | None,
    from_source: Path | None,
    public_key: Path | None,
    budgets: tuple[str, ...],
    junit: str | None,
    summary: str | None,
    json_path: str | None,
    **csv: Any,
) -> None:
    """Check a BUNDLE: files, answers, claims and budgets.

    BUNDLE may also be a pack: whether it is whole, of a bundle that passed, and answers its golden
    rows as the trained model did. Or a model file: its form, and with --data its answers.

    Exit code 0: every check passed; 1: one failed, do not ship it; 3: there is nothing to check.
    Budgets are the keys of a recipe's [budgets]: docs/ci.md.

    \b
    Example:
      kdexport check models/clicks --junit checks.xml --budget max_bytes=20000
    """
    from kdexport.deploy.targets import is_pack
    from kdexport.report.checks import (
        render_junit,
        render_line,
        render_summary,
        render_verdict,
    )

    for file, flag in ((junit, "--junit"), (summary, "--summary"), (json_path, "--json")):
        refuse_unwritable(file, flag)
    if is_pack(subject):
        if data or against or from_source or budgets:
            raise click.UsageError("a pack takes --verify alone; check the bundle it was made of")
        results = _check_pack(subject, public_key)
    elif subject.is_dir():
        results = _check_bundle(subject, data, against, from_source, budgets, csv)
        results += _verify(subject, public_key)
    elif public_key and subject.exists():
        raise click.UsageError("--verify needs a bundle or a pack, not a file")
    elif (from_source or budgets) and subject.exists():
        raise click.UsageError("--from-source and --budget need a bundle, not a file")
    else:
        results = _check_file(subject, data, against, csv)
    is_piped = "-" in (junit, summary, json_path)
    for result in results:
        click.echo(render_line(result), err=is_piped)
    verdict = render_verdict(results)
    click.echo(verdict, err=is_piped or not all(result.passed for result in results))
    write_text(junit, render_junit(results, str(subject)), "--junit")
    write_text(summary, render_summary(results, str(subject)), "--summary", "a")
    write_json([asdict(result) for result in results], json_path)
    if not all(result.passed for result in results):
        raise click.exceptions.Exit(1)


def _check_bundle(
    path: Path,
    data: Path | None,
    against: Path | None,
    from_source: Path | None,
    budgets: tuple[str, ...],
    csv: dict[str, Any],
) -> "list[CheckResult]":
    from kdexport.bundle import read_bundle
    from kdexport.evidence.checks import check_against, check_bundle, read_budgets

    bundle = read_bundle(path)
    limits = _merge_budgets(read_budgets(bundle), budgets)
    weight = bundle.evidence.read_setting("columns", "weight", "") or None
    rows = _read_rows(data, bundle.evidence.signature, csv, weight) if data else None
    results = check_bundle(bundle, budgets=limits, rows=rows, has_source=from_source is not None)
    if against is not None:
        results += check_against(bundle, _read_file(against), rows)
    if from_source is not None:
        results += _recheck(bundle, from_source)
    return results


def _check_pack(path: Path, public_key: Path | None) -> "list[CheckResult]":
    from kdexport.deploy.packs import check_pack

    return check_pack(path) + _verify(path, public_key)


def _verify(path: Path, public_key: Path | None) -> "list[CheckResult]":
    if public_key is None:
        return []
    from kdexport.deploy.signing import check_signature

    return [check_signature(path, public_key)]


def _check_file(
    path: Path, data: Path | None, against: Path | None, csv: dict[str, Any]
) -> "list[CheckResult]":
    from kdexport.evidence.checks import check_model, check_pair, read_signature

    name, content = _read_file(path)
    if against is not None and data is None:
        raise click.UsageError("--against compares two files on rows: pass --data")
    rows = _read_rows(data, read_signature(name, content), csv) if data else None
    if rows is None:
        note = "no answers were compared: pass --data, or check the bundle that the file came in"
        click.echo(f"note: {note}", err=True)
    results = check_model(name, content, rows)
    if against is not None and rows is not None:
        results += check_pair((name, content), _read_file(against), rows)
    return results


def _read_file(path: Path) -> tuple[str, bytes]:
    """Name and bytes of a model file, or of a bundle's student."""
    from kdexport.bundle import STUDENT
    from kdexport.runtime import read_model

    file = path / STUDENT if path.is_dir() else path
    return str(file), read_model(file)


def _read_rows(
    data: Path, signature: "Signature", csv: dict[str, Any], weight: str | None = None
) -> "UserRows":
    from kdexport.evidence.user_rows import take_user_rows
    from kdexport.streams import TableFile

    text, numbers = [*signature.categorical], [*signature.numbers_and_flags]
    if signature.is_regression:
        numbers.append(signature.target)
    elif signature.label_dtype == "string":
        text.append(signature.target)
    file = TableFile(data, csv_format_of(csv), text, numbers)
    signature.refuse_absent(file.names, file.path.name)
    table = file.read([*signature.columns, signature.target, *filter(None, [weight])])
    return take_user_rows(table, signature, weight=weight)


def _merge_budgets(budgets: "Budgets", settings: tuple[str, ...]) -> "Budgets":
    """Lay `--budget` over the recipe's."""
    from kdexport.recipe import read_recipe

    changes = parse_settings(settings, "--budget", "KEY=NUMBER")
    limits = {**budgets.model_dump(exclude_none=True), **changes}
    return read_recipe(None, {f"budgets.{key}": value for key, value in limits.items()}).budgets


def _recheck(bundle: "Bundle", work: Path) -> "list[CheckResult]":
    from kdexport.extras import needing

    with needing("train", rule="--from-source needs"):
        from kdexport.recheck import check_against_source
    return check_against_source(bundle, work)
