"""KServe's server around model.onnx, in the Open Inference Protocol: `python predictor.py`."""

import argparse
import json
from pathlib import Path

import kserve
import numpy as np
import onnxruntime
from kserve.errors import InvalidInput

HERE = Path(__file__).parent
METADATA = json.loads((HERE / "metadata.json").read_text(encoding="utf-8"))
COLUMNS = json.loads((HERE / "columns.json").read_text(encoding="utf-8"))
OUTPUTS = [declared["name"] for declared in METADATA["outputs"]]


class Predictor(kserve.Model):
    """Answers with model.onnx; tensors in and out are the file's own."""

    def load(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = COLUMNS["threads"]
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(HERE / "model.onnx", options)
        self.ready = True
        return self.ready

    async def get_input_types(self):
        return METADATA["inputs"]

    async def get_output_types(self):
        return METADATA["outputs"]

    def predict(self, payload, headers=None, response_headers=None):
        given = {tensor.name: tensor for tensor in payload.inputs}
        for declared in METADATA["inputs"]:
            name, datatype = declared["name"], declared["datatype"]
            if name not in given or given[name].datatype != datatype:
                found = given[name].datatype if name in given else "absent"
                raise InvalidInput(f"input {name!r} is {datatype}, however: it is {found}")
        try:
            feeds = {name: read_tensor(tensor) for name, tensor in given.items()}
            answers = self.session.run(OUTPUTS, feeds)
        except Exception as error:  # onnxruntime's own kinds share no base but Exception
            raise InvalidInput(str(error).splitlines()[0]) from error
        outputs = []
        for declared, values in zip(METADATA["outputs"], answers, strict=True):
            datatype = declared["datatype"]
            output = kserve.InferOutput(declared["name"], list(values.shape), datatype)
            if datatype == "BYTES":
                values = np.array([text.encode() for text in values], np.object_)
            output.set_data_from_numpy(values, binary_data=payload.use_binary_outputs)
            outputs.append(output)
        return kserve.InferResponse(
            payload.id or "",
            self.name,
            outputs,
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )


def read_tensor(tensor):
    """Return a request's tensor as the file takes it; in JSON a missing cell is null."""
    with np.errstate(over="ignore"):  # beyond float32 is infinite, which the graph bounds
        values = tensor.as_numpy()
    if tensor.datatype != "BYTES":
        if any(isinstance(cell, str) for cell in np.array(tensor.data, object).ravel()):
            raise ValueError(f"input {tensor.name!r} takes numbers, no texts")
        return values
    cells = ["" if v is None else v for v in values.ravel().tolist()]
    texts = [v.decode() if isinstance(v, bytes) else v for v in cells]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"input {tensor.name!r} takes texts, no numbers")
    return np.array(texts, np.object_).reshape(values.shape)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[kserve.model_server.parser])
    parser.parse_known_args()
    predictor = Predictor(METADATA["name"])
    predictor.load()
    kserve.ModelServer().start([predictor])
