"""The command line: rows it counts, lines and JSON it prints, files it writes, its help."""

import json
import shlex
from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl
import pytest

from kdexport import load_bundle, open_session
from kdexport.cli import cli
from kdexport.cli.outputs import refuse_unwritable
from kdexport.cli.steps import finish
from kdexport.contract import parse_model, serialize_model
from kdexport.errors import OutputError
from kdexport.records import Inputs
from tests.commands import kdexport

CLICKS = Path(__file__).parents[1] / "models" / "clicks"


def student_without_headline(bundle: Path) -> bytes:
    """A bundle's student, less the metadata entry that reports what its test rows said."""
    model = parse_model((bundle / "student.onnx").read_bytes())
    (headline,) = [e for e in model.metadata_props if e.key == "kdexport.evidence"]
    model.metadata_props.remove(headline)
    return serialize_model(model)


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
    target = CLICKS / "student.onnx" if command in {"info", "bench"} else CLICKS
    extra = ["--seconds", "0.2", "--batch", "1"] if command == "bench" else []
    assert kdexport(monkeypatch, command, target, "--json", "-", *extra) == 0
    assert json.loads(capfd.readouterr().out)


@pytest.mark.parametrize(("flag", "start"), [("--junit", "<?xml "), ("--summary", "### ")])
def test_other_results_are_alone(
    flag: str, start: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What `check` writes on standard output is alone there too; two results are not."""
    student = CLICKS / "student.onnx"
    assert kdexport(monkeypatch, "check", student, flag, "-") == 0
    said = capfd.readouterr()
    assert said.out.startswith(start)
    assert "passed  " not in said.out
    assert "passed  " in said.err
    assert kdexport(monkeypatch, "check", student, flag, "-", "--json", "-") == 3
    said = capfd.readouterr()
    assert not said.out
    assert "'-' is asked for twice" in said.err


def test_json_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A --json file in a folder that is absent ends with 3 and one line that names it."""
    path = tmp_path / "absent" / "info.json"
    assert kdexport(monkeypatch, "info", CLICKS / "student.onnx", "--json", path) == 3
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
    """A file in a folder that the command makes on the way to its output is not refused; one in
    the output, which holds its own files alone, is.
    """
    output = tmp_path / "models" / "x"
    refuse_unwritable(str(tmp_path / "models" / "x.json"), output=output)
    for place in (tmp_path / "others" / "x.json", output / "x.json", output):
        with pytest.raises(OutputError):
            refuse_unwritable(str(place), output=output)


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


def test_budgets_are_held_first(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Where the JSON cannot be written after all, the budgets' verdict is known."""
    monkeypatch.setattr("kdexport.cli.steps._hold_to_budgets", lambda _: click.echo("held") or True)
    with pytest.raises(OutputError):
        finish(load_bundle(bundle_path).evidence, bundle_path, str(tmp_path / "absent" / "x"))
    assert capsys.readouterr().out == "held\n"


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


def test_commands_are_said_in_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The list of commands says in a whole sentence what each is for, in the order of their use."""
    assert kdexport(monkeypatch, "--help") == 0
    lines = capsys.readouterr().out.partition("\nCommands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines] == [*cli.commands]
    assert all(line.endswith(".") and not line.endswith("...") for line in lines), lines


def test_every_option_has_a_help() -> None:
    """No option is left to its name."""
    for name, command in cli.commands.items():
        for option in command.params:
            assert isinstance(option, click.Argument) or option.help, (name, option.name)


def test_no_command_is_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a command, wrong usage, the help is shown as it is read."""
    assert kdexport(monkeypatch) == 2
    assert "\nCommands:\n" in capsys.readouterr().err
