"""The audit of dependencies: what is broken fails, what was not looked up is said."""

import re
import tomllib
from pathlib import Path

from benchmarks.audit import judge

ROOT = Path(__file__).parents[1]

SOUND = {"name": "a", "version": "1", "vulns": []}
BROKEN = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1"}, {"id": "PYSEC-2"}]}
UNKNOWN = {"name": "c", "skip_reason": "not found on PyPI"}


def test_vulnerable_package() -> None:
    """A package with a known vulnerability fails, and is named with it."""
    is_sound, lines = judge([SOUND, BROKEN], "")
    assert not is_sound
    assert lines[0] == "audit: b 2 has PYSEC-1, PYSEC-2"


def test_unknown_package() -> None:
    """A package that was not looked up is named beside those that were."""
    is_sound, lines = judge([SOUND, UNKNOWN], "")
    assert is_sound
    assert lines == [
        "audit: 1 packages, 0 with known vulnerabilities",
        "audit: 1 packages are not known there: c",
    ]


def test_no_data() -> None:
    """Where nothing could be looked up, one line says so; none says that packages are sound."""
    for found, said in (([UNKNOWN, UNKNOWN], "No known vulnerabilities found"), ([], "no route")):
        is_sound, (line,) = judge(found, said)
        assert is_sound
        assert line.startswith("audit: not done, its data cannot be reached from here")


def test_licences_are_listed() -> None:
    """docs/faults.md has the licence of every package that the project asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {re.split(r"[\[><=]", one)[0] for extra in asked for one in extra} - {"kdexport"}
    table = (ROOT / "docs" / "faults.md").read_text().partition("## Licences")[2]
    assert {name for name in names if not re.search(rf"(?<![\w-]){name}(?![\w-])", table)} == set()
