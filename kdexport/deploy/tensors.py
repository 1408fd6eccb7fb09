"""Tensors as the Open Inference Protocol (v2) writes them, in JSON and in binary.

Takes arrays by name, gives requests and responses. KServe, Triton and others speak it. Knows numpy
only.
"""

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from kdexport.records import Column

DATATYPES = {"float32": "FP32", "float64": "FP64", "int64": "INT64", "bool": "BOOL"}
HEADER_LENGTH = "Inference-Header-Content-Length"


def name_datatype(values: Column) -> str:
    """Return the protocol's name of an array's element type; text is BYTES."""
    return DATATYPES.get(values.dtype.name, "BYTES")


def find_finite(feeds: Mapping[str, Column]) -> np.ndarray:
    """Return which rows JSON can hold: those without a missing or infinite number. `[n]` bool."""
    n_rows = len(next(iter(feeds.values())))
    finite = np.ones(n_rows, np.bool_)
    for values in feeds.values():
        if values.dtype.kind == "f":
            finite &= np.isfinite(values).all(axis=1)
    return finite


def write_json_tensors(arrays: Mapping[str, Column]) -> list[dict[str, Any]]:
    """Return arrays as the protocol's JSON has them: flat, row after row."""
    return [
        {
            "name": name,
            "shape": list(values.shape),
            "datatype": name_datatype(values),
            "data": values.ravel().tolist(),
        }
        for name, values in arrays.items()
    ]


def read_json_tensors(tensors: list[dict[str, Any]]) -> dict[str, Column]:
    """Return what `write_json_tensors` wrote as arrays by name.

    Raises:
        ValueError: A tensor has other data than its shape says; LookupError: it lacks a part.
    """
    types = {datatype: name for name, datatype in DATATYPES.items()}
    return {
        one["name"]: np.array(one["data"], types.get(one["datatype"], "O")).reshape(one["shape"])
        for one in tensors
    }


def write_binary_request(feeds: Mapping[str, Column]) -> tuple[bytes, int]:
    """Return a request in the binary form, which holds missing and infinite numbers too.

    Returns:
        The body, and how many bytes of it are the JSON in front.
    """
    parts = {name: write_raw(values) for name, values in feeds.items()}
    tensors = [
        {
            "name": name,
            "shape": list(values.shape),
            "datatype": name_datatype(values),
            "parameters": {"binary_data_size": len(parts[name])},
        }
        for name, values in feeds.items()
    ]
    head = json.dumps({"inputs": tensors}).encode()
    return head + b"".join(parts.values()), len(head)


def write_raw(values: Column) -> bytes:
    """Return an array's bytes, little-endian, row after row; each text behind its length."""
    if values.dtype.kind != "O":
        return np.ascontiguousarray(values).tobytes()
    texts = [text.encode() for text in values.ravel().tolist()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)
