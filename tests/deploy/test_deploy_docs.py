"""docs/deploy.md: what it starts, asks and signs runs as it is written."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.servers import find_port
from tests.commands import kdexport
from tests.deploy.conftest import describe_environment, find_python
from tests.test_deploy_docs import BLOCKS, COMMANDS

pytestmark = pytest.mark.deploy
SERVICE, PREDICTOR, KEYS = (code for language, code in BLOCKS if language == "sh")
TRITON, MLFLOW = (code for language, code in BLOCKS if language == "python")
END_SERVERS = "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n"


@pytest.fixture
def workplace(census_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the bundle that the document speaks of, and the packs of its first block."""
    shutil.copytree(census_path, tmp_path / "models" / "x")
    monkeypatch.chdir(tmp_path)
    for line in COMMANDS[:4]:
        assert kdexport(monkeypatch, *shlex.split(line)[1:]) == 0
    return tmp_path


def run(script: str, environment: str, folder: Path) -> str:
    """Run a script of the shell with the programs of an environment; return what it printed."""
    done = subprocess.run(
        ["bash", "-e", "-c", END_SERVERS + script],
        cwd=folder,
        env=describe_environment(find_python(environment)),
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_service(workplace: Path) -> None:
    """The service starts, and curl gets an answer to each golden row."""
    said = run(SERVICE.replace("8000", str(find_port())), "servers", workplace)
    answers = json.loads(said[said.index("[") :])
    assert len(answers) == len(json.loads((workplace / "service/golden/rows.json").read_text()))


def test_predictor(workplace: Path) -> None:
    """KServe's server starts; curl and Triton's client get labels from it."""
    port = str(find_port())
    (workplace / "ask.py").write_text(TRITON.replace("8080", port))
    script = PREDICTOR.replace("8080", port) + "\ncd ..\necho\npython ask.py\n"
    said = run(script, "servers", workplace)
    assert '"datatype":"BYTES"' in said
    assert "b'>50K'" in said.splitlines()[-1] or "b'<=50K'" in said


def test_mlflow(workplace: Path) -> None:
    """MLflow loads the model and answers its input example."""
    (workplace / "ask.py").write_text(MLFLOW)
    said = run("python ask.py", "mlflow", workplace)
    assert "50K" in said
    assert "label" in said


def test_signatures(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys are made, and what is signed with one verifies with the other."""
    run(KEYS, "servers", workplace)
    signed = [line for line in COMMANDS if "--sign" in line or "--verify" in line]
    assert len(signed) == 4
    for line in signed:
        assert kdexport(monkeypatch, *shlex.split(line)[1:]) == 0, line
