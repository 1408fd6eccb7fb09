"""Packs of four bundles, the environments of their servers, and a server on loopback."""

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import ENVIRONMENTS, MODULES, ROOT, prepare
from kdexport.deploy.model import Form, Packable
from kdexport.deploy.packs import TARGETS
from kdexport.evidence.parity import compare_answers, describe_parity
from kdexport.records import Answers
from tests.commands import kdexport

SECONDS_TO_START = 120
ABSENT = "{} is absent: make test-deploy installs it"
KINDS = {
    "numbers": ROOT / "models/clicks",
    "labels": "bundle_path",
    "mixed": "census_path",
    "regression": "dates_path",
}


@dataclass(frozen=True)
class Packs:
    """The packs of one bundle, and what they were written from."""

    bundle: Path
    root: Path
    packable: Packable

    def folder(self, target: str) -> Path:
        path = self.root / target
        return path / self.packable.name if target == "triton" else path


@pytest.fixture(scope="session")
def make_packs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Packs]:
    """Write every pack of a bundle by the command line, once for each kind and form."""
    made: dict[tuple[str, bool], Packs] = {}

    def make(kind: str, *, has_codes: bool = False) -> Packs:
        if (kind, has_codes) not in made:
            source = KINDS[kind]
            bundle = source if isinstance(source, Path) else request.getfixturevalue(source)
            root = tmp_path_factory.mktemp(f"packs_{kind}")
            asked = [word for target in TARGETS for word in (f"--{target}", root / target)]
            asked += ["--split-text"] if has_codes else []
            with pytest.MonkeyPatch.context() as patch:
                assert kdexport(patch, "pack", bundle, *asked) == 0
            made[kind, has_codes] = Packs(bundle, root, prepare(bundle, Form(has_codes=has_codes)))
        return made[kind, has_codes]

    return make


@pytest.fixture(scope="session", params=["numbers", "labels", "mixed", "regression", "codes"])
def packs(request: pytest.FixtureRequest, make_packs: Callable[..., Packs]) -> Packs:
    """Numbers, text labels, text columns, a regression; text columns as codes."""
    if request.param == "codes":
        return make_packs("mixed", has_codes=True)
    return make_packs(request.param)


def find_python(environment: str) -> Path:
    """Return the interpreter of an environment, or fail."""
    path = ENVIRONMENTS / environment / "bin" / "python"
    if not path.exists():
        pytest.fail(ABSENT.format(path))
    return path


def find_program(name: str) -> str:
    """Return where a program is, or fail."""
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"{name} is absent: .ci/run needs it")
    return path


def find_modules(name: str) -> Path:
    """Return the folder of npm's packages that has this one, or fail."""
    if not (MODULES / name).is_dir():
        pytest.fail(ABSENT.format(MODULES / name))
    return MODULES


def describe_environment(python: Path) -> dict[str, str]:
    """Variables of a process that has its environment's programs, and no kdexport."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "PYTHONWARNINGS": "ignore"}
    return {**kept, **quiet, "PATH": f"{python.parent}:{kept['PATH']}"}


def run_python(environment: str, *arguments: object, cwd: Path | None = None) -> str:
    """Run Python in an environment; return what it printed."""
    python = find_python(environment)
    done = subprocess.run(
        [str(python), *map(str, arguments)],
        env=describe_environment(python),
        cwd=cwd,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@contextmanager
def serve(
    environment: str, command: list[str], folder: Path, *, port: int, ready: str
) -> Iterator[str]:
    """Run a server in a folder until the block ends; give its address once `ready` answers."""
    python = find_python(environment)
    address = f"http://127.0.0.1:{port}"
    log = folder.parent / f"server.{port}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=describe_environment(python),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            end = time.monotonic() + SECONDS_TO_START
            while not is_ready(address + ready):
                alive = process.poll() is None and time.monotonic() < end
                assert alive, f"{command} did not start: {log.read_text()[-2000:]}"
                time.sleep(0.1)
            yield address
        finally:
            stop_group(process)


def stop_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and those that it started."""
    for number in (15, 9):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def is_ready(address: str) -> bool:
    """Whether an address answers with status 200."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def post(address: str, body: Any, **headers: str) -> tuple[int, Any]:
    """Post JSON (or bytes as they are); return status and answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(address, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def read_json(path: Path) -> Any:
    """What a JSON file holds."""
    return json.loads(path.read_text(encoding="utf-8"))


def assert_golden(packable: Packable, answers: Answers) -> None:
    """The answers are those of the trained model, within the tolerance of its bundle."""
    source = packable.answers
    expected = Answers(source.predictions, source.probabilities, None, source.terms)
    fact = compare_answers(expected, answers, packable.tolerance)
    assert fact.passed, describe_parity(fact)
    assert fact.rows == packable.inputs.n_rows > 0
