"""The command line when something is wrong, interrupted, or said in another way."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl
import pytest

from kdexport import load_bundle, open_session
from kdexport.cli import cli
from kdexport.cli.options import refuse_unwritable
from kdexport.cli.steps import finish
from kdexport.contract import parse_model, serialize_model
from kdexport.errors import OutputError
from kdexport.records import Inputs
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
CLICKS = Path(__file__).parents[1] / "models" / "clicks"
ENDLESS = ["--epochs", "1000000"]
ENDLESS += ["--set", "teacher.max_steps=100000000", "--set", "teacher.patience=1000000"]


def wait_for(condition: Callable[[], bool]) -> None:
    """Return once the condition holds."""
    deadline = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def student_without_headline(bundle: Path) -> bytes:
    """A bundle's student, less the metadata entry that reports what its test rows said."""
    model = parse_model((bundle / "student.onnx").read_bytes())
    (headline,) = [e for e in model.metadata_props if e.key == "kdexport.evidence"]
    model.metadata_props.remove(headline)
    return serialize_model(model)


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


@pytest.mark.parametrize("way", ["--test", "--split-column"])
def test_test_rows_only_report(
    way: str,
    csv_path: Path,
    quick_flags: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The user's own test rows are counted as such, and their labels change no student."""
    frame = pl.read_csv(csv_path)
    students, accuracies, losses = [], [], []
    for name in ("as measured", "turned around"):
        test = frame.tail(100)
        if name == "turned around":
            other = pl.when(pl.col("y") == "yes").then(pl.lit("no")).otherwise(pl.lit("yes"))
            test = test.with_columns(other.alias("y"))
        folder = tmp_path / name
        folder.mkdir()
        data = folder / "data.csv"
        if way == "--test":
            frame.head(500).write_csv(data)
            test.write_csv(folder / "test.csv")
            arguments: list[object] = [way, folder / "test.csv"]
            expected = {"train": 425, "validation": 75, "test": 100}
        else:
            part = ["train"] * 440 + ["validation"] * 60 + ["test"] * 100
            table = pl.concat([frame.head(500), test]).with_columns(pl.Series("part", part))
            table.select("part", *frame.columns).write_csv(data)
            arguments = [way, "part"]
            expected = {"train": 440, "validation": 60, "test": 100}
        arguments += ["--target", "y", "-o", folder / "x", *quick_flags]
        assert kdexport(monkeypatch, "run", data, *arguments) == 0
        evidence = load_bundle(folder / "x").evidence
        assert {n: part.rows for n, part in evidence.task.rows.items()} == expected
        assert evidence.task.n_features == 4
        students.append(student_without_headline(folder / "x"))
        accuracies.append(evidence.quality["shipped"]["accuracy"].value)
        losses.append(evidence.quality["shipped"]["log_loss"].value)
    assert students[0] == students[1]
    assert accuracies[0] + accuracies[1] == pytest.approx(1)
    assert losses[0] != losses[1]


def test_lone_and_empty_labels(
    csv_path: Path,
    quick_flags: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Blank labels are dropped and counted, a class of one row is kept and named.

    Whole numbers stay whole beside a blank, and `--json -` leaves standard output to the JSON.
    """
    frame = pl.read_csv(csv_path).with_columns((pl.col("y") == "yes").cast(pl.Int64))
    labels = frame["y"].to_list()
    labels[3], labels[200], labels[599], labels[17] = None, None, None, 7
    data, answers = tmp_path / "data.csv", tmp_path / "answers.csv"
    frame.with_columns(pl.Series("y", labels)).write_csv(data)
    arguments = ["--target", "y", "-o", tmp_path / "x", "--json", "-", *quick_flags]
    assert kdexport(monkeypatch, "run", data, *arguments) == 0
    said = capfd.readouterr()
    warned = [line for line in said.err.splitlines() if line.startswith("warning: ")]
    assert len(warned) == 2
    assert "3 rows of data.csv have no 'y'" in warned[0]
    assert "single row" in warned[1]
    assert "'7'" in warned[1]
    evidence = json.loads(said.out)
    assert evidence["task"]["classes"] == [0, 1, 7]
    assert sum(part["rows"] for part in evidence["task"]["rows"].values()) == 597
    student = tmp_path / "x" / "student.onnx"
    one_row = Inputs(np.zeros((1, 4), np.float32), np.empty((1, 0), object))
    labels_given = open_session(student).answer(one_row).predictions
    assert labels_given.dtype == np.int64
    assert kdexport(monkeypatch, "predict", student, data, "-o", answers) == 0
    header, *rows = answers.read_text().splitlines()
    assert header == "label,probability_0,probability_1,probability_7"
    assert {row.split(",")[0] for row in rows} <= {"0", "1", "7"}


def test_list_tasks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """--list-tasks names the built-in tasks, one a line, and makes nothing."""
    assert kdexport(monkeypatch, "run", "--list-tasks") == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["clicks", "article", "breast_cancer", "digits"]


@pytest.mark.parametrize("command", ["check", "report", "info", "bench"])
def test_json_is_alone(
    command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With --json - nothing but valid JSON is on standard output, whatever the command."""
    models = Path(__file__).parents[1] / "models" / "clicks"
    target = models / "student.onnx" if command in {"info", "bench"} else models
    extra = ["--seconds", "0.2", "--batch", "1"] if command == "bench" else []
    assert kdexport(monkeypatch, command, target, "--json", "-", *extra) == 0
    assert json.loads(capfd.readouterr().out)


def test_json_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A --json file in a folder that is absent ends with 3 and one line that names it."""
    student = Path(__file__).parents[1] / "models" / "clicks" / "student.onnx"
    path = tmp_path / "absent" / "info.json"
    assert kdexport(monkeypatch, "info", student, "--json", path) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert str(path) in line


@pytest.mark.parametrize("place", ["absent/x.json", "file/x.json", "."])
@pytest.mark.parametrize(
    ("command", "flag"),
    [
        (["run", "data.csv", "--target", "y"], "--json"),
        (["search", "data.csv", "--target", "y"], "--json"),
        (["export", "work", "-o", "models/x"], "--json"),
        (["quantize", "x", "--int8"], "--json"),
        (["bench", "x"], "--json"),
        (["check", "x"], "--json"),
        (["check", "x"], "--junit"),
        (["check", "x"], "--summary"),
    ],
)
def test_json_is_refused_first(
    command: list[str],
    flag: str,
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A file that cannot be written is refused before the work, and before the data is read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert kdexport(monkeypatch, *command, flag, place) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {flag} names a file that can be written")


def test_json_beside_an_output_to_be_made(tmp_path: Path) -> None:
    """A file in a folder that the command makes on the way to its output is not refused."""
    output = tmp_path / "models" / "x"
    refuse_unwritable(str(tmp_path / "models" / "x.json"), output=output)
    refuse_unwritable(str(output / "x.json"), output=output)
    with pytest.raises(OutputError):
        refuse_unwritable(str(tmp_path / "others" / "x.json"), output=output)


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


@pytest.mark.parametrize("to", ["-", "lines"])
def test_half_a_surrogate_pair(
    to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What a file's metadata names is shown, escaped where no text can hold it."""
    model = parse_model((CLICKS / "student.onnx").read_bytes())
    (entry,) = [e for e in model.metadata_props if e.key == "kdexport.recipe"]
    entry.value = '{"name": "\\ud800"}'
    (tmp_path / "x.onnx").write_bytes(serialize_model(model))
    flags = ["--json", "-"] if to == "-" else []
    assert kdexport(monkeypatch, "info", tmp_path / "x.onnx", *flags) == 0
    assert r'"name": "\ud800"' in capfd.readouterr().out


def test_another_checkpoint(
    work_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """A work folder whose checkpoints are of another recipe ends with one line."""
    shutil.copytree(work_path, tmp_path / "work")
    recipe = tmp_path / "work" / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("hidden = [16]", "hidden = [12]"))
    assert kdexport(monkeypatch, "export", tmp_path / "work", "-o", tmp_path / "x") == 3
    assert "a checkpoint is of the task and recipe" in capsys.readouterr().err.splitlines()[-1]


def test_budgets_are_held_first(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Where the JSON cannot be written after all, the budgets' verdict is known."""
    monkeypatch.setattr("kdexport.cli.steps._hold_to_budgets", lambda _: click.echo("held") or True)
    with pytest.raises(OutputError):
        finish(load_bundle(bundle_path).evidence, bundle_path, str(tmp_path / "absent" / "x"))
    assert capsys.readouterr().out == "held\n"


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


@pytest.mark.parametrize("name", ["", *cli.commands])
def test_help_ends_in_an_example(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a help says of its command ends in an example that the command line understands."""
    assert kdexport(monkeypatch, *([name] if name else []), "--help") == 0
    said = capsys.readouterr().out.partition("\nOptions:")[0].rstrip().splitlines()
    assert said[-2].strip() == "Example:"
    program, command, *arguments = shlex.split(said[-1])
    assert program == "kdexport"
    assert command == name or not name
    with cli.commands[command].make_context(command, arguments) as context:
        assert isinstance(context, click.Context)


def test_no_command_is_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a command, wrong usage, the help is shown as it is read."""
    assert kdexport(monkeypatch) == 2
    assert "\nCommands:\n" in capsys.readouterr().err
