"""A model of a Triton repository: REPOSITORY/NAME/{1/model.onnx, config.pbtxt, warmup, golden}.

Takes a `Packable`, gives named bytes. What Triton asks of a configuration, and its users trip over:
`dims` leaves the batch axis out where `max_batch_size` is set, and is never empty, so that an
output of one number per row is declared as one of size 1 that the model gives without that axis.
"""

from collections.abc import Mapping

from kdexport.deploy.common import MODEL, finish_pack, write_json, write_test_data
from kdexport.deploy.model import THREADS, Packable
from kdexport.deploy.tensors import (
    HEADER_LENGTH,
    find_finite,
    name_datatype,
    write_binary_request,
    write_json_tensors,
    write_raw,
)
from kdexport.records import Column

MAX_BATCH = 4096
TYPES = {"BYTES": "TYPE_STRING"}
TEXT = """
`docker run` the Triton image of your choice with the ONNX Runtime backend; the command assumes that
this folder lies in a model repository, beside other models or alone. `model_warmup` answers golden
row 0 before the server says that it is ready. Triton answers `label` and `prediction` as `[n, 1]`.
There is no key for spinning in its configuration, and with one thread there is none to spin.
"""


def build_triton(packable: Packable) -> dict[str, bytes]:
    """Return the files of one model of a repository."""
    feeds = packable.feeds
    first = {name: values[:1] for name, values in feeds.items()}
    outputs = {name: _with_axis(values) for name, values in packable.outputs.items()}
    warmup = {f"warmup/{name}": write_raw(values) for name, values in first.items()}
    files = {
        f"1/{MODEL}": packable.content,
        "config.pbtxt": write_config(packable.name, feeds, packable.outputs).encode(),
        **warmup,
        **write_golden_tensors(packable.name, feeds, outputs),
        **write_test_data(packable, "golden/test_data_set_0"),
    }
    command = "tritonserver --model-repository=.."
    return finish_pack(packable, "triton", files, command=command, text=TEXT)


def write_config(name: str, feeds: Mapping[str, Column], outputs: Mapping[str, Column]) -> str:
    """Return config.pbtxt."""
    inputs = [_declare(key, values) for key, values in feeds.items()]
    answers = [_declare(key, values) for key, values in outputs.items()]
    warmup = [
        f'    inputs {{ key: "{key}" value {{ data_type: {_type(values)} '
        f'dims: [ {values.shape[1]} ] input_data_file: "{key}" }} }}'
        for key, values in feeds.items()
    ]
    return "\n".join(
        [
            f'name: "{name}"',
            'backend: "onnxruntime"',
            'default_model_filename: "model.onnx"',
            f"max_batch_size: {MAX_BATCH}",
            f"input [\n{_join(inputs)}\n]",
            f"output [\n{_join(answers)}\n]",
            "instance_group [ { count: 1 kind: KIND_CPU } ]",
            *[
                f'parameters {{ key: "{key}" value {{ string_value: "{THREADS}" }} }}'
                for key in ("intra_op_thread_count", "inter_op_thread_count")
            ],
            'model_warmup [\n  {\n    name: "golden"\n    batch_size: 1',
            *warmup,
            "  }\n]\n",
        ]
    )


def write_golden_tensors(
    name: str, feeds: Mapping[str, Column], outputs: Mapping[str, Column]
) -> dict[str, bytes]:
    """Return golden requests and answers of the protocol: JSON where it can, binary for all.

    JSON has no NaN and no infinity, so `request.json` has the other rows, and `request.bin` all.
    """
    finite = find_finite(feeds)
    body, n_head = write_binary_request(feeds)
    answer = {"model_name": name}
    small = {key: values[finite] for key, values in feeds.items()}
    expected = {key: values[finite] for key, values in outputs.items()}
    return {
        "golden/request.json": write_json({"inputs": write_json_tensors(small)}),
        "golden/response.json": write_json({**answer, "outputs": write_json_tensors(expected)}),
        "golden/request.bin": body,
        "golden/request.headers.json": write_json({HEADER_LENGTH: str(n_head)}),
        "golden/response.all.json": write_json({**answer, "outputs": write_json_tensors(outputs)}),
    }


def _declare(name: str, values: Column) -> str:
    per_row = values.shape[1:]
    shape = f"dims: [ {per_row[0] if per_row else 1} ]"
    if not per_row:
        shape += " reshape { shape: [ ] }"
    return f'  {{ name: "{name}" data_type: {_type(values)} {shape} }}'


def _type(values: Column) -> str:
    datatype = name_datatype(values)
    return TYPES.get(datatype, f"TYPE_{datatype}")


def _with_axis(values: Column) -> Column:
    return values[:, None] if values.ndim == 1 else values


def _join(lines: list[str]) -> str:
    return ",\n".join(lines)
