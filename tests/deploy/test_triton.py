"""The repository of `--triton`: read by Triton's own protobuf, held to the file, replayed."""

import json
from typing import Any

import numpy as np
import onnx
import pytest

from benchmarks.servers import CLIENTS, answers_of_tensors
from kdexport.deploy.tensors import write_raw
from kdexport.runtime import open_session
from tests.deploy.conftest import Packs, assert_golden, read_json, run_python

pytestmark = pytest.mark.deploy
Type = onnx.TensorProto
TYPES = {
    "TYPE_FP32": Type.FLOAT,
    "TYPE_FP64": Type.DOUBLE,
    "TYPE_INT64": Type.INT64,
    "TYPE_STRING": Type.STRING,
    "TYPE_BOOL": Type.BOOL,
}


@pytest.fixture(scope="module")
def config(packs: Packs) -> dict[str, Any]:
    """config.pbtxt as Triton's protobuf reads it; an unknown field is an error there."""
    path = packs.folder("triton") / "config.pbtxt"
    return json.loads(run_python("servers", CLIENTS / "triton_config.py", path))


def sizes(dims: list[str] | None) -> list[int]:
    """Sizes of a shape; protobuf writes int64 as text, and an empty list not at all."""
    return [int(size) for size in dims or []]


def test_dims_and_types(packs: Packs, config: dict[str, Any]) -> None:
    """Batch axis and declared sizes are the file's own shape; no dims are empty; types match."""
    folder = packs.folder("triton")
    model = onnx.load(folder / "1/model.onnx")
    assert config["name"] == folder.name == packs.packable.name
    assert config["backend"] == "onnxruntime"
    assert config["max_batch_size"] >= 1  # so the batch axis is left out of dims
    for side, values in (("input", model.graph.input), ("output", model.graph.output)):
        declared = {tensor["name"]: tensor for tensor in config[side]}
        assert set(declared) == {value.name for value in values}
        for value in values:
            tensor, shape = declared[value.name], value.type.tensor_type.shape.dim
            assert TYPES[tensor["data_type"]] == value.type.tensor_type.elem_type
            assert sizes(tensor["dims"])
            per_row = sizes(tensor["dims"])
            if "reshape" in tensor:
                per_row = sizes(tensor["reshape"].get("shape"))
                assert np.prod(per_row, dtype=int) == np.prod(sizes(tensor["dims"]))
            assert shape[0].dim_param
            assert per_row == [size.dim_value for size in shape[1:]]


def test_settings(config: dict[str, Any]) -> None:
    """One instance on the CPU, one thread in and between operators."""
    assert config["instance_group"] == [{"count": 1, "kind": "KIND_CPU"}]
    values = {key: value["string_value"] for key, value in config["parameters"].items()}
    assert values == {"intra_op_thread_count": "1", "inter_op_thread_count": "1"}


def test_warm_up(packs: Packs, config: dict[str, Any]) -> None:
    """The warm-up request is golden row 0, one file for each input of the size that it declares."""
    (warmup,) = config["model_warmup"]
    assert warmup["batch_size"] == 1
    feeds = packs.packable.feeds
    assert set(warmup["inputs"]) == set(feeds)
    for name, declared in warmup["inputs"].items():
        content = (packs.folder("triton") / "warmup" / declared["input_data_file"]).read_bytes()
        assert sizes(declared["dims"]) == [feeds[name].shape[1]]
        assert content == write_raw(feeds[name][:1])
        tensor = {t["name"]: t for t in config["input"]}[name]
        assert declared["data_type"] == tensor["data_type"]


def test_test_data_set(packs: Packs) -> None:
    """golden/test_data_set_0 replays on the packed file, by the names and types in it."""
    folder = packs.folder("triton")
    read = {
        side: {
            tensor.name: onnx.numpy_helper.to_array(tensor)
            for path in sorted((folder / "golden/test_data_set_0").glob(f"{side}_*.pb"))
            for tensor in [onnx.load_tensor(path)]
        }
        for side in ("input", "output")
    }
    session = open_session(folder / "1/model.onnx")
    assert list(read["input"]) == session.input_names
    assert list(read["output"]) == session.output_names
    feeds = {k: as_texts(v) for k, v in read["input"].items()}
    for outputs in (session.run(feeds), {k: as_texts(v) for k, v in read["output"].items()}):
        assert_golden(packs.packable, answers_of_tensors(packs.packable, outputs))


def test_responses(packs: Packs) -> None:
    """Golden answers have the shapes that Triton gives: an axis behind the rows in each."""
    n_rows = packs.packable.inputs.n_rows
    answer = read_json(packs.folder("triton") / "golden/response.all.json")
    for tensor in answer["outputs"]:
        values = packs.packable.outputs[tensor["name"]]
        assert tensor["shape"] == [n_rows, values.shape[1] if values.ndim == 2 else 1]
        assert np.prod(tensor["shape"]) == len(tensor["data"])


def as_texts(values: np.ndarray) -> np.ndarray:
    """Texts of an ONNX tensor as onnxruntime takes them."""
    if values.dtype.kind not in "OSU":
        return values
    texts = [v.decode() if isinstance(v, bytes) else v for v in values.ravel().tolist()]
    return np.array(texts, object).reshape(values.shape)
