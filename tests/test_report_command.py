"""`kdexport report`: what it prints, and what it writes where."""

import builtins
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from kdexport.bundle import load_bundle, replace_files
from kdexport.errors import OutputError
from kdexport.report.headline import write_headline
from tests.commands import kdexport
from tests.report.variants import ROOT

EXTRA = ("altair", "jinja2", "vl_convert", "markupsafe")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of models/clicks without its report."""
    path = tmp_path / "clicks"
    shutil.copytree(ROOT / "models/clicks", path, ignore=shutil.ignore_patterns("report.*"))
    return path


@pytest.fixture
def no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without the packages of kdexport[report]."""
    real = builtins.__import__

    def refuse(name: str, *arguments: Any, **named: Any) -> Any:
        if name.split(".")[0] in EXTRA:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.split(".")[0])
        return real(name, *arguments, **named)

    for name in [name for name in sys.modules if name.split(".")[0] in EXTRA]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "kdexport.report.pages", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)


def test_report_stands_in_the_bundle(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints the summary, writes both files, and the bundle still passes its check."""
    assert kdexport(monkeypatch, "check", bundle) == 0
    assert kdexport(monkeypatch, "report", bundle) == 0
    said = capsys.readouterr()
    headline = write_headline(load_bundle(bundle).evidence)
    assert f"{headline.title}: {headline.sentence}" in " ".join(said.out.split())
    assert "report.html" in said.err
    first = {name: (bundle / name).read_bytes() for name in ("report.md", "report.html")}
    assert kdexport(monkeypatch, "check", bundle) == 0
    assert kdexport(monkeypatch, "report", bundle) == 0
    assert {name: (bundle / name).read_bytes() for name in first} == first
    assert not [p for p in bundle.parent.iterdir() if p != bundle]
    assert load_bundle(bundle).evidence.files.keys().isdisjoint(first)


def test_report_elsewhere(
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`-o` writes into another folder and leaves the bundle; one that is not there is refused."""
    output = tmp_path / "out"
    assert kdexport(monkeypatch, "report", bundle, "-o", output) == 3
    said = capsys.readouterr()
    assert "pass another -o" in said.err
    assert not said.out  # refused first
    output.mkdir()
    assert kdexport(monkeypatch, "report", bundle, "-o", output, "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["task"]["target"] == "label"
    assert {p.name for p in output.iterdir()} == {"report.md", "report.html"}
    assert not (bundle / "report.html").exists()


@pytest.mark.parametrize("name", ["report.md", "report.html"])
def test_report_of_somebody_else(
    name: str,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A report replaces one that kdexport made, and no file of that name that it did not."""
    for _ in range(2):
        assert kdexport(monkeypatch, "report", bundle, "-o", tmp_path) == 0
    made = {path: path.read_bytes() for path in tmp_path.glob("report.*")}
    mine = "# Notes\n\nMade by kdexport is the bundle; these lines are mine.\n"
    (tmp_path / name).write_text(mine)
    capsys.readouterr()
    assert kdexport(monkeypatch, "report", bundle, "-o", tmp_path) == 3
    said = capsys.readouterr()
    assert "a report replaces only one that kdexport made" in said.err
    assert not said.out
    assert (tmp_path / name).read_text() == mine
    others = {path: content for path, content in made.items() if path.name != name}
    assert {path: path.read_bytes() for path in others} == others


@pytest.mark.usefixtures("no_extra")
def test_without_the_extra(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The terminal summary still works, and one line says what to install; `-o` is an error."""
    assert kdexport(monkeypatch, "report", bundle) == 0
    said = capsys.readouterr()
    assert "recovered edge" in said.out
    (line,) = said.err.splitlines()
    assert "pip install 'kdexport[report]'" in line
    assert not (bundle / "report.md").exists()
    assert kdexport(monkeypatch, "report", bundle, "-o", bundle.parent) == 2


def test_run_ends_in_a_report(bundle_path: Path) -> None:
    """What `run` and `export` write holds its report from the start."""
    assert (bundle_path / "report.md").read_text(encoding="utf-8").startswith("# ")
    assert (bundle_path / "report.html").stat().st_size < 2_000_000


def test_interrupted_report(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full leaves the old report, and nothing that does not belong there."""
    (bundle / "report.md").write_text("old")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kdexport.bundle.os.fsync", fail)
    with pytest.raises(OutputError, match="No space left"):
        replace_files(bundle, {"report.md": b"new", "report.html": b"new"})
    assert (bundle / "report.md").read_text() == "old"
    assert not (bundle / "report.html").exists()
    assert [p.name for p in bundle.parent.iterdir()] == ["clicks"]
