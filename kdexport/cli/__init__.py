"""The command line: the only room that knows click. A command parses, calls, prints.

Heavy rooms are imported inside commands, so that `--help` answers at once.
"""

import signal
import sys
import traceback
import warnings
from typing import Any

import click

from kdexport.cli.bench import bench
from kdexport.cli.check import check
from kdexport.cli.measure import report
from kdexport.cli.model import info, predict
from kdexport.cli.pack import pack
from kdexport.cli.steps import distill, export, run, schema, train
from kdexport.errors import KdexportError, one_line

INTERRUPTED, TERMINATED = 130, 143


class Terminated(KeyboardInterrupt):
    """SIGTERM: ends a command as Ctrl-C does, so that it cleans up behind itself."""


class Commands(click.Group):
    """The commands, interrupted without the blank line that click would print."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            raise click.Abort from stop


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kdexport")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Train a strong ensemble on a table, ship one small ONNX file, and prove it.

    \b
    Example:
      kdexport run data.csv --target y -o models/x
    """


for command in (
    *(run, schema, train, distill, export),
    *(predict, info, check, bench, report, pack),
):
    cli.add_command(command)


def main() -> None:
    """Run the command line; every error of the user's is one line and an exit code."""
    debug = "--debug" in sys.argv[1:]
    warnings.showwarning = _show_warning
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = cli.main(standalone_mode=False)
    except KdexportError as error:
        if debug:
            traceback.print_exc()
        click.echo(f"error: {error}", err=True)
        code = error.exit_code
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except (click.Abort, KeyboardInterrupt) as stop:
        click.echo("interrupted: nothing was written", err=True)
        code = TERMINATED if isinstance(stop.__cause__, Terminated) else INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        click.echo(f"error: {one_line(error.format_message())}", err=True)
        code = error.exit_code
    sys.exit(code if isinstance(code, int) else 0)


def _terminate(*_: object) -> None:
    raise Terminated


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    click.echo(f"warning: {one_line(str(message))}", err=True)
