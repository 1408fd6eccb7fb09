"""What --force may replace."""

import shutil
from pathlib import Path

import pytest

from kdexport.bundle import check_output, claim_output
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


def test_a_file_beside_golden_rows_stays(bundle_path: Path, tmp_path: Path) -> None:
    """What a user put into a folder of the bundle is looked for too."""
    shutil.copytree(bundle_path, tmp_path / "x")
    check_output(tmp_path / "x", force=True)
    (tmp_path / "x/golden/notes.txt").touch()
    with pytest.raises(OutputError, match=r"'golden/notes\.txt' too, which would be lost"):
        check_output(tmp_path / "x", force=True)


def test_what_came_meanwhile_stays(work_path: Path, tmp_path: Path) -> None:
    """A file that a user put there while the output was made is not thrown away."""
    shutil.copytree(work_path, tmp_path / "x")
    with claim_output(tmp_path / "x", force=True) as claimed:
        (tmp_path / "x/notes.txt").touch()
        with pytest.raises(OutputError, match=r"'notes.txt' too"):
            claimed.write_folder({"prepared.json": b"{}"})
    assert (tmp_path / "x/notes.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("output", [".", "..", "../link"])
def test_working_directory(output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder that a command runs in is not swapped away under it."""
    (tmp_path / "models/x").mkdir(parents=True)
    (tmp_path / "models/link").symlink_to("x")
    monkeypatch.chdir(tmp_path / "models/x")
    with pytest.raises(OutputError, match="working directory"):
        check_output(Path(output), force=True)
