"""The bundle: the folder that ships, written whole or not at all, and read verified.

Takes named bytes, gives a folder; takes a folder, gives its evidence and files after their hashes
were checked. Knows no model and no runtime.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from kdexport.disk import Claim, claim
from kdexport.errors import DataError, OutputError
from kdexport.evidence.facts import Evidence, parse_evidence
from kdexport.reading import MAX_MODEL_BYTES, MAX_TEXT_BYTES, read_file

STUDENT, TEACHER, RIVAL = "student.onnx", "teacher.onnx", "rival.onnx"
EVIDENCE, RECIPE = "evidence.json", "recipe.toml"
REPORTS = ("report.md", "report.html")
"""Made from the evidence and so not named in it: a bundle is whole with and without them."""
SIGNATURE = "model.sig"
"""Written last, over everything else, by whoever signs: a bundle is whole without one."""


WORK_FILES = (
    "prepared.json",
    "rows.safetensors",
    "teacher.safetensors",
    "students.safetensors",
    "rival.safetensors",
)
"""What `train` and `distill` leave: a folder between two steps of one job."""
MARKS = {EVIDENCE, WORK_FILES[0]}
REPLACED = "--force replaces only a folder that kdexport wrote, and nothing else in it"


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk: from `load_bundle`, its files are those its evidence was measured on."""

    path: Path
    evidence: Evidence
    files: Mapping[str, bytes]


@contextmanager
def claim_output(output: str | Path, *, force: bool, is_kept: bool = False) -> Iterator[Claim]:
    """Hold an output folder while it is made; refuse it before any work is done for it, and again
    before it is replaced.

    Args:
        output: The folder, which is there only where it may be replaced.
        force: Replace a folder that kdexport wrote.
        is_kept: See `kdexport.disk.claim`.

    Raises:
        OutputError: It exists (and `force` is off), is no folder, cannot be written, or another
            process is writing it.
    """
    output = Path(output)
    check = partial(check_output, output, force=force)
    check()
    with claim(output, is_kept=is_kept, check=check) as claimed:
        yield claimed


def check_output(output: Path, *, force: bool) -> None:
    """Refuse an output folder that may not be replaced.

    Raises:
        OutputError: It exists (and `force` is off), or is no folder that can be replaced.
    """
    try:
        names = {entry.name for entry in output.iterdir()} if output.is_dir() else set()
        is_other = output.exists() and not output.is_dir()
        strangers = find_strangers(output, _list_own(output)) if names else []
    except OSError as error:
        raise OutputError(
            "the output can be looked at",
            found=f"{str(output)!r}: {error.strerror}",
            cure="pass an -o in a folder of yours",
        ) from error
    if is_other:
        raise OutputError(
            "the output is a folder", found=f"{str(output)!r} is a file", cure="pass another -o"
        )
    refuse_immovable(output)
    if names and not force:
        raise OutputError(
            "an output that exists is kept",
            found=f"{str(output)!r} exists",
            cure="pass --force (force=True) to replace it, or another -o",
        )
    if names and not MARKS & names:
        raise OutputError(
            REPLACED,
            found=f"{str(output)!r} holds none of {', '.join(sorted(MARKS))}",
            cure="pass another -o",
        )
    if strangers:
        raise OutputError(
            REPLACED,
            found=f"{str(output)!r} holds {strangers[0]!r} too, which would be lost",
            cure="move it away, or pass another -o",
        )


def refuse_immovable(output: Path) -> None:
    """Refuse a folder that cannot be swapped for another one.

    Raises:
        OutputError: It is a mount point, or the process works in it.
    """
    real = os.path.realpath(output)
    if os.path.ismount(real):
        raise OutputError(
            "an output is swapped in whole",
            found=f"{str(output)!r} is a mount point, which cannot be renamed",
            cure=f"pass a folder in it, such as -o {output / 'model'}",
        )
    with suppress(OSError):  # no working directory
        if Path.cwd().is_relative_to(real):
            raise OutputError(
                "an output is swapped in whole",
                found=f"{str(output)!r} is the working directory, or holds it",
                cure="change to another folder, or pass one that is not there yet",
            )


def find_strangers(folder: Path, own: Set[str]) -> list[str]:
    """Return the paths within a folder that are none of its own, by '/', sorted.

    Args:
        folder: The folder.
        own: Paths of files within it, by '/'; the folders that hold them are its own too.

    Raises:
        OSError: A folder in it cannot be read.
    """
    inner = {parent.as_posix() for name in own for parent in PurePosixPath(name).parents}
    found = []
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        is_folder = path.is_dir() and not path.is_symlink()
        if name not in (inner if is_folder else own):
            found.append(name)
    return sorted(found)


def _walk(folder: Path) -> Iterator[Path]:
    """Yield every path within a folder, following no link.

    Raises:
        OSError: A folder in it cannot be read.
    """
    for entry in folder.iterdir():
        yield entry
        if entry.is_dir() and not entry.is_symlink():
            yield from _walk(entry)


def _list_own(output: Path) -> set[str]:
    """Paths that kdexport may have written into a bundle or a work folder."""
    own = {STUDENT, TEACHER, RIVAL, EVIDENCE, RECIPE, SIGNATURE, *REPORTS, *WORK_FILES}
    with suppress(DataError):  # no evidence, or damaged
        own |= {*parse_evidence(_read(output / EVIDENCE), EVIDENCE).files}
    return own


def replace_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder that exists; each is the old one or the whole new one.

    Raises:
        OutputError: There is no such folder, or the disk refused.
    """
    if not Path(folder).is_dir():
        raise OutputError(
            "files are written into a folder that exists",
            found=f"no folder {str(folder)!r}",
            cure="make it, or pass another one",
        )
    with claim(folder, is_kept=True) as claimed:  # finished steps of a stopped run stay
        claimed.write_into(files)


def load_bundle(path: str | Path) -> Bundle:
    """Read a bundle and verify every file against the hashes in its evidence.

    Raises:
        DataError: It is no bundle, or a file is absent or altered.
    """
    bundle = read_bundle(path)
    for name, fact in bundle.evidence.files.items():
        _refuse_links(bundle.path, name)
        content = bundle.files[name] if name in bundle.files else _read(bundle.path / name)
        found = hash_bytes(content)
        if found != fact.sha256:
            raise DataError(
                "a bundle's files are those that its evidence was measured on",
                found=f"{name} has sha256 {found[:12]}..., the evidence {fact.sha256[:12]}...",
                cure="make the bundle again with kdexport run --recipe",
            )
    return bundle


def read_bundle(path: str | Path) -> Bundle:
    """Read a bundle as it is, for the checks that say what is wrong with it.

    Files that the evidence names and the folder lacks are left out.

    Raises:
        DataError: It is no bundle: a folder with a readable evidence.json.
    """
    path = Path(path)
    evidence = parse_evidence(_read(path / EVIDENCE), str(path / EVIDENCE))
    for name in evidence.files:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise _escapes(name)
    present = [name for name in evidence.files if (path / name).is_file()]
    return Bundle(path, evidence, {name: _read(path / name) for name in present})


def hash_bytes(content: bytes) -> str:
    """Return the sha256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


def _refuse_links(folder: Path, name: str) -> None:
    if not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise _escapes(name)


def _escapes(name: str) -> DataError:
    return DataError(
        "the files of a bundle lie in its folder",
        found=f"its evidence names {name[:200]!r}, which lies outside",
        cure="do not use this bundle",
    )


def _read(path: Path) -> bytes:
    try:
        return read_file(path, MAX_TEXT_BYTES if path.suffix != ".onnx" else MAX_MODEL_BYTES)
    except OSError as error:
        raise DataError(
            "a bundle is a folder with evidence.json and the files it names",
            found=f"{str(path)!r}: {error.strerror}",
            cure="pass a folder that kdexport run wrote",
        ) from error
