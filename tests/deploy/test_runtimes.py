"""The pack of `--onnx`, and files of older versions, in other runtimes than ours."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.servers import CLIENTS, ROOT, answers_of_tensors, prepare
from kdexport.deploy.model import Form, Packable
from kdexport.runtime import describe_runtime
from tests.deploy.conftest import Packs, assert_golden, find_python, run_python

pytestmark = pytest.mark.deploy
CORE, CODES = Form(has_core_operators=True), Form(has_codes=True)


def ask(packable: Packable, client: str, environment: str, folder: Path) -> str:
    """Replay the golden rows in a runtime of another environment; return what it is."""
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(packable.content)
    feeds = {k: v.astype(np.str_) if v.dtype == object else v for k, v in packable.feeds.items()}
    np.savez(folder / "rows.npz", **feeds)
    said = run_python(
        environment,
        CLIENTS / f"{client}_client.py",
        *(folder / name for name in ("model.onnx", "rows.npz", "answers.npz")),
    )
    with np.load(folder / "answers.npz") as stored:
        answers = {name: stored[name] for name in stored.files}
    assert_golden(packable, answers_of_tensors(packable, answers))
    found = [line for line in said.splitlines() if line.startswith("{")]
    return str(json.loads(found[-1])["version"])


@pytest.mark.parametrize("client", ["onnxruntime", "openvino", "polygraphy", "reference"])
@pytest.mark.parametrize("kind", ["numbers", "mixed", "regression"])
def test_core_operators(kind: str, client: str, make_packs, tmp_path: Path) -> None:
    """Numbers and codes are answered by runtimes that have ONNX's own operators and no text."""
    packs: Packs = make_packs(kind)
    packable = prepare(packs.bundle, CODES)
    if (kind, client) == ("regression", "openvino"):
        # It computes float64 in float32, which these columns do not survive: docs/deploy.md.
        assert packable.signature.precision == "float64"
        with pytest.raises(AssertionError, match="predictions within"):
            ask(packable, client, "runtimes", tmp_path)
        return
    ask(packable, client, "runtimes", tmp_path)


@pytest.mark.parametrize("client", ["onnxruntime", "reference"])
@pytest.mark.parametrize("kind", ["labels", "mixed"])
def test_texts(kind: str, client: str, make_packs, tmp_path: Path) -> None:
    """The whole file is answered by runtimes that take texts."""
    ask(make_packs(kind).packable, client, "runtimes", tmp_path)


def test_core_operators_are_enough_for_numbers(tmp_path: Path) -> None:
    """--core-operators alone is what OpenVINO needs of a file without text."""
    ask(prepare(ROOT / "models/clicks", CORE), "openvino", "runtimes", tmp_path)


def test_what_needs_another_form(make_packs, tmp_path: Path) -> None:
    """OpenVINO reads no `ai.onnx.ml`, and Polygraphy's runner takes no texts: docs/deploy.md."""
    for kind, client in (("numbers", "openvino"), ("mixed", "polygraphy")):
        with pytest.raises(AssertionError, match=r"Imputer|ArgMax|type"):
            ask(make_packs(kind).packable, client, "runtimes", tmp_path)


@pytest.mark.parametrize("release", ["1.8", "1.14"])
@pytest.mark.parametrize("kind", ["numbers", "mixed", "regression"])
def test_oldest_onnxruntime(kind: str, release: str, make_packs, tmp_path: Path) -> None:
    """B3: the oldest onnxruntime with wheels for this Python answers files that were lowered."""
    bundle = make_packs(kind).bundle
    version = ask(prepare(bundle, Form(release)), "onnxruntime", "oldest", tmp_path)
    assert version != describe_runtime()["onnxruntime"]
    assert (find_python("oldest").parent.parent / "pyvenv.cfg").exists()


@pytest.mark.parametrize("file", ["teacher.onnx", "rival.onnx"])
def test_oldest_onnxruntime_and_other_files(file: str, tmp_path: Path) -> None:
    """Ensembles and trees are lowered, and answered there, too."""
    ask(prepare(ROOT / "models/clicks", Form("1.14"), file), "onnxruntime", "oldest", tmp_path)
