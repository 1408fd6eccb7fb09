"""The stopwatch: calls timed one by one, in turns, and nothing else.

Takes prepared calls and a clock, gives nanoseconds. Knows neither files nor runtimes nor
statistics, so that a test can hand it a clock of its own.
"""

import gc
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdexport.evidence.latency_facts import CallPath
from kdexport.records import Int64

Call = Callable[[], Any]
Clock = Callable[[], int]

AFTER_OTHERS, AFTER_ITSELF = 0, 1  # the two calls of a turn
WARM_UP_GROUP = 20
WARM_UP_TOLERANCE = 0.02  # steady: a group's median is at most this far below the one before
WARM_UP_LIMIT_NS = 20_000_000


@dataclass(frozen=True)
class Clocks:
    """Wall time and this process's CPU time (all its threads), both in nanoseconds."""

    wall_ns: Clock = time.perf_counter_ns
    cpu_ns: Clock = time.process_time_ns


@dataclass(frozen=True)
class Lane:
    """One way of calling one candidate: the same call on rows that take turns."""

    name: str
    path: CallPath
    calls: Sequence[Call]


@dataclass(frozen=True)
class WarmUp:
    """How a lane came to rest: untimed calls made, their last median, and whether it was steady."""

    n_calls: int
    median_ns: float
    steady: bool


def time_calls(schedule: Sequence[Call], clock: Clock) -> list[int]:
    """Make every call once, in order; return the nanoseconds of each."""
    times = [0] * len(schedule)
    for i, call in enumerate(schedule):
        start = clock()
        call()
        times[i] = clock() - start
    return times


def time_turns(
    lanes: Sequence[Lane], n_turns: int, rng: np.random.Generator, clock: Clock
) -> Int64:
    """Let the lanes take turns in random order; a turn is two calls on two rows.

    The first call of a turn finds the caches as another candidate left them, the second as the
    lane itself left them.

    Returns:
        **Shape** `[n_lanes, n_turns, 2]` int64, nanoseconds.
    """
    orders = np.argsort(rng.random((n_turns, len(lanes))), axis=1)
    for before, order in itertools.pairwise(orders):
        if order[0] == before[-1]:  # it would find its own caches
            order[[0, -1]] = order[[-1, 0]]
    schedule = []
    for turn, order in enumerate(orders):
        for position in order:
            calls = lanes[position].calls
            schedule += [calls[2 * turn % len(calls)], calls[(2 * turn + 1) % len(calls)]]
    in_order = np.array(time_calls(schedule, clock), np.int64).reshape(n_turns, len(lanes), 2)
    times = np.empty((len(lanes), n_turns, 2), np.int64)
    times[orders, np.arange(n_turns)[:, None]] = in_order
    return times


def warm_up(calls: Sequence[Call], clock: Clock) -> WarmUp:
    """Call until the median of a group of calls no longer falls, or the time for it is spent."""
    times: list[int] = []
    before, start = np.inf, clock()
    while True:
        while True:
            times += time_calls([calls[len(times) % len(calls)]], clock)
            in_time = clock() - start < WARM_UP_LIMIT_NS
            if not in_time or len(times) % WARM_UP_GROUP == 0:
                break
        median = float(np.median(times[-WARM_UP_GROUP:]))
        steady = in_time and median >= (1 - WARM_UP_TOLERANCE) * before
        if steady or not in_time:
            return WarmUp(len(times), median, steady)
        before = median


def time_streak(calls: Sequence[Call], n_calls: int, clocks: Clocks) -> tuple[int, int]:
    """Make calls back to back; return the wall and the CPU nanoseconds of all of them together."""
    cpu, wall = clocks.cpu_ns(), clocks.wall_ns()
    for i in range(n_calls):
        calls[i % len(calls)]()
    return clocks.wall_ns() - wall, clocks.cpu_ns() - cpu


@contextmanager
def garbage_collection_off() -> Iterator[None]:
    """Collect once, then keep the collector out of the timings."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
