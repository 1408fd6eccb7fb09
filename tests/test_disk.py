"""Outputs on disk: whole or absent, one writer at a time, nothing left behind."""

import os
import signal
import threading
from pathlib import Path

import pytest

from kdexport import disk
from kdexport.disk import claim, write_file
from kdexport.errors import OutputError
from kdexport.stops import unstoppable

OLD, NEW = {"a": b"old", "in/b": b"old"}, {"a": b"new"}


def write(output: Path, files: dict[str, bytes]) -> None:
    """Write a folder as a command does."""
    with claim(output) as claimed:
        claimed.write_folder(files)


def read(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, by its relative path."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(params=["exchange", "two renames"])
def output(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An output that is there, on a file system that swaps folders or one that does not."""
    if request.param == "two renames":
        monkeypatch.setattr(disk, "EXCHANGE", 1 << 30)  # a flag that no kernel knows: EINVAL
    path = tmp_path / "parent" / "x"
    write(path, OLD)
    return path


def test_a_folder_is_replaced_whole(output: Path) -> None:
    """The new folder has the new files and no other, and nothing is left beside it."""
    write(output, NEW)
    assert read(output) == NEW
    assert os.listdir(output.parent) == ["x"]


def test_a_failed_swap_gives_the_old_folder_back(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the new folder cannot be moved in, the old one is where it was."""
    (output.parent / "full").mkdir()
    rename = Path.rename

    def refuse(path: Path, target: Path) -> None:
        if path.name == "new":
            raise OSError(28, "No space left on device")
        rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(disk, "EXCHANGE", 1 << 30)
    with pytest.raises(OutputError, match="No space left"):
        write(output, NEW)
    assert read(output) == OLD


def test_a_swap_that_was_cut_in_two_is_mended(tmp_path: Path) -> None:
    """A process killed between two renames has moved the old folder aside: it comes back."""
    output = tmp_path / "x"
    write(tmp_path / ".x.kdexport" / "old", OLD)
    write(tmp_path / ".x.kdexport" / "new", NEW)
    with claim(output):
        assert read(output) == OLD
    assert os.listdir(tmp_path) == ["x"]


def test_one_writer_at_a_time(output: Path) -> None:
    """The second one is told at once, and the first one goes on."""
    with claim(output) as claimed:
        with pytest.raises(OutputError, match="another one is writing"):
            write(output, OLD)
        claimed.write_folder(NEW)
    assert read(output) == NEW


def test_leftovers_are_cleaned(tmp_path: Path) -> None:
    """What a killed process left beside an output is gone after the next one."""
    (tmp_path / ".x.kdexport" / "new" / "deep").mkdir(parents=True)
    (tmp_path / ".x.kdexport" / "steps").mkdir()
    write(tmp_path / "x", NEW)
    assert os.listdir(tmp_path) == ["x"]


def test_what_is_kept_is_found_again(tmp_path: Path) -> None:
    """A claim that keeps its folder finds it again, less what was being made."""
    with claim(tmp_path / "x", is_kept=True) as claimed:
        (claimed.folder / "steps").mkdir()
        (claimed.folder / "new").mkdir()
    with claim(tmp_path / "x", is_kept=True) as claimed:
        assert os.listdir(claimed.folder) == ["steps"]
        claimed.write_folder(NEW)
        claimed.is_kept = False
    assert os.listdir(tmp_path) == ["x"]


def test_parents_that_stay_empty_are_removed(tmp_path: Path) -> None:
    """Folders made for an output that never came are removed, those with others' files are not."""
    with claim(tmp_path / "a" / "b" / "x"):
        assert (tmp_path / "a" / "b").is_dir()
    assert os.listdir(tmp_path) == []
    with claim(tmp_path / "a" / "b" / "x"):
        (tmp_path / "a" / "mine").touch()
    assert os.listdir(tmp_path / "a") == ["mine"]


def test_parents_of_one_that_cannot_be_made(tmp_path: Path) -> None:
    """Where a folder on the way cannot be made, those above it go again."""
    with (
        pytest.raises(OutputError, match="name too long"),
        claim(tmp_path / "a" / ("b" * 300) / "x"),
    ):
        pass
    assert os.listdir(tmp_path) == []


def test_failed_write_leaves_no_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders made on the way to an output that the disk refuses go again."""

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kdexport.disk.os.fsync", fail)
    with pytest.raises(OutputError, match="No space left"):
        write(tmp_path / "a" / "b" / "x", NEW)
    assert os.listdir(tmp_path) == []


def test_failed_sync_after_the_swap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the output is in its place and its folder cannot be synced, the error says so."""
    sync = disk._sync

    def fail(path: Path) -> None:
        if path == tmp_path:
            raise OSError(5, "Input/output error")
        sync(path)

    monkeypatch.setattr(disk, "_sync", fail)
    with pytest.raises(OutputError, match=r"is in its place, but syncing .*Input/output error"):
        write(tmp_path / "x", NEW)
    assert read(tmp_path / "x") == NEW


def test_folder_removed_meanwhile(output: Path) -> None:
    """Hours of work are not lost because somebody removed the folder: it is made again."""
    with claim(output) as claimed:
        disk.shutil.rmtree(output.parent)
        claimed.write_folder(NEW)
    assert read(output) == NEW
    assert os.listdir(output.parent) == ["x"]


def test_a_link_is_written_through(tmp_path: Path) -> None:
    """An output that is a symbolic link stays one: its target is replaced."""
    write(tmp_path / "real" / "x", OLD)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "x")
    write(tmp_path / "link", NEW)
    assert (tmp_path / "link").is_symlink()
    assert read(tmp_path / "real" / "x") == NEW


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    """What fails while a file is written leaves the old one, and nothing beside it."""
    path = tmp_path / "x.csv"
    path.write_text("old")

    def fill_disk() -> None:
        with write_file(path) as staged:
            staged.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        fill_disk()
    assert path.read_text() == "old"
    with write_file(path) as staged:
        staged.write_text("new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["x.csv"]


def test_stops_are_put_off() -> None:
    """A signal inside the block is raised when it is left, in other threads never."""
    done = []

    def stop() -> None:
        with unstoppable():
            signal.raise_signal(signal.SIGINT)
            done.append("rest of the block")
        done.append("after it")  # pragma: no cover

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job has none
    try:
        with pytest.raises(KeyboardInterrupt):
            stop()
    finally:
        signal.signal(signal.SIGINT, before)
    assert done == ["rest of the block"]

    def enter() -> None:
        with unstoppable():
            done.append("in a thread")

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert done[-1] == "in a thread"


def test_handlers_that_python_did_not_set_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host program's own handler, set in C, cannot be put back: it is left alone."""
    monkeypatch.setattr(signal, "getsignal", lambda _: None)
    monkeypatch.setattr(signal, "signal", lambda *_: pytest.fail("a handler was replaced"))
    with unstoppable():
        pass
