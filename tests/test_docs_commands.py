"""docs/ci.md, cli.md, latency.md and tables.md: what they tell a reader to type or paste works."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.commands import kdexport
from tests.test_docs import ROOT, read_blocks

CI = read_blocks("ci.md")
(SHELLS,) = (code for language, code in read_blocks("cli.md") if language == "sh")
COMPLETION = re.findall(r"_KDEXPORT_COMPLETE=(\w+)", SHELLS)


@pytest.fixture
def workplace(
    bundle_path: Path,
    work_path: Path,
    csv_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A folder with what docs/ci.md speaks of."""
    shutil.copytree(bundle_path, tmp_path / "models" / "x")
    shutil.copytree(work_path, tmp_path / "work" / "x")
    shutil.copy(csv_path, tmp_path / "holdout.csv")
    for name in ("a.onnx", "b.onnx"):
        shutil.copy(bundle_path / "student.onnx", tmp_path / name)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_gate_commands(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of docs/ci.md runs, and passes where nothing is wrong but a budget."""
    lines = [
        line
        for language, code in CI
        if language == ""
        for line in code.splitlines()
        if line.startswith("kdexport ")
    ]
    assert len(lines) == 6
    for line in lines:
        arguments = shlex.split(os.path.expandvars(line))[1:]
        broken = "--budget" in arguments  # the quick student's accuracy is no matter here
        assert kdexport(monkeypatch, *arguments) in ({0, 1} if broken else {0}), line
    for name in ("checks.xml", "checks.json", "summary.md", "report.md"):
        assert (workplace / name).exists(), name


def test_gate_in_pytest(workplace: Path) -> None:
    """Its test passes on a good bundle, and fails on a damaged one."""
    (code,) = (code for language, code in CI if language == "python")
    names: dict[str, Any] = {}
    exec(compile(code, "ci.md", "exec"), names)
    names["test_bundle_may_ship"]()
    (workplace / "models/x/recipe.toml").write_text("seed = 1\n")
    with pytest.raises(AssertionError):
        names["test_bundle_may_ship"]()


def test_latency(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands and the Python of docs/latency.md run, and the record holds what it says."""
    blocks = read_blocks("latency.md")
    (commands,) = (code for language, code in blocks if language == "")
    measure, unpack = (code for language, code in blocks if language == "python")
    quick = ["--seconds", "0.2", "--batch", "1"]
    assert kdexport(monkeypatch, "bench", "models/x", *quick, "--json", "old.json") == 0
    for line in commands.splitlines():
        arguments = shlex.split(line, comments=True)[1:]
        given = quick[: 2 if "--batch" in arguments else 4]
        slower = "--baseline" in arguments  # by chance, on a busy machine
        assert kdexport(monkeypatch, *arguments, *given) in ({0, 1} if slower else {0}), line
    names: dict[str, Any] = {}
    exec(compile(unpack, "latency.md", "exec"), names)
    assert (names["times_ns"] > 0).all()
    feeds = {
        "path": workplace / "a.onnx",
        "booster": type("Booster", (), {"predict": staticmethod(np.sum)}),
        "rows": np.zeros((2000, 4), np.float32),
    }
    exec(compile(measure.replace("seconds=20", "seconds=0.2"), "latency.md", "exec"), feeds)
    assert {row.name for row in feeds["record"].rows} >= {"student", "lightgbm", "floor"}


def test_tables(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The Python of docs/tables.md answers three rows, each with probabilities of one sum."""
    monkeypatch.chdir(ROOT)
    (code,) = (code for language, code in read_blocks("tables.md") if language == "python")
    names: dict[str, Any] = {}
    exec(compile(code, "tables.md", "exec"), names)
    assert names["label"].shape == (3,)
    np.testing.assert_allclose(names["probabilities"].sum(axis=1), 1, atol=1e-6)
    assert capsys.readouterr().out


@pytest.mark.parametrize("way", COMPLETION)
def test_completion(way: str, tmp_path: Path) -> None:
    """The line of each shell prints a script that asks kdexport, which answers with commands."""
    assert COMPLETION == ["bash_source", "zsh_source", "fish_source"]
    program, asking = tmp_path / "kdexport", way.replace("source", "complete")
    program.write_text("from kdexport.cli import main; main()")

    def ask(**variables: str) -> str:
        command, environment = [sys.executable, str(program)], {**os.environ, **variables}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        return done.stdout

    assert f"_KDEXPORT_COMPLETE={asking}" in ask(_KDEXPORT_COMPLETE=way)
    place = "sch" if way.startswith("fish") else "1"
    typed = {"COMP_WORDS": "kdexport sch", "COMP_CWORD": place}
    assert "schema" in ask(_KDEXPORT_COMPLETE=asking, **typed)
