"""Full disks, folders that cannot be written, and processes in odd places."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.stops import CODE, ROOT
from kdexport import load_bundle
from kdexport.disk import claim

pytestmark = pytest.mark.faults
NOBODY = 65534
NO_NETWORK = """
import socket, sys
def refuse(*_, **__):
    raise AssertionError("a socket was opened")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = refuse
socket.getaddrinfo = refuse
"""


def kdexport(
    *arguments: object, code: str = CODE, **options: Any
) -> "subprocess.CompletedProcess[str]":
    """Run a command line in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("environment", {})}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env={name: value for name, value in environment.items() if value is not None},
        **options,
    )


@pytest.fixture
def models(bundle_path: Path, tmp_path: Path) -> Path:
    """A folder with a good bundle, x."""
    shutil.copytree(bundle_path, tmp_path / "models" / "x")
    return tmp_path / "models"


def is_good(bundle: Path) -> bool:
    """Whether a bundle is whole."""
    return bool(load_bundle(bundle).evidence.files)


def limit_files(n_bytes: int) -> Callable[[], None]:
    """What `ulimit -f` does."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))


@pytest.mark.parametrize("n_bytes", [0, 1000, 30_000])
def test_disk_full(n_bytes: int, work_path: Path, models: Path) -> None:
    """An export that the disk has no room for ends with 3 and one line; the old bundle stays."""
    before = (models / "x" / "evidence.json").read_bytes()
    done = kdexport(
        "export", work_path, "-o", models / "x", "--force", preexec_fn=limit_files(n_bytes)
    )
    assert done.returncode == 3
    assert len([line for line in done.stderr.splitlines() if line.startswith("error: ")]) == 1
    assert "File too large" in done.stderr or "temporary directory" in done.stderr
    assert (models / "x" / "evidence.json").read_bytes() == before
    assert is_good(models / "x")
    assert os.listdir(models) == ["x"]


def test_answers_on_a_full_disk(models: Path, csv_path: Path, tmp_path: Path) -> None:
    """Answers that the disk has no room for leave no file."""
    output = tmp_path / "out" / "answers.csv"
    output.parent.mkdir()
    arguments = ("predict", models / "x" / "student.onnx", csv_path, "-o", output)
    done = kdexport(*arguments, preexec_fn=limit_files(5000))
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert list(output.parent.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_read_only_folder(models: Path, csv_path: Path, tmp_path: Path) -> None:
    """Where nothing can be written and HOME and TMPDIR point nowhere, reading commands work (H4).

    An output that cannot be written is refused in under 5 s, before training.
    """
    place = Path("/var/tmp") / f"kdexport-{os.getpid()}"
    shutil.copytree(models, place)
    shutil.copy(csv_path, place / "table.csv")
    writable = place / "out"
    try:
        for path in (place, *place.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        writable.mkdir()
        os.chown(writable, NOBODY, NOBODY)
        options: dict[str, Any] = {
            "environment": {"HOME": "/nowhere", "TMPDIR": "/nowhere"},
            "cwd": writable,
            "user": NOBODY,
            "group": NOBODY,
        }
        try:
            is_readable = kdexport(code="import kdexport.cli", **options).returncode == 0
        except PermissionError:
            is_readable = False
        if not is_readable:
            pytest.skip("another user cannot read this environment")
        student, data = place / "x" / "student.onnx", place / "table.csv"
        for arguments in (
            ("check", place / "x"),
            ("bench", place / "x", "--batch", "1", "--seconds", "0.1"),
            ("info", student),
            ("predict", student, data, "-o", writable / "answers.csv"),
        ):
            done = kdexport(*arguments, **options)
            assert done.returncode == 0, done.stderr
        start = time.monotonic()
        done = kdexport("run", data, "--target", "y", "-o", place / "new", **options)
        assert done.returncode == 3
        assert "Permission denied" in done.stderr
        assert time.monotonic() - start < 5
        done = kdexport("report", place / "x", **options)
        assert done.returncode == 3
        assert len([line for line in done.stderr.splitlines() if "error: " in line]) == 1
    finally:
        for path in (place, *(path for path in place.rglob("*") if path.is_dir())):
            path.chmod(0o755)
        shutil.rmtree(place)


def test_two_at_once(work_path: Path, models: Path) -> None:
    """While one process writes an output, the second one is told."""
    with claim(models / "x"):
        done = kdexport("export", work_path, "-o", models / "x", "--force")
    assert done.returncode == 3
    assert "another one is writing" in done.stderr
    assert is_good(models / "x")


def test_folder_removed_in_mid_run(csv_path: Path, quick_flags: list[str], tmp_path: Path) -> None:
    """A run whose output's folder is removed while it trains writes the bundle all the same."""
    output = tmp_path / "models" / "x"
    command = [sys.executable, "-c", CODE, "run", str(csv_path), "--target", "y"]
    process = subprocess.Popen(
        [*command, "-o", str(output), *quick_flags],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    steps = output.parent / ".x.kdexport" / "steps"
    deadline = time.monotonic() + 120
    while not steps.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    shutil.rmtree(output.parent, ignore_errors=True)
    process.send_signal(signal.SIGCONT)
    assert process.wait(300) == 0
    assert is_good(output)


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
