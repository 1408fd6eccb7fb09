"""onnxruntime of any release: one thread, no spinning."""

import onnxruntime
from common import Feeds, serve


def open_model(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def ask(feeds: Feeds) -> Feeds:
        return dict(zip(names, session.run(None, feeds), strict=True))

    return ask


serve(onnxruntime.__version__, open_model)
