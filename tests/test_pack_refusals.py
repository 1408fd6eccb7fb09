"""`pack` refuses and keeps what it should; `check` of a pack finds what was altered."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest

from tests.commands import kdexport
from tests.test_pack import CLICKS, ask_for, folder_of, read_folder


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_weights_outside_are_refused(
    force: tuple[str, ...],
    bundle_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    """H2: a file whose weights lie beside it is not packed, by force neither."""
    broken = tmp_path / "broken"
    shutil.copytree(bundle_path, broken)
    model = onnx.load(broken / "student.onnx")
    onnx.save_model(
        model,
        broken / "student.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    out = tmp_path / "out"
    assert kdexport(monkeypatch, "pack", broken, "--onnx", out, *force) == (3 if force else 1)
    assert "weights.bin" in capsys.readouterr().err
    assert not out.exists()


def test_failing_bundles(
    bundle_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    """A bundle that fails its check is not packed; with --force it is, and the pack says so."""
    shutil.copytree(bundle_path, tmp_path / "x")
    (tmp_path / "x/recipe.toml").write_text("seed = 1\n")
    out = tmp_path / "out"
    assert kdexport(monkeypatch, "pack", tmp_path / "x", "--python", out) == 1
    error = capsys.readouterr().err
    assert "recipe.toml" in error
    assert "nothing was packed" in error
    assert not out.exists()
    assert kdexport(monkeypatch, "pack", tmp_path / "x", "--python", out, "--force") == 0
    assert kdexport(monkeypatch, "check", out) == 1
    assert json.loads((out / "pack.json").read_text())["passed_check"] is False
    assert "failed `kdexport check`" in (out / "README.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--tritton", "out"], 2, "--tritton"),
        ([], 2, "at least one of --triton"),
        (["--onnx", "out", "--target-ort", "1.2"], 2, "from 1.8 on"),
        (["--onnx", "out", "--model", "teacher", "--target-ort", "1.8"], 3, "Split"),
        (["--onnx", "out", "--model", "rival", "--core-operators"], 3, "TreeEnsembleRegressor"),
        (["--onnx", "out", "--name", "../x"], 3, "letters, digits"),
        (["--onnx", "out", "--web", "out"], 3, "asked for twice"),
        (["--onnx", "out", "--web", "out/inner"], 3, "asked for twice"),
        (["--onnx", "full"], 3, "something else"),
        (["--onnx", "full", "--force"], 3, "something else"),
        (["--onnx", "file"], 3, "is a file"),
        (["--onnx", "file/out"], 3, "file' cannot"),
        (["--onnx", "/"], 3, "something else"),
        (["--onnx", "out", "--json", "absent/x.json"], 3, "absent/x.json"),
        (["--sign", "key.pem", "--name", "y"], 2, "--name is of packs"),
        (["--sign", "key.pem", "--model", "teacher"], 2, "--model is of packs"),
    ],
)
def test_refusals(
    arguments: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    """What cannot be done ends with one line and its exit code, and writes nothing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/own.txt").write_text("the user's")
    (tmp_path / "file").write_text("the user's")
    before = read_folder(tmp_path)
    assert kdexport(monkeypatch, "pack", CLICKS, *arguments) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert read_folder(tmp_path) == before


def test_a_signature_needs_its_package(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Where model-signing is absent, --sign says what to install, and writes nothing."""
    monkeypatch.setitem(sys.modules, "model_signing", None)
    arguments = ["--onnx", tmp_path / "out", "--sign", tmp_path / "key.pem"]
    assert kdexport(monkeypatch, "pack", bundle_path, *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "kdexport[sign]" in line
    assert not (tmp_path / "out").exists()


def test_a_pack_that_exists_is_kept(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Without --force; a Triton repository may hold other models, which stay."""
    repository = tmp_path / "repository"
    (repository / "other").mkdir(parents=True)
    (repository / "other/config.pbtxt").write_text("the user's")
    arguments = ("pack", bundle_path, "--triton", repository)
    assert kdexport(monkeypatch, *arguments) == 0
    before = read_folder(repository)
    assert kdexport(monkeypatch, *arguments) == 3
    assert "exists" in capsys.readouterr().err
    assert kdexport(monkeypatch, *arguments, "--force") == 0
    assert read_folder(repository) == before
    assert kdexport(monkeypatch, *arguments, "--name", "second") == 0
    assert {path.name for path in repository.iterdir()} == {"other", "bundle", "second"}


def test_files_in_a_pack_are_kept(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """--force replaces a pack that was run, but none that holds a file of the user's."""
    folder = tmp_path / "out"
    arguments = ("pack", bundle_path, "--python", folder, "--force")
    assert kdexport(monkeypatch, *arguments) == 0
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__/service.pyc").touch()
    assert kdexport(monkeypatch, *arguments) == 0
    assert not (folder / "__pycache__").exists()
    (folder / "golden").mkdir(exist_ok=True)
    (folder / "golden/notes.txt").touch()
    assert kdexport(monkeypatch, *arguments) == 3
    assert "'golden" in capsys.readouterr().err
    assert (folder / "golden/notes.txt").exists()
    monkeypatch.chdir(folder)
    assert kdexport(monkeypatch, "pack", bundle_path, "--python", ".", "--force") == 3


def test_a_pack_without_its_list(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """It is a pack still, which fails its check; nothing says what in it may be replaced."""
    folder = tmp_path / "out"
    arguments = ("pack", bundle_path, "--onnx", folder, "--force")
    assert kdexport(monkeypatch, *arguments) == 0
    (folder / "SHA256SUMS").write_bytes(b"\xff")
    assert kdexport(monkeypatch, "check", folder) == 1
    assert "SHA256SUMS, however: SHA256SUMS: no text\n" in capsys.readouterr().out
    (folder / "SHA256SUMS").unlink()
    assert kdexport(monkeypatch, "check", folder) == 1
    said = "SHA256SUMS, however: SHA256SUMS: No such file or directory\n"
    assert said in capsys.readouterr().out
    assert kdexport(monkeypatch, *arguments) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "SHA256SUMS', its list of them: No such file" in line
    assert (folder / "model.onnx").exists()


@pytest.mark.parametrize("target", ["triton", "onnx"])
def test_altered_packs(
    target: str, bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """A file that was altered, is absent or was added fails the check, which names it."""
    assert kdexport(monkeypatch, "pack", bundle_path, *ask_for((target,), tmp_path)) == 0
    folder = folder_of(target, tmp_path, "bundle")
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name, content = path.relative_to(folder).as_posix(), path.read_bytes()
        if name in ("SHA256SUMS", "pack.json"):
            continue
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert kdexport(monkeypatch, "check", folder) == 1
        assert f"{name} was altered" in capsys.readouterr().out
        path.unlink()
        assert kdexport(monkeypatch, "check", folder) == 1
        assert f"{name} is absent" in capsys.readouterr().out
        path.write_bytes(content)
    (tmp_path / "outside").mkdir()
    (folder / "added").symlink_to(tmp_path / "outside")
    assert kdexport(monkeypatch, "check", folder) == 1
    assert "added is not in SHA256SUMS" in capsys.readouterr().out
    (folder / "added").unlink()
    (folder / "folder").mkdir()
    assert kdexport(monkeypatch, "check", folder) == 1
    assert "folder is not in SHA256SUMS" in capsys.readouterr().out
    (folder / "folder").rmdir()
    shutil.move(folder / "README.md", tmp_path / "outside")
    (folder / "README.md").symlink_to(tmp_path / "outside/README.md")
    assert kdexport(monkeypatch, "check", folder) == 1
    assert "README.md is no file of this folder" in capsys.readouterr().out


def test_later_formats(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """A pack, or a bundle to pack, of a later format is refused with one line."""
    assert kdexport(monkeypatch, "pack", bundle_path, "--onnx", tmp_path / "out") == 0
    facts = json.loads((tmp_path / "out/pack.json").read_text())
    (tmp_path / "out/pack.json").write_text("[" * 100_000)
    assert kdexport(monkeypatch, "check", tmp_path / "out") == 3
    (tmp_path / "out/pack.json").write_text(json.dumps({**facts, "format_version": 2}))
    capsys.readouterr()
    assert kdexport(monkeypatch, "check", tmp_path / "out") == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "format 1" in line
    shutil.copytree(bundle_path, tmp_path / "x")
    evidence = json.loads((tmp_path / "x/evidence.json").read_text())
    (tmp_path / "x/evidence.json").write_text(json.dumps({**evidence, "format_version": 2}))
    assert kdexport(monkeypatch, "pack", tmp_path / "x", "--web", tmp_path / "web") == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "evidence.json" in line
    assert not (tmp_path / "web").exists()


def test_check_takes_either(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pack takes --verify alone, a file does not take it, and what is unsigned fails it."""
    (tmp_path / "key.pem").write_text("no key")
    assert kdexport(monkeypatch, "pack", bundle_path, "--onnx", tmp_path / "out") == 0
    verify = ("--verify", tmp_path / "key.pem")
    assert kdexport(monkeypatch, "check", tmp_path / "out", *verify) == 1
    assert kdexport(monkeypatch, "check", tmp_path / "out", "--budget", "max_bytes=1") == 2
    assert kdexport(monkeypatch, "check", tmp_path / "out/model.onnx", *verify) == 2


@pytest.mark.parametrize("broken", ["golden/source/origins.pb", "student.onnx", "teacher.onnx"])
def test_incomplete_bundles(
    broken: str, bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """By force, a bundle still needs the file to pack and its golden rows."""
    shutil.copytree(bundle_path, tmp_path / "x")
    (tmp_path / "x" / broken).unlink()
    arguments = ["pack", tmp_path / "x", "--onnx", tmp_path / "out", "--force"]
    code = kdexport(monkeypatch, *arguments, "--model", "teacher" if "te" in broken else "student")
    assert code == 3
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")
    assert not (tmp_path / "out").exists()
