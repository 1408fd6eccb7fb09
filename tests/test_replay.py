"""`check` of a pack asks its file the golden rows, as the pack shows them."""

import hashlib
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import numpy_helper

from kdexport.deploy.packs import TARGETS
from tests.commands import kdexport

BUNDLES = ("bundle_path", "census_path", "dates_path")


@pytest.fixture(params=BUNDLES)
def bundle(request: pytest.FixtureRequest) -> Path:
    """Bundles of numbers and text labels, of numbers and text, and a regression with dates."""
    path: Path = request.getfixturevalue(request.param)
    return path


def make_pack(
    bundle: Path, root: Path, target: str, monkeypatch: pytest.MonkeyPatch, *options: str
) -> Path:
    """Pack a bundle for one target; return the pack's folder."""
    assert kdexport(monkeypatch, "pack", bundle, f"--{target}", root / target, *options) == 0
    return root / target / bundle.name if target == "triton" else root / target


def restate(folder: Path, path: Path) -> None:
    """Let SHA256SUMS say what a file is now."""
    name, sums = path.relative_to(folder).as_posix(), folder / "SHA256SUMS"
    lines = [line for line in sums.read_text().splitlines() if not line.endswith(f"  {name}")]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    sums.write_text("\n".join([*lines, f"{digest}  {name}"]) + "\n")


def double_weights(path: Path) -> None:
    """Change every matrix of a model file."""
    model = onnx.load_from_string(path.read_bytes())
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype.kind == "f" and values.ndim == 2:
            tensor.CopyFrom(numpy_helper.from_array(values * values.dtype.type(2), tensor.name))
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("target", TARGETS)
def test_other_weights_with_their_own_hash(
    target: str, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Weights that were changed together with their hash answer the golden rows otherwise."""
    folder = make_pack(bundle, tmp_path, target, monkeypatch)
    assert kdexport(monkeypatch, "check", folder) == 0
    assert "passed  pack/golden" in capsys.readouterr().out
    (path,) = folder.rglob("model.onnx")
    double_weights(path)
    restate(folder, path)
    assert kdexport(monkeypatch, "check", folder) == 1
    failed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAILED")]
    (line,) = failed
    assert "pack/golden" in line
    assert "golden rows as the trained model did, however:" in line


@pytest.mark.parametrize("target", ["python", "mlflow", "oip", "onnx"])
def test_texts_as_codes(
    target: str, census_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where texts stay outside, rows are read with the pack's own codes."""
    folder = make_pack(census_path, tmp_path, target, monkeypatch, "--split-text")
    assert kdexport(monkeypatch, "check", folder) == 0


def test_absent_golden_rows(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """What is absent is named, without an error's number."""
    folder = make_pack(bundle_path, tmp_path, "onnx", monkeypatch)
    (folder / "columns.json").unlink()
    assert kdexport(monkeypatch, "check", folder) == 1
    said = "they cannot be asked: columns.json: No such file or directory\n"
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b"[]", b"[1, 2]", b'[{"a": {}}]'])
def test_damaged_golden_rows(
    content: bytes, bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Golden rows or answers that are none fail in one line."""
    folder = make_pack(bundle_path, tmp_path, "onnx", monkeypatch)
    for name in ("rows.json", "answers.json"):
        path = folder / "golden" / name
        kept = path.read_bytes()
        path.write_bytes(content)
        restate(folder, path)
        capsys.readouterr()
        assert kdexport(monkeypatch, "check", folder) == 1
        assert "FAILED  pack/golden" in capsys.readouterr().out
        path.write_bytes(kept)
