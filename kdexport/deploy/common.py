"""What every pack has: the model, its columns, what it was made of, its README, its hashes.

Takes a `Packable` and what is a target's own, gives named bytes.
"""

import json
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import onnx

from kdexport.bundle import hash_bytes
from kdexport.deploy.model import THREADS, Packable
from kdexport.deploy.rows import name_classes, write_answers, write_rows
from kdexport.deploy.targets import PACK, SUMS
from kdexport.deploy.tensors import name_datatype
from kdexport.errors import one_line

README = "README.md"
COLUMNS, MODEL = "columns.json", "model.onnx"
FORMAT_VERSION = 1
MAX_NAMED = 12

WHOSE = {
    "real": "test rows of the data that the model was made of, and altered ones",
    "synthetic": "rows drawn from column statistics, none of them anybody's, and altered ones",
}
ROUNDED = """\
  The file's weights are rounded: where the two likeliest classes are within twice that, the label
  may be the other one, and with an absurdly large cell answers are finite, no more.
"""


def write_json(value: Any) -> bytes:
    """Return a value as JSON that a person can read."""
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_template(name: str) -> bytes:
    """Return a file that is part of a pack as it is."""
    return (files("kdexport.deploy") / "templates" / name).read_bytes()


def describe_columns(packable: Packable) -> dict[str, Any]:
    """Return what a program has to know to call the file."""
    signature, texts = packable.signature, packable.texts
    return {
        "model": packable.name,
        "target": signature.target,
        "numeric": list(signature.numeric),
        "categorical": list(signature.categorical),
        "kinds": signature.kinds,
        "precision": signature.precision,
        "classes": list(signature.classes),
        "class_names": name_classes(signature.classes),
        "codes": texts.codes,
        "unknown": texts.unknown,
        "labels": None if texts.labels is None else list(texts.labels),
        "threads": THREADS,
        "inputs": describe_tensors(packable.feeds),
        "outputs": describe_tensors(packable.outputs),
    }


def describe_tensors(arrays: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return names, types and shapes in the protocol's words; -1 is any number of rows."""
    return [
        {"name": name, "datatype": name_datatype(values), "shape": [-1, *values.shape[1:]]}
        for name, values in arrays.items()
    ]


def write_golden_rows(packable: Packable) -> dict[str, bytes]:
    """Return the golden rows and answers as JSON with column names."""
    return {
        "golden/rows.json": write_json(write_rows(packable)),
        "golden/answers.json": write_json(write_answers(packable)),
    }


def write_test_data(packable: Packable, folder: str) -> dict[str, bytes]:
    """Return inputs and outputs of the packed file in the layout of ONNX's backend tests."""
    files = {}
    for side, arrays in (("input", packable.feeds), ("output", packable.outputs)):
        for i, (name, values) in enumerate(arrays.items()):
            tensor = onnx.numpy_helper.from_array(values, name)
            files[f"{folder}/{side}_{i}.pb"] = bytes(tensor.SerializeToString())
    return files


def describe_pack(packable: Packable, target: str) -> dict[str, Any]:
    """Return what a pack was made of, and how."""
    return {
        "format_version": FORMAT_VERSION,
        "kdexport_version": version("kdexport"),
        "target": target,
        "file": packable.file,
        "file_sha256": packable.source_sha256,
        "passed_check": packable.passed_check,
        "target_ort": packable.form.target_ort,
        "core_operators": packable.form.has_core_operators or packable.form.has_codes,
        "split_text": packable.form.has_codes,
        "golden": {
            "kind": packable.golden,
            "rows": packable.inputs.n_rows,
            "probability_tolerance": packable.tolerance.probability,
            "relative_tolerance": packable.tolerance.relative,
        },
    }


def finish_pack(
    packable: Packable, target: str, files: Mapping[str, bytes], *, command: str, text: str
) -> dict[str, bytes]:
    """Add to a target's own files what every pack has, hashes last.

    Args:
        packable: What was packed.
        target: The target's name.
        files: The target's own, the model among them.
        command: The one command that starts it, run in the pack's folder.
        text: What else its README says.
    """
    whole = dict(files)
    if not any(name.endswith(COLUMNS) for name in whole):
        whole[COLUMNS] = write_json(describe_columns(packable))
    whole[PACK] = write_json(describe_pack(packable, target))
    whole[README] = _write_readme(packable, target, command, text).encode()
    lines = [f"{hash_bytes(whole[name])}  {name}\n" for name in sorted(whole)]
    whole[SUMS] = "".join(lines).encode()
    return whole


def _write_readme(packable: Packable, target: str, command: str, text: str) -> str:
    signature, tolerance = packable.signature, packable.tolerance
    classes = _name_all([_quote(value) for value in signature.classes])
    answers = f"{_quote(signature.target)}: "
    answers += "a number" if signature.is_regression else f"one of {classes}"
    columns = [
        f"{signature.kinds.get(name, 'number')} {_quote(name)}" for name in signature.numeric
    ]
    columns += [f"text {_quote(name)}" for name in signature.categorical]
    rounded = ROUNDED if tolerance.is_coarse else ""
    doubts = (
        ""
        if packable.passed_check
        else "\n**The bundle failed `kdexport check` when this was packed, with --force.**\n"
    )
    return f"""# {packable.name}: {target}

{packable.file} of a kdexport bundle. Start it from this folder:

```sh
{command}
```

{text.strip()}
{doubts}
- Answers {answers}.
- Takes {len(columns)} columns: {_name_all(columns)}.
  All names, in order, are in `{COLUMNS}`. A missing cell is {_say_missing(packable)}.
- The golden rows are {packable.inputs.n_rows} ({WHOSE[packable.golden]}), with what the
  trained model answered: probabilities within {tolerance.probability:g}, numbers within
  {tolerance.relative:g} of their size, or of the terms behind them where a cell is absurdly large.
{rounded}\
- {THREADS} intra-op thread and no spinning: a file as small is done before a second thread wakes.
- Before it is started, `sha256sum --check {SUMS}` finds an altered file, `kdexport check .` one too
  many as well, and `kdexport check . --verify PUBKEY` says who signed the pack, where it is signed.
"""


def _quote(value: object) -> str:
    """A user's text as code: on one line, and closed where it ends."""
    text = one_line(str(value)).replace("`", "'")
    return f"`{text}`"


def _name_all(names: list[str]) -> str:
    rest = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _say_missing(packable: Packable) -> str:
    if packable.texts.codes is None:
        return "NaN in a tensor of numbers, the empty text in one of texts, null in JSON rows"
    return f"NaN among numbers; texts are codes (`codes` of `{COLUMNS}`, 0 for any other)"
