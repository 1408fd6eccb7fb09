"""`kdexport check` as a job of CI runs it."""

import json
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from kdexport import check_parity, load_bundle, open_session, predict, read_table
from kdexport.bundle import read_bundle
from kdexport.evidence.checks import check_bundle
from kdexport.evidence.gate import check_budgets
from kdexport.evidence.shape import Interval, Recovered, Verdict
from kdexport.evidence.user_rows import take_user_rows
from kdexport.recipe import read_recipe
from kdexport.records import Inputs
from kdexport.sections import Budgets
from tests.commands import CODE, kdexport
from tests.conftest import QUICK

NO_INPUTS = Inputs(np.empty((0, 0), np.float32), np.empty((0, 0), object))


@pytest.fixture
def copy(bundle_path: Path, tmp_path: Path) -> Path:
    """A bundle that may be damaged."""
    return Path(shutil.copytree(bundle_path, tmp_path / "copy"))


def test_from_python(bundle_path: Path) -> None:
    """Five lines of a user's own test do the job."""
    assert check_parity(load_bundle(bundle_path)).passed
    failed = [result for result in check_bundle(read_bundle(bundle_path)) if not result.passed]
    assert not failed


def time_process(*arguments: str) -> float:
    """Return the processor's seconds that a Python process took: other processes count less."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert subprocess.run([sys.executable, *arguments]).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_quick() -> None:
    """A check of models/clicks from the shell takes less than 3 s, of which imports are a part.

    Where the machine is so busy that importing takes longer, so may the check.
    """
    clicks = Path(__file__).parents[1] / "models" / "clicks"
    importing = time_process("-c", "import numpy, onnx, onnxruntime, polars, pydantic")
    assert time_process("-c", CODE, "check", str(clicks)) < max(3.0, 6 * importing)


def test_outputs(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line per check; JUnit, summary and JSON say the same; a failure is exit code 1."""
    junit, summary = tmp_path / "out.xml", tmp_path / "summary.md"
    summary.write_text("# before\n")
    (copy / "stray.txt").write_text("")
    arguments = ["check", copy, "--junit", junit, "--summary", summary, "--json", "-"]
    assert kdexport(monkeypatch, *arguments) == 1
    captured = capsys.readouterr()
    results = json.loads(captured.out)
    failed = [result for result in results if not result["passed"]]
    assert [result["name"] for result in failed] == ["bundle/folder"]
    lines = captured.err.splitlines()
    assert sum(line.startswith("passed") for line in lines) == len(results) - 1
    assert sum(line.startswith("FAILED") and "stray.txt" in line for line in lines) == 1
    assert lines[-1] == f"1 of {len(results)} checks failed: do not ship it"
    suites = ElementTree.parse(junit).getroot()
    assert len(suites.findall("testsuite/testcase")) == len(results)
    (failure,) = suites.findall("testsuite/testcase/failure")
    assert "stray.txt" in failure.attrib["message"]
    text = summary.read_text()
    assert text.startswith("# before\n")
    assert "**failed** | bundle/folder" in text


def test_nothing_to_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no bundle, or one without readable evidence, is bad input."""
    assert kdexport(monkeypatch, "check", tmp_path / "absent") == 3
    assert kdexport(monkeypatch, "check", tmp_path / "absent", "--verify", "key.pem") == 3
    assert kdexport(monkeypatch, "check", tmp_path) == 3
    (tmp_path / "evidence.json").write_text("{}")
    assert kdexport(monkeypatch, "check", tmp_path) == 3
    assert "evidence.json" in capsys.readouterr().err


def test_users_rows(
    bundle_path: Path,
    csv_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`--data` asks the user's rows and scores them; rows that the student gets wrong fail."""
    assert kdexport(monkeypatch, "check", bundle_path, "--data", csv_path) == 0
    said = capsys.readouterr().out
    assert "student.onnx on table.csv/reference" in said
    assert "600 rows of table.csv" in said
    parquet = tmp_path / "table.parquet"
    pl.read_csv(csv_path).write_parquet(parquet)
    assert kdexport(monkeypatch, "check", bundle_path, "--data", parquet) == 0
    assert "600 rows of table.parquet" in capsys.readouterr().out
    labels = predict(open_session(bundle_path / "student.onnx"), read_table(csv_path))["label"]
    wrong = np.where(labels == "yes", "no", "yes")
    worse = tmp_path / "worse.csv"
    pl.read_csv(csv_path).with_columns(pl.Series("y", wrong)).write_csv(worse)
    assert kdexport(monkeypatch, "check", bundle_path, "--data", worse) == 1
    assert "accuracy is no worse than the evidence's" in capsys.readouterr().out


def test_two_files(
    bundle_path: Path,
    csv_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`--against` compares any two files of one contract, on rows."""
    student, teacher = bundle_path / "student.onnx", bundle_path / "teacher.onnx"
    assert kdexport(monkeypatch, "check", student) == 0
    same = ["check", student, "--against", student, "--data", csv_path]
    assert kdexport(monkeypatch, *same) == 0
    other = ["check", student, "--against", teacher, "--data", csv_path]
    assert kdexport(monkeypatch, *other) == 1
    assert "both answer alike, however" in capsys.readouterr().out
    assert kdexport(monkeypatch, "check", student, "--against", teacher) == 2
    assert kdexport(monkeypatch, "check", bundle_path, "--against", bundle_path) == 0


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (["student.onnx"], "both answer alike, however: student.onnx is absent"),
        (["golden/source/origins.pb"], "those in golden/ are absent or damaged"),
    ],
)
def test_against_what_is_not_there(
    lost: list[str],
    said: str,
    copy: Path,
    bundle_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`--against` fails as one more check: the other ones are reported, in every form."""
    for name in lost:
        (copy / name).unlink()
    junit = copy.parent / "checks.xml"
    arguments = ("check", copy, "--against", bundle_path, "--junit", junit)
    assert kdexport(monkeypatch, *arguments) == 1
    printed = capsys.readouterr().out
    assert said in printed
    assert f"{lost[0]} is absent" in printed
    assert "against" in junit.read_text()


def test_against_what_is_no_model(
    copy: Path,
    bundle_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where one of two files cannot be read, they have no contract in common."""
    (copy / "student.onnx").write_bytes(b"no model")
    for first, second in ((copy, bundle_path), (bundle_path, copy)):
        assert kdexport(monkeypatch, "check", first, "--against", second) == 1
        assert "FAILED  student.onnx against" in capsys.readouterr().out


def test_from_source(
    bundle_path: Path,
    work_path: Path,
    copy: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`--from-source` compares every test row with the checkpoints of the work folder."""
    assert kdexport(monkeypatch, "check", bundle_path, "--from-source", work_path) == 0
    assert "teacher.onnx/from_source" in capsys.readouterr().out
    (copy / "student.onnx").write_bytes((copy / "teacher.onnx").read_bytes())
    assert kdexport(monkeypatch, "check", copy, "--from-source", work_path) == 1
    assert "the file answers as its checkpoint does, however" in capsys.readouterr().out
    assert kdexport(monkeypatch, "check", bundle_path, "--from-source", bundle_path) == 3


@pytest.mark.parametrize(
    ("budget", "code"),
    [
        ("max_bytes=100000", 0),
        ("max_bytes=100", 1),
        ("min_accuracy=0.01", 0),
        ("min_accuracy=1", 1),
        ("max_ece=1", 0),
        ("max_ece=0", 1),
        ("max_flips=0", 0),
        ("max_probability_difference=1e-6", 0),
        ("max_probability_difference=0", 1),
        ("min_recovered_lower=-1000000", 0),
        ("min_recovered_lower=1000000", 1),
        ("max_p50_us=1000000", 0),
        ("max_p50_us=0.001", 1),
        ("max_floor_ratio=0.001", 1),
        ("max_bites=1", 2),
        ("max_bytes=few", 2),
        ("max_bytes", 2),
    ],
)
def test_budgets(
    budget: str,
    code: int,
    bundle_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each budget passes, fails the gate, or is refused by name."""
    assert kdexport(monkeypatch, "check", bundle_path, "--budget", budget) == code
    captured = capsys.readouterr()
    if code < 2:
        assert f"budget/{budget.partition('=')[0]} " in captured.out
    else:
        assert budget.partition("=")[0] in captured.err


def test_budgets_of_the_recipe(bundle_path: Path) -> None:
    """Budgets given replace the recipe's; none given check files and parity only."""
    bundle = read_bundle(bundle_path)
    assert not [r for r in check_bundle(bundle) if r.name.startswith("budget/")]
    results = check_bundle(bundle, budgets=Budgets(max_bytes=1))
    assert [r.name for r in results if not r.passed] == ["budget/max_bytes"]


@pytest.mark.parametrize(("verdict", "passed"), [("NO_EDGE", False), ("NOT_RECOVERED", True)])
def test_no_edge_recovers_nothing(bundle_path: Path, verdict: Verdict, passed: bool) -> None:
    """Where teacher and student both fall short of the control, a share close to 1 is none."""
    bundle = read_bundle(bundle_path)
    share = Recovered(
        value=0.98, low=0.95, high=1.0, verdict=verdict, asked_share=0.9, rows_to_settle=None
    )
    edge = Interval(value=-0.06, low=-0.07, high=-0.05)
    update = {"recovered": {"log_loss": share}, "edge": {"log_loss": edge}}
    changed = replace(bundle, evidence=bundle.evidence.model_copy(update=update))
    (result,) = check_budgets(Budgets(min_recovered_lower=0.9), changed, NO_INPUTS, None)
    assert result.passed == passed
    if not passed:
        assert "no edge in log_loss to recover: -0.06 [-0.07, -0.05]" in result.message


@pytest.mark.parametrize(
    ("budgets", "code"),
    [({"max_bytes": 10**6, "min_accuracy": 0.01}, 0), ({"max_bytes": 10, "min_accuracy": 1.0}, 1)],
)
def test_export_keeps_its_budgets(
    budgets: dict[str, float],
    code: int,
    work_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A budget that a fresh bundle breaks is exit code 1 and one line; the bundle stays."""
    recipe, output = tmp_path / "recipe.toml", tmp_path / "x"
    values = {f"budgets.{name}": value for name, value in budgets.items()}
    recipe.write_text(read_recipe(None, {**QUICK, **values}).to_toml())
    arguments = ["export", work_path, "--recipe", recipe, "-o", output, "--json", "-"]
    assert kdexport(monkeypatch, *arguments) == code
    captured = capsys.readouterr()
    failed = [line for line in captured.err.splitlines() if line.startswith("FAILED")]
    assert len(failed) == 2 * code
    last = captured.err.splitlines()[-1]
    assert last == ("2 of 2 budgets broken: do not ship it" if code else "2 budgets kept")
    assert json.loads(captured.out)["recipe"]["budgets"] == budgets
    assert load_bundle(output).evidence.recipe["budgets"] == budgets
    assert kdexport(monkeypatch, "check", output) == code


def test_run_keeps_its_budgets(
    csv_path: Path,
    quick_flags: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """So is a budget that a whole run breaks."""
    output = tmp_path / "x"
    arguments = ["run", csv_path, "--target", "y", "-o", output, *quick_flags]
    assert kdexport(monkeypatch, *arguments, "--set=budgets.max_bytes=10") == 1
    assert "FAILED  budget/max_bytes" in capsys.readouterr().err
    assert load_bundle(output).evidence.files["student.onnx"].bytes > 10


def test_without_golden_rows(
    work_path: Path,
    csv_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A bundle without golden rows needs rows to be checked: the user's, or its source's."""
    output = tmp_path / "x"
    assert kdexport(monkeypatch, "export", work_path, "--golden", "none", "-o", output) == 0
    assert kdexport(monkeypatch, "check", output) == 1
    lines = capsys.readouterr().out.splitlines()
    (failed,) = [line for line in lines if line.startswith("FAILED")]
    assert "bundle/golden" in failed
    assert "pass --data, or --from-source" in failed
    with_data = ["check", output, "--data", csv_path, "--budget", "max_flips=0"]
    assert kdexport(monkeypatch, *with_data) == 0
    said = capsys.readouterr().out
    for name in ("student.onnx", "teacher.onnx"):
        for rule in ("batch_7", "optimisation", "reference", "accuracy"):
            assert f"{name} on table.csv/{rule}" in said
    assert "every model file is asked 600 rows of table.csv instead" in said
    assert kdexport(monkeypatch, "check", output, "--from-source", work_path) == 0
    empty = tmp_path / "empty.csv"
    empty.write_text(csv_path.read_text().splitlines()[0] + "\n")
    assert kdexport(monkeypatch, "check", output, "--data", empty) != 0


def test_synthetic_golden_rows(
    work_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A bundle with drawn rows passes on them, and fails where a file answers otherwise."""
    output = tmp_path / "x"
    assert kdexport(monkeypatch, "export", work_path, "--golden", "synthetic", "-o", output) == 0
    assert kdexport(monkeypatch, "check", output) == 0
    assert "synthetic rows with edges" in capsys.readouterr().out
    (output / "student.onnx").write_bytes((output / "teacher.onnx").read_bytes())
    assert kdexport(monkeypatch, "check", output) == 1
    assert "student.onnx/source" in capsys.readouterr().out.split("FAILED", 1)[1]


def test_rival_without_golden_rows(census_path: Path) -> None:
    """Without golden rows the rival, too, answers the user's rows and is scored on them."""
    bundle = read_bundle(census_path)
    golden = bundle.evidence.golden.model_copy(update={"kind": "none"})
    evidence = bundle.evidence.model_copy(update={"golden": golden})
    table = read_table(census_path.parent / "adult.csv", text=[*evidence.signature.categorical])
    rows = take_user_rows(table, evidence.signature)
    results = check_bundle(replace(bundle, evidence=evidence), rows=rows)
    passed = {result.name for result in results if result.passed}
    for rule in ("batch_7", "optimisation", "reference", "accuracy"):
        assert f"rival.onnx on adult.csv/{rule}" in passed


def test_damage_without_golden_rows(
    work_path: Path, csv_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without golden rows too, a file that was swapped for another fails."""
    output = tmp_path / "x"
    assert kdexport(monkeypatch, "export", work_path, "--golden", "none", "-o", output) == 0
    (output / "student.onnx").write_bytes((output / "teacher.onnx").read_bytes())
    assert kdexport(monkeypatch, "check", output, "--data", csv_path) == 1


def test_figure_that_is_not_there(bundle_path: Path) -> None:
    """A budget on a figure that a bundle lacks fails: a limit is never skipped."""
    bundle = read_bundle(bundle_path)
    del bundle.evidence.quality["shipped"]["ece"]
    results = check_bundle(bundle, budgets=Budgets(max_ece=1.0))
    assert "no such figure" in next(r.message for r in results if r.name == "budget/max_ece")
