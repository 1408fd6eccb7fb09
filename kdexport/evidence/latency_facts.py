"""The shape of a latency record: what `kdexport bench --json` writes and a bundle's evidence holds.

Times are in microseconds where a name ends in `_us`, nanoseconds in `_ns`. All intervals are 99 %.
Imports numpy and `shape` only: the report and the comparison read records without measuring.
"""

import base64
import zlib
from typing import Literal

import numpy as np
from pydantic import model_validator

from kdexport.evidence.shape import Fact, Interval
from kdexport.records import Float64, Int64

CallPath = Literal["run", "io_binding", "call"]
Difference = Literal["FASTER", "SLOWER", "NO_DIFFERENCE"]

FLOOR = "floor"
FLOAT_STUDENT = "student.onnx as float32"  # beside one in int8
NATIVE = "teacher"  # the own code of a teacher of yours, called without a file
AGAIN = " again"  # behind the name of the same file, opened a second time
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
"""Key to share of the calls; the fields are called `p50_us` and so on."""
MAX_RAW_CALLS = 20_000
BIN_WIDTH = 1.01


class Percentile(Interval):
    """A percentile in microseconds, its 99 % interval from order statistics."""


class RawTimes(Fact):
    """Every call of a lane, block after block; beyond 20,000 calls a histogram with 1 % bins.

    Either the one or the other, in two blocks or more, of which ratios are made.

    Attributes:
        blocks: Equal blocks that the calls divide into.
        packed_ns: Base64 of zlib of little-endian int64 nanoseconds, or None.
        histogram: In its place.
    """

    blocks: int
    packed_ns: str | None
    histogram: "Histogram | None"

    @model_validator(mode="after")
    def _has_blocks(self) -> "RawTimes":
        if (self.packed_ns is None) == (self.histogram is None):
            raise ValueError("times are either packed or a histogram")
        if self.blocks < 2:
            raise ValueError(f"times are of two blocks or more, not of {self.blocks}")
        medians = find_block_medians(self)
        if len(medians) != self.blocks:
            raise ValueError(f"{self.blocks} blocks have as many medians, not {len(medians)}")
        if not (np.isfinite(medians) & (medians >= 0)).all():
            raise ValueError("times are 0 or more")
        return self


class Histogram(Fact):
    """Calls counted in bins, and what comparisons are made of.

    Attributes:
        lowest_ns: Where the first bin starts; bin i ends at `lowest_ns * 1.01 ** (i + 1)`.
        counts: Calls per bin.
        block_medians_ns: One per block.
    """

    lowest_ns: int
    counts: list[int]
    block_medians_ns: list[float]


def pack_times(times_ns: Int64) -> RawTimes:
    """Pack times for a record.

    Args:
        times_ns: **Shape** `[blocks, calls per block]` int64.
    """
    if times_ns.size <= MAX_RAW_CALLS:
        packed = base64.b64encode(zlib.compress(times_ns.astype("<i8").tobytes(), 9)).decode()
        return RawTimes(blocks=len(times_ns), packed_ns=packed, histogram=None)
    lowest = max(1, int(times_ns.min()))
    bins = np.log(np.maximum(times_ns.ravel(), lowest) / lowest) / np.log(BIN_WIDTH)
    histogram = Histogram(
        lowest_ns=lowest,
        counts=np.bincount(bins.astype(np.int64)).tolist(),
        block_medians_ns=np.median(times_ns, axis=1).tolist(),
    )
    return RawTimes(blocks=len(times_ns), packed_ns=None, histogram=histogram)


def unpack_times(packed_ns: str, *, blocks: int) -> Int64:
    """Return the calls again, **Shape** `[blocks, calls per block]` int64.

    Raises:
        ValueError: They are no packed times of so many blocks.
    """
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(base64.b64decode(packed_ns), 8 * MAX_RAW_CALLS + 1)
    except zlib.error as error:
        raise ValueError(f"packed times are compressed by zlib ({error})") from error
    if not unpacker.eof or len(content) % (8 * blocks or 1):
        raise ValueError(f"packed times are {blocks} equal blocks of at most {MAX_RAW_CALLS} calls")
    return np.frombuffer(content, "<i8").astype(np.int64).reshape(blocks, -1)


def find_block_medians(raw: RawTimes) -> Float64:
    """Return the median of each block, **Shape** `[blocks]` float64, nanoseconds."""
    if raw.histogram is not None:
        return np.array(raw.histogram.block_medians_ns)
    medians: Float64 = np.median(unpack_times(raw.packed_ns or "", blocks=raw.blocks), axis=1)
    return medians


class LatencyFact(Fact):
    """Steady-state latency of one candidate, called one way, at one batch size.

    A percentile that the sample cannot carry is None, and `calls_needed` says what would.

    Attributes:
        p50_us: And p90, p99, p99.9: the call before was the same candidate's (its own caches).
        after_others_p50_us: The call before was another candidate's.
        over_floor_us: Mean over blocks of this median less the floor's, called the same way.
        cpu_share: CPU time of the whole process over wall time, calls back to back; above 1
            other threads work or spin.
    """

    name: str
    path: CallPath
    batch: int
    threads: int
    calls: int
    p50_us: Percentile | None
    p90_us: Percentile | None
    p99_us: Percentile | None
    p999_us: Percentile | None
    after_others_p50_us: Percentile | None
    floor_p50_us: float
    over_floor_us: Interval
    cpu_share: float
    calls_needed: dict[str, int]
    raw: RawTimes
    raw_after_others: RawTimes


def name_percentile(key: str) -> str:
    """Return a key of `PERCENTILES` as it is written: p99.9 for p999."""
    return f"p{100 * PERCENTILES[key]:g}"


def list_percentiles(fact: "LatencyFact | LoadFact") -> list[Percentile | None]:
    """Return what a fact has of `PERCENTILES`, in their order."""
    return [fact.p50_us, fact.p90_us, fact.p99_us, fact.p999_us]


def is_again(name: str) -> bool:
    """Say whether it is the name of a file that was opened a second time."""
    return name.endswith(AGAIN)


class StartFact(Fact):
    """What comes before the steady state: opening, first call, warm-up.

    Attributes:
        open_us: One value per opening; none of a function.
        first_call_us: One value per opening; one of a function.
        warm_up_calls: Untimed calls until the median was steady, median over openings.
        steady_share: Share of the openings that came to rest in time.
    """

    name: str
    batch: int
    threads: int
    open_us: list[float]
    first_call_us: list[float]
    warm_up_calls: int
    steady_share: float


class RatioFact(Fact):
    """A candidate's time over the reference's, from paired blocks.

    Attributes:
        ratio: Geometric mean over blocks, with a 99 % bootstrap interval.
        noise: What the reference against itself could show by chance, as a ratio above 1; None
            where this is that comparison (A/A).
        verdict: FASTER or SLOWER only where the interval excludes 1 and the ratio lies farther
            from 1 than the noise.
    """

    name: str
    reference: str
    path: CallPath
    batch: int
    threads: int
    ratio: Interval
    noise: float | None
    verdict: Difference

    @model_validator(mode="after")
    def _is_of_times(self) -> "RatioFact":
        if min(self.ratio.low, self.ratio.value, self.ratio.high) <= 0:
            raise ValueError("a ratio of times is more than 0")
        return self


class SlowdownFact(Fact):
    """A candidate's time over the same candidate's in an older record.

    Attributes:
        ratio: New p50 over old.
        beside_floor: The same with both divided by the floor of their own run, which is what a
            machine that is slower today does to everything.
        slower: Both intervals lie above the allowed ratio.
        within: One of them lies below it; where neither is true the runs are too noisy to tell.
    """

    name: str
    path: CallPath
    batch: int
    threads: int
    ratio: Interval
    beside_floor: Interval
    slower: bool
    within: bool


class MemoryFact(Fact):
    """Resident memory of a fresh session and its first calls at the biggest batch, in bytes."""

    name: str
    batch: int
    growth_bytes: int
    peak_growth_bytes: int


class LoadFact(Fact):
    """Client threads that call one session at once."""

    name: str
    batch: int
    clients: int
    seconds: float
    calls: int
    calls_per_second: float
    p50_us: Percentile | None
    p90_us: Percentile | None
    p99_us: Percentile | None
    p999_us: Percentile | None
    calls_needed: dict[str, int]


class MachineFact(Fact):
    """Where it was measured; what cannot be read is None."""

    system: str
    cpu: str
    cpu_flags: tuple[str, ...]
    cores_allowed: int
    core_quota: float | None
    memory_limit_bytes: int | None
    governor: str | None
    python: str
    numpy: str
    runtime: dict[str, str]


class LatencyRecord(Fact):
    """Everything that one latency run measured, and where.

    Attributes:
        seconds: Asked for.
        load_before: 1-minute load average of the machine when the run began.
        notes: What makes the run noisy or its figures unlike others', each with a remedy.
    """

    format_version: Literal[1] = 1
    kdexport_version: str
    machine: MachineFact
    seconds: float
    load_before: float | None
    load_after: float | None
    notes: list[str]
    rows: list[LatencyFact]
    starts: list[StartFact]
    ratios: list[RatioFact]
    memory: list[MemoryFact]
    load: list[LoadFact]

    def find_row(
        self, name: str, *, path: CallPath = "run", batch: int | None = None
    ) -> LatencyFact | None:
        """Return how a candidate was called, by default at the smallest batch, on fewest threads;
        None where it was not.
        """
        rows = [row for row in self.rows if (row.name, row.path) == (name, path)]
        if batch is not None:
            rows = [row for row in rows if row.batch == batch]
        return min(rows, key=lambda row: (row.batch, row.threads), default=None)
