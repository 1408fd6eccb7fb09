"""What servers and runtimes are asked with: where they are installed, a bundle's file in a form for
them, and their answers as kdexport's own. Used by `tests/deploy` and by `benchmarks/runtimes.py`.
"""

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kdexport.bundle import read_bundle
from kdexport.contract import PREDICTION
from kdexport.deploy.model import Form, Packable, prepare_model, read_outputs
from kdexport.records import Answers

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ROOT / "build/deploy"
MODULES = ROOT / "build/node/node_modules"
CLIENTS = ROOT / "benchmarks/clients"


def prepare(bundle: Path, form: Form, file: str = "student.onnx") -> Packable:
    """Bring a file of a bundle into a form."""
    loaded = read_bundle(bundle)
    return prepare_model(loaded, file, form, name=bundle.name, passed_check=True)


def find_port() -> int:
    """Return a port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers_of_tensors(packable: Packable, outputs: Mapping[str, Any]) -> Answers:
    """Answers from a file's outputs; texts may have come as bytes or as numpy's own."""
    values = {
        name: array.astype(object) if array.dtype.kind == "U" else array
        for name, array in outputs.items()
    }
    return read_outputs(values, packable.texts)


def answers_of_rows(packable: Packable, rows: Sequence[Mapping[str, Any]]) -> Answers:
    """Answers from JSON: a label and its probabilities, or a number.

    Raises:
        ValueError: Probabilities are of other classes than the file's, or in another order.
    """
    if packable.signature.is_regression:
        numbers = np.array([row[PREDICTION] for row in rows], np.float32)
        return Answers(numbers, np.empty((len(rows), 0), np.float32))
    classes = [str(value) for value in packable.signature.classes]
    for row in rows:
        if [*row["probabilities"]] != classes:
            raise ValueError(f"probabilities are of {[*row['probabilities']]}, not of {classes}")
    shares = [list(row["probabilities"].values()) for row in rows]
    labels = np.array([row["label"] for row in rows], packable.answers.predictions.dtype)
    return Answers(labels, np.array(shares, np.float32))
