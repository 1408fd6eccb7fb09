"""Commands on a bundle: `check` and `report`. They need no torch."""

from pathlib import Path

import click

from kdexport.cli.options import json_option, write_json

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("bundle", type=PATH)
@json_option
def check(bundle: Path, json_path: str | None) -> None:
    """Check a BUNDLE: hashes against its evidence, and the student on its golden rows.

    Exit code 0: it is what it was; 1: it answers otherwise; 3: a file is damaged or absent.

    \b
    Example:
      kdexport check models/clicks
    """
    from kdexport.bundle import load_bundle
    from kdexport.errors import ParityError
    from kdexport.evidence.golden import replay_golden
    from kdexport.report.terminal import describe_parity

    loaded = load_bundle(bundle)
    said_to_stderr = json_path == "-"  # standard output is then the JSON alone
    click.echo(
        f"files    passed: {len(loaded.files)} hashes are those of the evidence",
        err=said_to_stderr,
    )
    result = replay_golden(loaded)
    write_json(result.model_dump(), json_path)
    line = f"{result.rows} golden rows, {describe_parity(result)}"
    if not result.passed:
        raise ParityError(
            "student.onnx answers its golden rows as its source did",
            found=f"{line}; row {result.worst_row} is the worst",
            cure="do not ship it: make the bundle again",
        )
    click.echo(f"answers  passed: {line}", err=said_to_stderr)


@click.command()
@click.argument("bundle", type=PATH)
@json_option
def report(bundle: Path, json_path: str | None) -> None:
    """Show the evidence of a BUNDLE as the run that made it did.

    \b
    Example:
      kdexport report models/clicks
    """
    from rich.console import Console

    from kdexport.bundle import load_bundle
    from kdexport.report.terminal import render_evidence

    evidence = load_bundle(bundle).evidence
    if json_path != "-":
        Console().print(render_evidence(evidence))
    write_json(evidence, json_path)
