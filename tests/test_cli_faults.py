"""The command line when it is interrupted, refused something, or asked for what is wrong."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.commands import CODE, kdexport

# The command line, telling of its first training step in the file that its first argument names.
TELLING = """
import contextlib, pathlib, sys
from kdexport.cli import main, steps
marker = pathlib.Path(sys.argv.pop(1))

@contextlib.contextmanager
def show_progress():
    yield lambda progress: marker.touch()

steps.show_progress = show_progress
main()
"""
ENDLESS = ["--epochs", "1000000"]
ENDLESS += ["--set", "teacher.max_steps=100000000", "--set", "teacher.patience=1000000"]


def wait_for(condition: Callable[[], bool]) -> None:
    """Return once the condition holds."""
    deadline = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_training(
    number: signal.Signals, code: int, csv_path: Path, quick_flags: list[str], tmp_path: Path
) -> None:
    """A run that is interrupted while it trains ends with one line, and leaves nothing behind."""
    marker, output = tmp_path / "marker", tmp_path / "models" / "x"
    command = [sys.executable, "-c", TELLING, str(marker), "run", str(csv_path), "--target", "y"]
    command += ["-o", str(output), *quick_flags, *ENDLESS]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: marker.exists() or process.poll() is not None)
        process.send_signal(number)
        error = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == code
    assert error == "interrupted: nothing was written\n"
    assert not output.parent.exists()


def test_refused_run_leaves_no_parents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run whose data is refused has made no folder for its output."""
    output = tmp_path / "models" / "deep" / "x"
    assert kdexport(monkeypatch, "run", tmp_path / "absent.csv", "-o", output) == 3
    assert "absent.csv" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_unwritable_output_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An output that cannot be written is refused before the data is even looked for."""
    (tmp_path / "file").write_text("not a folder")
    output = tmp_path / "file" / "x"
    assert kdexport(monkeypatch, "run", tmp_path / "absent.csv", "-o", output) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert str(output.parent) in line
    assert "absent.csv" not in line


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["search", "x.csv", "--target", "y", "--min-recovered-lower", "nan"], 2),
        (["run", "x.csv", "--set", f"data.missing={'[' * 9999}"], 2),
        (["run", "x.csv", "--set", f"seed={'9' * 5000}"], 2),
        (["bench", "x", "--threads", "9" * 5000], 2),
    ],
)
def test_odd_values(
    arguments: list[str],
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A value that no number or TOML is read from ends with one line and its exit code."""
    monkeypatch.chdir(tmp_path)
    assert kdexport(monkeypatch, *arguments) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")


def test_another_checkpoint(
    work_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """A work folder whose checkpoints are of another recipe ends with one line."""
    shutil.copytree(work_path, tmp_path / "work")
    recipe = tmp_path / "work" / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("hidden = [16]", "hidden = [12]"))
    assert kdexport(monkeypatch, "export", tmp_path / "work", "-o", tmp_path / "x") == 3
    assert "a checkpoint is of the task and recipe" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("flags", [[], ["--debug"]])
def test_debug_shows_the_traceback(flags: list[str], tmp_path: Path) -> None:
    """An error is one line; --debug shows where it was raised, and changes no exit code."""
    arguments = [*flags, "info", str(tmp_path / "absent.onnx")]
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 3
    lines = done.stderr.splitlines()
    assert lines[-1].startswith("error: ")
    assert "absent.onnx" in lines[-1]
    assert (len(lines) == 1) == (not flags)
    assert ("Traceback (most recent call last):" in lines) == bool(flags)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_swallowed_interrupt(
    number: signal.Signals,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A library that swallows an interrupt and fails later for it was interrupted all the same."""

    def fail(_: Path) -> None:
        with contextlib.suppress(BaseException):
            signal.raise_signal(number)
        raise AttributeError("half imported")

    monkeypatch.setattr("kdexport.runtime.open_session", fail)
    assert kdexport(monkeypatch, "predict", "x.onnx", "x.csv", "-o", "absent.csv") == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("interrupted: ")


@pytest.mark.parametrize("way", ["from it", "while it is handled"])
def test_what_the_system_refused(
    way: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error that comes from what the system refused is one line; a slip of ours is not."""

    def fail(_: Path) -> None:
        refused = OSError(28, "No space left on device")
        try:
            raise refused
        except OSError:
            if way == "from it":
                raise ValueError("a slip") from refused
            raise ValueError("a slip")  # noqa: B904

    monkeypatch.setattr("kdexport.runtime.open_session", fail)
    arguments = ("predict", "x.onnx", "x.csv", "-o", "absent.csv")
    if way == "from it":
        assert kdexport(monkeypatch, *arguments) == 3
        assert "No space left" in capsys.readouterr().err
    else:
        assert kdexport(monkeypatch, *arguments) == 70
        assert capsys.readouterr().err.splitlines()[-1] == "ValueError: a slip"


def test_nobody_reads_on(bundle_path: Path) -> None:
    """Where the reader of its lines is gone, a check does not end as one that failed."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-c", CODE, "check", str(bundle_path)]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
