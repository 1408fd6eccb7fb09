"""What train, distill and export leave for each other."""

import os
import shutil
from pathlib import Path

import pytest

from kdexport.errors import DataError
from kdexport.prepare import prepare
from kdexport.recipe import read_recipe
from kdexport.workspace import TEACHER, load_prepared, load_trained, save_prepared


def test_later_sections_of_another_recipe_are_settled(tmp_path: Path, csv_path: Path) -> None:
    """A recipe given to `distill` means what it would mean to `run`: no `auto` stays behind."""
    work = tmp_path / "work"
    work.mkdir()
    first = prepare(read_recipe(None, {"data.target": "y"}), data=csv_path)
    for name, content in save_prepared(first).items():
        (work / name).write_bytes(content)
    other = tmp_path / "other.toml"
    other.write_text("[student]\nhidden = [8, 8]\n")
    recipe = load_prepared(work, other, from_section="student").recipe
    assert (recipe.student.form, recipe.transfer.method) == ("chosen", "mixed")
    assert recipe.student.temperature == 1.0


def test_no_file(work_path: Path, tmp_path: Path) -> None:
    """What is no regular file ends with one line, and is not waited for."""
    shutil.copytree(work_path, tmp_path / "x")
    (tmp_path / "x" / TEACHER).unlink()
    os.mkfifo(tmp_path / "x" / TEACHER)
    with pytest.raises(DataError, match="not a regular file"):
        load_trained(tmp_path / "x", TEACHER)
