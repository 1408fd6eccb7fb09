"""Bundle to packs: which targets there are, how packs are written, and whether one is whole.

Takes a bundle, gives folders that are written whole or not at all.
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from kdexport.bundle import (
    SIGNATURE,
    Bundle,
    find_strangers,
    hash_bytes,
    read_bundle,
    refuse_immovable,
)
from kdexport.deploy.common import FORMAT_VERSION, MODEL
from kdexport.deploy.javascript import build_node, build_web
from kdexport.deploy.mlflow import build_mlflow
from kdexport.deploy.model import Packable
from kdexport.deploy.oip import build_oip
from kdexport.deploy.plain import build_onnx
from kdexport.deploy.replay import replay_golden
from kdexport.deploy.service import build_service
from kdexport.deploy.signing import sign_files
from kdexport.deploy.targets import PACK, SUMS, Target, is_pack
from kdexport.deploy.triton import build_triton
from kdexport.disk import claim
from kdexport.errors import DataError, OutputError
from kdexport.evidence.checks import check_bundle
from kdexport.evidence.file_checks import check_file, listed_plainly
from kdexport.reading import MAX_TEXT_BYTES, describe_refusal, read_file
from kdexport.records import CheckResult

Build = Callable[[Packable], dict[str, bytes]]

TARGETS: dict[Target, Build] = {
    "triton": build_triton,
    "oip": build_oip,
    "mlflow": build_mlflow,
    "python": build_service,
    "web": build_web,
    "node": build_node,
    "onnx": build_onnx,
}
RULES_OF_EVERY_FORM = ("parse", "onnx", "self_contained", "versions")
MADE_AGAIN = {"__pycache__", "node_modules", "package-lock.json"}  # in a pack that was run
REPLACED = "--force replaces only what kdexport wrote"
MOVE = "move it away, or pass another folder"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # a folder, a part of an address, a tag of docker


@dataclass(frozen=True)
class Pack:
    """A pack that was written."""

    target: Target
    path: Path
    n_files: int
    n_bytes: int


def plan_folders(outputs: Mapping[Target, Path], *, name: str, force: bool) -> dict[Target, Path]:
    """Return the folder of each pack, before any work is done for it.

    Args:
        outputs: Target to its folder; of Triton, to the repository.
        name: What servers call the model.
        force: Replace packs that exist.

    Raises:
        DataError: The name cannot be a folder's, or a part of an address.
        OutputError: An output exists, or two packs would share a folder.
    """
    if not NAME.fullmatch(name):
        raise DataError(
            "a model's name is of letters, digits, '.', '_' and '-'",
            found=repr(name),
            cure="pass --name",
        )
    folders = {
        target: path / name if target == "triton" else path for target, path in outputs.items()
    }
    _refuse_shared(folders)
    for folder in folders.values():
        _refuse_output(folder, force=force)
    return folders


def check_before_packing(path: Path) -> tuple[Bundle, list[CheckResult]]:
    """Read a bundle and return it with the checks that it fails.

    Raises:
        DataError: It is no bundle.
    """
    bundle = read_bundle(path)
    return bundle, [result for result in check_bundle(bundle) if not result.passed]


def write_packs(
    packable: Packable,
    folders: Mapping[Target, Path],
    *,
    key: Path | None = None,
    force: bool = False,
) -> list[Pack]:
    """Write a pack for each target; where one cannot be made, none is written.

    Args:
        packable: From `prepare_model`.
        folders: From `plan_folders`.
        key: Private key to sign with.
        force: Replace packs that exist, and nothing of anybody else.

    Raises:
        OutputError: A folder cannot be written.
        DataError: The key cannot be used.
    """
    built = {}
    for target, folder in folders.items():
        files = TARGETS[target](packable)
        if key is not None:
            files[SIGNATURE] = sign_files(files, key)
        built[target] = folder, files
    for folder, files in built.values():
        with claim(folder, check=partial(_refuse_output, folder, force=force)) as claimed:
            claimed.write_folder(files)
    return [
        Pack(target, folder, len(files), sum(map(len, files.values())))
        for target, (folder, files) in built.items()
    ]


def check_pack(folder: Path) -> list[CheckResult]:
    """Check that a pack is whole, and was made of a bundle that passed: format, hashes, no file
    besides, weights inside; and that its file answers the golden rows as it should.

    Raises:
        DataError: It is of another format, or cannot be read.
    """
    about = _read_about(folder / PACK)
    found = about["format_version"]
    if found != FORMAT_VERSION:
        raise DataError(
            f"a pack is of format {FORMAT_VERSION}",
            found=f"{str(folder / PACK)!r} says {found!r}",
            cure="use the kdexport that wrote it, or a later one",
        )
    has_passed = about.get("passed_check") is True
    whose = "the bundle that it was made of passed its check when it was packed"
    made_of = CheckResult(
        "pack/bundle", has_passed, whose if has_passed else f"{whose}, however: no"
    )
    problems = _find_altered(folder)
    rule = "a pack's files are those of its SHA256SUMS"
    found_text = f"{rule}, however: {listed_plainly(problems)}"
    hashes = CheckResult("pack/hashes", not problems, found_text if problems else rule)
    return [hashes, made_of, *_check_models(folder, about.get("golden", {}))]


def _check_models(folder: Path, golden: dict[str, Any]) -> list[CheckResult]:
    """Check the model by the rules that hold for every form of it; a sound one is asked."""
    results = []
    for path in sorted(path for path in folder.rglob(MODEL) if path.is_file()):
        content = path.read_bytes()
        found = check_file(path.relative_to(folder).as_posix(), content)
        results += [result for result in found if result.rule in RULES_OF_EVERY_FORM]
        if all(result.passed for result in results):
            results.append(replay_golden(folder, content, golden))
    return results


def _find_altered(folder: Path) -> list[str]:
    try:
        stated = _read_sums(folder)
        strangers = find_strangers(folder, {*stated, SUMS, SIGNATURE})
    except OSError as error:
        return [describe_refusal(error)]
    except UnicodeDecodeError:
        return [f"{SUMS}: no text"]
    problems = [f"{name} is not in {SUMS}" for name in strangers]
    for name, digest in sorted(stated.items()):
        path = folder / name
        if not os.path.lexists(path):
            problems.append(f"{name} is absent")
        elif not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
            problems.append(f"{name} is no file of this folder")
        elif hash_bytes(path.read_bytes()) != digest:
            problems.append(f"{name} was altered")
    return problems


def _read_sums(folder: Path) -> dict[str, str]:
    """Return the hash that a pack states of each of its files."""
    lines = read_file(folder / SUMS, MAX_TEXT_BYTES).decode().splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _read_about(path: Path) -> dict[str, Any]:
    """Return what a pack says of itself; its format is among it."""
    try:
        about: dict[str, Any] = json.loads(read_file(path, MAX_TEXT_BYTES))
        return {**about, "format_version": about["format_version"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{PACK} is what kdexport wrote", found=f"{str(path)!r}: {error}", cure="pack again"
        ) from error


def _refuse_shared(folders: Mapping[Target, Path]) -> None:
    paths = [folder.resolve() for folder in folders.values()]
    for i, path in enumerate(paths):
        if any(path == other or path in other.parents for other in paths[:i] + paths[i + 1 :]):
            raise OutputError(
                "each pack has a folder of its own",
                found=f"{str(path)!r} is asked for twice",
                cure="pass another folder",
            )


def _refuse_output(folder: Path, *, force: bool) -> None:
    above = next((p for p in folder.absolute().parents if p.exists()), folder)  # of /, itself
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise OutputError(
            "a pack's parent folder can be written",
            found=f"{str(above)!r} cannot",
            cure="pass a folder of yours",
        )
    if folder.is_dir() and not any(folder.iterdir()):
        refuse_immovable(folder)
        return
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(
            "a pack is a folder", found=f"{str(folder)!r} is a file", cure="pass another folder"
        )
    if not is_pack(folder):
        raise OutputError(
            "a pack replaces only a pack",
            found=f"{str(folder)!r} is a folder of something else",
            cure="pass another folder",
        )
    if not force:
        raise OutputError(
            "an output that exists is kept",
            found=f"{str(folder)!r} exists",
            cure="pass --force to replace it, or another folder",
        )
    refuse_immovable(folder)
    strangers = _find_strangers(folder)
    if strangers:
        raise OutputError(
            REPLACED,
            found=f"{str(folder)!r} holds {strangers[0]!r} too, which would be lost",
            cure=MOVE,
        )


def _find_strangers(folder: Path) -> list[str]:
    """Return what is in a pack and none of its own, nor made anew by running it.

    Raises:
        OutputError: Nothing says what is its own.
    """
    try:
        found = find_strangers(folder, {*_read_sums(folder), SUMS, SIGNATURE})
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "no text"
        raise OutputError(
            REPLACED, found=f"{str(folder / SUMS)!r}, its list of them: {said}", cure=MOVE
        ) from error
    return [name for name in found if not MADE_AGAIN & {*PurePosixPath(name).parts}]
