"""Bundles that a benchmark keeps, to be timed later.

Runs may stand side by side, one on each core, or on a machine with busy neighbours: quality is the
same, times are not. So `--keep DIR` leaves the bundles there and the times out of the results, and
`--times DIR` measures one bundle after the other when nothing runs beside them.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kdexport.evidence.latency import measure_latency
from kdexport.evidence.latency_facts import LatencyRecord
from kdexport.evidence.timed import load_timed
from kdexport.sections import BenchRecipe

NO_TIMES: dict[str, Any] = {"p50_us": {}, "over_floor_us": None}


@contextmanager
def open_folder(keep: Path | None) -> Iterator[Path]:
    """Give a folder for bundles: the one to keep them in, or one that is removed."""
    if keep is not None:
        yield keep
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def describe_times(record: LatencyRecord) -> dict[str, Any]:
    """Return the p50 of single rows by name, and the student's over the floor, in microseconds."""
    one = {fact.name: fact for fact in record.rows if fact.batch == 1 and fact.path == "run"}
    return {
        "p50_us": {name: fact.p50_us.value for name, fact in one.items() if fact.p50_us},
        "over_floor_us": one["student.onnx"].over_floor_us.value,
    }


def time_kept(bundle: Path) -> dict[str, Any]:
    """Time a kept bundle."""
    timed, feeds = load_timed([bundle])
    return describe_times(
        measure_latency(timed, feeds, batches=(1,), seconds=BenchRecipe().seconds)
    )
