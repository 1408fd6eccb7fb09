"""docs/faq.md: every message in it is one that is printed, and the commands run."""

import builtins
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from kdexport.disk import claim
from tests.commands import kdexport
from tests.test_docs import ROOT, read_blocks
from tests.test_readme import run_as_written, workplace

__all__ = ["workplace"]  # a fixture

BLOCKS = read_blocks("faq.md")
MESSAGES = [line for kind, code in BLOCKS if kind == "text" for line in code.splitlines()]
COMMANDS = [line for kind, code in BLOCKS if kind == "" for line in code.splitlines()]

SCHEMA = "schema data.csv --target y"
RUN = "run data.csv --target y -o models/new"
TABLES: list[tuple[str, Callable[[int], str], str]] = [
    ("a,a,y", lambda i: f"{i},{i},{i % 2}", SCHEMA),
    ("a;b;y", lambda i: f"{i};1,5;{i % 2}", SCHEMA),
    ("b,price,y", lambda i: f'{i},"1.299,{99 - i}",{i % 2}', SCHEMA),
    ("a,b,y", lambda i: f"{'?' if i in (7, 8) else i},{i},{i % 2}", SCHEMA),
    ("order,a,y", lambda i: f"order-{i:03},{i},{i % 2}", RUN),
    ("a,y", lambda i: f"{'inf' if i == 7 else i},{i % 2}", RUN),
    ("a,y", lambda i: f"{i},{'' if i == 7 else i % 2}", SCHEMA),
    ("a,y", lambda i: f"{i},t{i}", SCHEMA),
    ("a,y", lambda i: f"{i},yes", SCHEMA),
    ("a,y", lambda i: f"{i},{'no' if i % 2 else 'yes'}", f"{RUN} --test test.csv"),
    ("a,y", lambda i: f"{i},{'no' if i % 2 else 'yes'}", f"{RUN} --set teacher.member=6"),
    ("a,y", lambda i: f"{i},{'no' if i % 2 else 'yes'}", "run data.csv --target y -o models/x"),
    ("a,y", lambda i: f"{i},{'no' if i % 2 else 'yes'}", RUN),
    ("a,y", lambda i: f"{i},{'no' if i % 2 else 'yes'}", "report models/x"),
    ("a,y", lambda i: f"{i},{i % 2}", f"{RUN} --teacher model.pkl"),
    ("a,y", lambda i: "", "predict damaged.onnx data.csv -o answers.csv"),
    ("a,y", lambda i: "", "info plain.onnx"),
    ("a,c,d,e", lambda i: "1,2,3,4", "predict abcd.onnx new.csv -o answers.csv"),
]
FEEDS: list[dict[str, Any]] = [
    {},
    {"numeric": np.zeros((1, 20), np.float32), "categorical": np.array([[""]], object)},
    {"numeric": np.zeros((1, 20))},
    {"numeric": np.zeros(20, np.float32)},
    {"numeric": np.zeros((1, 19), np.float32)},
]


def pattern_of(line: str) -> str:
    """A documented message as a regular expression: `...` stands for anything."""
    return ".*".join(map(re.escape, line.split("...")))


def raise_version(path: Path, name: str) -> bytes:
    """A model file that asks for a runtime which does not exist yet."""
    model = onnx.load(path)
    if name == "opset":
        model.opset_import[0].version = 99
    else:
        model.ir_version = 99
    return bytes(model.SerializeToString())


@pytest.fixture
def folder(bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with damaged files, and with no torch as far as training can see."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "models/clicks", "models/x")
    Path("models/x/recipe.toml").write_text("seed = 1\n")
    student = Path("models/x/student.onnx").read_bytes()
    Path("damaged.onnx").write_bytes(student[:3000])
    plain = onnx.load_from_string(student)
    plain.ClearField("metadata_props")
    onnx.save(plain, "plain.onnx")
    shutil.copy(bundle_path / "student.onnx", "abcd.onnx")
    Path("test.csv").write_text("a,y\n" + "1,maybe\n2,no\n" * 5)
    import_as_usual = builtins.__import__

    def import_without_torch(name: str, *arguments: Any) -> Any:
        if name.startswith("kdexport.training"):
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        return import_as_usual(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", import_without_torch)
    return tmp_path


def test_every_message_is_printed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each message of the document comes from the code or from onnxruntime, word for word."""
    printed = []
    for header, write_row, command in TABLES:
        n_rows = 200 if header.startswith("order") else 60
        rows = "\n".join([header, *map(write_row, range(n_rows))]) + "\n"
        for name in ("data.csv", "new.csv"):
            (folder / name).write_text(rows)
        kdexport(monkeypatch, *command.split())
        printed += capsys.readouterr().err.splitlines()
    (folder / "data.csv").write_text("a,y\n1,no\n2,yes\n3,no\n4,yes\n")
    kdexport(monkeypatch, *RUN.split())
    printed += capsys.readouterr().err.splitlines()
    shutil.copytree(ROOT / "models/clicks", "elsewhere/models/x")
    monkeypatch.chdir("elsewhere")
    with claim(Path("models/x")):
        kdexport(monkeypatch, "report", "models/x")
    printed += capsys.readouterr().err.splitlines()
    student = ROOT / "models/clicks/student.onnx"
    for version in ("ir_version", "opset"):
        with pytest.raises(Exception, match="version") as error:
            onnxruntime.InferenceSession(raise_version(student, version))
        printed.append(str(error.value).strip().split(") ")[-1])
    session = onnxruntime.InferenceSession(student)
    for feeds in FEEDS:
        with pytest.raises(Exception, match="input") as error:
            session.run(None, feeds)
        printed.append(str(error.value).splitlines()[0].split("INVALID_ARGUMENT : ")[-1].strip())
    for line in MESSAGES:
        assert any(re.fullmatch(pattern_of(line), said) for said in printed), (line, printed)
    assert not (folder / "models/new").exists()


@pytest.mark.usefixtures("workplace")
def test_commands(quick_flags: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The command of a shorter run is one that runs."""
    (line,) = COMMANDS
    assert run_as_written(line, quick_flags, monkeypatch) == 0
    recipe = Path("models/look/recipe.toml").read_text()
    assert 'regularisation = "given"' in recipe
    assert "max_steps = 1500" in recipe
