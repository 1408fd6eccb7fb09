"""Install the core alone into a fresh environment, and use it: no torch anywhere.

Usage: python -m benchmarks.torch_free [--save]     --save writes benchmarks/results/torch_free.json
"""

import argparse
import subprocess
import sys
import tempfile
import time
import venv
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

from benchmarks.bundles import make_bundle, make_table
from benchmarks.record import make_claim, write_result
from kdexport.tables import write_columns

ROOT = Path(__file__).parent.parent
COMMANDS = (
    ["--help"],
    ["check", "bundle"],
    ["bench", "bundle", "--batch", "1", "--seconds", "0.2"],
    ["predict", "bundle/student.onnx", "rows.csv", "-o", "answers.csv"],
    ["info", "bundle/student.onnx"],
    ["report", "bundle"],
    ["pack", "bundle", "--split-text", "--onnx", "packed", "--python", "service"],
)
REFUSED = (["run", "rows.csv", "--target", "y"], ["run", "--list-tasks"])
ABSENT = "import sys, importlib.util as u; sys.exit(any(map(u.find_spec, ('torch', 'sklearn'))))"
ALLOWED_SECONDS = 3.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true")
    save = parser.parse_args().save
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_bundle("mixed", 0, folder / "bundle")
        write_columns(make_table("mixed", 1), folder / "rows.csv")
        install_seconds, n_bytes = install_core(folder / "core")
        seconds = {
            arguments[0]: run_command(folder, arguments, folder / "core") for arguments in COMMANDS
        }
        for arguments in REFUSED:
            run_command(folder, arguments, folder / "core", code=2)
    full_bytes = sum(_size(name) for name in closure("kdexport[all]"))
    print(
        f"core: {n_bytes / 1e6:.0f} MB in {install_seconds:.0f} s; full: {full_bytes / 1e6:.0f} MB"
    )
    if save:
        claims = [
            make_claim("check", seconds["check"], unit="s", target=ALLOWED_SECONDS, at_least=False),
            make_claim("core", n_bytes / 1e6, unit="MB", target=full_bytes / 1e6, at_least=False),
        ]
        row = {"core_bytes": n_bytes, "core_install_seconds": round(install_seconds, 1)}
        row |= {"full_bytes": full_bytes, "seconds": seconds}
        print(write_result("torch_free", "python -m benchmarks.torch_free --save", [row], claims))
    return 0


def install_core(environment: Path) -> tuple[float, int]:
    """Make an environment and install the core; return its seconds and bytes of packages."""
    venv.create(environment, with_pip=True)
    python = str(environment / "bin" / "python")
    packages = next(environment.glob("lib/python*/site-packages"))
    before = _folder_size(packages)
    start = time.perf_counter()
    arguments = ["-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), str(ROOT)]
    subprocess.run([python, *arguments], check=True)
    elapsed = time.perf_counter() - start
    absent = (
        "import importlib.util as u, sys; sys.exit(any(map(u.find_spec, ['torch', 'sklearn'])))"
    )
    subprocess.run([python, "-c", absent], check=True)
    return elapsed, _folder_size(packages) - before


def run_command(folder: Path, arguments: list[str], environment: Path, *, code: int = 0) -> float:
    """Run one command of the fresh environment; return its seconds."""
    start = time.perf_counter()
    command = [str(environment / "bin" / "kdexport"), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    elapsed = time.perf_counter() - start
    print(f"kdexport {' '.join(arguments)}: exit {done.returncode} after {elapsed:.2f} s")
    if done.returncode != code:
        print(done.stdout, done.stderr, sep="\n")
        raise SystemExit(1)
    return round(elapsed, 2)


def closure(requirement: str) -> set[str]:
    """Names of all distributions that a requirement needs, in the environment of this script."""
    todo, found = [Requirement(requirement)], set[tuple[str, frozenset[str]]]()
    while todo:
        current = todo.pop()
        key = current.name.lower(), frozenset(current.extras)
        if key in found:
            continue
        found.add(key)
        for text in distribution(current.name).requires or ():
            needed = Requirement(text)
            extras = current.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in extras):
                todo.append(needed)
    return {name for name, _ in found}


def _size(name: str) -> int:
    files = distribution(name).files or ()
    return sum(path.stat().st_size for f in files if (path := Path(str(f.locate()))).is_file())


def _folder_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
