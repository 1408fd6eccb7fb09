"""What a model file may claim before it is opened."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from kdexport.errors import DataError
from kdexport.sound import check_sound

HUGE = 2**31
SIZE = numpy_helper.from_array(np.array([HUGE], np.int64), "other")
CONSTANTS = {
    "value": helper.make_node("Constant", [], ["size"], value=SIZE),
    "value_ints": helper.make_node("Constant", [], ["size"], value_ints=[HUGE]),
    "value_int": helper.make_node("Constant", [], ["size"], value_int=HUGE),
}


@pytest.mark.parametrize("constant", CONSTANTS)
@pytest.mark.parametrize("grower", ["ConstantOfShape", "Tile", "Range", "Pad"])
def test_sizes_in_constant_nodes(constant: str, grower: str) -> None:
    """A node that makes 2 GB out of nothing is found whichever way the size is written."""
    inputs = ["size"] if grower == "ConstantOfShape" else ["x", "size"]
    graph = helper.make_graph(
        [CONSTANTS[constant], helper.make_node(grower, inputs, ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    with pytest.raises(DataError, match=f"{grower} would make 2,147,483,648 values"):
        check_sound(helper.make_model(graph), "x.onnx")


def _one(values: list[float], dtype: type) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, dtype).reshape(()), "other")


@pytest.mark.parametrize(
    ("limits", "dtype"),
    [
        ((0, HUGE, 1), np.int64),
        ((-HUGE, 1, 1), np.int64),  # from far below
        ((0, 2e9, 1), np.int32),
        ((0, 2e8, 1), np.float32),
        ((0, 1e6, 1e-3), np.float32),  # in small steps
    ],
)
def test_long_range(limits: tuple[float, ...], dtype: type) -> None:
    """A range is as long as start, limit and step say together, whatever numbers they are."""
    names = ["start", "limit", "step"]
    nodes = [
        helper.make_node("Constant", [], [name], value=_one([value], dtype))
        for name, value in zip(names, limits, strict=True)
    ]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        [*nodes, helper.make_node("Range", names, ["y"])],
        "g",
        [],
        [helper.make_tensor_value_info("y", kind, None)],
    )
    with pytest.raises(DataError, match="Range would make"):
        check_sound(helper.make_model(graph), "x.onnx")


def test_size_by_way_of_a_cast() -> None:
    """A size that is cast before it is used is a size."""
    graph = helper.make_graph(
        [
            helper.make_node("Constant", [], ["number"], value_float=1e9),
            helper.make_node("Cast", ["number"], ["size"], to=TensorProto.INT64),
            helper.make_node("ConstantOfShape", ["size"], ["y"]),
        ],
        "g",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    with pytest.raises(DataError, match="ConstantOfShape would make"):
        check_sound(helper.make_model(graph), "x.onnx")
