"""The same data, recipe, seed and versions make the same bytes."""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl

from tests.commands import CODE


def test_hash_seed(quick_flags: list[str], tmp_path: Path) -> None:
    """Python's hash seed moves no byte of a file, and inputs stay in the table's order."""
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
    files = []
    for seed in ("0", "1"):
        output = tmp_path / seed
        arguments = ["run", str(tmp_path / "data.csv"), "--target", "y", "--threads", "1"]
        done = subprocess.run(
            [sys.executable, "-c", CODE, *arguments, "-o", str(output), *quick_flags],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        files.append([(output / f"{role}.onnx").read_bytes() for role in ("student", "teacher")])
    assert files[0] == files[1]
    assert b'"numeric":["z","a"],"categorical":["colour","size"]' in files[0][0]
