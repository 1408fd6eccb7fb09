"""Blocks: every candidate opened afresh, brought to rest, timed in turns.

Takes candidates and feeds, gives blocks of raw nanoseconds. Opening anew in every block makes
luck with memory (where a session's weights and buffers lie) part of what varies, instead of a
bias that one session keeps for the whole run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from kdexport.evidence.candidates import select_feeds, take_chunks
from kdexport.evidence.latency_facts import CallPath
from kdexport.evidence.timing import (
    Clock,
    Clocks,
    Lane,
    WarmUp,
    garbage_collection_off,
    time_calls,
    time_streak,
    time_turns,
    warm_up,
)
from kdexport.records import Int64
from kdexport.runtime import Feeds, Session

Candidate = Session | Callable[[Feeds], Any]

N_BLOCKS, MIN_BLOCKS = 30, 5
N_CHUNKS, MAX_CHUNK_ROWS = 32, 16_384  # prepared batches that take turns, and their rows in all
STREAK_NS, MAX_STREAK = 1_000_000, 1000
SLOW_NS = 1_000_000  # IO binding saves some microseconds: calls slower than this do not need it


@dataclass(frozen=True)
class Setting:
    """What one part of a run holds fixed."""

    batch: int
    threads: int


@dataclass(frozen=True)
class Opened:
    """A candidate opened for one block: what that and its first call took, and its lanes.

    `open_ns` is None of a function, which stays as it is.
    """

    open_ns: int | None
    first_call_ns: int
    lanes: Sequence[Lane]


@dataclass(frozen=True)
class Block:
    """What one block measured.

    Attributes:
        lanes: In the order of the candidates, the same in every block.
        times_ns: **Shape** `[lanes, turns, 2]` int64: each turn's call after another candidate's
            and its call after its own.
        streaks_ns: Wall and CPU time of calls back to back, per lane.
    """

    opened: Mapping[str, Opened]
    lanes: Sequence[Lane]
    warm_ups: Sequence[WarmUp]
    times_ns: Int64
    streaks_ns: Sequence[tuple[int, int]]


def measure_blocks(
    candidates: Mapping[str, Candidate],
    feeds: Feeds,
    setting: Setting,
    *,
    budget_ns: float,
    rng: np.random.Generator,
    clocks: Clocks,
) -> list[Block]:
    """Measure 30 equal blocks, or as many as the time allows, at least 5."""
    clock = clocks.wall_ns
    n_chunks = max(2, min(N_CHUNKS, MAX_CHUNK_ROWS // setting.batch))
    chunks = take_chunks(feeds, setting.batch, n_chunks, rng)
    names = list(candidates)
    blocks: list[Block] = []
    paths: dict[int, list[CallPath]] = {}
    n_turns, start = 0, clock()
    with garbage_collection_off():
        while len(blocks) < N_BLOCKS:
            block_start, n = clock(), len(blocks)
            if n >= MIN_BLOCKS and (block_start - start) * (n + 1) / n > budget_ns:
                break  # another block would end after the time is up
            opened = {}
            for i in rng.permutation(len(names)):
                name, candidate = names[i], candidates[names[i]]
                one = open_candidate(
                    name, candidate, chunks, setting, clock, paths=paths.get(id(candidate))
                )
                paths[id(candidate)] = [lane.path for lane in one.lanes]
                opened[name] = one
            lanes = [lane for name in names for lane in opened[name].lanes]
            rests = {i: warm_up(lanes[i].calls, clock) for i in rng.permutation(len(lanes))}
            warm_ups = [rests[i] for i in range(len(lanes))]
            if not blocks:
                n_turns = _plan_turns(warm_ups, clock() - block_start, budget_ns / N_BLOCKS)
            times_ns = time_turns(lanes, n_turns, rng, clock)
            streaks_ns = [
                time_streak(lane.calls, _plan_streak(rest), clocks)
                for lane, rest in zip(lanes, warm_ups, strict=True)
            ]
            blocks.append(Block(opened, lanes, warm_ups, times_ns, streaks_ns))
    return blocks


def open_candidate(
    name: str,
    candidate: Candidate,
    chunks: Sequence[Feeds],
    setting: Setting,
    clock: Clock,
    *,
    paths: Sequence[CallPath] | None = None,
) -> Opened:
    """Open a file anew and prepare its calls.

    Args:
        name: What the lanes are called.
        candidate: The file, or a function.
        chunks: Feeds of one call each.
        setting: Threads to open it with.
        clock: Times the opening and the first call.
        paths: How to call it; by default plainly and, where that is possible and the first call
            was quick, through IO binding.
    """
    if callable(candidate):
        calls = [partial(candidate, chunk) for chunk in chunks]
        (first_call_ns,) = time_calls(calls[:1], clock)
        return Opened(None, first_call_ns, [Lane(name, "call", calls)])
    start = clock()
    session = candidate.reopen(n_threads=setting.threads)
    open_ns = clock() - start
    own_chunks = [select_feeds(session, chunk) for chunk in chunks]
    runs = [session.prepare_call(chunk) for chunk in own_chunks]
    (first_call_ns,) = time_calls(runs[:1], clock)
    lanes = [Lane(name, "run", runs)]
    if first_call_ns < SLOW_NS if paths is None else "io_binding" in paths:
        bound = session.bind_calls(own_chunks)
        if bound is not None:
            lanes.append(Lane(name, "io_binding", bound))
    return Opened(open_ns, first_call_ns, lanes)


def _plan_turns(warm_ups: Sequence[WarmUp], setup_ns: float, block_ns: float) -> int:
    """How many turns fill a block, of which opening and warming up take at most a third."""
    turn_ns = 2 * sum(rest.median_ns for rest in warm_ups)
    return max(1, int(max(block_ns - setup_ns, 2 * setup_ns) / max(turn_ns, 1)))


def _plan_streak(rest: WarmUp) -> int:
    """How many calls are long enough for the clock of CPU time."""
    return max(1, min(MAX_STREAK, int(STREAK_NS / max(rest.median_ns, 1))))
