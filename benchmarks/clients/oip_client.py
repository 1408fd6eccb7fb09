"""tritonclient asks a server the golden rows of a pack, outputs as JSON and in binary.

Usage: oip_client.py PORT NAME PACK     prints {"ready", "metadata", "json", "binary"}
"""

import json
import sys
from pathlib import Path

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import deserialize_bytes_tensor

TYPES = {"FP32": np.float32, "FP64": np.float64, "INT64": np.int64}


def read_inputs(folder):
    """The tensors of golden/request.bin."""
    body = (folder / "golden/request.bin").read_bytes()
    headers = json.loads((folder / "golden/request.headers.json").read_text())
    start = int(headers["Inference-Header-Content-Length"])
    inputs = []
    for tensor in json.loads(body[:start])["inputs"]:
        end = start + tensor["parameters"]["binary_data_size"]
        if tensor["datatype"] == "BYTES":
            values = deserialize_bytes_tensor(body[start:end])
        else:
            values = np.frombuffer(body[start:end], TYPES[tensor["datatype"]])
        start = end
        asked = triton.InferInput(tensor["name"], tensor["shape"], tensor["datatype"])
        asked.set_data_from_numpy(values.reshape(tensor["shape"]), binary_data=True)
        inputs.append(asked)
    return inputs


def ask(client, name, inputs, outputs, *, binary):
    asked = [triton.InferRequestedOutput(o["name"], binary_data=binary) for o in outputs]
    result = client.infer(name, inputs, outputs=asked)
    tensors = []
    for output in outputs:
        values = result.as_numpy(output["name"])
        data = [v.decode() if isinstance(v, bytes) else v for v in values.ravel().tolist()]
        tensors.append({**output, "shape": list(values.shape), "data": data})
    return tensors


def main():
    port, name, folder = sys.argv[1:4]
    client = triton.InferenceServerClient(f"127.0.0.1:{port}")
    metadata = client.get_model_metadata(name)
    inputs = read_inputs(Path(folder))
    said = {"ready": client.is_server_ready() and client.is_model_ready(name), "metadata": metadata}
    for path in ("json", "binary"):
        said[path] = ask(client, name, inputs, metadata["outputs"], binary=path == "binary")
    print(json.dumps(said))


main()
