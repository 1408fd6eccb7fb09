"""Signals at random moments of a command over a bundle that is already there.

Takes a command that replaces a bundle, stops it, looks at what is left, says what is wrong with
it. Used by `tests/faults` for a few moments and by `benchmarks/faults.py` for 200.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdexport.bundle import hash_bytes, read_bundle
from kdexport.disk import claim
from kdexport.evidence.checks import check_bundle
from kdexport.pipeline import distill, train
from kdexport.recipe import read_recipe

ROOT = Path(__file__).parents[1]
CODE = "from kdexport.cli import main; main()"
QUICK = {
    "teacher.n_members": 2,
    "teacher.hidden": [8],
    "teacher.max_epochs": 2,
    "teacher.n_folds": 2,
    "teacher.regularisation": "given",
    "rival.model": "none",
    "student.hidden": [4],
    "student.n_replicates": 2,
    "student.max_epochs": 1,
    "student.plain_control": "none",
    "transfer.n_synthetic": 100,
    "transfer.selection": "given",
    "evidence.n_draws": 100,
    "bench.batches": [1],
    "bench.seconds": 0.05,
}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
ENDED_BY = {signal.SIGINT: -2, signal.SIGTERM: -15}  # before the command line was there to say it
COMMANDS = ("run", "export", "report")
LONGEST_S = 120.0
CRASH = "Fatal Python error"  # the interpreter says then where each thread was, and lists modules
MAX_SAID = 3000  # characters


@dataclass(frozen=True)
class Trial:
    """One stop: what was stopped, how, when, and what is wrong with what is left.

    Attributes:
        command: run, export or report.
        number: The signal.
        way: "warm" in a forked process that has imported everything, "cold" in a fresh one.
        moment_s: Seconds after the start, or after the writing began.
        code: The exit code, negative where the signal itself ended the process.
        left: "old" or "new": whose evidence the bundle has.
        faults: What does not hold; nothing where all is well.
    """

    command: str
    number: signal.Signals
    way: str
    moment_s: float
    code: int
    left: str
    faults: tuple[str, ...]


class Stand:
    """A small table, its work folder, and a good bundle that commands replace."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "table.csv"
        self.work, self.models = folder / "work", folder / "models"
        self.output = self.models / "x"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        rows = random.Random(3)
        lines = ["a,b,c,y"]
        for _ in range(120):
            a, b = rows.gauss(0, 1), rows.gauss(0, 1)
            lines.append(f"{a:.3f},{b:.3f},{rows.choice('pqr')},{'yes' if a + b > 0 else 'no'}")
        self.data.write_text("\n".join(lines) + "\n")
        train(read_recipe(None, {**QUICK, "data.target": "y"}), self.work, data=self.data)
        distill(self.work)
        self.settings = [f"--set={key}={json.dumps(value)}" for key, value in QUICK.items()]

    def arguments(self, command: str) -> list[str]:
        """Return what replaces the bundle (or its reports)."""
        output = [str(self.output)]
        return {
            "run": ["run", str(self.data), "--target", "y", "--force", *self.settings],
            "export": ["export", str(self.work), "--force"],
            "report": ["report", *output],
        }[command] + (["-o", *output] if command != "report" else [])

    @property
    def environment(self) -> dict[str, str]:
        return {"TMPDIR": str(self.temporary), "OMP_NUM_THREADS": "1"}

    def evidence_hash(self) -> str:
        return hash_bytes((self.output / "evidence.json").read_bytes())


class Server:
    """Forks commands from a process that has imported everything."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "OMP_NUM_THREADS": "1",
                "ARROW_DEFAULT_MEMORY_POOL": "system",  # jemalloc starts a thread
            },
        )
        self._hear()

    def start(self, arguments: list[str], stand: Stand) -> int:
        """Start a command line; returns its process id."""
        asked = {
            "arguments": arguments,
            "folder": str(stand.folder),
            "environment": stand.environment,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return int(self._hear()["pid"])

    def wait(self) -> int:
        return int(self._hear()["status"])

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        heard: dict[str, Any] = json.loads(self._process.stdout.readline())
        return heard


@contextmanager
def open_stand() -> Iterator[tuple[Stand, Server]]:
    """A stand with a good bundle, and a server, until the block is left."""
    with tempfile.TemporaryDirectory() as folder:
        stand, server = Stand(Path(folder)), Server()
        try:
            server.start(stand.arguments("export"), stand)
            if code := server.wait():
                raise RuntimeError(f"the good bundle was not made: {code}")
            yield stand, server
        finally:
            server.close()


def try_stops(n_trials: int, seed: int) -> Iterator[Trial]:
    """Stop commands at random moments, signals and commands in turn.

    Half of the moments lie anywhere in a command, half shortly after it began to write.
    """
    draw = random.Random(seed)
    with open_stand() as (stand, server):
        lasts = {(command, "warm"): _time(command, stand, server) for command in COMMANDS}
        lasts |= {(command, "cold"): lasts[command, "warm"] + 4.0 for command in COMMANDS}
        for i in range(n_trials):
            command, number = COMMANDS[i % 3], SIGNALS[i // 3 % 3]
            way = "cold" if i % 10 == 9 else "warm"
            is_aimed = i // 9 % 2 == 1
            moment_s = draw.uniform(0, 0.03 if is_aimed else lasts[command, way])
            yield stop(command, number, way, moment_s, stand, server, is_aimed=is_aimed)


def stop(
    command: str,
    number: signal.Signals,
    way: str,
    moment_s: float,
    stand: Stand,
    server: Server,
    *,
    is_aimed: bool,
) -> Trial:
    """Stop one command, and look at what is left."""
    before = stand.evidence_hash()
    for path in stand.temporary.iterdir():  # a killed process leaves what others must not
        path.unlink() if path.is_file() else path.rmdir()
    with claim(stand.output):  # nor is what a crash left the next command's fault
        pass
    arguments = stand.arguments(command)
    process = None
    if way == "warm":
        pid = server.start(arguments, stand)
    else:
        with (stand.folder / "stderr").open("w") as said:
            process = subprocess.Popen(
                [sys.executable, "-c", CODE, *arguments],
                stdout=subprocess.DEVNULL,
                stderr=said,
                cwd=stand.folder,
                env={**os.environ, **stand.environment, "PYTHONPATH": str(ROOT)},
                start_new_session=True,
            )
        pid = process.pid
    if is_aimed:
        _wait_for_writing(stand, pid)
    time.sleep(moment_s)
    with suppress(ProcessLookupError):  # it may have ended: what it wrote is whole all the same
        os.kill(pid, number)
    code = server.wait() if process is None else process.wait(LONGEST_S)
    left = "old" if stand.evidence_hash() == before else "new"
    faults = tuple(_find_faults(command, number, code, left, stand, is_cold=process is not None))
    return Trial(command, number, way, round(moment_s, 4), code, left, faults)


def _time(command: str, stand: Stand, server: Server) -> float:
    start = time.monotonic()
    server.start(stand.arguments(command), stand)
    if code := server.wait():
        raise RuntimeError(f"{command} ended with {code}: {(stand.folder / 'stderr').read_text()}")
    return time.monotonic() - start


def _wait_for_writing(stand: Stand, pid: int) -> None:
    """Return once the new files are being written, or the process has ended."""
    staged = stand.models / ".x.kdexport" / "new"
    deadline = time.monotonic() + LONGEST_S
    while not staged.exists() and _is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.0005)


def _is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def _find_faults(
    command: str, number: signal.Signals, code: int, left: str, stand: Stand, *, is_cold: bool
) -> Iterator[str]:
    results = check_bundle(read_bundle(stand.output))
    yield from (f"{result.name}: {result.message}" for result in results if not result.passed)
    said = (stand.folder / "stderr").read_text()
    if number == signal.SIGKILL:
        with claim(stand.output):
            pass
    else:
        is_done = code == 0 and (command == "report" or left == "new")
        is_early = is_cold and code == ENDED_BY[number] and "interrupted" not in said
        if code != CODES[number] and not is_done and not is_early:
            yield f"exit code {code}: {_most_telling(said)}"
        if code == CODES[number] and not said.rstrip().splitlines()[-1].startswith("interrupted: "):
            yield f"said {said[-300:]!r}"
        if code == CODES[number] and "Traceback" in said:
            yield f"said {said[-300:]!r}"
        yield from (f"left {path}" for path in stand.temporary.rglob("*"))
    if beside := sorted(set(os.listdir(stand.models)) - {"x"}):
        yield f"left {beside}"


def _most_telling(said: str) -> str:
    """The first lines of a crash, which name the place, or the last ones of anything else."""
    start = said.find(CRASH)
    return said[start : start + MAX_SAID] if start >= 0 else said[-MAX_SAID:]
