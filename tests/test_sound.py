"""What a model file may claim before it is opened."""

import numpy as np
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
