"""`quantize`: a bundle whose student stores its weights as int8."""

from pathlib import Path

import click

from kdexport.cli.options import PATH, FiniteRange
from kdexport.cli.outputs import (
    OUTPUT,
    GuardedCommand,
    json_option,
    refuse_unwritable,
    write_json,
)
from kdexport.sections import MAX_LOSS


@click.command(cls=GuardedCommand)
@click.argument("bundle", type=PATH)
@click.option("--int8", "form", flag_value="int8", required=True, help="Weights in 8 bits.")
@click.option("-o", "--output", type=OUTPUT, help="New bundle; BUNDLE-int8 by default.")
@click.option("--data", type=PATH, help="The rows that BUNDLE was made from.")
@click.option("--test", type=PATH, help="Its test rows, if they had a file of their own.")
@click.option(
    "--max-loss",
    type=FiniteRange(0),
    default=MAX_LOSS,
    show_default=True,
    help="Share by which log loss or RMSE on validation rows may grow.",
)
@click.option("--force", is_flag=True, help="Replace an output that kdexport wrote.")
@json_option
def quantize(
    bundle: Path,
    form: str,
    output: Path | None,
    data: Path | None,
    test: Path | None,
    max_loss: float,
    force: bool,
    json_path: str | None,
) -> None:
    """Write BUNDLE anew with its student's weights in int8.

    For flash, not for speed: docs/quantize.md. BUNDLE stays as it is. Exit code 1: int8 loses more
    than --max-loss, and nothing is written.

    \b
    Example:
      kdexport quantize models/clicks --int8
    """
    from kdexport.extras import needing

    with needing("train", rule="quantize needs"):
        from kdexport.quantize import quantize_bundle
    from kdexport.report.quantized import describe_quantized

    output = output or bundle.resolve().with_name(f"{bundle.resolve().name}-{form}")
    refuse_unwritable(json_path, output=output)
    evidence = quantize_bundle(bundle, output, data=data, test=test, max_loss=max_loss, force=force)
    for line in describe_quantized(evidence):
        click.echo(line, err=True)
    click.echo(f"bundle in {output}", err=True)
    write_json(evidence, json_path)
