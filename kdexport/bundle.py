"""The bundle: the folder that ships, written whole or not at all, and read verified.

Takes named bytes, gives a folder; takes a folder, gives its evidence and files after their hashes
were checked. Knows no model and no runtime.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kdexport.errors import DataError, OutputError
from kdexport.evidence.facts import Evidence, parse_evidence

STUDENT, TEACHER, RIVAL = "student.onnx", "teacher.onnx", "rival.onnx"
EVIDENCE, RECIPE = "evidence.json", "recipe.toml"
REPORTS = ("report.md", "report.html")
"""Made from the evidence and so not named in it: a bundle is whole with and without them."""
SIGNATURE = "model.sig"
"""Written last, over everything else, by whoever signs: a bundle is whole without one."""


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk: from `load_bundle`, its files are those its evidence was measured on."""

    path: Path
    evidence: Evidence
    files: Mapping[str, bytes]


def check_output(output: Path, *, force: bool) -> None:
    """Refuse an output folder before any work is done for it.

    Raises:
        OutputError: It exists (and `force` is off), is no folder, or cannot be written.
    """
    if output.exists() and not output.is_dir():
        raise OutputError(
            "the output is a folder", found=f"{str(output)!r} is a file", cure="pass another -o"
        )
    if output.is_dir() and any(output.iterdir()):
        if not force:
            raise OutputError(
                "an output that exists is kept",
                found=f"{str(output)!r} exists",
                cure="pass --force to replace it, or another -o",
            )
        known = {STUDENT, EVIDENCE, RECIPE}
        if not known & {entry.name for entry in output.iterdir()}:
            raise OutputError(
                "--force replaces only a folder that kdexport wrote",
                found=f"{str(output)!r} holds none of {', '.join(sorted(known))}",
                cure="pass another -o",
            )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}."):
            pass
    except OSError as error:
        raise OutputError(
            "the output's parent folder can be written",
            found=f"{str(output.parent)!r}: {error.strerror}",
            cure="pass an -o in a folder of yours",
        ) from error


def write_folder(output: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder that replaces `output`: afterwards all are there, or none.

    They are written into a temporary sibling and synced first; the swap is two renames, and the
    old folder comes back if the second one fails.

    Raises:
        OutputError: The disk refused.
    """
    staging = None
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}."))
        fresh, old = staging / "new", staging / "old"
        for name, content in files.items():
            path = fresh / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        try:
            if output.exists():
                output.rename(old)
            fresh.rename(output)
        except BaseException:
            if old.exists() and not output.exists():
                old.rename(output)
            raise
    except OSError as error:
        raise OutputError(
            "the output can be written",
            found=f"{str(output)!r}: {error.strerror}",
            cure="free space, or pass another -o",
        ) from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


def replace_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder that exists; each is the old one or the whole new one.

    They are written and synced beside the folder first, so that a stop on the way leaves nothing
    in it that does not belong there.

    Raises:
        OutputError: There is no such folder, or the disk refused.
    """
    folder = Path(folder)
    try:
        with tempfile.TemporaryDirectory(
            dir=folder.resolve().parent, prefix=f".{folder.name}."
        ) as staging:
            for name, content in files.items():
                path = Path(staging) / name
                with path.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            for name in files:
                (Path(staging) / name).replace(folder / name)
    except OSError as error:
        raise OutputError(
            "reports are written into a folder that exists and can be written",
            found=f"{str(folder)!r}: {error.strerror}",
            cure="pass another -o",
        ) from error


def load_bundle(path: Path) -> Bundle:
    """Read a bundle and verify every file against the hashes in its evidence.

    Raises:
        DataError: It is no bundle, or a file is absent or altered.
    """
    bundle = read_bundle(path)
    for name, fact in bundle.evidence.files.items():
        content = bundle.files[name] if name in bundle.files else _read(bundle.path / name)
        found = hash_bytes(content)
        if found != fact.sha256:
            raise DataError(
                "a bundle's files are those that its evidence was measured on",
                found=f"{name} has sha256 {found[:12]}..., the evidence {fact.sha256[:12]}...",
                cure="make the bundle again with kdexport run --recipe",
            )
    return bundle


def read_bundle(path: Path) -> Bundle:
    """Read a bundle as it is, for the checks that say what is wrong with it.

    Files that the evidence names and the folder lacks are left out.

    Raises:
        DataError: It is no bundle: a folder with a readable evidence.json.
    """
    path = Path(path)
    evidence = parse_evidence(_read(path / EVIDENCE), str(path / EVIDENCE))
    present = [name for name in evidence.files if (path / name).is_file()]
    return Bundle(path, evidence, {name: _read(path / name) for name in present})


def hash_bytes(content: bytes) -> str:
    """Return the sha256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            "a bundle is a folder with evidence.json and the files it names",
            found=f"{str(path)!r}: {error.strerror}",
            cure="pass a folder that kdexport run wrote",
        ) from error
