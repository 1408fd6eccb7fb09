"""What train, distill and export leave for each other."""

from pathlib import Path

from kdexport.prepare import prepare
from kdexport.recipe import read_recipe
from kdexport.workspace import load_prepared, save_prepared


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
