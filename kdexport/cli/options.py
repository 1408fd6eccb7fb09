"""Options that several commands share, and what they do with them: read, show, write."""

import errno
import json
import math
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click
from pydantic import BaseModel

from kdexport.disk import write_file
from kdexport.errors import OutputError, RecipeError
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


def write_json(value: BaseModel | dict[str, Any] | list[Any], path: str | None) -> None:
    """Write `--json`: to a file, or to standard output for `-`.

    Raises:
        OutputError: The file cannot be written.
    """
    if path is None:
        return
    content = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    write_text(path, dump_json(content, indent=1) + "\n", "--json")


def dump_json(value: Any, *, indent: int | None = None) -> str:
    """Return JSON as UTF-8 can hold it: half a surrogate pair, which a file may name, escaped."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return text.encode(errors="backslashreplace").decode()


def refuse_unwritable(
    path: str | None, flag: str = "--json", *, output: Path | None = None
) -> None:
    """Refuse a file that a flag names, before the work that it is to hold the result of.

    Args:
        path: The file; None and `-` are no file.
        flag: What names it.
        output: A folder that the command makes, with those that lead to it.

    Raises:
        OutputError: It cannot be written.
    """
    if path is None or path == "-":
        return
    file = Path(path)
    try:
        is_there = file.exists() and not file.is_file()  # a folder, or a pipe, written as it is
        place = file if is_there else file.absolute().parent
        if output is not None and place in (output.absolute(), *output.absolute().parents):
            place = next((p for p in (place, *place.parents) if p.exists()), place)
        number = errno.EISDIR if file.is_dir() else 0 if place.exists() else errno.ENOENT
        if not number and not is_there and not place.is_dir():
            number = errno.ENOTDIR
        if not number and not os.access(place, os.W_OK):
            number = errno.EACCES
    except (OSError, ValueError) as error:
        raise _refuse_file(flag, path, getattr(error, "strerror", None) or str(error)) from error
    if number:
        raise _refuse_file(flag, path, os.strerror(number))


def refuse_overwriting(output: Path, sources: Sequence[Path], *, force: bool) -> None:
    """Refuse a file to write that is there already, or that is read.

    Args:
        output: The file.
        sources: What the command reads.
        force: Whether one that is there may be replaced; what is read never is.

    Raises:
        OutputError: It would be written over.
    """
    if output.exists() and not force:
        raise OutputError(
            "an output that exists is kept",
            found=f"{str(output)!r} exists",
            cure="pass --force to replace it",
        )
    for source in sources:
        if output.exists() and source.exists() and output.samefile(source):
            raise OutputError(
                "what is read is not written over",
                found=f"-o {str(output)!r} is {str(source)!r}",
                cure="pass another -o",
            )


def write_text(path: str | None, text: str, flag: str, mode: Literal["w", "a"] = "w") -> None:
    """Write what a flag asks for into the file that it names; `-` is standard output.

    Raises:
        OutputError: The file cannot be written.
    """
    if path is None:
        return
    try:
        if mode == "w" and path != "-" and (Path(path).is_file() or not Path(path).exists()):
            with write_file(Path(path)) as staged:
                staged.write_text(text, encoding="utf-8")
            return
        with click.open_file(path, mode, encoding="utf-8") as file:
            file.write(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _refuse_file(flag, path, error.strerror or str(error)) from error


def _refuse_file(flag: str, path: str, found: str) -> OutputError:
    return OutputError(
        f"{flag} names a file that can be written",
        found=f"{path!r}: {found}",
        cure="pass a file in a folder of yours that exists",
    )


json_option = click.option("--json", "json_path", help="Write the result as JSON; - is stdout.")


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
