"""`pack` writes whole packs or nothing; `check` finds what was altered. The servers themselves are
in tests/deploy.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import pytest
import yaml

from kdexport.bundle import read_bundle
from kdexport.cli import cli
from kdexport.contract import RELEASES
from kdexport.deploy.model import Form, Packable, prepare_model
from kdexport.deploy.packs import TARGETS
from kdexport.deploy.rows import write_answers, write_rows
from kdexport.deploy.targets import SUMMARIES, Target
from kdexport.runtime import open_session
from tests.commands import kdexport
from tests.test_docs import ROOT

CLICKS = ROOT / "models/clicks"
ALL = tuple(TARGETS)
OWN = {
    "triton": {"config.pbtxt", "1/model.onnx", "warmup/numeric", "golden/request.bin"},
    "oip": {"predictor.py", "metadata.json", "golden/request.json", "golden/response.json"},
    "mlflow": {"MLmodel", "data/model.onnx", "input_example.json", "golden/request.json"},
    "python": {"service.py", "Dockerfile", "requirements.txt", "golden/rows.json"},
    "web": {"index.html", "page.mjs", "package.json", "golden/answers.json"},
    "node": {"answer.mjs", "package.json", "golden/answers.json"},
    "onnx": {"model.onnx", "test_data_set_0/input_0.pb", "test_data_set_0/output_0.pb"},
}
BUNDLES = ("bundle_path", "census_path", "dates_path")


def folder_of(target: str, root: Path, name: str) -> Path:
    """Where a pack lies after `pack --TARGET root/TARGET`."""
    return root / target / name if target == "triton" else root / target


def ask_for(targets: tuple[str, ...], root: Path) -> list[object]:
    """Return the options that ask for packs under a folder."""
    return [word for target in targets for word in (f"--{target}", root / target)]


def read_folder(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, by its path in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def prepare(path: Path) -> Packable:
    """A bundle's student as it is."""
    return prepare_model(read_bundle(path), "student.onnx", Form(), name="x", passed_check=True)


@pytest.fixture(params=BUNDLES)
def bundle(request: pytest.FixtureRequest) -> Path:
    """Bundles of numbers and text labels, of numbers and text, and a regression with dates."""
    path: Path = request.getfixturevalue(request.param)
    return path


def test_every_target(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """A pack has what its target needs, hashes of every file, no path, and passes its own check."""
    name = bundle.name
    assert kdexport(monkeypatch, "pack", bundle, *ask_for(ALL, tmp_path), "--json", "-") == 0
    said = {pack["target"]: pack for pack in json.loads(capsys.readouterr().out)}
    for target in ALL:
        folder = folder_of(target, tmp_path, name)
        files = read_folder(folder)
        assert set(files) >= OWN[target] | {"README.md", "pack.json", "SHA256SUMS"}
        assert any(path.endswith("columns.json") for path in files)
        lines = files["SHA256SUMS"].decode().splitlines()
        stated = {path: digest for digest, path in (line.split("  ", 1) for line in lines)}
        expected = {
            path: hashlib.sha256(content).hexdigest()
            for path, content in files.items()
            if path != "SHA256SUMS"
        }
        assert stated == expected
        assert said[target]["n_files"] == len(files)
        assert not any(str(tmp_path).encode() in content for content in files.values())
        assert kdexport(monkeypatch, "check", folder) == 0


def test_a_pack_made_again_has_the_same_bytes(
    census_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the day or the machine is in a pack."""
    for side in ("a", "b"):
        assert kdexport(monkeypatch, "pack", census_path, *ask_for(ALL, tmp_path / side)) == 0
    assert read_folder(tmp_path / "a") == read_folder(tmp_path / "b")


@pytest.mark.parametrize("has_codes", [False, True])
@pytest.mark.parametrize("version", ["1.8", "1.14"])
def test_older_runtimes(
    version: str,
    has_codes: bool,
    bundle: Path,
) -> None:
    """B3: `--target-ort` bounds IR and opsets of the model in every pack, whatever is asked."""
    major, minor = map(int, version.split("."))
    release = RELEASES[major, minor]
    loaded = read_bundle(bundle)
    form = Form(version, has_codes=has_codes)
    packable = prepare_model(loaded, "student.onnx", form, name="x", passed_check=True)
    for build in TARGETS.values():
        (content,) = (file for path, file in build(packable).items() if path.endswith(".onnx"))
        model = onnx.load_from_string(content)
        versions = {entry.domain: entry.version for entry in model.opset_import}
        assert model.ir_version <= release.ir_version
        assert versions[""] <= release.opset
        assert versions.get("ai.onnx.ml", 0) <= release.ml_opset


def test_labels_are_the_users_own(bundle_path: Path, tmp_path: Path) -> None:
    """C6: of classes "no" and "yes", `label` is text in the file and in the golden answers."""
    packable = prepare(bundle_path)
    assert packable.signature.classes == ("no", "yes")
    (tmp_path / "model.onnx").write_bytes(packable.content)
    answers = open_session(tmp_path / "model.onnx").run(packable.feeds)
    assert answers["label"].dtype == object
    np.testing.assert_array_equal(answers["label"], packable.outputs["label"])
    assert {answer["label"] for answer in write_answers(packable)} == {"no", "yes"}
    config = TARGETS["triton"](packable)["config.pbtxt"].decode()
    assert '"label" data_type: TYPE_STRING dims: [ 1 ] reshape { shape: [ ] }' in config


def test_from_another_folder(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H2: relative paths go, and a pack that was moved answers: nothing of it lies elsewhere."""
    shutil.copytree(bundle_path, tmp_path / "models" / "x")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert kdexport(monkeypatch, "pack", "../models/x", "--onnx", "out") == 0
    shutil.rmtree(tmp_path / "models")
    (tmp_path / "elsewhere" / "out").rename(tmp_path / "moved")
    monkeypatch.chdir("/")
    assert kdexport(monkeypatch, "check", tmp_path / "moved") == 0
    assert open_session(tmp_path / "moved/model.onnx").signature.target == "y"


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


def test_rows_of_json(dates_path: Path) -> None:
    """Rows keep flags, write missing cells as null and infinite ones beyond float32."""
    packable = prepare(dates_path)
    rows = write_rows(packable)
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert {row["flag"] for row in rows} >= {True, False, None, 1e300, -1e300}
    numeric = np.array([[row[c] for c in packable.signature.numeric] for row in rows], float)
    both = open_session(packable.content)
    again = both.run({"numeric": numeric.astype(packable.signature.precision)})
    np.testing.assert_array_equal(again["prediction"], both.run(packable.feeds)["prediction"])


def test_a_signed_bundle_as_json(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """With --json - what was signed is JSON, and nothing else is on standard output."""
    shutil.copytree(bundle_path, tmp_path / "x")
    monkeypatch.setattr("kdexport.deploy.signing.sign_folder", lambda folder, key: b"signature")
    arguments = ("pack", tmp_path / "x", "--sign", "key.pem", "--json", "-")
    assert kdexport(monkeypatch, *arguments) == 0
    assert json.loads(capsys.readouterr().out) == {"signature": str(tmp_path / "x/model.sig")}


def test_names_in_yaml() -> None:
    """MLmodel is JSON and YAML, and says the same in both, whatever columns are called."""
    packable = prepare(CLICKS)
    names = ("a\x7f", "b\x85", "c\u2028", "\ufeffd", "\U0001f600", *packable.signature.numeric[5:])
    signature = packable.signature.model_copy(update={"numeric": names})
    changed: dict[str, Any] = {**vars(packable), "signature": signature}
    content = TARGETS["mlflow"](Packable(**changed))["MLmodel"].decode()
    read = yaml.safe_load(content)
    assert read == json.loads(content)
    inputs = json.loads(read["signature"]["inputs"])
    assert [column["name"] for column in inputs] == list(names)


def test_a_tag_of_docker(tmp_path: Path) -> None:
    """The README of a service tags its image as docker takes it, whatever the model is called."""
    bundle = read_bundle(CLICKS)
    packable = prepare_model(bundle, "student.onnx", Form(), name="Clicks.V2-", passed_check=True)
    assert "docker build -t clicks-v2 ." in TARGETS["python"](packable)["README.md"].decode()


def test_hostile_names() -> None:
    """A README stays Markdown, one line a list item, whatever columns and classes are called."""
    packable = prepare(CLICKS)
    hostile = packable.signature.model_copy(
        update={
            "numeric": ("a\n# b", "`c`", *packable.signature.numeric[2:]),
            "target": "<script>\n",
        }
    )
    changed: dict[str, Any] = {**vars(packable), "signature": hostile}
    text = TARGETS["python"](Packable(**changed))["README.md"].decode()
    assert "\n# b" not in text
    assert "`a\\n# b`" in text
    assert "`'c'`" in text
    assert "`<script>\\n`" in text


def test_options_name_every_target() -> None:
    """The command has an option for each target that can be built, and no other."""
    assert set(get_args(Target)) == set(SUMMARIES) == set(TARGETS)
    names = {option.name for option in cli.commands["pack"].params}
    assert set(TARGETS) <= names


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
