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

from kdexport.evidence.latency_facts import CallPath
from kdexport.evidence.timed import count_chunks, select_feeds, take_chunks
from kdexport.evidence.timing import (
    Call,
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
from kdexport.runtime import Feeds, Session, sheltered

Timed = Session | Callable[[Feeds], Any]
"""What is timed: a file, or a function of the feeds. Tables of latency call it a candidate."""

N_BLOCKS, MIN_BLOCKS = 30, 5
STREAK_NS, MAX_STREAK = 1_000_000, 1000
N_TRIALS, SLOW_NS = 3, 1_000_000


@dataclass(frozen=True)
class Setting:
    """What one part of a run holds fixed."""

    batch: int
    threads: int


@dataclass(frozen=True)
class Start:
    """What opening a candidate and its first call took; a function is not opened."""

    open_ns: int | None
    first_call_ns: int


@dataclass(frozen=True)
class Block:
    """What one block measured. Holds no session: each is closed when its block ends.

    Attributes:
        starts: By candidate.
        lanes: Name and path of each lane, in the same order in every block.
        warm_ups: Per lane.
        times_ns: **Shape** `[lanes, turns, 2]` int64: each turn's call after another candidate's
            and its call after its own.
        streaks_ns: Wall and CPU time of calls back to back, per lane.
    """

    starts: Mapping[str, Start]
    lanes: Sequence[tuple[str, CallPath]]
    warm_ups: Sequence[WarmUp]
    times_ns: Int64
    streaks_ns: Sequence[tuple[int, int]]


def measure_blocks(
    timed: Mapping[str, Timed],
    feeds: Feeds,
    setting: Setting,
    *,
    budget_ns: float,
    rng: np.random.Generator,
    clocks: Clocks,
) -> list[Block]:
    """Measure 30 equal blocks, or as many as the time allows, at least 5.

    A stop ends it between two blocks where files read text.
    """
    start = clocks.wall_ns()
    chunks = take_chunks(feeds, setting.batch, count_chunks(setting.batch), rng)
    blocks: list[Block] = []
    with garbage_collection_off():
        # By candidate, not by name: the second opening of a file is called as the first one is.
        distinct = {id(one): one for one in timed.values()}
        with sheltered(feeds):
            paths = {
                key: choose_paths(one, chunks, setting, clocks.wall_ns)
                for key, one in distinct.items()
            }

        def open_anew(name: str) -> tuple[Start, list[Lane]]:
            one = timed[name]
            called = paths[id(one)]
            return open_timed(name, one, called, chunks, setting, clocks.wall_ns)

        block_ns, n_turns = budget_ns / N_BLOCKS, None
        while len(blocks) < N_BLOCKS:
            elapsed_ns, n = clocks.wall_ns() - start, len(blocks)
            if n >= MIN_BLOCKS and elapsed_ns * (n + 1) / n > budget_ns:
                break  # another block would end after the time is up
            with sheltered(feeds):
                block = _measure_block(list(timed), open_anew, n_turns, block_ns, rng, clocks)
            n_turns = block.times_ns.shape[1]
            blocks.append(block)
    return blocks


def _measure_block(
    names: Sequence[str],
    open_anew: Callable[[str], tuple[Start, list[Lane]]],
    n_turns: int | None,
    block_ns: float,
    rng: np.random.Generator,
    clocks: Clocks,
) -> Block:
    """Measure one block of `n_turns`, or of as many as fill `block_ns` with what comes before."""
    start = clocks.wall_ns()
    opened = {name: open_anew(name) for name in (names[i] for i in rng.permutation(len(names)))}
    lanes = [lane for name in names for lane in opened[name][1]]
    rests = {i: warm_up(lanes[i].calls, clocks.wall_ns) for i in rng.permutation(len(lanes))}
    warm_ups = [rests[i] for i in range(len(lanes))]
    if n_turns is None:
        n_turns = _plan_turns(warm_ups, clocks.wall_ns() - start, block_ns)
    times_ns = time_turns(lanes, n_turns, rng, clocks.wall_ns)
    return Block(
        starts={name: one[0] for name, one in opened.items()},
        lanes=[(lane.name, lane.path) for lane in lanes],
        warm_ups=warm_ups,
        times_ns=times_ns,
        streaks_ns=[
            time_streak(lane.calls, _plan_streak(rest), clocks)
            for lane, rest in zip(lanes, warm_ups, strict=True)
        ],
    )


def open_timed(
    name: str,
    one: Timed,
    paths: Sequence[CallPath],
    chunks: Sequence[Feeds],
    setting: Setting,
    clock: Clock,
) -> tuple[Start, list[Lane]]:
    """Open a file anew and prepare its calls; a function is called as it is.

    A function with a method `prepare_call(feeds)`, which returns the call, is asked for it: its
    rows then have its own form before the clock starts, as a file's have.

    Args:
        name: What the lanes are called.
        one: The file, or a function.
        paths: How to call a file; IO binding is left out where onnxruntime cannot bind.
        chunks: Feeds of one call each.
        setting: Threads to open it with.
        clock: Times the opening and the first call.
    """
    if callable(one):
        prepare = getattr(one, "prepare_call", None) or partial(partial, one)
        calls: list[Call] = [prepare(chunk) for chunk in chunks]
        (first_call_ns,) = time_calls(calls[:1], clock)
        return Start(None, first_call_ns), [Lane(name, "call", calls)]
    start = clock()
    session = one.reopen(n_threads=setting.threads)
    open_ns = clock() - start
    own_chunks = [select_feeds(session, chunk) for chunk in chunks]
    runs = [session.prepare_call(chunk) for chunk in own_chunks]
    (first_call_ns,) = time_calls(runs[:1], clock)
    lanes = [Lane(name, "run", runs)]
    bound = session.bind_calls(own_chunks) if "io_binding" in paths else None
    if bound is not None:
        lanes.append(Lane(name, "io_binding", bound))
    return Start(open_ns, first_call_ns), lanes


def choose_paths(
    one: Timed, chunks: Sequence[Feeds], setting: Setting, clock: Clock
) -> list[CallPath]:
    """Return how a candidate is called: a slow one plainly only, binding saves microseconds."""
    if callable(one):
        return ["call"]
    _, lanes = open_timed("", one, ["run", "io_binding"], chunks, setting, clock)
    quick = min(time_calls(lanes[0].calls[:N_TRIALS], clock)) < SLOW_NS
    return [lane.path for lane in lanes] if quick else ["run"]


def _plan_turns(warm_ups: Sequence[WarmUp], setup_ns: float, block_ns: float) -> int:
    """How many turns fill a block, of which opening and warming up take at most a third."""
    turn_ns = 2 * sum(rest.median_ns for rest in warm_ups)
    return max(1, int(max(block_ns - setup_ns, 2 * setup_ns) / max(turn_ns, 1)))


def _plan_streak(rest: WarmUp) -> int:
    """How many calls are long enough for the clock of CPU time."""
    return max(1, min(MAX_STREAK, int(STREAK_NS / max(rest.median_ns, 1))))
