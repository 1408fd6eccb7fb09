"""Small ONNX files that kdexport did not write."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

Value = tuple[str, int, Sequence[int | str]]


def build_file(nodes: list[onnx.NodeProto], inputs: list[Value], outputs: list[Value]) -> bytes:
    """Serialize a graph of a few nodes."""
    values = [
        [helper.make_tensor_value_info(*value) for value in side] for side in (inputs, outputs)
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "g", *values),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=8,
    )
    return bytes(model.SerializeToString())


def build_gemm(batch: int | str = "n", width: int | str = 3) -> bytes:
    """Three numbers in, two out; the file may leave open that they are three."""
    weights = onnx.numpy_helper.from_array(np.ones((3, 2), np.float32))
    nodes = [
        helper.make_node("Constant", [], ["w"], value=weights),
        helper.make_node("MatMul", ["numeric", "w"], ["out"]),
    ]
    return build_file(
        nodes,
        [("numeric", TensorProto.FLOAT, (batch, width))],
        [("out", TensorProto.FLOAT, (batch, 2))],
    )


def build_mixed() -> bytes:
    """An input of each kind: float64 [n, 2], int64 [n], text [n, 3]."""
    kinds = [("d", TensorProto.DOUBLE, ("n", 2)), ("i", TensorProto.INT64, ("n",))]
    kinds += [("s", TensorProto.STRING, ("n", 3))]
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name, _, _ in kinds]
    return build_file(nodes, kinds, [(f"{name}_out", kind, shape) for name, kind, shape in kinds])
