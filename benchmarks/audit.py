"""Whether any package that was tested has a known vulnerability (pip-audit, PyPI's data).

Fails where one has. Where the data cannot be reached it says so in one line and passes: what was
not looked up is never said to be sound.

Usage: python -m benchmarks.audit
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PINNED = Path(__file__).parents[1] / "constraints.txt"
LONGEST_S, SHOWN = 300, 5
OPTIONS = ["--disable-pip", "--no-deps", "--progress-spinner=off", "--timeout=10", "--format=json"]


def ask(pinned: Path) -> tuple[Sequence[Mapping[str, Any]], str]:
    """Return what pip-audit says of each package, and the last line it said of itself."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [
            sys.executable,
            "-m",
            "pip_audit",
            "-r",
            str(pinned),
            *OPTIONS,
            "-o",
            str(answer),
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            return [], f"no answer in {LONGEST_S} s"
        said = next(reversed(done.stderr.splitlines()), "")
        if "No module named" in said:
            raise SystemExit(f"audit: {said}; run make to install it")
        if not answer.exists():
            return [], said
        dependencies: list[dict[str, Any]] = json.loads(answer.read_text())["dependencies"]
        return dependencies, said


def judge(found: Sequence[Mapping[str, Any]], said: str) -> tuple[bool, list[str]]:
    """Return whether nothing speaks against the packages, and the lines that say so."""
    skipped = [package for package in found if "skip_reason" in package]
    known = [package for package in found if "skip_reason" not in package]
    broken = [package for package in known if package["vulns"]]
    if not known:
        reason = skipped[0]["skip_reason"] if skipped else said
        return True, [f"audit: not done, its data cannot be reached from here ({reason[:200]})"]
    lines = []
    for package in broken:
        ids = ", ".join(vulnerability["id"] for vulnerability in package["vulns"])
        lines.append(f"audit: {package['name']} {package['version']} has {ids}")
    lines.append(f"audit: {len(known)} packages, {len(broken)} with known vulnerabilities")
    if skipped:
        names = ", ".join(package["name"] for package in skipped[:SHOWN])
        lines.append(f"audit: {len(skipped)} packages are not known there: {names}")
    return not broken, lines


def main() -> None:
    is_sound, lines = judge(*ask(PINNED))
    print("\n".join(lines))
    raise SystemExit(0 if is_sound else 1)


if __name__ == "__main__":
    main()
