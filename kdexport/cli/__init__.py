"""The command line: the only room that knows click. A command parses, calls, prints.

Heavy rooms are imported inside commands, so that `--help` answers at once.
"""

import os
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
from kdexport.cli.quantize import quantize
from kdexport.cli.search import search
from kdexport.cli.steps import distill, export, run, schema, train
from kdexport.disk import kept_outputs, written_outputs
from kdexport.errors import KdexportError, one_line
from kdexport.extras import find_absent
from kdexport.stops import STOPS

KILLED_BY = 128  # plus the signal: the exit code that shells give
UNFORESEEN = 70  # a mistake of kdexport's own: never 1, which says that a gate failed
NOTHING = "nothing was written"
SYSTEM = "a command needs memory, and a disk with room, however: {}; free some, or set TMPDIR"
_arrived: list[int] = []  # the signal that a command was told to stop by


class Commands(click.Group):
    """The commands, interrupted without the blank line that click would print, or the exit code 1
    that it gives where nobody reads on.
    """

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except KeyboardInterrupt as stop:
            raise click.Abort from stop
        except BrokenPipeError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(KILLED_BY + signal.SIGPIPE) from error
        return result

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order that they are used in, not of the alphabet."""
        return list(self.commands)


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
    *(schema, run, report, predict, info, check, bench),
    *(search, quantize, pack, train, distill, export),
):
    cli.add_command(command)


def main() -> None:
    """Run the command line; every error of the user's is one line and an exit code."""
    warnings.showwarning = _show_warning
    _arrived.clear()
    for number in STOPS:
        signal.signal(number, _stop)
    try:
        code = _run()
    except (click.Abort, KeyboardInterrupt):
        _ignore_stops()
        written = ", ".join(map(str, written_outputs()))
        kept = f"{NOTHING}, finished steps are kept for --resume" if kept_outputs() else NOTHING
        click.echo(f"interrupted: {f'{written} was written' if written else kept}", err=True)
        code = KILLED_BY + (_arrived[0] if _arrived else signal.SIGINT)
    sys.exit(code)


def _run() -> int:
    debug = "--debug" in sys.argv[1:]
    try:
        code = _call()
    except KdexportError as error:
        if debug:
            traceback.print_exc()
        click.echo(f"error: {error}", err=True)
        code = error.exit_code
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        click.echo(f"error: {one_line(error.format_message())}", err=True)
        code = error.exit_code
    except Exception as error:
        absent, refused = find_absent(error), _find_refusal(error)
        if debug or (absent is None and refused is None):
            traceback.print_exc()
        code = UNFORESEEN
        if absent is not None:
            click.echo(f"error: {absent}", err=True)
            code = absent.exit_code
        elif refused is not None:
            said = getattr(refused, "strerror", None) or str(refused) or type(refused).__name__
            click.echo(f"error: {one_line(SYSTEM.format(said.splitlines()[0]))}", err=True)
            code = KdexportError.exit_code
    _ignore_stops()  # what is done is done: its exit code says so
    return code if isinstance(code, int) else 0


def _call() -> Any:
    """Run the command; after a stop, whatever else it ends with is the stop's doing.

    Libraries swallow interrupts: torch's exporter, caught while it imports its own parts, goes on
    and fails later for want of them.
    """
    try:
        return cli.main(standalone_mode=False)
    except Exception as error:
        if _arrived:
            raise KeyboardInterrupt from error
        raise


def _find_refusal(error: BaseException | None) -> OSError | MemoryError | None:
    """Return what the system refused, where that is what an error comes from."""
    while error is not None and not isinstance(error, OSError | MemoryError):
        error = error.__cause__  # not __context__: what broke while it was handled is our own slip
    return error


def _stop(number: int, _: object) -> None:
    """End the command, cleaning up; a second signal ends it at once."""
    for each in STOPS:
        signal.signal(each, signal.SIG_DFL)
    _arrived.append(number)
    raise KeyboardInterrupt


def _ignore_stops() -> None:
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    click.echo(f"warning: {one_line(str(message))}", err=True)
