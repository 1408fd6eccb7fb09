"""README.md: what it tells a reader to type works as it is written."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from kdexport.bundle import load_bundle
from kdexport.recipe import Recipe, RecipeLike, read_recipe
from tests.commands import kdexport
from tests.conftest import QUICK

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(
    r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL
)
COMMANDS = [
    line for _, block in BLOCKS for line in block.splitlines() if line.startswith("kdexport ")
]
INLINE: list[str] = re.findall(r"`(kdexport [^`]+)`", README)
PYTHON = [block for language, block in BLOCKS if language == "python"]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with the two files that README.md speaks of."""
    rng = np.random.default_rng(8)
    features = rng.normal(size=(300, 2))
    labels = np.where(features.sum(axis=1) > 0, "yes", "no")
    cells = [f"{a:.4f},{b:.4f}" for a, b in features]
    rows = [f"{cell},{y}" for cell, y in zip(cells, labels, strict=True)]
    (tmp_path / "data.csv").write_text("\n".join(["a,b,y", *rows]) + "\n")
    (tmp_path / "new.csv").write_text("\n".join(["a,b", *cells[:9]]) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_as_written(line: str, quick_flags: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a command line of the README, made quick by flags behind it."""
    _, command, *arguments = shlex.split(line)
    quick = {"run": quick_flags, "bench": ["--seconds", "0.5"]}.get(command, [])
    return kdexport(monkeypatch, command, *arguments, *quick)


def test_commands(workplace: Path, quick_flags: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of the README run one after the other, on the files that they name."""
    assert {line.split()[1] for line in COMMANDS} == {
        "schema",
        "run",
        "predict",
        "info",
        "check",
        "bench",
        "report",
    }
    for line in COMMANDS:
        assert run_as_written(line, quick_flags, monkeypatch) == 0, line
    assert load_bundle(workplace / "models" / "x").evidence.task.target == "y"
    assert len((workplace / "answers.csv").read_text().splitlines()) == 1 + 9


def test_inline_commands(
    workplace: Path, quick_flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands inside the README's sentences run beside the bundle that they name."""
    assert len(INLINE) == 2
    shutil.copytree(ROOT / "models" / "clicks", workplace / "models" / "clicks")
    for line in INLINE:
        assert run_as_written(line, quick_flags, monkeypatch) == 0, line


def test_python(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The README's Python makes a bundle, prints its recovered edge, and answers for a row."""

    def read_quick(given: RecipeLike | None) -> Recipe:
        return read_recipe(given, QUICK)

    monkeypatch.setattr("kdexport.pipeline.read_recipe", read_quick)
    (code,) = PYTHON
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    recovered, answers = capsys.readouterr().out.splitlines()[-2:]
    assert "verdict" in recovered
    for name in ("label", "probability_no", "probability_yes"):
        assert name in answers
    assert load_bundle(workplace / "models" / "x").evidence == names["evidence"]
