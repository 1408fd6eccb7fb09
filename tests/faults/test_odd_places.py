"""Odd places: names, links, locales, no HOME, one CPU, no terminal, no network."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.faults.test_places import CODE, is_good, kdexport

pytestmark = pytest.mark.faults
NO_NETWORK = """
import socket, sys
def refuse(*_, **__):
    raise AssertionError("a socket was opened")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = refuse
socket.getaddrinfo = refuse
"""


@pytest.mark.parametrize("place", ["ein größeres Haus", "link", "LANG=C", "one CPU", "nowhere"])
def test_odd_places(place: str, work_path: Path, csv_path: Path, tmp_path: Path) -> None:
    """Spaces, letters of other languages, links, LANG=C, one CPU, no HOME, no network: all work."""
    folder = tmp_path / "größer als je"
    folder.mkdir()
    options: dict[str, Any] = {"cwd": folder, "environment": {}}
    if place == "link":
        (tmp_path / "real").mkdir()
        (folder / "link").symlink_to(tmp_path / "real")
    elif place == "LANG=C":
        options["environment"] = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0"}
    elif place == "one CPU":
        cpu = min(os.sched_getaffinity(0))
        options["preexec_fn"] = lambda: os.sched_setaffinity(0, {cpu})
    elif place == "nowhere":
        options["environment"] = {"HOME": None, "TMPDIR": "/nowhere"}
    output = folder / place / "é x"
    data = folder / "tä ble.csv"
    shutil.copy(csv_path, data)
    for arguments in (
        ("export", work_path, "-o", output),
        ("check", output),
        ("info", output / "student.onnx"),
        ("predict", output / "student.onnx", data, "-o", folder / "änswers.csv"),
    ):
        done = kdexport(*arguments, code=NO_NETWORK + CODE, **options)
        assert done.returncode == 0, done.stderr
    assert is_good(output)


def leave_the_terminal() -> None:
    """No terminal, no standard input, one CPU."""
    os.setsid()
    os.close(0)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def test_whole_run_in_an_odd_place(csv_path: Path, quick_flags: list[str], tmp_path: Path) -> None:
    """The whole job, too, where all of this is odd at once: it makes a bundle that passes."""
    folder = tmp_path / "größer als je"
    (folder / "real").mkdir(parents=True)
    (folder / "link").symlink_to("real")
    shutil.copy(csv_path, folder / "tä ble.csv")
    (folder / "link.csv").symlink_to("tä ble.csv")
    nowhere = {"HOME": None, "TMPDIR": "/nowhere"}
    options: dict[str, Any] = {
        "cwd": folder,
        "environment": {**nowhere, "LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0"},
        "preexec_fn": leave_the_terminal,
    }
    run = ("run", "link.csv", "--target", "y", "-o", "link/é x", *quick_flags)
    for arguments in (run, ("check", "link/é x")):
        done = kdexport(*arguments, code=NO_NETWORK + CODE, **options)
        assert done.returncode == 0, done.stderr
        assert "\x1b[" not in done.stderr + done.stdout, "colours without a terminal"
    assert is_good(folder / "real" / "é x")
    assert sorted(os.listdir(folder / "real")) == ["é x"]
