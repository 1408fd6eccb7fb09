"""The Makefile: an install that fails is not noted as done."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.test_docs import ROOT

STAMP = "build/node/.installed"


def install_node(folder: Path, npm: str | None) -> subprocess.CompletedProcess[str]:
    """Make the stamp of Node's packages where npm is this script, or is absent."""
    tools = folder / "bin"
    tools.mkdir()
    for name in ("sh", "mkdir", "touch"):
        (tools / name).symlink_to(shutil.which(name) or name)
    if npm is not None:
        (tools / "npm").write_text(f"#!/bin/sh\n{npm}\n")
        (tools / "npm").chmod(0o755)
    # The environment itself is taken as made.
    make = shutil.which("make") or "make"
    command = [make, "-f", str(ROOT / "Makefile"), "-o", ".venv/.installed", STAMP]
    environment = {**os.environ, "PATH": str(tools)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
@pytest.mark.parametrize(("npm", "code", "is_done"), [("exit 1", 2, False), ("exit 0", 0, True)])
def test_an_install_that_fails(npm: str, code: int, is_done: bool, tmp_path: Path) -> None:
    """Make fails where npm does, and goes on where it succeeds."""
    done = install_node(tmp_path, npm)
    assert done.returncode == code, done.stderr
    assert (tmp_path / STAMP).exists() == is_done


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_nothing_to_install_with(tmp_path: Path) -> None:
    """Without npm make goes on and says so, and looks again the next time."""
    done = install_node(tmp_path, None)
    assert done.returncode == 0, done.stderr
    assert "no npm" in done.stdout
    assert not (tmp_path / STAMP).exists()
