"""Options that several commands share, and what they do with them: read, show."""

import math
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kdexport.errors import RecipeError
from kdexport.records import Progress, ProgressSink, ignore_progress

if TYPE_CHECKING:
    from kdexport.cells import CsvFormat

Command = TypeVar("Command", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)
NAMES = "Repeat for more."


class FiniteRange(click.FloatRange):
    """A number within bounds; what is none, or infinite, is refused too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number.", param, ctx)
        return number


def csv_options(command: Command) -> Command:
    """Add the flags that say how a CSV is written."""
    options = [
        click.option(
            "--separator",
            callback=lambda _context, _option, value: value and value.replace(r"\t", "\t"),
            help=r"CSV: what stands between cells, '\t' for a tab; the default is a comma.",
        ),
        click.option("--decimal", help="CSV: the decimal mark; the default is a point."),
        click.option("--thousands", help="CSV: the mark between thousands; none by default."),
        click.option(
            "--missing", multiple=True, help=f"CSV: a cell that counts as missing. {NAMES}"
        ),
    ]
    return add_options(options, command)


def csv_format_of(options: Mapping[str, Any]) -> "CsvFormat":
    """Return the format that the flags of `csv_options` say."""
    from kdexport.cells import CsvFormat

    return CsvFormat(**{name: value for name, value in options.items() if value})


def add_options(options: Sequence[Callable[[Command], Command]], command: Command) -> Command:
    """Add several options to a command, in order."""
    for option in reversed(options):
        command = option(command)
    return command


def parse_settings(settings: Sequence[str], flag: str, form: str) -> dict[str, Any]:
    """Read `KEY=VALUE` settings, the values as TOML."""
    parsed = {}
    for setting in settings:
        key, separator, value = setting.partition("=")
        if not separator:
            raise RecipeError(f"{flag} takes {form}", found=repr(setting), cure="add the value")
        parsed[key.strip()] = _toml_value(value.strip())
    return parsed


@contextmanager
def show_progress() -> Iterator[ProgressSink]:
    """One live bar per long step on stderr; nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if not console.is_terminal:
        yield ignore_progress
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bars(*columns, TimeRemainingColumn(), console=console) as bars:
        tasks: dict[str, Any] = {}

        def sink(progress: Progress) -> None:
            if progress.step not in tasks:
                tasks[progress.step] = bars.add_task(progress.step, total=progress.n_total)
            bars.update(tasks[progress.step], completed=progress.n_done)

        yield sink


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a bare word is text
    except (RecursionError, ValueError) as error:  # brackets in brackets, a number of 5,000 digits
        raise RecipeError(
            "a setting's value is TOML of a size that can be read",
            found=f"{len(text):,} characters, {text[:40]!r}...",
            cure="see docs/recipes.md for what a key takes",
        ) from error
