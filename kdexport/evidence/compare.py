"""Comparisons: is one candidate faster than another, and is a new record slower than an old one?

Takes block medians and records, gives ratios with intervals and verdicts. Knows no clock.

A block opens every candidate afresh, so two sessions of one file are exchangeable: whatever luck
with memory one has in a block, the other may have in the next. Blocks, not calls, are what an
interval is made of.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kdexport.errors import DataError, SlowdownError
from kdexport.evidence.few_rows import widen_few
from kdexport.evidence.latency_facts import (
    FLOOR,
    CallPath,
    Difference,
    LatencyFact,
    LatencyRecord,
    MachineFact,
    RatioFact,
    SlowdownFact,
    find_block_medians,
    is_again,
)
from kdexport.evidence.shape import Interval, describe_invalid
from kdexport.reading import MAX_TEXT_BYTES, read_file
from kdexport.records import Float64

N_DRAWS = 4000
CONFIDENCE, Z = 0.99, 2.5758


def estimate_mean(values: Float64, *, seed: int = 0) -> Interval:
    """Return the mean over blocks with a 99 % bootstrap interval, widened for few blocks.

    Args:
        values: **Shape** `[blocks]` float64, at least two.
        seed: Of the resampling.
    """
    n, mean = len(values), float(values.mean())
    draws = values[np.random.default_rng(seed).integers(n, size=(N_DRAWS, n))].mean(axis=1)
    margin = float(np.quantile(np.abs(draws - mean), CONFIDENCE))
    margin *= widen_few(n, Z)
    return Interval(value=mean, low=mean - margin, high=mean + margin)


def estimate_ratio(times: Float64, reference: Float64, *, seed: int = 0) -> Interval:
    """Return the geometric mean of paired blocks' ratios with a 99 % interval."""
    logs = estimate_mean(np.log(times) - np.log(reference), seed=seed)
    return Interval(**{key: math.exp(value) for key, value in logs.model_dump().items()})


def judge_ratio(ratio: Interval, noise: float | None) -> Difference:
    """Say faster or slower only where the interval excludes 1 and the effect exceeds the noise."""
    effect = math.exp(abs(math.log(ratio.value)))
    if ratio.low <= 1 <= ratio.high or (noise is not None and effect <= noise):
        return "NO_DIFFERENCE"
    return "FASTER" if ratio.value < 1 else "SLOWER"


def bound_noise(ratio: Interval) -> float:
    """Return the farthest from 1 that a ratio's interval reaches, as a ratio above 1."""
    return max(1 / ratio.low, ratio.high)


def compare_rows(rows: Sequence[LatencyFact], reference: str, again: str) -> list[RatioFact]:
    """Compare every candidate with the reference, each where it is called the same way.

    A function stands beside the plain calls of files.

    Args:
        rows: One setting's facts (one batch size, one number of threads).
        reference: The candidate that the others are compared with.
        again: The same file opened a second time: what chance alone shows.
    """
    facts = []
    for base in [row for row in rows if row.name == reference]:
        others = {
            row.name: row
            for row in rows
            if _is_bound(row) == _is_bound(base) and row.name not in (reference, FLOOR)
        }
        noise: float | None = None
        for name in sorted(others, key=lambda name: name != again):
            ratio = estimate_ratio(
                find_block_medians(others[name].raw), find_block_medians(base.raw)
            )
            facts.append(
                RatioFact(
                    name=name,
                    reference=reference,
                    path=others[name].path,
                    batch=base.batch,
                    threads=base.threads,
                    ratio=ratio,
                    noise=noise,
                    verdict=judge_ratio(ratio, noise),
                )
            )
            if name == again:
                noise = bound_noise(ratio)
    return facts


def _is_bound(row: LatencyFact) -> bool:
    return row.path == "io_binding"


def read_record(path: Path) -> LatencyRecord:
    """Read what `kdexport bench --json` wrote.

    Raises:
        DataError: It cannot be read, is no latency record, or none to compare with.
    """
    try:
        record = LatencyRecord.model_validate_json(read_file(path, MAX_TEXT_BYTES))
        _refuse_unusable(record)
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else describe_invalid(error)
        raise DataError(
            "a baseline is a file that kdexport bench --json wrote",
            found=f"{str(path)!r}: {problem}",
            cure="measure the baseline again with --json",
        ) from error
    return record


def _refuse_unusable(record: LatencyRecord) -> None:
    """Raise ValueError where no ratio can be made: of times of 0, or with no floor beside them."""
    lanes = _by_key(record)
    for key, row in lanes.items():
        if _find_floor(key) not in lanes:
            raise ValueError(f"no empty graph was timed beside {_name_key(key)}")
        if not find_block_medians(row.raw).all():
            raise ValueError(f"a block's median is 0 ns for {_name_key(key)}")


def check_comparable(old: MachineFact, new: MachineFact) -> None:
    """Refuse to compare times of different CPUs or versions.

    Raises:
        DataError: They differ; the message says in what.
    """
    fields = ("system", "cpu", "cpu_flags", "python", "numpy", "runtime")
    apart = [
        f"{field} was {getattr(old, field)}, is {getattr(new, field)}"
        for field in fields
        if getattr(old, field) != getattr(new, field)
    ]
    if apart:
        raise DataError(
            "records that are compared were made on the same CPU with the same versions",
            found="; ".join(apart),
            cure="measure the baseline again here, or pass --force",
        )


def compare_records(
    old: LatencyRecord, new: LatencyRecord, *, max_slowdown: float
) -> list[SlowdownFact]:
    """Compare what both records timed, candidate by candidate.

    Args:
        old: The baseline.
        new: What was measured now.
        max_slowdown: Allowed growth of the median, such as 0.1.

    Raises:
        DataError: They have nothing in common.
    """
    before, now = _by_key(old), _by_key(new)
    facts = [
        _compare_row(before, now, key, allowed=1 + max_slowdown)
        for key in now
        if key in before and key[0] != FLOOR
    ]
    if not facts:
        raise DataError(
            "a baseline has candidates, batch sizes and threads in common with the run",
            found="none",
            cure="measure the baseline with the same --batch and --threads",
        )
    return facts


def find_untimed(old: LatencyRecord, new: LatencyRecord) -> list[str]:
    """Name what a baseline timed and the run did not: file, batch, call path and threads.

    Chance decides whether calls of about a millisecond are timed bound as well, and which file is
    opened twice says nothing of any: neither counts.
    """
    before, now = _by_key(old), _by_key(new)
    plain = {(name, "run", batch, threads) for name, _, batch, threads in now}
    return [
        _name_key(key)
        for key in before
        if key not in now
        and key[0] != FLOOR
        and not is_again(key[0])
        and not (key[1] == "io_binding" and (key[0], "run", *key[2:]) in plain)
    ]


def require_speed(
    slowdowns: Sequence[SlowdownFact], untimed: Sequence[str] = (), *, max_slowdown: float
) -> None:
    """Fail where a candidate became slower than allowed, or was not timed again.

    Args:
        slowdowns: What both runs timed.
        untimed: What the baseline alone has timed, by name.
        max_slowdown: Allowed growth of the median.

    Raises:
        SlowdownError: One did, and the message names the worst; or some were not timed, and it
            names them all.
    """
    slower = [fact for fact in slowdowns if fact.slower]
    if slower:
        worst = max(slower, key=lambda fact: fact.ratio.value)
        value, low, high = worst.ratio.value, worst.ratio.low, worst.ratio.high
        raise SlowdownError(
            f"no candidate is more than {max_slowdown:.0%} slower than the baseline",
            found=f"{worst.name} at batch {worst.batch} ({worst.path}) takes {value:.2f} times "
            f"as long, 99 % [{low:.2f}, {high:.2f}]",
            cure="look at what changed in it, or measure the baseline anew if that is meant",
        )
    if untimed:
        raise SlowdownError(
            "what a baseline has timed is timed again",
            found=f"the run has not {', '.join(untimed)}",
            cure="pass the files, --batch and --threads of the baseline, or --force to compare "
            "the others alone",
        )


Key = tuple[str, CallPath, int, int]


def _name_key(key: Key) -> str:
    name, path, batch, threads = key
    return f"{name} at batch {batch} ({path}, {threads} thread{'s' if threads > 1 else ''})"


def _find_floor(key: Key) -> Key:
    """The lane of the empty graph that was called as a candidate's was."""
    _, path, batch, threads = key
    return FLOOR, "run" if path == "call" else path, batch, threads


def _by_key(record: LatencyRecord) -> dict[Key, LatencyFact]:
    return {(row.name, row.path, row.batch, row.threads): row for row in record.rows}


def _compare_row(
    before: dict[Key, LatencyFact], now: dict[Key, LatencyFact], key: Key, *, allowed: float
) -> SlowdownFact:
    """Compare one candidate's blocks, which are not paired: the runs were not made together."""
    name, path, batch, threads = key
    logs = []
    for rows in (now, before):
        own = np.log(find_block_medians(rows[key].raw))
        floor = np.log(find_block_medians(rows[_find_floor(key)].raw))
        logs.append((estimate_mean(own), estimate_mean(own - floor)))
    ratio, beside_floor = (_subtract(new, old) for new, old in zip(*logs, strict=True))
    return SlowdownFact(
        name=name,
        path=path,
        batch=batch,
        threads=threads,
        ratio=ratio,
        beside_floor=beside_floor,
        slower=min(ratio.low, beside_floor.low) > allowed,
    )


def _subtract(new: Interval, old: Interval) -> Interval:
    """The ratio of two independent estimates that are logarithms; margins add as squares do."""
    margin = math.hypot(new.high - new.value, old.high - old.value)
    difference = new.value - old.value
    low, high = difference - margin, difference + margin
    return Interval(value=math.exp(difference), low=math.exp(low), high=math.exp(high))
