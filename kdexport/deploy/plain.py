"""The file alone, with golden rows as ONNX's own tools replay them: for any other runtime.

Takes a `Packable`, gives named bytes: model.onnx beside test_data_set_0, as `onnx.backend.test`
lays them out, and the rows as JSON.
"""

from kdexport.deploy.common import MODEL, finish_pack, write_golden_rows, write_test_data
from kdexport.deploy.model import Packable

REPLAYED = "test_data_set_0"
COMMAND = "polygraphy inspect model model.onnx"
TEXT = """
`test_data_set_0` has the inputs and outputs in the layout of ONNX's backend tests. Runtimes that do
not know `ai.onnx.ml` (OpenVINO, TensorRT) need `--core-operators`, those without texts
`--split-text`; OpenVINO computes in bfloat16 on some processors unless INFERENCE_PRECISION_HINT is
f32.
"""


def build_onnx(packable: Packable) -> dict[str, bytes]:
    """Return the model and its test data."""
    files = {
        MODEL: packable.content,
        **write_test_data(packable, REPLAYED),
        **write_golden_rows(packable),
    }
    return finish_pack(packable, "onnx", files, command=COMMAND, text=TEXT)
