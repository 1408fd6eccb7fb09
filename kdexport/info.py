"""What a model file says of itself: what it takes and gives, its size, and its sealed evidence.

Takes a file's bytes, gives facts by name. Runs nothing: knows onnx, not onnxruntime.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from kdexport.contract import count_parameters, onnx_opset, parse_model, read_metadata
from kdexport.errors import DataError
from kdexport.signature import Signature
from kdexport.sound import check_confined, check_sound

GOLDEN = {
    "real": "real: the bundle holds test rows of its maker's data",
    "synthetic": "synthetic: the bundle holds rows drawn from column statistics, none of the data",
    "none": "none: the bundle holds no rows",
}


def describe_model(
    content: bytes, name: str = "the model", folder: Path | None = None
) -> dict[str, Any]:
    """Return what a model file that kdexport wrote takes and gives, its size and its evidence.

    Args:
        content: The file.
        name: What it is called.
        folder: Where its weights may lie beside it; None where it has to have them itself.

    Returns:
        Facts that JSON can hold, by name; those that the file does not state are None or empty.

    Raises:
        DataError: It is no ONNX model, none that kdexport wrote, or not sound.
    """
    model = parse_model(content, name)
    check_sound(model, name)
    check_confined(model, name, folder)
    metadata = read_metadata(model)
    signature = Signature.from_metadata(metadata)
    changes, headline = (_read_entry(metadata, entry) for entry in ("recipe", "evidence"))
    export = changes.get("export")
    golden = export.get("golden", "real") if isinstance(export, dict) else "real"
    return {
        "file": name,
        "bytes": len(content),
        "parameters": count_parameters(model),
        "nodes": len(model.graph.node),
        "opset": onnx_opset(model),
        "ir_version": model.ir_version,
        "inputs": {value.name: _describe_tensor(value) for value in model.graph.input},
        "outputs": {value.name: _describe_tensor(value) for value in model.graph.output},
        "numeric": list(signature.numeric),
        "categorical": list(signature.categorical),
        "kinds": signature.kinds,
        "target": signature.target,
        "classes": list(signature.classes),
        "kdexport_version": metadata.get("kdexport.version"),
        "data_sha256": metadata.get("kdexport.data_sha256"),
        "recipe_changes": changes,
        "golden": GOLDEN.get(str(golden), str(golden)),
        "evidence": headline,
    }


def _read_entry(metadata: Mapping[str, str], name: str) -> dict[str, Any]:
    """Read a JSON object of a file's metadata; one that is not there is empty."""
    try:
        value = json.loads(metadata.get(f"kdexport.{name}", "{}"))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise DataError(
            "a kdexport file carries JSON in its metadata",
            found=f"kdexport.{name} is damaged",
            cure="pass a file that kdexport wrote",
        )
    return value


def _describe_tensor(value: onnx.ValueInfoProto) -> str:
    """Type and shape, as in `float [batch, 3]`."""
    tensor = value.type.tensor_type
    sizes = [d.dim_param or str(d.dim_value) for d in tensor.shape.dim]
    return f"{onnx.TensorProto.DataType.Name(tensor.elem_type).lower()} [{', '.join(sizes)}]"
