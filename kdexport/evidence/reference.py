"""onnx's own evaluator: a second implementation, slow and plain, of what a file means.

Takes a file's bytes and rows, gives its answers. Knows onnx, not onnxruntime.
"""

import numpy as np
from onnx import ModelProto, helper
from onnx.reference import ReferenceEvaluator

from kdexport.contract import LABEL, LOGITS, PREDICTION, PROBABILITIES, parse_model
from kdexport.errors import DataError
from kdexport.records import Answers, Inputs

TREE_IDS, MISSING = "nodes_treeids", "nodes_missing_value_tracks_true"


def answer_in_reference(content: bytes, inputs: Inputs, name: str) -> Answers:
    """Answer rows with onnx's ReferenceEvaluator.

    Raises:
        DataError: It cannot run the file.
    """
    try:
        evaluator = ReferenceEvaluator(_say_defaults(parse_model(content, name)))
        with np.errstate(all="ignore"):  # cells are infinite on purpose; answers are compared
            values = evaluator.run(None, inputs.feeds())
    except Exception as error:  # its operators raise whatever numpy does
        raise DataError(
            "a model is one that onnx's ReferenceEvaluator can run",
            found=f"{name}: {type(error).__name__}: {str(error).splitlines()[0][:200]}",
            cure="keep to the operators of the contract",
        ) from error
    outputs = dict(zip(evaluator.output_names, values, strict=True))
    if PREDICTION in outputs:
        return Answers.of_numbers(outputs[PREDICTION])
    label = outputs[LABEL]
    if label.dtype.kind in "US":
        label = label.astype(object)
    return Answers(label, outputs[PROBABILITIES], outputs.get(LOGITS))


def _say_defaults(model: ModelProto) -> ModelProto:
    """Say where trees send missing cells: onnx's evaluator does not know the default, to the right.

    The specification lets a file leave that out, and one whose trees send none left does.
    """
    for node in model.graph.node:
        names = {attribute.name: attribute for attribute in node.attribute}
        if node.op_type.startswith("TreeEnsemble") and TREE_IDS in names and MISSING not in names:
            zeros = [0] * len(names[TREE_IDS].ints)
            node.attribute.append(helper.make_attribute(MISSING, zeros))
    return model
