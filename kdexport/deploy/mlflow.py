"""An MLflow model: signature by column, input example, answers as a table.

Takes a `Packable`, gives named bytes; MLflow itself is not needed to write one. Its `onnx` flavour
takes no table of numbers and texts and flattens probabilities, so `python_function` is a loader of
some 110 lines, and `onnx` stands beside it for `mlflow.onnx.load_model`.
"""

import json
import re
from typing import Any

import onnx

from kdexport.bundle import hash_bytes
from kdexport.contract import PREDICTION
from kdexport.deploy.common import (
    COLUMNS,
    MODEL,
    describe_columns,
    finish_pack,
    read_template,
    write_json,
)
from kdexport.deploy.model import THREADS, Packable
from kdexport.deploy.rows import write_answers, write_rows

LABELS = {"string": "string", "int64": "long", "bool": "boolean"}
EXAMPLE_ROWS = 5
NOT_IN_YAML = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
WRITTEN = "2026-01-01 00:00:00.000000"  # MLflow wants a time; a pack has the same bytes when remade
COMMAND = (
    "pip install -r requirements.txt && mlflow models serve -m . --env-manager local --port 5000"
)
TEXT = """
Or `mlflow.pyfunc.load_model(folder).predict(frame)`: a frame with the columns below in any order,
whole numbers, categories, dates and missing cells as pandas has them; a frame of answers back.
Columns are declared as `any`, since MLflow refuses whole numbers where a signature says `double`,
and categories where it says `string`; a cell that its column cannot hold is an error that names the
column. `golden/request.json` goes to `/invocations` as it is; CSV does not.
"""


def build_mlflow(packable: Packable) -> dict[str, bytes]:
    """Return the files of a model folder."""
    loader = f"kdexport_{hash_bytes(packable.content)[:12]}"  # models in one process stay apart
    rows = write_rows(packable)
    columns = list(packable.signature.columns)
    cells = [[row[name] for name in columns] for row in rows]
    table = {"columns": columns, "data": cells}
    example = {"columns": columns, "data": cells[:EXAMPLE_ROWS]}
    files = {
        f"data/{MODEL}": packable.content,
        f"data/{COLUMNS}": write_json(describe_columns(packable)),
        f"code/{loader}.py": read_template("mlflow_loader.py"),
        "MLmodel": _write_yaml(_describe_model(packable, loader)),
        "requirements.txt": read_template("requirements-mlflow.txt"),
        "python_env.yaml": read_template("python_env.yaml"),
        "input_example.json": write_json(example),
        "serving_input_example.json": write_json({"dataframe_split": example}),
        "golden/request.json": write_json({"dataframe_split": table}),
        "golden/answers.json": write_json(write_answers(packable)),
    }
    return finish_pack(packable, "mlflow", files, command=COMMAND, text=TEXT)


def _describe_model(packable: Packable, loader: str) -> dict[str, Any]:
    """Return what MLmodel says."""
    environment = {"virtualenv": "python_env.yaml"}
    return {
        "flavors": {
            "python_function": {
                "loader_module": loader,
                "data": "data",
                "code": "code",
                "env": environment,
                "python_version": "3.11",
            },
            "onnx": {
                "onnx_version": onnx.__version__,
                "data": f"data/{MODEL}",
                "providers": ["CPUExecutionProvider"],
                "onnx_session_options": {"intra_op_num_threads": THREADS},
                "code": None,
            },
        },
        "mlflow_version": "3.0.0",
        "model_uuid": hash_bytes(packable.content)[:32],
        "utc_time_created": WRITTEN,
        "saved_input_example_info": {
            "artifact_path": "input_example.json",
            "serving_input_path": "serving_input_example.json",
            "type": "dataframe",
            "pandas_orient": "split",
        },
        "signature": {
            "inputs": json.dumps(_declare_inputs(packable), ensure_ascii=False),
            "outputs": json.dumps(_declare_outputs(packable), ensure_ascii=False),
            "params": None,
        },
    }


def _write_yaml(value: Any) -> bytes:
    """Return JSON that is YAML too, where some characters are breaks of lines and some are none."""
    text = write_json(value).decode()
    return NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()


def _declare_inputs(packable: Packable) -> list[dict[str, Any]]:
    return [_declare(name, "any") for name in packable.signature.columns]


def _declare_outputs(packable: Packable) -> list[dict[str, Any]]:
    signature = packable.signature
    if signature.is_regression:
        return [_declare(PREDICTION, "float")]
    return [
        _declare("label", LABELS[signature.label_dtype]),
        *[_declare(f"probability_{value}", "float") for value in signature.classes],
    ]


def _declare(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "type": kind, "required": True}
