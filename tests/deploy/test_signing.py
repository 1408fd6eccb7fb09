"""Signatures by OpenSSF model signing: of packs and of bundles, key mode, offline."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import ROOT
from kdexport.deploy.signing import check_signature, sign_folder
from tests.commands import kdexport

pytestmark = pytest.mark.deploy


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A private key, and its public one."""
    return make_keys(tmp_path, "mine")


def make_keys(folder: Path, name: str) -> tuple[Path, Path]:
    """Write a pair of keys."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(pem, info))
    return private, public


def test_packs(
    keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """A signed pack verifies, moved or not; a byte altered in any file of it fails by name."""
    private, public = keys
    clicks, out = ROOT / "models/clicks", tmp_path / "out"
    assert kdexport(monkeypatch, "pack", clicks, "--node", out, "--sign", private) == 0
    out = out.rename(tmp_path / "moved")
    assert kdexport(monkeypatch, "check", out, "--verify", public) == 0
    capsys.readouterr()
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        content = path.read_bytes()
        for at in (0, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            result = check_signature(out, public)
            assert not result.passed
            if path.name != "model.sig":
                assert f"{path.relative_to(out).as_posix()} was altered" in result.message
        path.write_bytes(content)
    assert check_signature(out, public).passed


def test_every_byte_of_a_signature(keys: tuple[Path, Path], tmp_path: Path) -> None:
    """A signature with any one byte altered verifies nothing."""
    private, public = keys
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"weights")
    signature = sign_folder(folder, private)
    for at in range(len(signature)):
        altered = signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :]
        (folder / "model.sig").write_bytes(altered)
        assert not check_signature(folder, public).passed, at
    (folder / "model.sig").write_bytes(signature)
    assert check_signature(folder, public).passed


def test_bundles(
    keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Without a target the bundle is signed; what is added, absent or remade afterwards fails."""
    private, public = keys
    bundle = tmp_path / "x"
    shutil.copytree(ROOT / "models/clicks", bundle)
    assert kdexport(monkeypatch, "pack", bundle, "--sign", private) == 0
    verify = ("check", bundle, "--verify", public)
    assert kdexport(monkeypatch, *verify) == 0
    assert kdexport(monkeypatch, "check", bundle) == 0
    capsys.readouterr()
    for name in (".gitignore", "note.txt"):
        (bundle / name).write_text("x")
        assert kdexport(monkeypatch, *verify) == 1
        assert f"{name} was not signed" in capsys.readouterr().out
        (bundle / name).unlink()
    report = (bundle / "report.md").read_bytes()
    (bundle / "report.md").unlink()
    assert kdexport(monkeypatch, *verify) == 1
    assert "report.md is absent" in capsys.readouterr().out
    (bundle / "report.md").write_bytes(report)
    assert kdexport(monkeypatch, *verify) == 0
    assert kdexport(monkeypatch, "pack", bundle, "--sign", private) == 0  # again, over the old one
    assert kdexport(monkeypatch, *verify) == 0


def test_other_keys(
    keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Another's key fails; what is no key is refused with one line, and nothing is written."""
    private, public = keys
    clicks, out = ROOT / "models/clicks", tmp_path / "out"
    for key in (public, tmp_path / "absent.pem"):
        assert kdexport(monkeypatch, "pack", clicks, "--onnx", out, "--sign", key) == 3
        (line,) = capsys.readouterr().err.splitlines()
        assert "a key is" in line
        assert not out.exists()
    assert kdexport(monkeypatch, "pack", clicks, "--onnx", out, "--sign", private) == 0
    _, other = make_keys(tmp_path, "other")
    assert kdexport(monkeypatch, "check", out, "--verify", other) == 1
    assert kdexport(monkeypatch, "check", out, "--verify", private) == 3
    assert kdexport(monkeypatch, "check", out, "--verify", public) == 0
