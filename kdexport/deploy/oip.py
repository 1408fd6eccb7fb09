"""A server of the Open Inference Protocol: KServe's own, with a predictor of some 80 lines.

Takes a `Packable`, gives named bytes: model, predictor, the metadata that a client is told, golden
requests and responses.
"""

from kdexport.deploy.common import (
    MODEL,
    describe_tensors,
    finish_pack,
    read_template,
    write_json,
)
from kdexport.deploy.model import Packable
from kdexport.deploy.triton import write_golden_tensors

COMMAND = "pip install -r requirements.txt && python predictor.py"
TEXT = """
It answers on port 8080 for HTTP and 8081 for gRPC; `python predictor.py --help` lists KServe's
other options. `metadata.json` is what `GET /v2/models/NAME` tells a client. Replay the golden rows
that JSON can hold with

```sh
curl -s localhost:8080/v2/models/NAME/infer -H 'Content-Type: application/json' \\
  -d @golden/request.json
```

and all of them, missing cells included, by posting `golden/request.bin` with the header of
`golden/request.headers.json`. In plain JSON a missing cell is null.
"""


def build_oip(packable: Packable) -> dict[str, bytes]:
    """Return the files of a KServe predictor."""
    metadata = {
        "name": packable.name,
        "versions": [],
        "platform": "onnxruntime",
        "inputs": describe_tensors(packable.feeds),
        "outputs": describe_tensors(packable.outputs),
    }
    files = {
        MODEL: packable.content,
        "predictor.py": read_template("predictor.py"),
        "requirements.txt": read_template("requirements-oip.txt"),
        "metadata.json": write_json(metadata),
        **write_golden_tensors(packable.name, packable.feeds, packable.outputs),
    }
    text = TEXT.replace("NAME", packable.name)
    return finish_pack(packable, "oip", files, command=COMMAND, text=text)
