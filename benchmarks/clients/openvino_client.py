"""OpenVINO on the CPU, in float32: its default may be bfloat16."""

import openvino
from common import Feeds, serve

SETTINGS = {
    "INFERENCE_PRECISION_HINT": "f32",
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_NUM_THREADS": 1,
    "NUM_STREAMS": 1,
}


def open_model(path):
    compiled = openvino.Core().compile_model(path, "CPU", SETTINGS)
    request = compiled.create_infer_request()
    names = [output.get_any_name() for output in compiled.outputs]

    def ask(feeds: Feeds) -> Feeds:
        results = request.infer(feeds)
        return {name: results[name] for name in names}

    return ask


serve(openvino.__version__.split("-")[0], open_model)
