"""onnx's own evaluator: a second implementation, slow and plain, of what a file means.

Takes a file's bytes and rows, gives its answers. Knows onnx, not onnxruntime.
"""

import numpy as np
from onnx.reference import ReferenceEvaluator

from kdexport.contract import LABEL, LOGITS, PREDICTION, PROBABILITIES, parse_model
from kdexport.errors import DataError
from kdexport.records import Answers, Inputs


def answer_in_reference(content: bytes, inputs: Inputs, name: str) -> Answers:
    """Answer rows with onnx's ReferenceEvaluator.

    Raises:
        DataError: It cannot run the file.
    """
    try:
        evaluator = ReferenceEvaluator(parse_model(content, name))
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
        numbers = outputs[PREDICTION]
        return Answers(numbers, np.empty((len(numbers), 0), np.float32))
    label = outputs[LABEL]
    if label.dtype.kind in "US":
        label = label.astype(object)
    return Answers(label, outputs[PROBABILITIES], outputs.get(LOGITS))
