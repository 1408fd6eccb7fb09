"""The command `report`, on a bundle. It needs no torch."""

from pathlib import Path

import click

from kdexport.cli.options import json_option, write_json

PATH = click.Path(path_type=Path)


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
