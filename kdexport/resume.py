"""Finished steps of a run, kept beside its output, so that a stopped run goes on from the last one.

Takes what a step trained, gives it back when the same job is started again. Imports no torch.
"""

import hashlib
import os
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

import numpy as np

from kdexport.bundle import hash_bytes
from kdexport.errors import KdexportWarning
from kdexport.prepared import Prepared, Trained
from kdexport.records import Column, Float64
from kdexport.sections import Section
from kdexport.workspace import load_array, load_trained, save_array, save_trained

PACKAGES = ("kdexport", "torch", "scikit-learn", "numpy")
JOB = "job"

Chosen = TypeVar("Chosen", bound=Section)
Made = TypeVar("Made")


class MakeNow:
    """Steps that are kept nowhere.

    Attributes:
        are_kept: Whether a later run may take them.
    """

    are_kept = False

    def take(self, name: str, make: Callable[[], Trained]) -> Trained:
        """Return what a step trained: as it was kept, or made now and kept."""
        return make()

    def choose(self, name: str, kind: type[Chosen], make: Callable[[], Chosen]) -> Chosen:
        """Return what a step chose, a section of the recipe."""
        return make()

    def recall(self, name: str, ask: Callable[[], Float64]) -> Float64:
        """Return what a user's own teacher answered for some rows, **Shape** `[n, K]` or `[n]`."""
        return ask()


class Steps(MakeNow):
    """Steps that are made once: in this run, or in the one that was stopped.

    Args:
        folder: Where finished steps are kept.
        job: What is made, from `describe_job`; steps of another one are thrown away.
    """

    are_kept = True

    def __init__(self, folder: Path, job: str) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)
        if _read_job(folder) != job:
            kept = [*folder.iterdir()]
            if not all(path.name.startswith(JOB) for path in kept):
                message = (
                    "the finished steps are of another table, recipe or version: starting anew"
                )
                warnings.warn(message, KdexportWarning, stacklevel=3)
            for path in kept:
                path.unlink()
            _write(folder / JOB, job.encode())

    def take(self, name: str, make: Callable[[], Trained]) -> Trained:
        return self._once(name, make, save_trained, load_trained)

    def choose(self, name: str, kind: type[Chosen], make: Callable[[], Chosen]) -> Chosen:
        def save(chosen: Chosen) -> bytes:
            return chosen.model_dump_json().encode()

        def load(folder: Path, file: str) -> Chosen:
            return kind.model_validate_json((folder / file).read_bytes())

        return self._once(name, make, save, load)

    def recall(self, name: str, ask: Callable[[], Float64]) -> Float64:
        return self._once(name, ask, save_array, load_array)

    def _once(
        self,
        name: str,
        make: Callable[[], Made],
        save: Callable[[Made], bytes],
        load: Callable[[Path, str], Made],
    ) -> Made:
        """Return what was kept under a name, or make and keep it."""
        if (path := self._find(name)) is not None:
            return load(self._folder, path.name)
        made = make()
        content = save(made)
        _write(self._folder / f"{name}.{hash_bytes(content)}", content)
        return made

    def _find(self, name: str) -> Path | None:
        """Return the file of a step, if it still is what was written."""
        for path in self._folder.glob(f"{name}.*"):
            if path.name == f"{name}.{hash_bytes(path.read_bytes())}":
                return path
        return None


MAKE_NOW = MakeNow()


def describe_job(prepared: Prepared) -> str:
    """Return the hash of all that decides what the steps of a run make: rows, recipe, versions."""
    versions = [f"{package} {_version_of(package)}" for package in PACKAGES]
    digest = hashlib.sha256("\n".join([prepared.recipe.to_toml(), *versions]).encode())
    digest.update(prepared.data_sha256.encode())
    for _, rows in prepared.rows.items():
        for values in (rows.inputs.numeric, rows.targets, rows.weights, rows.row_ids):
            digest.update(np.ascontiguousarray(values).data)
        for column in rows.inputs.categorical.T:
            digest.update(_join(column))
    if prepared.unlabeled is not None:
        digest.update(prepared.unlabeled.sha256.encode())
    return digest.hexdigest()


def _read_job(folder: Path) -> str | None:
    """Return whose the finished steps are; None where that was not written, or is gone."""
    path = folder / JOB
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


def _join(texts: Column) -> bytes:
    return "\0".join(texts.tolist()).encode(errors="surrogatepass")


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; a part of one has a name that nobody looks for."""
    part = path.with_name(f"{path.name}.part")
    for is_last in (False, True):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except FileNotFoundError:  # somebody removed the folder meanwhile
            if is_last:
                raise
        else:
            return
