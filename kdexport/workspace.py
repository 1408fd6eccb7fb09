"""The work folder: what `train`, `distill` and `export` leave for each other.

Takes prepared rows and weights, gives files without pickle: JSON, TOML and safetensors, which is
imported where such a file is read or written.
"""

import errno
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kdexport.bundle import RECIPE, WORK_FILES
from kdexport.errors import DataError
from kdexport.extras import needing
from kdexport.prepared import Arrays, Looks, Prepared, Trained
from kdexport.reading import read_file
from kdexport.recipe import read_recipe
from kdexport.records import Column, Inputs, Parts, Rows, Unlabeled
from kdexport.schema import Schema
from kdexport.trees import Trees

PREPARED, ROWS, TEACHER, STUDENTS, RIVAL = WORK_FILES
MADE_BY = {
    RECIPE: "kdexport train",
    PREPARED: "kdexport train",
    ROWS: "kdexport train",
    TEACHER: "kdexport train",
    RIVAL: "kdexport train",
    STUDENTS: "kdexport distill",
}

LATER_SECTIONS = ("student", "transfer", "evidence", "bench", "export", "budgets")

OWN_OUTPUTS = "own_outputs"
UNLABELED = "unlabeled"
UNLABELED_FIELDS = ("source", "sha256", "n_in_test")

MAX_PREPARED_BYTES = 2**30  # all texts of a table's categories


def save_prepared(prepared: Prepared) -> dict[str, bytes]:
    """Return the files that hold a prepared task."""
    arrays: Arrays = {}
    extra = prepared.unlabeled
    inputs = {name: rows.inputs for name, rows in prepared.rows.items()}
    inputs |= {UNLABELED: extra.inputs} if extra else {}
    texts = sorted({text for one in inputs.values() for text in one.categorical.flat})
    position = {text: i for i, text in enumerate(texts)}
    for name, one in inputs.items():
        coded = [position[text] for text in one.categorical.flat]
        arrays[f"{name}.numeric"] = one.numeric
        arrays[f"{name}.categorical"] = np.array(coded, np.int64).reshape(one.categorical.shape)
    for name, rows in prepared.rows.items():
        arrays[f"{name}.targets"] = rows.targets
        arrays[f"{name}.weights"] = rows.weights
        arrays[f"{name}.row_ids"] = rows.row_ids
    about = {
        "schema": prepared.schema.model_dump(mode="json"),
        "texts": texts,
        "source": prepared.source,
        "data_sha256": prepared.data_sha256,
        UNLABELED: extra and {field: getattr(extra, field) for field in UNLABELED_FIELDS},
    }
    return {
        RECIPE: prepared.recipe.to_toml().encode(),
        PREPARED: json.dumps(about, indent=1).encode(),
        ROWS: _pack_arrays(arrays),
    }


def load_prepared(
    work: Path, recipe_path: Path | None = None, *, from_section: str = "evidence"
) -> Prepared:
    """Read a prepared task back.

    Args:
        work: The work folder.
        recipe_path: A recipe whose sections from `from_section` on replace the folder's own.
        from_section: "student" before the students are trained, "evidence" after.

    Raises:
        DataError: The folder does not hold one.
        RecipeError: The recipe is not valid.
    """
    _read(work, RECIPE)
    recipe = read_recipe(work / RECIPE, {})
    if recipe_path is not None:
        other = read_recipe(recipe_path, {})
        sections = LATER_SECTIONS[LATER_SECTIONS.index(from_section) :]
        recipe = recipe.model_copy(update={name: getattr(other, name) for name in sections})
        recipe = recipe.settle(is_own_table=recipe.names_a_table)
    arrays = _load_arrays(work, ROWS)
    try:
        about = json.loads(_read(work, PREPARED))
        texts = np.array(about["texts"], dtype=object)
        parts = [_load_rows(arrays, name, texts) for name in ("train", "validation", "test")]
        schema = Schema.model_validate_json(json.dumps(about["schema"]))
        extra = about[UNLABELED]
        unlabeled = Unlabeled(_load_inputs(arrays, UNLABELED, texts), **extra) if extra else None
        return Prepared(
            recipe,
            schema,
            Parts(*parts),
            about["source"],
            about["data_sha256"],
            unlabeled=unlabeled,
        )
    except (KeyError, ValueError, TypeError, IndexError, RecursionError) as error:
        raise _damaged(work, PREPARED, error) from error


def save_trained(trained: Trained) -> bytes:
    """Return the checkpoint of a stack."""
    progress = {"n_steps": np.array([trained.n_steps]), "best_losses": trained.best_losses}
    settings = {f"settings.{k}": np.array([v]) for k, v in trained.settings.items()}
    fit = {f"fit.{k}": v for k, v in progress.items()}
    trees = trained.trees.to_arrays() if trained.trees else {}
    arrays = {**trained.weights, **fit, **settings, **_prefix("trees.", trees)}
    if trained.own_outputs is not None:
        arrays[OWN_OUTPUTS] = trained.own_outputs
    if trained.looks is not None:
        arrays |= _prefix("looks.", trained.looks._asdict())
    return _pack_arrays(arrays)


def load_trained(work: Path, name: str) -> Trained:
    """Read a checkpoint back.

    Raises:
        DataError: The folder does not hold it.
    """
    arrays = _load_arrays(work, name)
    try:
        n_steps = int(arrays.pop("fit.n_steps")[0])
        best_losses = arrays.pop("fit.best_losses")
        settings = {name: float(v[0]) for name, v in _pop_all("settings.", arrays).items()}
        trees = _pop_all("trees.", arrays)
        own_outputs = arrays.pop(OWN_OUTPUTS, None)
        looks = _pop_all("looks.", arrays)
        return Trained(
            arrays,
            n_steps,
            best_losses,
            settings,
            Trees.from_arrays(trees) if trees else None,
            own_outputs,
            Looks(**looks) if looks else None,
        )
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise _damaged(work, name, error) from error


def save_array(values: Column) -> bytes:
    """Return the file of one array of numbers."""
    return _pack_arrays({"values": np.ascontiguousarray(values)})


def load_array(work: Path, name: str) -> Column:
    """Read an array back.

    Raises:
        DataError: The folder does not hold it.
    """
    try:
        return _load_arrays(work, name)["values"]
    except KeyError as error:
        raise _damaged(work, name, error) from error


def load_rival(prepared: Prepared, work: Path) -> Trained | None:
    """Read the rival's checkpoint back, if the recipe asks for a rival."""
    return load_trained(work, RIVAL) if prepared.recipe.rival.model != "none" else None


def _prefix(prefix: str, arrays: Mapping[str, Column]) -> Arrays:
    return {f"{prefix}{name}": values for name, values in arrays.items()}


def _pop_all(prefix: str, arrays: Arrays) -> Arrays:
    """Take every array of a prefix out, and return them by the rest of their names."""
    names = [name for name in arrays if name.startswith(prefix)]
    return {name.removeprefix(prefix): arrays.pop(name) for name in names}


def _load_rows(arrays: Arrays, name: str, texts: Column) -> Rows:
    inputs = _load_inputs(arrays, name, texts)
    rest = (arrays[f"{name}.{field}"] for field in ("targets", "weights", "row_ids"))
    return Rows(inputs, *rest)


def _load_inputs(arrays: Arrays, name: str, texts: Column) -> Inputs:
    return Inputs(arrays[f"{name}.numeric"], texts[arrays[f"{name}.categorical"]])


def _pack_arrays(arrays: Arrays) -> bytes:
    with needing("train", rule="a work folder needs"):
        from safetensors.numpy import save
    content: bytes = save(arrays)
    return content


def _load_arrays(work: Path, name: str) -> Arrays:
    with needing("train", rule="a work folder needs"):
        from safetensors import SafetensorError, safe_open
    try:
        with safe_open(_existing(work, name), framework="numpy") as file:
            keys = file.keys()  # it is no mapping: it cannot be iterated over
            return {key: file.get_tensor(key) for key in keys}
    except (SafetensorError, ValueError, TypeError, OSError) as error:
        raise _damaged(work, name, error) from error


def _read(work: Path, name: str) -> bytes:
    try:
        return read_file(work / name, MAX_PREPARED_BYTES)
    except OSError as error:
        raise _absent(work, name, error) from error


def _existing(work: Path, name: str) -> Path:
    """Return the path of a file that is there; its size is checked by its own header."""
    path = work / name
    try:
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        with path.open("rb"):
            return path
    except OSError as error:
        raise _absent(work, name, error) from error


def refuse_absent(work: Path) -> None:
    """Refuse a folder that `train` did not write.

    Raises:
        DataError: It is none.
    """
    _existing(work, PREPARED)


def _absent(work: Path, name: str, error: OSError) -> DataError:
    return DataError(
        "a step goes on from what the one before it wrote",
        found=f"{str(work / name)!r}: {error.strerror}",
        cure=f"run {MADE_BY.get(name, 'kdexport train')} first",
    )


def _damaged(work: Path, name: str, error: Any) -> DataError:
    return DataError(
        "a work folder holds what kdexport wrote",
        found=f"{str(work / name)!r}: {type(error).__name__}: {error}",
        cure=f"run {MADE_BY.get(name, 'kdexport train')} again",
    )
