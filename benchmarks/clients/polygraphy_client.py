"""Polygraphy's own runner of ONNX files."""

import polygraphy
from common import Feeds, serve
from polygraphy.backend.onnxrt import OnnxrtRunner, SessionFromOnnx


def open_model(path):
    runner = OnnxrtRunner(SessionFromOnnx(path, providers=["cpu"]))
    runner.activate()

    def ask(feeds: Feeds) -> Feeds:
        return dict(runner.infer(feeds))

    return ask


serve(polygraphy.__version__, open_model)
