"""Many calls of one session and many rows through `predict`: right answers, flat memory.

Takes a bundle, gives rows of what was measured. Used by `tests/faults` and by
`benchmarks/faults.py`.
"""

import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.hostile import TELLING
from kdexport import open_session

Row = dict[str, Any]
Rows = list[Row]
N_THREADS, N_COLUMNS = 8, 8
SHARES = (0.01, 0.1, 0.2, 0.5, 1.0)  # of all rows; polars reads up to some 300 MB ahead
E4_ROWS, E4_MB = 2_000_000, 500  # of 8 columns; memory above the import
FORMATS = ("csv", "parquet")


@dataclass(frozen=True)
class Ended:
    """A command that ended.

    Attributes:
        code: Its exit code.
        said: What it said on standard error.
        peak_mb: Its peak resident memory.
    """

    code: int
    said: str
    peak_mb: float


def measure_calls(n_calls: int, bundle: Path) -> Rows:
    """Share one session between threads; every answer has to be the one given alone."""
    session = open_session(bundle / "student.onnx")
    draw = np.random.default_rng(0)
    numeric = draw.normal(size=(64, len(session.signature.numeric))).astype(np.float32)
    texts = np.full((64, len(session.signature.categorical)), "p", object)
    both = {"numeric": numeric, "categorical": texts}
    feeds = [
        {name: both[name][i : i + 1] for name in session.input_names} for i in range(len(numeric))
    ]
    expected = [session.run(feed)["probabilities"] for feed in feeds]
    wrong = [0] * N_THREADS

    def call(thread: int) -> None:
        for i in range(n_calls // N_THREADS):
            which = (i + thread) % len(feeds)
            answer = session.run(feeds[which])["probabilities"]
            wrong[thread] += not np.array_equal(answer, expected[which])

    for _ in range(2000):
        session.run(feeds[0])
    before_mb = _resident_mb()
    threads = [threading.Thread(target=call, args=(i,)) for i in range(N_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    grown_mb = _resident_mb() - before_mb
    faults = [f"{sum(wrong)} wrong answers"] if any(wrong) else []
    name = f"{n_calls} calls from {N_THREADS} threads"
    return [{"kind": "load", "name": name, "grown_mb": round(grown_mb, 1), "faults": faults}]


def measure_predict(n_rows: int, bundle: Path) -> Iterator[Row]:
    """Predict files of growing size, CSV and Parquet, in and out: memory stays flat."""
    with tempfile.TemporaryDirectory() as name:
        for ending in FORMATS:
            for share in SHARES:
                yield predict_rows(int(n_rows * share), ending, bundle, Path(name))


def predict_rows(n_rows: int, ending: str, bundle: Path, folder: Path) -> Row:
    """Predict one made-up file of 8 columns."""
    signature = open_session(bundle / "student.onnx").signature
    source, output = folder / f"rows.{ending}", folder / f"answers.{ending}"
    _write_rows(source, n_rows, signature.numeric, signature.categorical)
    arguments = ["predict", str(bundle / "student.onnx"), str(source), "-o", str(output)]
    imported = run_telling(["-h"], folder, before="import kdexport.runtime, kdexport.streams\n")
    done = run_telling([*arguments, "--force"], folder)
    faults = [] if done.code == 0 else [done.said[-300:]]
    n_out = _count_rows(output) if output.exists() else 0
    faults += [] if n_out == n_rows else [f"{n_out} rows out"]
    return {
        "kind": f"predict {ending}",
        "name": f"{n_rows} rows",
        "n_rows": n_rows,
        "peak_mb": done.peak_mb,
        "above_import_mb": round(done.peak_mb - imported.peak_mb, 1),
        "faults": faults,
    }


def run_telling(arguments: Sequence[str], folder: Path, *, before: str = "") -> Ended:
    """Run a command line in a process of its own that says how much memory it took."""
    peak = folder / "peak"
    done = subprocess.run(
        [sys.executable, "-c", before + TELLING, str(peak), *arguments],
        capture_output=True,
        text=True,
    )
    lines = peak.read_text().splitlines()
    peak_mb = next(int(line.split()[1]) / 1024 for line in lines if "VmHWM" in line)
    return Ended(done.returncode, done.stderr, round(peak_mb, 1))


def _write_rows(
    path: Path, n_rows: int, numeric: Sequence[str], categorical: Sequence[str]
) -> None:
    draw = np.random.default_rng(0)
    extra = max(0, N_COLUMNS - len(numeric) - len(categorical))
    names = [*numeric, *(f"extra{i}" for i in range(extra))]
    columns: dict[str, Any] = {name: draw.normal(size=n_rows).round(4) for name in names}
    columns |= {name: draw.choice(["p", "q", "r"], n_rows) for name in categorical}
    frame = pl.DataFrame(columns)
    frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_csv(path)


def _count_rows(path: Path) -> int:
    scan = pl.scan_parquet(path) if path.suffix == ".parquet" else pl.scan_csv(path)
    return int(scan.select(pl.len()).collect().item())


def _resident_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
