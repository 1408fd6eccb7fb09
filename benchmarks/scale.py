"""How time and memory of a whole run grow with the rows of a table of 100 columns.

Each size is `kdexport run` on a CSV in a process of its own: with `--effort quick`, or with a
short recipe of few steps and no trees, where reading, splitting, encoding, labelling and measuring
are most of the work. A size that is measured again replaces what was saved of it.

    python -m benchmarks.scale [--recipe quick] [--rows 10000,100000,1000000]
"""

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.record import RESULTS, make_claim, write_result
from benchmarks.stops import CODE, ROOT

N_COLUMNS, N_TEXTS = 100, 4  # the target apart
MAX_MB = 16_384
AT_ONCE = 50_000  # rows that are made and written at a time
SHORT = {
    "teacher.family": "mlp",
    "teacher.regularisation": "given",
    "teacher.n_members": 4,
    "teacher.hidden": [64, 32],
    "teacher.max_steps": 500,
    "rival.model": "none",
    "student.form": "plain",
    "student.plain_control": "none",
    "student.max_steps": 500,
    "transfer.selection": "given",
    "transfer.n_synthetic": 20_000,
    "bench.seconds": 1.0,
}
RECIPES = {
    "quick": ["--effort", "quick"],
    "short": [f"--set={key}={json.dumps(value)}" for key, value in SHORT.items()],
}


def write_table(path: Path, n_rows: int) -> None:
    """Write a CSV of numbers and texts, and a label that some of them decide."""
    draw = np.random.default_rng(0)
    weights = draw.normal(size=8)
    with path.open("wb") as file:
        for start in range(0, n_rows, AT_ONCE):
            n = min(AT_ONCE, n_rows - start)
            numbers = draw.normal(size=(n, N_COLUMNS - N_TEXTS)).round(4)
            columns: dict[str, Any] = {f"x{i}": values for i, values in enumerate(numbers.T)}
            for i in range(N_TEXTS):
                columns[f"t{i}"] = draw.choice(["red", "green", "blue", "none of them"], n)
            score = numbers[:, :8] @ weights + (columns["t0"] == "red") + draw.normal(size=n)
            columns["y"] = np.where(score > 0, "yes", "no")
            pl.DataFrame(columns).write_csv(file, include_header=start == 0)


def measure_run(recipe: str, n_rows: int) -> dict[str, Any]:
    """Run the whole job on a table of so many rows."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, said = folder / "table.csv", folder / "said"
        write_table(data, n_rows)
        arguments = ["run", str(data), "--target", "y", "-o", str(folder / "x"), *RECIPES[recipe]]
        command = [sys.executable, "-c", CODE, *arguments]
        start = time.monotonic()
        child = os.posix_spawn(
            sys.executable,
            command,
            {**os.environ, "PYTHONPATH": str(ROOT)},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, fd, str(said), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                for fd in (1, 2)
            ],
        )
        _, status, usage = os.wait4(child, 0)
        seconds = time.monotonic() - start
        if code := os.waitstatus_to_exitcode(status):
            raise RuntimeError(f"{n_rows} rows ended with {code}: {said.read_text()[-500:]}")
        return {
            "recipe": recipe,
            "rows": n_rows,
            "columns": N_COLUMNS,
            "file_mb": round(data.stat().st_size / 2**20, 1),
            "seconds": round(seconds, 1),
            "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
            "peak_mb": round(usage.ru_maxrss / 1024, 1),
        }


def make_claims(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the growth from each size to the next over the growth in rows, and the peaks."""
    claims = []
    for recipe in RECIPES:
        measured = [row for row in rows if row["recipe"] == recipe]
        for smaller, larger in itertools.pairwise(measured):
            more = larger["rows"] / smaller["rows"]
            sizes = f"{smaller['rows']:,} to {larger['rows']:,} rows"
            for key, name in (("cpu_seconds", "CPU time"), ("peak_mb", "peak memory")):
                value = round(larger[key] / smaller[key] / more, 4)
                name = f"{recipe}: growth of {name} over that of rows, {sizes}"
                claims.append(make_claim(name, value, unit="ratio", target=1.0, at_least=False))
        for row in measured[-1:]:
            name = f"{recipe}: peak memory, {row['rows']:,} rows of {N_COLUMNS} columns"
            value = row["peak_mb"]
            claims.append(make_claim(name, value, unit="MB", target=MAX_MB, at_least=False))
    return claims


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default="10000,100000,1000000", help="sizes to measure (again)")
    parser.add_argument("--recipe", choices=RECIPES, default="quick")
    asked = parser.parse_args()
    saved = RESULTS / "scale.json"
    rows = json.loads(saved.read_text())["rows"] if saved.exists() else []
    for n_rows in map(int, asked.rows.split(",")):
        now = measure_run(asked.recipe, n_rows)
        rows = [row for row in rows if (row["recipe"], row["rows"]) != (asked.recipe, n_rows)]
        rows = sorted([*rows, now], key=lambda row: (row["recipe"], row["rows"]))
        write_result("scale", "python -m benchmarks.scale", rows, make_claims(rows), short=SHORT)
        print(json.dumps(now), flush=True)
    print(json.dumps(make_claims(rows), indent=1))


if __name__ == "__main__":
    main()
