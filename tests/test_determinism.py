"""The same data, recipe, seed and versions make the same bytes."""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tests.commands import CODE, kdexport


def test_another_process(
    quick_flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process, with another hash seed, makes the same bytes; inputs keep their order."""
    colours, sizes = ["red", "green", "blue", "violet"], ["small", "large", "wide", "red"]
    frame = pl.DataFrame(
        {
            "z": [i * 0.37 % 5 for i in range(200)],
            "colour": [colours[i * 7 % 4] for i in range(200)],
            "a": [i % 9 for i in range(200)],
            "size": [sizes[i * 5 % 4] for i in range(200)],
            "y": [["no", "yes", "perhaps"][i % 3] for i in range(200)],
        }
    )
    frame.write_csv(tmp_path / "data.csv")
    arguments = ["run", str(tmp_path / "data.csv"), "--target", "y", "--threads", "1", *quick_flags]
    assert kdexport(monkeypatch, *arguments, "-o", tmp_path / "here") == 0
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments, "-o", str(tmp_path / "there")],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    here, there = (
        [(tmp_path / name / f"{role}.onnx").read_bytes() for role in ("student", "teacher")]
        for name in ("here", "there")
    )
    assert here == there
    assert b'"numeric":["z","a"],"categorical":["colour","size"]' in here[0]
