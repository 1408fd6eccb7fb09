"""How to call the student: code that a reader copies, with this file's own columns in it.

Takes a signature, gives code. Names of columns enter as JSON strings, which Python and JavaScript
read alike, and never as code.
"""

import json
import shlex
from dataclasses import dataclass
from typing import Any

from kdexport.signature import Signature

PYTHON = """\
import numpy as np
import onnxruntime

NUMERIC = {numeric}
CATEGORICAL = {categorical}
rows = [{row}]

session = onnxruntime.InferenceSession("student.onnx")
feeds = {{}}
if NUMERIC:
    feeds["numeric"] = np.array([[row[name] for name in NUMERIC] for row in rows], np.{precision})
if CATEGORICAL:
    feeds["categorical"] = np.array([[row[name] for name in CATEGORICAL] for row in rows], object)
{answer}
"""
CLASSIFICATION = """\
label, probabilities = session.run(["label", "probabilities"], feeds)
print(label, probabilities)"""
PREDICTION = """\
(prediction,) = session.run(["prediction"], feeds)
print(prediction)"""
NODE = """\
const ort = require('onnxruntime-node');

const NUMERIC = {numeric};
const CATEGORICAL = {categorical};
const rows = [{row}];

async function main() {{
  const session = await ort.InferenceSession.create('student.onnx');
  const cells = (names) => rows.flatMap((row) => names.map((name) => row[name]));
  const feeds = {{}};
  if (NUMERIC.length) {{
    const numbers = {array}.from(cells(NUMERIC));
    feeds.numeric = new ort.Tensor('{precision}', numbers, [rows.length, NUMERIC.length]);
  }}
  if (CATEGORICAL.length) {{
    const texts = cells(CATEGORICAL);
    feeds.categorical = new ort.Tensor('string', texts, [rows.length, CATEGORICAL.length]);
  }}
  const answers = await session.run(feeds);
  console.log({answer});
}}

main();
"""
REQUEST = """\
curl http://localhost:8000/v2/models/student/infer -H 'Content-Type: application/json' -d {body}
"""


@dataclass(frozen=True)
class Snippet:
    """A piece of code.

    Attributes:
        title: What it needs.
        language: For the fence of a code block.
        code: To be copied as it is.
    """

    title: str
    language: str
    code: str


def write_snippets(signature: Signature) -> list[Snippet]:
    """Return how to call the file from Python, from Node and over HTTP."""
    return [
        Snippet("Python, with onnxruntime alone", "python", write_python(signature)),
        Snippet("Node, with onnxruntime-node", "javascript", write_node(signature)),
        Snippet(
            "HTTP, a server of the Open Inference Protocol (Triton, KServe)",
            "sh",
            write_request(signature),
        ),
    ]


def write_python(signature: Signature) -> str:
    """Return Python that answers one row."""
    answer = PREDICTION if signature.is_regression else CLASSIFICATION
    return PYTHON.format(
        numeric=_as_json(signature.numeric),
        categorical=_as_json(signature.categorical),
        row=_as_json(make_row(signature)),
        precision=signature.precision,
        answer=answer,
    )


def write_node(signature: Signature) -> str:
    """Return JavaScript that answers one row."""
    return NODE.format(
        numeric=_as_json(signature.numeric),
        categorical=_as_json(signature.categorical),
        row=_as_json(make_row(signature)),
        array="Float32Array" if signature.precision == "float32" else "Float64Array",
        precision=signature.precision,
        answer="answers.prediction.data"
        if signature.is_regression
        else "answers.label.data, answers.probabilities.data",
    )


def write_request(signature: Signature) -> str:
    """Return a curl command with one row as JSON."""
    row, inputs = make_row(signature), []
    if signature.numeric:
        datatype = "FP32" if signature.precision == "float32" else "FP64"
        inputs.append(_as_input("numeric", datatype, [row[n] for n in signature.numeric]))
    if signature.categorical:
        inputs.append(_as_input("categorical", "BYTES", [row[n] for n in signature.categorical]))
    return REQUEST.format(body=shlex.quote(_as_json({"inputs": inputs})))


def make_row(signature: Signature) -> dict[str, float | str]:
    """Return a row to start from: zeros, and empty (missing) texts."""
    row: dict[str, float | str] = dict.fromkeys(signature.numeric, 0.0)
    return row | dict.fromkeys(signature.categorical, "")


def _as_input(name: str, datatype: str, data: list[Any]) -> dict[str, Any]:
    return {"name": name, "shape": [1, len(data)], "datatype": datatype, "data": data}


def _as_json(value: Any) -> str:
    return json.dumps(value)
