"""Baselines: is a new record slower than an old one?

Takes two records, or the file of one, gives ratios with intervals and what may be said of them.
Knows no clock.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

import numpy as np

from kdexport.errors import DataError, SlowdownError
from kdexport.evidence.compare import estimate_mean
from kdexport.evidence.latency_facts import (
    FLOOR,
    CallPath,
    LatencyFact,
    LatencyRecord,
    MachineFact,
    SlowdownFact,
    find_block_medians,
    is_again,
)
from kdexport.evidence.shape import Interval, describe_invalid
from kdexport.reading import MAX_TEXT_BYTES, read_file


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
        if row.raw.blocks != lanes[_find_floor(key)].raw.blocks:
            raise ValueError(f"the empty graph has other blocks than {_name_key(key)}")
        if not find_block_medians(row.raw).all():
            raise ValueError(f"a block's median is 0 ns for {_name_key(key)}")


def check_comparable(old: MachineFact, new: MachineFact) -> None:
    """Refuse to compare times of different CPUs or versions.

    Raises:
        DataError: They differ; the message says in what.
    """
    fields = ("system", "cpu", "cpu_flags", "python", "numpy", "runtime")
    apart = [
        _tell_apart(field, getattr(old, field), getattr(new, field))
        for field in fields
        if getattr(old, field) != getattr(new, field)
    ]
    if apart:
        raise DataError(
            "records that are compared were made on the same CPU with the same versions",
            found="; ".join(apart),
            cure="measure the baseline again here, or pass --force",
        )


def _tell_apart(field: str, old: object, new: object) -> str:
    if isinstance(old, tuple) and isinstance(new, tuple):  # a CPU has dozens of flags
        gone, added = ([x for x in a if x not in b] for a, b in ((old, new), (new, old)))
        return f"{field} lost {', '.join(gone) or 'none'}, gained {', '.join(added) or 'none'}"
    return f"{field} was {old}, is {new}"


def require_common(
    old: LatencyRecord, names: Iterable[str], batches: Sequence[int], threads: Sequence[int]
) -> None:
    """Refuse a baseline of nothing that is about to be timed.

    Args:
        old: The baseline.
        names: Of the candidates.
        batches: Rows per call.
        threads: Intra-op threads.

    Raises:
        DataError: It has none of them together; the message says what it has.
    """
    timed = {(row.name, row.batch, row.threads) for row in old.rows}
    if not timed & {*product(names, batches, threads)}:
        raise _refuse_apart(old)


def _refuse_apart(old: LatencyRecord) -> DataError:
    rows = [row for row in old.rows if row.name != FLOOR and not is_again(row.name)]
    names, batches, threads = (
        ",".join(dict.fromkeys(str(getattr(row, field)) for row in rows))
        for field in ("name", "batch", "threads")
    )
    return DataError(
        "a baseline has candidates, batch sizes and threads in common with the run",
        found=f"it timed {names}, --batch {batches} --threads {threads}" if names else "no rows",
        cure="pass what it timed, or measure it again",
    )


def compare_records(
    old: LatencyRecord, new: LatencyRecord, *, max_slowdown: float
) -> list[SlowdownFact]:
    """Compare what both records timed, candidate by candidate; a file's second opening is no
    other candidate.

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
        if key in before and key[0] != FLOOR and not is_again(key[0])
    ]
    if not facts:
        raise _refuse_apart(old)
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


def describe_unclear(slowdowns: Sequence[SlowdownFact], *, max_slowdown: float) -> str:
    """Say how much of a comparison passes because nobody can tell; nothing where all is clear."""
    n_unclear = sum(not (fact.slower or fact.within) for fact in slowdowns)
    if not n_unclear:
        return ""
    return (
        f"too noisy to tell of {n_unclear} of {len(slowdowns)} whether they are more than "
        f"{100 * max_slowdown:g} % slower: raise --seconds in both runs, or use a quieter machine"
    )


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
            f"no candidate is more than {100 * max_slowdown:g} % slower than the baseline",
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
        within=min(ratio.high, beside_floor.high) <= allowed,
    )


def _subtract(new: Interval, old: Interval) -> Interval:
    """The ratio of two independent estimates that are logarithms; margins add as squares do."""
    margin = math.hypot(new.high - new.value, old.high - old.value)
    difference = new.value - old.value
    low, high = difference - margin, difference + margin
    return Interval(value=math.exp(difference), low=math.exp(low), high=math.exp(high))
