"""The targets that a bundle is packed for, and what every pack holds. Imports the standard library
alone.
"""

from typing import Literal

PACK, SUMS = "pack.json", "SHA256SUMS"  # in every pack

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
