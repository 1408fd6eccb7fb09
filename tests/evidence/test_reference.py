"""onnx's own evaluator beside onnxruntime."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from kdexport.contract import serialize_model
from kdexport.evidence.reference import answer_in_reference
from kdexport.records import Inputs
from kdexport.runtime import open_session


def make_stump() -> bytes:
    """A file of one tree that leaves out where missing cells go, as a default may be."""
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["numeric"],
        ["prediction"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[0, 0, 0],
        nodes_nodeids=[0, 1, 2],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_featureids=[0, 0, 0],
        nodes_values=[0.5, 0.0, 0.0],
        nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0],
        target_treeids=[0, 0],
        target_nodeids=[1, 2],
        target_ids=[0, 0],
        target_weights=[-1.0, 2.0],
    )
    graph = helper.make_graph(
        [node],
        "stump",
        [helper.make_tensor_value_info("numeric", TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["n", 1])],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    return serialize_model(model)


def test_missing_cells_in_trees() -> None:
    """Where a file does not say where missing cells go, they go right, in both implementations."""
    numeric = np.array([[0.0], [1.0], [np.nan]], np.float32)
    inputs = Inputs(numeric, np.empty((3, 0), object))
    answers = answer_in_reference(make_stump(), inputs, "stump.onnx").predictions
    expected = open_session(make_stump()).run({"numeric": numeric})["prediction"]
    assert answers.ravel().tolist() == expected.ravel().tolist() == [-1.0, 2.0, 2.0]
