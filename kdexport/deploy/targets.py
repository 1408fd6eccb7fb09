"""The targets that a bundle is packed for, and what every pack holds. Imports the standard library
alone.
"""

from contextlib import suppress
from pathlib import Path
from typing import Literal

PACK, SUMS = "pack.json", "SHA256SUMS"  # in every pack
MARK, HEAD_BYTES = b'"kdexport_version"', 1024  # others have a pack.json too: ours says whose it is

Target = Literal["triton", "oip", "mlflow", "python", "web", "node", "onnx"]

SUMMARIES: dict[Target, str] = {
    "triton": "Triton: a model of this repository, under its name.",
    "oip": "A KServe predictor in the Open Inference Protocol (v2).",
    "mlflow": "An MLflow model.",
    "python": "A service of its own: FastAPI and onnxruntime.",
    "web": "A static page that answers in the browser.",
    "node": "A module for Node.",
    "onnx": "The file alone, with test data for ONNX tools.",
}


def is_pack(folder: Path) -> bool:
    """Whether a folder is a pack, whole or not: its own file says so."""
    path = folder / PACK
    with suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                return MARK in file.read(HEAD_BYTES)
    return False
