"""What --force may replace."""

from pathlib import Path

import pytest

from kdexport.bundle import check_output
from kdexport.errors import OutputError


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["recipe.toml", "data.csv", ".git"], "holds none of evidence.json, prepared.json"),
        (["evidence.json", "student.onnx", "notes.md"], "'notes.md' too, which would be lost"),
        (["prepared.json", "recipe.toml", "notes.md"], "'notes.md' too, which would be lost"),
    ],
)
def test_what_is_not_ours_stays(tmp_path: Path, names: list[str], found: str) -> None:
    """A recipe of the user's makes no bundle of a folder, and notes in one are not thrown away."""
    for name in names:
        (tmp_path / name).write_text("{}")
    with pytest.raises(OutputError, match=found):
        check_output(tmp_path, force=True)


def test_bundles_and_work_folders_are_replaced(bundle_path: Path, work_path: Path) -> None:
    """What kdexport wrote, and nothing else, is its own to replace."""
    for folder in (bundle_path, work_path):
        check_output(folder, force=True)
        with pytest.raises(OutputError, match="pass --force"):
            check_output(folder, force=False)
