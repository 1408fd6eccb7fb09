"""action.yml and the pipelines of docs/ci.md: what GitHub and GitLab would read, parsed and run."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdexport.cli import cli
from tests.commands import CODE
from tests.test_docs import ROOT, read_blocks

ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
GITHUB, GITLAB = (
    yaml.safe_load(code) for language, code in read_blocks("ci.md") if language == "yaml"
)
(CHECK,) = (step for step in STEPS if step.get("name") == "Check")


def run_check(folder: Path, **inputs: str) -> "subprocess.CompletedProcess[str]":
    """Run the step that checks as a runner does: bash's own options, inputs in the environment."""
    command = folder / "kdexport" / "bin" / "kdexport"
    command.parent.mkdir(parents=True, exist_ok=True)
    command.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -c '{CODE}' \"$@\"\n")
    command.chmod(0o755)
    values = {name: str(spec.get("default", "")) for name, spec in ACTION["inputs"].items()}
    values |= inputs
    given = {
        name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: values[found[1]], text)
        for name, text in CHECK["env"].items()
    }
    script = folder / "step.sh"
    script.write_text(CHECK["run"])
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **given}
    environment["RUNNER_TEMP"] = str(folder)
    environment["GITHUB_STEP_SUMMARY"] = str(folder / "summary.md")
    bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
    return subprocess.run(bash, cwd=folder, env=environment, capture_output=True, text=True)


def test_metadata() -> None:
    """The action is a composite one as GitHub reads it: every step runs something, and how."""
    assert (
        {"name", "description", "runs"} <= set(ACTION) <= {"name", "description", "inputs", "runs"}
    )
    assert ACTION["runs"]["using"] == "composite"
    for name, spec in ACTION["inputs"].items():
        assert re.fullmatch("[a-z_][a-z0-9_-]*", name)
        assert spec["description"]
        assert set(spec) <= {"description", "required", "default"}
        assert spec.get("required", False) != ("default" in spec), name
        assert isinstance(spec.get("default", ""), str)
    for step in STEPS:
        assert ("uses" in step) != ("run" in step), step
        assert "run" not in step or step["shell"] == "bash", step
        assert "${{" not in step.get("run", ""), "an input in a script would run as one"
    used = re.findall(r"inputs\.([\w-]+)", yaml.safe_dump(STEPS))
    assert set(used) == set(ACTION["inputs"])


def test_check_step(bundle_path: Path, csv_path: Path, tmp_path: Path) -> None:
    """The action's check passes on a good bundle, with all inputs and with the one it needs."""
    done = run_check(tmp_path, bundle=str(bundle_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "kdexport-checks.xml").exists()
    assert "checks passed" in (tmp_path / "summary.md").read_text()
    budgets = "max_bytes=1000000 min_accuracy=0.01"
    inputs = {"data": str(csv_path), "budgets": budgets, "junit": "a b.xml"}
    done = run_check(tmp_path, bundle=str(bundle_path), **inputs)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a b.xml").exists()
    for said in ("budget/max_bytes", "budget/min_accuracy", "student.onnx on table.csv"):
        assert said in done.stdout


@pytest.mark.parametrize(
    ("inputs", "code"), [({"budgets": "max_bytes=1"}, 1), ({"bundle": "$(touch marker)"}, 3)]
)
def test_check_step_fails(
    inputs: dict[str, str], code: int, bundle_path: Path, tmp_path: Path
) -> None:
    """It fails as the command does; what an input holds is never run."""
    assert run_check(tmp_path, **{"bundle": str(bundle_path), **inputs}).returncode == code
    assert not (tmp_path / "marker").exists()


def test_pipelines() -> None:
    """docs/ci.md: the GitHub job gives the action its inputs, the GitLab job collects the JUnit."""
    (job,) = GITHUB["jobs"].values()
    (use,) = (step for step in job["steps"] if step["uses"].split("@")[0].endswith("/kdexport"))
    assert job["runs-on"]
    required = {name for name, spec in ACTION["inputs"].items() if spec.get("required")}
    assert required <= set(use["with"]) <= set(ACTION["inputs"])
    (job,) = GITLAB.values()
    (command,) = (line for line in job["script"] if line.startswith("kdexport "))
    _, name, *arguments = shlex.split(command)
    with cli.commands[name].make_context(name, arguments) as context:
        assert context.params["junit"] == job["artifacts"]["reports"]["junit"]
    assert job["artifacts"]["when"] == "always"  # also of a job that failed
