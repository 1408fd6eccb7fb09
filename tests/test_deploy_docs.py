"""docs/deploy.md: its packing commands run as they are written, and write what it says.

What it starts afterwards is run in tests/deploy, where the servers are.
"""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from kdexport.contract import RELEASES
from kdexport.deploy.targets import SUMMARIES
from tests.commands import kdexport
from tests.test_docs import ROOT, read_blocks

BLOCKS = read_blocks("deploy.md")
TEXT = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for language, code in BLOCKS
    if language == ""
    for line in code.splitlines()
    if line.startswith("kdexport ")
]


def test_packing_commands(
    census_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command that needs no key runs, and the folders that it names are packs."""
    shutil.copytree(census_path, tmp_path / "models" / "x")
    monkeypatch.chdir(tmp_path)
    ran = [shlex.split(line, comments=True)[1:] for line in COMMANDS]
    ran = [words for words in ran if not {"--sign", "--verify"} & set(words)]
    for words in ran:
        assert kdexport(monkeypatch, *words) == 0, words
    asked = {word for words in ran for word in words}
    assert {f"--{target}" for target in SUMMARIES} <= asked
    for words in ran:
        folders = [words[i + 1] for i, word in enumerate(words) if word[2:] in SUMMARIES]
        for folder in folders:
            found = list(Path(folder).rglob("pack.json"))
            assert found, folder
            assert kdexport(monkeypatch, "check", found[0].parent) == 0


def test_table_of_releases() -> None:
    """The table of releases is the one that files are lowered by."""
    rows = re.findall(r"^\| (\d+)\.(\d+)(?: and later)? \| (\d+) \| (\d+) \| (\d+) \|$", TEXT, re.M)
    table = {(int(a), int(b)): tuple(map(int, rest)) for a, b, *rest in rows}
    assert table == {key: (r.opset, r.ml_opset, r.ir_version) for key, r in RELEASES.items()}
