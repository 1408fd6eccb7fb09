"""What `pack` writes. What it refuses is in test_pack_refusals, the servers in tests/deploy."""

import hashlib
import json
import shutil
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
