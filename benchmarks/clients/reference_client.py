"""ONNX's reference evaluator: numpy, operator by operator."""

import onnx
from common import Feeds, serve
from onnx.reference import ReferenceEvaluator


def open_model(path):
    session = ReferenceEvaluator(path)

    def ask(feeds: Feeds) -> Feeds:
        return dict(zip(session.output_names, session.run(None, feeds), strict=True))

    return ask


serve(onnx.__version__, open_model)
