"""The import walls of pyproject.toml: what they let pass, and what they do not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_docs import ROOT

WALLED = (
    *("altair", "click", "jinja2", "joblib", "markupsafe", "onnxruntime", "polars", "rich"),
    *("safetensors", "sklearn", "spox", "threadpoolctl", "torch", "vl_convert"),
)


@pytest.mark.parametrize("room", ["kdexport/room.py", "kdexport/evidence/room.py"])
def test_a_new_room_may_import_none_of_them(room: str, tmp_path: Path) -> None:
    """A room that no contract names breaks the wall of every library."""
    ignore = shutil.ignore_patterns("__pycache__", "templates")
    shutil.copytree(ROOT / "kdexport", tmp_path / "kdexport", ignore=ignore)
    (tmp_path / room).write_text("".join(f"import {name}\n" for name in WALLED))
    tool = Path(sys.executable).with_name("lint-imports")
    command = [str(tool), "--no-cache", "--config", str(ROOT / "pyproject.toml")]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "COLUMNS": "200"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1, done.stdout + done.stderr
    name = room.removesuffix(".py").replace("/", ".")
    for library in WALLED:
        assert f"{name} -> {library} " in done.stdout, library
