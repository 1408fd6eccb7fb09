"""How time and memory of a whole run grow with the rows of a table of 100 columns.

Each size is `kdexport run` on a CSV in a process of its own, with a recipe that trains for as
many steps whatever the rows: what grows is reading, splitting, encoding, labelling and measuring.

    python -m benchmarks.scale [--rows 10000,100000,1000000]
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
QUICK = {
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


def measure_run(n_rows: int) -> dict[str, Any]:
    """Run the whole job on a table of so many rows."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, said = folder / "table.csv", folder / "said"
        write_table(data, n_rows)
        settings = [f"--set={key}={json.dumps(value)}" for key, value in QUICK.items()]
        arguments = ["run", str(data), "--target", "y", "-o", str(folder / "x"), *settings]
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
            "rows": n_rows,
            "columns": N_COLUMNS,
            "file_mb": round(data.stat().st_size / 2**20, 1),
            "seconds": round(seconds, 1),
            "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
            "peak_mb": round(usage.ru_maxrss / 1024, 1),
        }


def make_claims(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the growth from each size to the next over the growth in rows, and the peak."""
    claims = []
    for smaller, larger in itertools.pairwise(rows):
        more = larger["rows"] / smaller["rows"]
        for key, name in (("cpu_seconds", "CPU time"), ("peak_mb", "peak memory")):
            claims.append(
                make_claim(
                    f"growth of {name} over that of rows, "
                    f"{smaller['rows']:,} to {larger['rows']:,} rows",
                    round(larger[key] / smaller[key] / more, 4),
                    unit="ratio",
                    target=1.0,
                    at_least=False,
                )
            )
    most = rows[-1]
    name = f"peak memory of a run on {most['rows']:,} rows of {N_COLUMNS} columns"
    claims.append(make_claim(name, most["peak_mb"], unit="MB", target=MAX_MB, at_least=False))
    return claims


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default="10000,100000,1000000", help="sizes to measure (again)")
    asked = parser.parse_args()
    saved = RESULTS / "scale.json"
    rows = json.loads(saved.read_text())["rows"] if saved.exists() else []
    for n_rows in map(int, asked.rows.split(",")):
        rows = [row for row in rows if row["rows"] != n_rows] + [measure_run(n_rows)]
        rows.sort(key=lambda row: row["rows"])
        write_result("scale", "python -m benchmarks.scale", rows, make_claims(rows), recipe=QUICK)
        print(json.dumps(rows[-1]), flush=True)
    print(json.dumps(make_claims(rows), indent=1))


if __name__ == "__main__":
    main()
