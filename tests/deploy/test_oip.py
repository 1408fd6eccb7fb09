"""The predictor of `--oip`, in KServe's own server on loopback."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from benchmarks.servers import CLIENTS, answers_of_tensors, find_port
from tests.deploy.conftest import (
    Packs,
    assert_golden,
    find_python,
    post,
    read_json,
    run_python,
    serve,
)

pytestmark = pytest.mark.deploy


@pytest.fixture(scope="module")
def address(packs: Packs) -> Iterator[str]:
    """Start it by the command of its README, on a port of its own."""
    folder, port = packs.folder("oip"), find_port()
    assert "python predictor.py\n" in (folder / "README.md").read_text()
    command = [str(find_python("servers")), "predictor.py", "--http_port", str(port)]
    command += ["--enable_grpc", "false"]
    ready = f"/v2/models/{packs.packable.name}/ready"
    with serve("servers", command, folder, port=port, ready=ready) as started:
        yield started


def read_tensors(answer: dict[str, Any]) -> dict[str, np.ndarray]:
    """The outputs of a JSON response as arrays."""
    types = {"BYTES": object, "FP32": np.float32, "INT64": np.int64, "BOOL": np.bool_}
    return {
        t["name"]: np.array(t["data"], types[t["datatype"]]).reshape(t["shape"])
        for t in answer["outputs"]
    }


def assert_alike(answer: dict[str, Any], expected: dict[str, Any]) -> None:
    """Two responses have the same tensors, and numbers within the tolerance."""
    found, wanted = read_tensors(answer), read_tensors(expected)
    assert list(found) == list(wanted)
    for name, values in wanted.items():
        assert found[name].dtype == values.dtype
        if values.dtype.kind == "f":
            np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(found[name], values)


def test_golden_requests(packs: Packs, address: str) -> None:
    """JSON and binary requests get the golden answers; null is a missing number."""
    folder, name = packs.folder("oip"), packs.packable.name
    request = read_json(folder / "golden/request.json")
    infer = f"{address}/v2/models/{name}/infer"
    status, answer = post(infer, request)
    assert status == 200
    assert_alike(answer, read_json(folder / "golden/response.json"))
    body = (folder / "golden/request.bin").read_bytes()
    headers = read_json(folder / "golden/request.headers.json")
    headers["Content-Type"] = "application/octet-stream"
    status, answer = post(infer, body, **headers)
    assert status == 200
    assert_golden(packs.packable, answers_of_tensors(packs.packable, read_tensors(answer)))
    expected = read_json(folder / "golden/response.all.json")
    assert_golden(packs.packable, answers_of_tensors(packs.packable, read_tensors(expected)))
    request["inputs"][0]["data"][0] = None
    status, answer = post(infer, request)
    assert status == 200
    assert len(read_tensors(answer)) == len(packs.packable.outputs)


def test_triton_client(packs: Packs, address: str) -> None:
    """Triton's client is told what the file takes and gives, and reads the golden answers."""
    folder, name = packs.folder("oip"), packs.packable.name
    port = address.rsplit(":", 1)[1]
    said = json.loads(run_python("servers", CLIENTS / "oip_client.py", port, name, folder))
    metadata = read_json(folder / "metadata.json")
    for side in ("inputs", "outputs"):
        assert said["metadata"][side] == metadata[side]
    assert said["ready"]
    for path in ("json", "binary"):
        outputs = read_tensors({"outputs": said[path]})
        assert_golden(packs.packable, answers_of_tensors(packs.packable, outputs))


def test_bad_requests(packs: Packs, address: str) -> None:
    """A tensor of the wrong shape or type, or one that is absent: 400, and it is named."""
    numeric, *rest = read_json(packs.folder("oip") / "golden/request.json")["inputs"]
    infer = f"{address}/v2/models/{packs.packable.name}/infer"
    for inputs, said in (
        (rest or [{**numeric, "name": "other"}], "numeric"),
        ([{**numeric, "shape": [1, 1], "data": [0.5]}, *rest], "numeric"),
        ([{**numeric, "datatype": "INT64", "data": [1] * len(numeric["data"])}, *rest], "numeric"),
    ):
        status, answer = post(infer, {"inputs": inputs})
        assert status == 400, answer
        assert said in json.dumps(answer)
