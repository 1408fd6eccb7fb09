"""docs/walkthrough.md: its commands and its service run, on made-up rows of the same columns."""

import json
import os
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from kdexport import as_table, open_session, predict
from tests.commands import kdexport
from tests.conftest import make_census_rows
from tests.test_docs import ROOT, read_blocks
from tests.test_readme import run_as_written

PAGE = (ROOT / "docs/walkthrough.md").read_text(encoding="utf-8")
BLOCKS = read_blocks("walkthrough.md")
(SERVICE,) = (code for language, code in BLOCKS if language == "python")
(SAMPLE,) = (code for language, code in BLOCKS if language == "csv")
(START, CURL) = (code for language, code in BLOCKS if language == "sh")
COMMANDS = [code.strip() for language, code in BLOCKS if language == ""]
OUTPUTS = [code for language, code in BLOCKS if language == "text"]
(ROW,) = json.loads(shlex.split(CURL)[-1])


@pytest.fixture
def service(census_path: Path, tmp_path: Path) -> Iterator[str]:
    """The page's service on a student of the small table; gives its address."""
    (tmp_path / "serve.py").write_text(SERVICE)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "serve.py", str(census_path / "student.onnx"), str(port)]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


def ask(address: str, rows: Any) -> Any:
    """Post rows as the page's curl does."""
    with urllib.request.urlopen(address, json.dumps(rows).encode(), timeout=10) as response:
        return json.load(response)


def test_service_is_short() -> None:
    """The service has about thirty lines, blank ones apart, and starts as the page says."""
    assert len([line for line in SERVICE.splitlines() if line.strip()]) <= 32
    assert START.split()[:2] == ["python", "serve.py"]
    assert f":{START.split()[-1]}" in CURL


def test_service_answers(service: str, census_path: Path) -> None:
    """The service answers the page's row, a missing cell in it, as the file does."""
    (said,) = ask(service, [ROW])
    table = as_table({name: [value] for name, value in ROW.items()})
    expected = predict(open_session(census_path / "student.onnx"), table)
    assert said["label"] == expected["label"][0]
    for name, value in said["probabilities"].items():
        assert value == pytest.approx(float(expected[f"probability_{name}"][0]), abs=1e-6)
    assert ask(service, []) == []


@pytest.mark.parametrize("body", [[{"age": 1}], {"age": 1}, [dict(ROW, age="old")], 7])
def test_service_refuses(service: str, body: Any) -> None:
    """What is no list of whole rows is answered with 400 and a reason; the service goes on."""
    with pytest.raises(urllib.error.HTTPError) as error:
        ask(service, body)
    assert error.value.code == 400
    assert json.load(error.value)["error"]
    assert ask(service, [ROW])


def test_commands(quick_flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's commands run one after the other, from the CSV to a file of answers."""
    monkeypatch.chdir(tmp_path)
    rows = make_census_rows(400)
    Path("adult.csv").write_text("\n".join(rows) + "\n")
    assert SAMPLE.splitlines()[0] == rows[0]
    assert [line.split()[1] for line in COMMANDS] == ["schema", "run", "check", "predict"]
    for line in COMMANDS:
        assert run_as_written(line, quick_flags, monkeypatch) == 0, line
    assert pl.read_csv("answers.csv").height == 400


def test_outputs_are_there() -> None:
    """Under each command, and under the call of the service, stands what it printed."""
    assert len(OUTPUTS) == len(COMMANDS) + 1
    for start, output in zip(
        ("adult.csv: ", "adult.csv: ", "pass", '[{"label": ', "48,842 rows"), OUTPUTS, strict=True
    ):
        assert output.startswith(start), output


def test_prose_fits_the_outputs() -> None:
    """What the page says of its run is what stands under the command: new outputs, new words."""
    assert "ends with INCONCLUSIVE and SHIP THE RIVAL" in PAGE
    for verdict in ("INCONCLUSIVE: ", "SHIP THE RIVAL"):
        assert verdict in OUTPUTS[1], verdict
    (bytes_line,) = (line for line in OUTPUTS[1].splitlines() if line.startswith("bytes "))
    _, _, student, rival = (word.replace(",", "") for word in bytes_line.split()[1:])
    assert int(student) < int(rival)


@pytest.mark.skipif("KDEXPORT_ADULT" not in os.environ, reason="KDEXPORT_ADULT names no adult.csv")
def test_real_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the real table, the first command prints what the page shows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    Path("adult.csv").symlink_to(Path(os.environ["KDEXPORT_ADULT"]).resolve())
    assert kdexport(monkeypatch, *COMMANDS[0].split()[1:]) == 0
    said = "\n".join(line.rstrip() for line in capsys.readouterr().out.strip("\n").splitlines())
    assert said.strip() == OUTPUTS[0].strip()
