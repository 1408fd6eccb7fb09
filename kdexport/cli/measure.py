"""Commands on a bundle or on files: `bench` and `report`. They need no torch."""

from pathlib import Path

import click

from kdexport.cli.options import json_option, write_json

PATH = click.Path(path_type=Path)
DEFAULT_BATCHES = "1,32,1024"


@click.command()
@click.argument("paths", type=PATH, nargs=-1, required=True)
@click.option("--batch", default=DEFAULT_BATCHES, show_default=True, help="Rows per call.")
@click.option("--calls", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@json_option
def bench(
    paths: tuple[Path, ...], batch: str, calls: int, threads: int, json_path: str | None
) -> None:
    """Time PATHS (a bundle, or model files that take the same columns) beside an empty graph.

    \b
    Example:
      kdexport bench models/clicks --batch 1,1024
    """
    from rich.console import Console

    from kdexport.evidence.latency import load_candidates, measure_latency
    from kdexport.report.terminal import render_latency

    try:
        batches = [int(part) for part in batch.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"whole numbers between commas, not {batch!r}") from error
    if min(batches) < 1:
        raise click.BadParameter("a batch has at least one row")
    candidates, feeds = load_candidates(paths, n_threads=threads)
    facts = measure_latency(candidates, feeds, batches=batches, n_calls=calls, n_threads=threads)
    if json_path != "-":
        Console().print(render_latency(facts))
    write_json([fact.model_dump(mode="json") for fact in facts], json_path)


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
