"""Run the commands of docs/walkthrough.md on the adult table, and write what they print into it.

Usage: python -m benchmarks.walkthrough ADULT_CSV [--flags "--threads 1"]

ADULT_CSV has a header, and leaves missing cells empty. `--flags` are added to `kdexport run`
without being shown: for what the machine can spare, as with `--threads`.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs/walkthrough.md"
PAIR = re.compile(r"```(?:sh)?\n((?:kdexport|curl) [^\n]*)\n```\n\n```text\n(.*?)```", re.DOTALL)
SERVICE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MOST_LINES, SHOWN = 60, 3
ADDRESS = "http://127.0.0.1:8000"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csv", type=Path)
    parser.add_argument("--flags", default="")
    options = parser.parse_args()
    text = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(options.csv, folder / "adult.csv")
        (code,) = SERVICE.findall(text)
        (folder / "serve.py").write_text(code)

        def renew(match: re.Match[str]) -> str:
            output = run_command(match[1], folder, options.flags)
            return match[0].replace(f"```text\n{match[2]}```", f"```text\n{output}```")

        PAGE.write_text(PAIR.sub(renew, text), encoding="utf-8")


def run_command(command: str, folder: Path, flags: str) -> str:
    """Return what a command prints, a long output without its middle."""
    words = shlex.split(command)
    service = None
    if words[0] == "kdexport":
        words = [sys.executable, "-m", *words, *(shlex.split(flags) if words[1] == "run" else [])]
    else:
        model = ["models/adult/student.onnx", "8000"]
        service = subprocess.Popen([sys.executable, "serve.py", *model], cwd=folder)
        time.sleep(2)
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            env={**os.environ, "COLUMNS": "100"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
        )
    finally:
        if service is not None:
            service.kill()
    lines = [line.rstrip() for line in done.stdout.strip("\n").splitlines()]
    if len(lines) > MOST_LINES:
        lines = [*lines[:SHOWN], "...", *lines[-SHOWN:]]
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    main()
