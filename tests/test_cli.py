"""The command line, as a user types it."""

import json
import re
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from kdexport import load_bundle, open_session
from kdexport.evidence.latency_facts import LatencyRecord
from kdexport.extras import TRAINING
from kdexport.info import describe_model
from kdexport.records import Inputs
from tests.commands import CODE, kdexport
from tests.evidence.records import make_row, scale_times


@pytest.fixture(scope="module")
def bundle(
    csv_path: Path, quick_flags: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A bundle made by the command line from a user's CSV."""
    output = tmp_path_factory.mktemp("out") / "bundle"
    command = [sys.executable, "-c", CODE, "run"]
    command += [str(csv_path), "--target", "y", "-o", str(output), *quick_flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "recovered edge" in done.stderr
    return output


def test_bundle_is_complete_and_verified(bundle: Path) -> None:
    """A run leaves both models, golden rows, recipe and evidence, with matching hashes."""
    loaded = load_bundle(bundle)
    assert {"student.onnx", "teacher.onnx", "recipe.toml"} < set(loaded.files)
    assert loaded.evidence.task.classes == ("no", "yes")
    assert sum(part.rows for part in loaded.evidence.task.rows.values()) == 600
    assert loaded.evidence.parity["student.onnx"].passed


def test_same_recipe_makes_the_same_bytes(
    bundle: Path, csv_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recipe saved in a bundle makes the same two model files again."""
    again = tmp_path / "again"
    recipe = bundle / "recipe.toml"
    assert kdexport(monkeypatch, "run", csv_path, "--recipe", recipe, "-o", again) == 0
    for name in ("student.onnx", "teacher.onnx"):
        assert (again / name).read_bytes() == (bundle / name).read_bytes()


def test_steps_make_the_same_student(
    bundle: Path,
    csv_path: Path,
    quick_flags: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """train, distill and export, one after the other, end where run does."""
    work, output = tmp_path / "work", tmp_path / "out"
    flags = ["--target", "y", *quick_flags]
    assert kdexport(monkeypatch, "train", csv_path, *flags, "-o", work) == 0
    assert kdexport(monkeypatch, "distill", work) == 0
    assert kdexport(monkeypatch, "export", work, "-o", output) == 0
    assert (output / "student.onnx").read_bytes() == (bundle / "student.onnx").read_bytes()


def test_predict_by_name(
    bundle: Path, csv_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Predict finds columns by name in any order, ignores others, and keeps what it is told to."""
    frame = pl.read_csv(csv_path)
    shuffled = tmp_path / "shuffled.csv"
    frame.select("d", "y", "c", pl.lit(1).alias("extra"), "b", "a").write_csv(shuffled)
    for source, name in ((csv_path, "one.csv"), (shuffled, "two.csv")):
        arguments = ("predict", bundle / "student.onnx", source, "-o", tmp_path / name)
        assert kdexport(monkeypatch, *arguments, "--keep", "y", "--keep", "a,b") == 0
    first, second = (pl.read_csv(tmp_path / name) for name in ("one.csv", "two.csv"))
    assert first.equals(second)
    answers = ["label", "probability_no", "probability_yes"]
    assert first.columns == ["y", "a", "b", *answers]
    assert set(first["label"].unique()) <= {"no", "yes"}


def test_missing_column_is_named(
    bundle: Path,
    csv_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An inference table without a column that the file takes ends with 3 and names it."""
    short = tmp_path / "short.csv"
    pl.read_csv(csv_path).drop("c").write_csv(short)
    arguments = ("predict", bundle / "student.onnx", short, "-o", tmp_path / "out.csv")
    assert kdexport(monkeypatch, *arguments) == 3
    assert "'c'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["out.xlsx", "out.tsv", "-"])
def test_answers_of_another_format(
    name: str,
    bundle: Path,
    csv_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A file that is to be neither CSV nor Parquet is refused, not filled with CSV."""
    arguments = ("predict", bundle / "student.onnx", csv_path, "-o", name)
    assert kdexport(monkeypatch, *arguments) == 3
    assert "a CSV or Parquet file, by its ending" in capsys.readouterr().err
    assert not Path(name).exists()


def test_task_beside_data(
    csv_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A built-in task beside a file is wrong usage, not passed over."""
    assert kdexport(monkeypatch, "run", csv_path, "--target", "y", "--task", "clicks") == 2
    assert "--task" in capsys.readouterr().err


def test_target_without_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A target of no table is wrong usage: a built-in task has its own."""
    assert kdexport(monkeypatch, "run", "--target", "y", "-o", tmp_path / "x") == 2
    assert "pass the table" in capsys.readouterr().err


def test_answers_never_replace_what_they_are_for(
    bundle: Path, csv_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No --force writes answers over the rows that were asked, by whatever name they go."""
    rows = tmp_path / "rows.csv"
    rows.write_bytes(csv_path.read_bytes())
    (tmp_path / "same.csv").symlink_to(rows)
    for output in (rows, tmp_path / "same.csv"):
        arguments = ("predict", bundle / "student.onnx", rows, "-o", output, "--force")
        assert kdexport(monkeypatch, *arguments) == 3
    assert rows.read_bytes() == csv_path.read_bytes()


def test_tabs_are_spelled(
    bundle: Path, csv_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tab between cells is asked for as it is written elsewhere, by a backslash and a t."""
    path = tmp_path / "tabs.csv"
    path.write_text(csv_path.read_text().replace(",", "\t"))
    arguments = ("predict", bundle / "student.onnx", path, "-o", tmp_path / "out.csv")
    assert kdexport(monkeypatch, *arguments, "--separator", r"\t") == 0


def test_check_of_a_file_alone(
    bundle: Path,
    csv_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A file without rows has no answers that could be compared, and the check says so."""
    said = "no answers were compared"
    assert kdexport(monkeypatch, "check", bundle / "student.onnx") == 0
    assert said in capsys.readouterr().err
    assert kdexport(monkeypatch, "check", bundle / "student.onnx", "--data", csv_path) == 0
    assert said not in capsys.readouterr().err


def test_info_reads_the_file_alone(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Info gives columns, classes, sizes and evidence of a model file as JSON, and to Python."""
    assert kdexport(monkeypatch, "info", bundle / "student.onnx", "--json", "-") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["numeric"] == ["a", "b", "c", "d"]
    assert facts["classes"] == ["no", "yes"]
    assert facts["opset"] == 18
    assert facts["evidence"]["verdict"]
    assert describe_model((bundle / "student.onnx").read_bytes(), "student.onnx") == facts


def test_check_passes_then_catches_damage(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A whole bundle passes; one whose student was altered fails, and bench refuses it."""
    assert kdexport(monkeypatch, "check", bundle) == 0
    path = bundle / "student.onnx"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        assert kdexport(monkeypatch, "check", bundle) == 1
        assert "however: student.onnx has sha256" in capsys.readouterr().out
        assert kdexport(monkeypatch, "bench", bundle) == 3
        assert "student.onnx" in capsys.readouterr().err
    finally:
        path.write_bytes(content)


def test_output_is_kept(
    bundle: Path,
    csv_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An output that exists is refused before training, and untouched."""
    before = (bundle / "student.onnx").read_bytes()
    assert kdexport(monkeypatch, "run", csv_path, "--target", "y", "-o", bundle) == 3
    assert "--force" in capsys.readouterr().err
    assert (bundle / "student.onnx").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "nothing"),
        (b"a,b,y\n", "header only"),
        (b"a,a,y\n1,2,0\n3,4,1\n", "'a'"),
        (b"a,y\n1,0\n2,0\n3,0\n4,0\n", "at least two classes"),
        (b"a,y\n1,0\n2,1\ninf,0\n4,1\n", "'a'"),
        (b"a,y\n,0\n,1\n,0\n,1\n", "'y'"),
        (b"a,y\n1,0.5\n2,0.5\n3,0.5\n4,0.5\n", "varies"),
        (b"a,z\n1,0\n2,1\n", "'y'"),
        (b"\x89PNG\r\n\x1a\n\x00\xff\xfe", "CSV or Parquet"),
    ],
)
def test_bad_tables_end_with_one_line(
    content: bytes,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A table that cannot be used ends with 3 and one line that names what is wrong."""
    path, output = tmp_path / "bad.csv", tmp_path / "out"
    header, newline, rows = content.partition(b"\n")
    path.write_bytes(header + newline + 5 * rows)
    assert kdexport(monkeypatch, "run", path, "--target", "y", "-o", output) == 3
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(error) == 1
    assert said in error[0]
    assert not output.exists()


def test_unknown_keys_name_themselves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong recipe key is wrong usage, and is named."""
    assert kdexport(monkeypatch, "run", "--set", "teacher.n_memberz=3", "-o", "unused") == 2
    assert "teacher.n_memberz" in capsys.readouterr().err


def test_help_needs_no_heavy_package() -> None:
    """Importing the package and its command line loads neither torch, sklearn nor onnxruntime."""
    code = "import sys, kdexport, kdexport.cli; "
    code += "sys.exit(bool({'torch', 'sklearn', 'onnxruntime', 'polars'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_torch_free_commands(bundle: Path, csv_path: Path, tmp_path: Path) -> None:
    """check, predict, info, bench and report work where torch cannot be imported."""
    block = "import sys; sys.modules['torch'] = sys.modules['sklearn'] = None; "
    block += CODE
    student = str(bundle / "student.onnx")
    for arguments in (
        ["check", str(bundle)],
        ["predict", student, str(csv_path), "-o", str(tmp_path / "out.csv")],
        ["info", student],
        ["bench", str(bundle), "--batch", "1", "--seconds", "0.2"],
        ["report", str(bundle)],
    ):
        done = subprocess.run([sys.executable, "-c", block, *arguments], capture_output=True)
        assert done.returncode == 0, done.stderr


def test_commands_that_need_training(work_path: Path, csv_path: Path, tmp_path: Path) -> None:
    """Without kdexport[train], commands that train end with a line that says to install it."""
    data, output = [str(csv_path), "--target", "y"], ["-o", str(tmp_path / "x")]
    commands = [
        ["run", *data, *output],
        ["run", "--list-tasks"],
        ["search", *data, *output],
        ["train", *data, *output],
        ["distill", str(work_path)],
        ["export", str(work_path), *output],
    ]
    code = f"""
import sys
sys.modules |= dict.fromkeys({sorted(TRAINING)})
from kdexport.cli import main
for arguments in {commands}:
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as stop:
        print("exit", stop.code, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
    for command, error, code in zip(commands, lines[::2], lines[1::2], strict=True):
        assert error.endswith("pip install 'kdexport[train]'"), command
        assert code == "exit 2", command


def test_packages_of_training() -> None:
    """The packages that are looked for are those that kdexport[train] installs."""
    names = packages_distributions()
    extra = [r for r in requires("kdexport") or () if r.endswith('extra == "train"')]
    asked = {re.match(r"[\w-]+", requirement)[0] for requirement in extra}  # type: ignore[index]
    assert {names[module][0] for module in TRAINING} == asked


def test_bench_against_its_baseline(
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Bench ends with 1 where a file is slower than its baseline, with 3 on another machine's; it
    says where noise lets it pass.
    """
    path = tmp_path / "record.json"
    bench = ("bench", bundle, "--batch", "1", "--seconds", "0.2", "--load", "2")
    assert kdexport(monkeypatch, *bench, "--json", path) == 0
    record = LatencyRecord.model_validate_json(path.read_bytes())
    assert [fact.clients for fact in record.load] == [1, 2, 1, 2]
    rows = [row if row.name == "floor" else scale_times(row, 0.2) for row in record.rows]
    path.write_text(record.model_copy(update={"rows": rows}).model_dump_json())
    assert kdexport(monkeypatch, *bench[:-2], "--baseline", path, "--max-slowdown", "50%") == 1
    assert "slower than the baseline" in capsys.readouterr().err
    n_blocks = record.rows[0].raw.blocks
    uneven = 1e4 * 100.0 ** (np.arange(n_blocks)[:, None] % 2) * np.ones((n_blocks, 9))
    rows = [row if row.name == "floor" else make_row(row.name, uneven) for row in record.rows]
    path.write_text(record.model_copy(update={"rows": rows}).model_dump_json())
    assert kdexport(monkeypatch, *bench[:-2], "--baseline", path, "--force") == 0
    told = capsys.readouterr()
    assert "too noisy to tell of" in told.err
    assert "unclear" in told.out
    other = record.machine.model_copy(update={"cpu": "another CPU"})
    path.write_text(record.model_copy(update={"machine": other}).model_dump_json())
    assert kdexport(monkeypatch, *bench[:-2], "--baseline", path) == 3
    assert "another CPU" in capsys.readouterr().err
    arguments = (*bench[:-2], "--baseline", path, "--force", "--max-slowdown", "10000%")
    assert kdexport(monkeypatch, *arguments) == 0


def test_bench_without_what_its_baseline_timed(
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A file or batch that the baseline timed and the run does not is named and ends with 1; with
    --force it is named alone. A baseline of nothing that the run times ends with 3 before it is
    made, as does a damaged one.
    """
    path = tmp_path / "record.json"
    bench = ("bench", "--seconds", "0.2", "--max-slowdown", "10000%")
    assert kdexport(monkeypatch, *bench, bundle, "--batch", "1,2", "--json", path) == 0
    one = (*bench, bundle / "student.onnx", "--batch", "1", "--baseline", path)
    capsys.readouterr()
    assert kdexport(monkeypatch, *one) == 1
    named = "student.onnx at batch 2 (run, 1 thread)", "teacher.onnx at batch 1 (run, 1 thread)"
    said = capsys.readouterr().err
    assert all(name in said for name in named)
    assert kdexport(monkeypatch, *one, "--force") == 0
    said = capsys.readouterr().err
    assert all(name in said for name in named)
    monkeypatch.setattr("kdexport.evidence.latency.measure_latency", None)
    assert kdexport(monkeypatch, *bench, bundle, "--batch", "3", "--baseline", path) == 3
    assert "it timed student.onnx,teacher.onnx, --batch 1,2" in capsys.readouterr().err
    record = json.loads(path.read_text())
    record["rows"][1]["raw"]["packed_ns"] = None
    path.write_text(json.dumps(record))
    assert kdexport(monkeypatch, *one) == 3
    assert "rows.1.raw: times are either packed or a histogram" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--batch", "0"),
        ("--batch", "1,x"),
        ("--threads", ""),
        ("--max-slowdown", "a lot"),
        ("--max-slowdown", "nan"),
        ("--max-slowdown", "-90%"),
        ("--max-slowdown", "0.1"),
        ("--seconds", "nan"),
        ("--seconds", "inf"),
        ("--load", "9999"),
    ],
)
def test_bench_refuses_bad_values(
    bundle: Path,
    flag: str,
    value: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A batch of no rows, or a word where a number belongs, is wrong usage and named."""
    assert kdexport(monkeypatch, "bench", bundle, flag, value) == 2
    assert flag in capsys.readouterr().err


def test_extreme_cells_answer_finitely(bundle: Path) -> None:
    """Missing, infinite and huge cells give finite answers and leave the other rows alone."""
    session = open_session(bundle / "student.onnx")
    rows = np.zeros((5, 4), np.float32)
    rows[1, 0], rows[2, 1], rows[3, 2], rows[4, 3] = np.nan, np.inf, -np.inf, 3e38
    inputs = Inputs(rows, np.empty((5, 0), object))
    answers = session.answer(inputs)
    assert np.isfinite(answers.probabilities).all()
    alone = session.answer(inputs.take(slice(1)))
    np.testing.assert_array_equal(answers.probabilities[0], alone.probabilities[0])
