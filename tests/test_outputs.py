"""What is read is not written over, nor is a stranger put into a bundle: every command refuses
such outputs before any work.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from kdexport.bundle import STUDENT
from kdexport.cli import cli
from kdexport.cli.outputs import GuardedCommand, OutputPath
from tests.commands import kdexport
from tests.report.variants import ROOT

ALWAYS = {"quantize": ["--int8"], "pack": ["--onnx", "new"], "predict": ["--force"]}
OUTPUTS = {"--json", "--junit", "--summary", "-o", "--triton", "--onnx", "--python"}
NO_FILES = {"report -o"}  # a folder that gets two files; it may be the bundle itself


def list_paths() -> Iterator[tuple[str, click.Parameter, bool]]:
    """Yield every path of every command, and whether it is written."""
    for name, command in cli.commands.items():
        for param in command.params:
            if isinstance(param.type, click.Path):
                yield name, param, isinstance(param.type, OutputPath)


READ = [(name, param) for name, param, is_written in list_paths() if not is_written]
WRITTEN = [(name, param) for name, param, is_written in list_paths() if is_written]
PAIRS = [
    pytest.param(name, source, output, id=f"{name} {source.opts[0]} {output.opts[0]}")
    for name, source in READ
    for other, output in WRITTEN
    if other == name and f"{name} {output.opts[0]}" not in NO_FILES
]


def give(param: click.Parameter, path: str) -> list[str]:
    """Return a parameter as a command line gives it."""
    return [path] if isinstance(param, click.Argument) else [param.opts[0], path]


def fill(name: str, *given: click.Parameter) -> list[str]:
    """Return the other arguments that a command needs, files that are not there."""
    needed = [param for param in cli.commands[name].params if param.required]
    paths = [param for param in needed if isinstance(param.type, click.Path)]
    return [
        *ALWAYS.get(name, []),
        *(word for param in paths if param not in given for word in give(param, "other.csv")),
    ]


def test_every_command_is_guarded() -> None:
    """Every command is of the class that looks, and knows its outputs from its inputs."""
    assert all(isinstance(command, GuardedCommand) for command in cli.commands.values())
    written = {f"{name} {param.opts[0]}" for name, param in WRITTEN}
    for name, command in cli.commands.items():
        flags = {param.opts[0] for param in command.params} & OUTPUTS
        assert {f"{name} {flag}" for flag in flags} <= written
    assert len(PAIRS) > 60


@pytest.mark.parametrize(("name", "source", "output"), PAIRS)
def test_input_as_output(
    name: str,
    source: click.Parameter,
    output: click.Parameter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever a command reads, none of its outputs may be the same file, by a link either."""
    monkeypatch.chdir(tmp_path)
    Path("same.onnx").write_text("mine")
    Path("link.onnx").symlink_to("same.onnx")
    arguments = fill(name, source, output)
    for path in ("same.onnx", "link.onnx"):
        given = [*give(source, "same.onnx"), *arguments, *give(output, path)]
        assert kdexport(monkeypatch, name, *given) == 3
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: what is read is not written over, however: -")
    assert Path("same.onnx").read_text() == "mine"


@pytest.mark.parametrize("place", ["latency.json", "evidence.json", "golden/new"])
@pytest.mark.parametrize(
    ("name", "output"), [pytest.param(*each, id=f"{each[0]} {each[1].opts[0]}") for each in WRITTEN]
)
def test_output_in_a_bundle(
    name: str,
    output: click.Parameter,
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No command puts a file into a bundle that it did not make, whether it reads it or not."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "models/clicks", "x")
    before = {path: path.stat().st_mtime_ns for path in Path("x").rglob("*")}
    given = [*fill(name, output), *give(output, f"x/{place}")]
    assert kdexport(monkeypatch, name, *given) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "holds its own files and no others" in line
    assert {path: path.stat().st_mtime_ns for path in Path("x").rglob("*")} == before


def test_output_in_what_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that is read gets no file, damaged bundles and work folders among them."""
    monkeypatch.chdir(tmp_path)
    Path("x").mkdir()
    for arguments in (["check", "x", "--json"], ["export", "x", "-o"], ["bench", "x", "--json"]):
        assert kdexport(monkeypatch, *arguments, "x/evidence.json") == 3
        assert "holds its own files and no others" in capsys.readouterr().err
    assert not [*Path("x").iterdir()]


def test_recipes_own_teacher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A teacher's file that the recipe names is read too."""
    monkeypatch.chdir(tmp_path)
    Path("mine.onnx").write_text("mine")
    own = ["--set", 'teacher.own=["mine.onnx"]']
    for command in ("run", "search"):
        given = ["data.csv", "--target", "y", *own, "--json", "mine.onnx"]
        assert kdexport(monkeypatch, command, *given) == 3
        assert "what is read is not written over" in capsys.readouterr().err


@pytest.mark.parametrize("again", ["x.txt", "link.txt"])
def test_two_results_in_one_file(
    again: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of them would be lost; a device that swallows both is nobody's file."""
    monkeypatch.chdir(tmp_path)
    Path("link.txt").symlink_to("x.txt")
    model = str(ROOT / "models/clicks" / STUDENT)
    assert kdexport(monkeypatch, "check", model, "--json", "x.txt", "--junit", again) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "is asked for twice" in line
    assert not Path("x.txt").exists()
    null = ("--json", "/dev/null", "--junit", "/dev/null")
    long = ("--json", "x" * 300, "--junit", "x" * 300)
    assert kdexport(monkeypatch, "check", model, *long) == 3
    assert kdexport(monkeypatch, "check", model, *null) == 0


def test_outputs_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside what is read, or in place of an older output, files are written as ever."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "models/clicks" / STUDENT, "x.onnx")
    for path in ("x.json", "x.json", "-", "/dev/null"):
        assert kdexport(monkeypatch, "info", "x.onnx", "--json", path) == 0
    assert Path("x.json").read_text().startswith("{")


@pytest.mark.parametrize("own", [("evidence.json", "recipe.toml", STUDENT), ("pack.json",)])
def test_report_into_another_bundle_or_pack(
    own: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A report does not take the place of another bundle's, nor is it put into a pack."""
    for name in own:
        (tmp_path / name).write_text('{"kdexport_version": "0.1.0"}')
    assert kdexport(monkeypatch, "report", ROOT / "models/clicks", "-o", tmp_path) == 3
    assert "is another one than was read" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {*own}


def test_another_tools_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is no pack of ours by the names of its files alone: it gets what is asked for."""
    monkeypatch.chdir(tmp_path)
    for name in ("pack.json", "SHA256SUMS"):
        Path(name).write_text('{"name": "theirs"}')
    model = ROOT / "models/clicks" / STUDENT
    assert kdexport(monkeypatch, "info", model, "--json", "x.json") == 0
    assert kdexport(monkeypatch, "check", ".") == 3
