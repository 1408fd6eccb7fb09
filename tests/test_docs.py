"""docs/: what they tell a reader to type works as it is written."""

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from kdexport.evidence.facts import RivalVerdict
from kdexport.recipe import Recipe
from kdexport.student_section import TABLE_SCHEDULE
from kdexport.training.distill import PLAIN
from kdexport.training.mixture import N_SELECTIONS
from tests.test_readme import ROOT, run_as_written, workplace

__all__ = ["workplace"]  # a fixture

MAKE = ("contributing.md", "serving.md")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def read_blocks(name: str) -> list[tuple[str, str]]:
    """Return language and code of every block of a document."""
    return BLOCK.findall((ROOT / "docs" / name).read_text(encoding="utf-8"))


def read_headings(path: Path) -> list[str]:
    """Return what a link to each heading of a document ends in."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.usefixtures("workplace")
def test_quickstart(
    quick_flags: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its commands and its Python run one after the other, from a CSV to a checked bundle."""
    ran = []
    for language, code in read_blocks("quickstart.md"):
        if language == "python":
            exec(compile(code, "quickstart.md", "exec"), {})
        for line in code.splitlines() if language == "" else []:
            assert run_as_written(line, quick_flags, monkeypatch) == 0, line
            ran.append(line.split()[1])
    assert ran == ["schema", "run", "report", "predict", "check"]
    assert Path("models/x/report.html").exists()
    assert Path("answers.csv").exists()
    assert "recovered edge" in capsys.readouterr().out


def test_concepts(capsys: pytest.CaptureFixture[str]) -> None:
    """Its Python prints what the comments beside it say."""
    blocks = [code for language, code in read_blocks("concepts.md") if language == "python"]
    said = [
        line.split("  # ")[1] for code in blocks for line in code.splitlines() if "  # " in line
    ]
    for code in blocks:
        exec(compile(code, "concepts.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == said


def test_concepts_say_what_the_code_does() -> None:
    """The figures of teacher and controls are those that training uses."""
    text = (ROOT / "docs/concepts.md").read_text(encoding="utf-8")
    teacher = Recipe().teacher
    steps = f"a step of {PLAIN['learning_rate']} on batches of {PLAIN['batch_size']} rows"
    fewer = TABLE_SCHEDULE["max_steps"] * PLAIN["batch_size"] // PLAIN["max_epochs"]
    for said in (
        f"an ensemble of {teacher.n_members} networks",
        f"boosted trees trained in {teacher.n_folds} folds",
        f"{N_SELECTIONS} draws with replacement",
        f"Adam with {steps} for {PLAIN['max_epochs']} epochs",
        f"(on a table of your own, from about {fewer:,} training rows on)",
    ):
        assert said in text, said
    for verdict in get_args(RivalVerdict):
        assert verdict in text, verdict


def test_what_is_generated_is_fresh() -> None:
    """README.md and docs/ state what code and saved results say: else `make readme` is due."""
    command = [sys.executable, "-m", "benchmarks.document", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_links_lead_somewhere() -> None:
    """Every relative link and picture in README.md and docs/ is a file or heading that is there."""
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        text = path.read_text(encoding="utf-8")
        links = re.findall(r"\]\(([^)#:]+)\)", text) + re.findall(r'src(?:set)?="([^":]+)"', text)
        for link in links:
            assert (path.parent / link).exists(), f"{path.name}: {link}"
        for link, heading in re.findall(r"\]\(([^):]*)#([^)]+)\)", text):
            headings = read_headings(path.parent / link if link else path)
            assert heading in headings, f"{path.name}: {link}#{heading}"


def test_readme_leads_everywhere() -> None:
    """README.md links to every document, and every document is reached by a relative link."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in (ROOT / "docs").glob("*.md"):
        assert f"](docs/{path.name})" in text, path.name


def test_documents_name_no_machine() -> None:
    """No document holds a path of the machine that it was written on."""
    for path in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w.~/])/(home|root|work|tmp|Users)/", text), path.name


def test_every_document_with_code_is_run() -> None:
    """A document with Python, JavaScript or commands in it is one that a test reads them from."""
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("*.py"))
    for path in (ROOT / "docs").glob("*.md"):
        kinds = {
            language or "command"
            for language, code in read_blocks(path.name)
            if language or code.startswith("kdexport ")
        }
        if kinds - {"text"}:
            assert f'"{path.name}"' in tests or path.name in MAKE, path.name


@pytest.mark.parametrize("name", MAKE)
def test_make_targets(name: str) -> None:
    """What a document says to make is a target."""
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    asked = re.findall(r"(?:`|^)make ([a-z-]+)", (ROOT / "docs" / name).read_text("utf-8"), re.M)
    assert asked
    assert set(asked) <= {*targets}
