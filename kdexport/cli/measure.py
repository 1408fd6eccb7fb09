"""The command `report`, on a bundle. It needs no torch."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kdexport.cli.options import PATH
from kdexport.cli.outputs import (
    GuardedCommand,
    OutputPath,
    json_option,
    refuse_unwritable,
    write_json,
)

if TYPE_CHECKING:
    from kdexport.bundle import Bundle


@click.command(cls=GuardedCommand)
@click.argument("bundle", type=PATH)
@click.option(
    "-o",
    "--output",
    type=OutputPath(adds=True, path_type=Path),
    help="Folder for the report, in place of BUNDLE.",
)
@json_option
def report(bundle: Path, output: Path | None, json_path: str | None) -> None:
    """Show the evidence of a BUNDLE, and write its report.

    The report is report.md and report.html, both made from evidence.json alone. report.html opens
    without a network. Files of these names that kdexport did not make are kept. Where the packages
    of kdexport[report] are not installed, only the terminal is told.

    \b
    Example:
      kdexport report models/clicks -o .
    """
    from rich.console import Console

    from kdexport.bundle import load_bundle
    from kdexport.report.files import refuse_foreign_reports
    from kdexport.report.terminal import render_evidence

    refuse_unwritable(json_path)
    loaded = load_bundle(bundle)
    refuse_foreign_reports(output or bundle)
    if json_path != "-":
        Console().print(render_evidence(loaded.evidence))
    write_json(loaded.evidence, json_path)
    _write_reports(loaded, output)


def _write_reports(bundle: "Bundle", output: Path | None) -> None:
    """Write the report's files; without their packages say so, or fail where `-o` asks for them."""
    from kdexport.bundle import EVIDENCE, REPORTS, hash_bytes, replace_files
    from kdexport.errors import DependencyError
    from kdexport.reading import MAX_TEXT_BYTES, read_file
    from kdexport.report.files import make_report_files

    evidence_sha256 = hash_bytes(read_file(bundle.path / EVIDENCE, MAX_TEXT_BYTES))
    folder = output or bundle.path
    try:
        files = make_report_files(bundle.evidence, evidence_sha256)
    except DependencyError as error:
        if output is not None:
            raise
        click.echo(f"warning: {error}", err=True)
        return
    replace_files(folder, files)
    click.echo(f"report in {' and '.join(str(folder / name) for name in REPORTS)}", err=True)
