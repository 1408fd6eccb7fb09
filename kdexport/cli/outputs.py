"""What a command writes: paths that would harm what it reads are refused before any work.

Takes the paths of a command line, gives errors; takes a result, gives its file.
"""

import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import click
from pydantic import BaseModel

from kdexport.deploy.targets import is_pack
from kdexport.disk import write_file
from kdexport.errors import OutputError

OWN_FILES = "a bundle, a pack or a work folder holds its own files and no others"


class OutputPath(click.Path):
    """A path that a command writes; every other path of a command is one that it reads.

    Attributes:
        adds: Whether it is a folder that stays and gets files, where it could be replaced.
    """

    def __init__(self, *, adds: bool = False, path_type: type[Path] | None = None) -> None:
        super().__init__(readable=False, path_type=path_type)
        self.adds = adds


OUTPUT = OutputPath(path_type=Path)


class GuardedCommand(click.Command):
    """A command that, before any work, refuses outputs which would harm what is read."""

    def invoke(self, ctx: click.Context) -> Any:
        """Look at the paths that were given, then do the work."""
        given = [
            (param, Path(path))
            for param in self.params
            if isinstance(param.type, click.Path)
            for path in _listed(ctx.params[str(param.name)])
        ]
        refuse_twice([path for param, path in given if _is_replaced(param)])
        paths = [(param, path) for param, path in given if str(path) != "-"]
        inputs = [path for param, path in paths if not isinstance(param.type, OutputPath)]
        for param, path in paths:
            if isinstance(param.type, OutputPath):
                sources = () if param.type.adds else inputs
                refuse_overwriting(path, sources, param.opts[0])
                refuse_within(path, [*inputs, *_find_whole(path)], param.opts[0])
                if param.type.adds:
                    refuse_adding(path, inputs, param.opts[0])
        return super().invoke(ctx)


def refuse_twice(outputs: Sequence[Path]) -> None:
    """Refuse a file or folder that is asked for by two flags: the later result would replace the
    earlier one, or on standard output (`-`) follow it, so that nobody could read either.

    Raises:
        OutputError: One is there twice.
    """
    kept = [path for path in outputs if not _is_device(path)]
    places = [_resolve(path) for path in kept]
    for i, place in enumerate(places):
        if place in places[:i]:
            raise OutputError(
                "each result has a place of its own",
                found=f"{str(kept[i])!r} is asked for twice",
                cure="pass another path for one of them",
            )


def refuse_overwriting(output: Path, sources: Sequence[Path], flag: str) -> None:
    """Refuse an output that is a file or folder which is read.

    Raises:
        OutputError: It would be written over.
    """
    for source in sources:
        if _is_same(output, source):
            raise OutputError(
                "what is read is not written over",
                found=f"{flag} {str(output)!r} is {str(source)!r}",
                cure=f"pass another {flag}",
            )


def refuse_within(output: Path, folders: Sequence[Path], flag: str) -> None:
    """Refuse an output within one of several folders: their check would fail with it.

    Raises:
        OutputError: It lies in one of them.
    """
    place = _resolve(output)
    for folder in folders:
        if _resolve(folder) in place.parents and not folder.is_file():
            raise OutputError(
                OWN_FILES,
                found=f"{flag} {str(output)!r} lies in {str(folder)!r}",
                cure=f"pass a {flag} outside it",
            )


def refuse_adding(output: Path, sources: Sequence[Path], flag: str) -> None:
    """Refuse to put files into a bundle or pack that is none of those which are read.

    Raises:
        OutputError: It is one: the files would be strangers in it, or replace its own.
    """
    if _is_whole(output) and not any(_is_same(output, source) for source in sources):
        raise OutputError(
            OWN_FILES,
            found=f"{flag} {str(output)!r} is another one than was read",
            cure=f"pass another {flag}",
        )


def refuse_unwritable(
    path: str | None,
    flag: str = "--json",
    *,
    output: Path | None = None,
    sources: Sequence[str] = (),
) -> None:
    """Refuse a file that a flag names, before the work that it is to hold the result of.

    Args:
        path: The file; None and `-` are no file.
        flag: What names it.
        output: A folder that the command makes, with those that lead to it.
        sources: Files that are read, beside those that the command line names.

    Raises:
        OutputError: It cannot be written, would lie in `output`, or is one of `sources`.
    """
    if path is None or path == "-":
        return
    file = Path(path)
    refuse_overwriting(file, [Path(source) for source in sources], flag)
    if output is not None:
        refuse_within(file, [output], flag)
    try:
        is_there = file.exists() and not file.is_file()  # a folder, or a pipe, written as it is
        place = file if is_there else file.absolute().parent
        if output is not None and place in (output.absolute(), *output.absolute().parents):
            place = next((p for p in (place, *place.parents) if p.exists()), place)
        is_folder = file.is_dir() or (output is not None and _resolve(file) == _resolve(output))
        number = errno.EISDIR if is_folder else 0 if place.exists() else errno.ENOENT
        if not number and not is_there and not place.is_dir():
            number = errno.ENOTDIR
        if not number and not os.access(place, os.W_OK):
            number = errno.EACCES
    except (OSError, ValueError) as error:
        raise _refuse_file(flag, path, getattr(error, "strerror", None) or str(error)) from error
    if number:
        raise _refuse_file(flag, path, os.strerror(number))


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


def _listed(given: Any) -> list[str | Path]:
    """Return the paths that a parameter was given."""
    given = given if isinstance(given, tuple) else (given,)
    return [path for path in given if path is not None]


def _is_replaced(param: click.Parameter) -> bool:
    return isinstance(param.type, OutputPath) and not param.type.adds


def _is_device(path: Path) -> bool:
    try:
        return path.exists() and not (path.is_file() or path.is_dir())
    except OSError:  # no name for a file: whoever writes it says so
        return False


def _is_same(output: Path, source: Path) -> bool:
    """Whether two paths are one file or folder; devices and pipes may be both ends of a command."""
    try:
        return (output.is_file() or output.is_dir()) and output.samefile(source)
    except OSError:  # no source: whoever reads it says so
        return False


def _resolve(path: Path) -> Path:
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):  # no working directory: whoever writes it says so
        return path


def _find_whole(path: Path) -> list[Path]:
    """Return the bundles and packs that a path lies in."""
    return [folder for folder in _resolve(path).parents if _is_whole(folder)]


def _is_whole(folder: Path) -> bool:
    """Whether a folder is a bundle or a pack."""
    from kdexport.bundle import EVIDENCE, RECIPE, STUDENT

    is_bundle = all((folder / name).is_file() for name in (EVIDENCE, RECIPE, STUDENT))
    return is_bundle or is_pack(folder)


def _refuse_file(flag: str, path: str, found: str) -> OutputError:
    return OutputError(
        f"{flag} names a file that can be written",
        found=f"{path!r}: {found}",
        cure="pass a file in a folder of yours that exists",
    )


json_option = click.option(
    "--json", "json_path", type=OutputPath(), help="Write the result as JSON; - is stdout."
)
