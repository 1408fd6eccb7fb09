"""Full disks, folders that cannot be written, and processes in odd places."""

import ctypes
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.loads import E4_MB, E4_ROWS, FORMATS, predict_rows
from benchmarks.stops import CODE, ROOT
from kdexport import load_bundle
from kdexport.disk import claim

pytestmark = pytest.mark.faults
NOBODY = 65534
PR_CAPBSET_DROP, LAST_CAPABILITY = 24, 63
# Every look at the clock finds it an hour earlier than the one before.
BACKWARDS = """
import itertools, time
now = map(lambda i: 4e9 - 3600.0 * i, itertools.count())
time.time, time.time_ns = lambda: next(now), lambda: int(next(now) * 1e9)
"""
FUTURE_S = 32_000_000_000  # the year 2984


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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A function that makes a file system of a few bytes."""
    place = tmp_path / "small"
    place.mkdir()

    def mount(n_bytes: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={n_bytes}", "tmpfs", str(place)]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip("there is no mount here")
        if done.returncode:
            pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
        return place

    yield mount
    if place.is_mount():
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_small_disk(
    small_disk: Callable[[int], Path], work_path: Path, models: Path, csv_path: Path
) -> None:
    """Where a disk really fills up, the old bundle stays, one line says so, nothing lies around."""
    n_bytes = sum(path.stat().st_size + 4096 for path in models.rglob("*"))
    disk = small_disk(n_bytes + n_bytes // 4)
    shutil.copytree(models / "x", disk / "x")
    before = (disk / "x" / "evidence.json").read_bytes()
    for arguments in (
        ("export", work_path, "-o", disk / "x", "--force"),
        ("export", work_path, "-o", disk / "deep" / "y"),
        ("report", disk / "x", "-o", disk / "x"),
    ):
        filler = disk / "filler"
        if arguments[0] == "report":
            free = shutil.disk_usage(disk).free
            filler.write_bytes(bytes(max(0, free - 8192)))
        done = kdexport(*arguments)
        assert done.returncode == 3, done.stderr
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert "No space left on device" in line
        filler.unlink(missing_ok=True)
        assert os.listdir(disk) == ["x"]
        assert (disk / "x" / "evidence.json").read_bytes() == before
        assert is_good(disk / "x")
    answers = disk / "answers.csv"
    (disk / "filler").write_bytes(bytes(max(0, shutil.disk_usage(disk).free - 8192)))
    done = kdexport("predict", models / "x" / "student.onnx", csv_path, "-o", answers)
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert sorted(os.listdir(disk)) == ["filler", "x"]


def drop_powers() -> None:
    """Make root a user like any other from the next program on: of every capability, none."""
    library = ctypes.CDLL(None)
    for capability in range(LAST_CAPABILITY + 1):
        library.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


@pytest.fixture(params=["another user", "without powers"])
def plain_user(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What makes a process that of a user who is not root.

    Root without its powers owns what it owned, so it can read a Python that others cannot.
    """
    if request.param == "without powers":
        return {"preexec_fn": drop_powers} if os.geteuid() == 0 else {}
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    options: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    try:
        is_readable = kdexport(code="import kdexport.cli", cwd="/", **options).returncode == 0
    except PermissionError:
        is_readable = False
    if not is_readable:
        pytest.skip("another user cannot read this Python: root without its powers stands for it")
    return options


def test_read_only_folder(models: Path, csv_path: Path, plain_user: dict[str, Any]) -> None:
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
        os.chown(writable, plain_user.get("user", -1), -1)
        options: dict[str, Any] = {
            "environment": {"HOME": "/nowhere", "TMPDIR": "/nowhere"},
            "cwd": writable,
            **plain_user,
        }
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


def test_clock_moved_back(work_path: Path, models: Path) -> None:
    """Files of the future, and a clock that runs backwards, change nothing: none is looked at."""
    left = models / ".x.kdexport" / "new"
    left.mkdir(parents=True)
    (left / "half").write_text("of a killed process")
    for path in (models, *models.rglob("*")):
        os.utime(path, (FUTURE_S, FUTURE_S))
    with claim(models / "x"):
        done = kdexport("report", models / "x", code=BACKWARDS + CODE)
        assert done.returncode == 3
        assert "another one is writing" in done.stderr
    done = kdexport("export", work_path, "-o", models / "x", "--force", code=BACKWARDS + CODE)
    assert done.returncode == 0, done.stderr
    assert kdexport("check", models / "x", code=BACKWARDS + CODE).returncode == 0
    assert os.listdir(models) == ["x"]
    assert is_good(models / "x")


@pytest.mark.parametrize("cell", ["inf", "-inf", "1e39"])
def test_infinite_cells(cell: str, tmp_path: Path) -> None:
    """Training cells that no float32 holds are refused, naming the column and its rows (A6)."""
    data = tmp_path / "table.csv"
    rows = [f"{i},{cell if i % 2 else i},{'uv'[i % 3 % 2]}" for i in range(100)]
    data.write_text("\n".join(["a,b,y", *rows]) + "\n")
    done = kdexport("run", data, "--target", "y", "-o", tmp_path / "x")
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert re.search(r"column 'b' of table\.csv has \d+ rows", line)
    assert os.listdir(tmp_path) == ["table.csv"]


@pytest.mark.parametrize("ending", FORMATS)
def test_many_rows(ending: str, bundle_path: Path, tmp_path: Path) -> None:
    """Two million rows of 8 columns take less than 500 MB above the import (E4)."""
    measured = predict_rows(E4_ROWS, ending, bundle_path, tmp_path)
    assert measured["faults"] == []
    assert measured["above_import_mb"] < E4_MB


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
    job = output.parent / ".x.kdexport" / "steps" / "job"
    deadline = time.monotonic() + 120
    while not job.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    shutil.rmtree(output.parent, ignore_errors=True)
    process.send_signal(signal.SIGCONT)
    assert process.wait(300) == 0
    assert is_good(output)
