"""The audit of dependencies: what is broken fails, what was not looked up is said."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, metadata, requires
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


def find_requirements(asked: list[str]) -> set[str]:
    """Every package that these bring along in this environment, themselves included."""
    found: set[str] = set()
    while asked:
        requirement = Requirement(asked.pop())
        name = canonicalize_name(requirement.name)
        if name in found:
            continue
        found.add(name)
        extras = requirement.extras or {""}
        for text in requires(name) or []:
            marker = Requirement(text).marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
                asked.append(text)
    return found


def read_licences() -> dict[str, str]:
    """The licence that docs/faults.md gives each package."""
    table = (ROOT / "docs" / "faults.md").read_text().partition("## Licences")[2]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return {
        name: row[1]
        for row in rows
        for name in re.findall(r"[a-z][\w-]+", re.sub(r"\(.*?\)", "", row[0]))
    }


def read_project() -> dict[str, Any]:
    """What pyproject.toml says of the project."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project


def test_licences_are_listed() -> None:
    """docs/faults.md has the licence of every package that is asked for, or comes along in use."""
    project = read_project()
    extras = project["optional-dependencies"]
    asked = [project["dependencies"], *extras.values()]
    names = {Requirement(one).name for extra in asked for one in extra} - {"kdexport"}
    used = [*project["dependencies"], *extras["train"], *extras["report"]]
    listed = read_licences()
    assert names | find_requirements(used) <= set(listed)


def test_licences_are_true() -> None:
    """A listed licence is of the family that the package itself states."""
    kinds = ("MIT", "BSD", "Apache", "Mozilla|MPL", "PSF")
    for name, licence in read_licences().items():
        try:
            stated = metadata(name)
        except PackageNotFoundError:  # one of [teachers] or [sign], which are not installed here
            continue
        texts = [stated.get(key) or "" for key in ("License-Expression", "License")]
        texts += [text for text in stated.get_all("Classifier") or [] if "License" in text]
        own = {kind for kind in kinds if re.search(kind, " ".join(texts))}
        assert any(re.search(kind, licence) for kind in own), (name, licence, own)


def test_versions_are_pinned() -> None:
    """constraints.txt has one version of every package of [all] and [dev]; pip's own are pip's."""
    project = read_project()
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *extras["train"], *extras["report"], *extras["dev"]]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {canonicalize_name(line.split("==")[0]) for line in lines if "==" in line}
    assert len(pinned) == len(lines)
    own = [one for one in asked if not one.startswith("kdexport")]
    assert find_requirements(own) - pinned == {"pip", "setuptools"}
