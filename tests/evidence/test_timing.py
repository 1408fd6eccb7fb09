"""The stopwatch, on a clock of the test's own."""

import gc
import itertools

import numpy as np
import pytest

from kdexport.evidence.timing import (
    WARM_UP_GROUP,
    WARM_UP_LIMIT_NS,
    Lane,
    garbage_collection_off,
    time_streak,
    time_turns,
    warm_up,
)
from tests.evidence.clocks import FakeClock


def test_each_time_is_its_own_lanes() -> None:
    """Whatever the order of the turns, a time is filed under the lane and the call that took it."""
    clock = FakeClock()
    lanes = [
        Lane(str(i), "run", [lambda i=i, k=k: clock.spend(100 * i + k) for k in range(4)])
        for i in range(5)
    ]
    times = time_turns(lanes, 50, np.random.default_rng(0), clock.clocks.wall_ns)
    assert times.shape == (5, 50, 2)
    rows = np.arange(100).reshape(50, 2) % 4
    np.testing.assert_array_equal(times, 100 * np.arange(5)[:, None, None] + rows)


def test_a_turn_is_after_others_then_after_itself() -> None:
    """A turn is two calls of one lane on two rows, and never follows a turn of the same lane."""
    made: list[tuple[str, int]] = []
    lanes = [
        Lane(name, "run", [lambda name=name, k=k: made.append((name, k)) for k in range(8)])
        for name in "abc"
    ]
    time_turns(lanes, 200, np.random.default_rng(0), lambda: 0)
    turns = [made[i : i + 2] for i in range(0, len(made), 2)]
    assert all(first[0] == second[0] and first[1] != second[1] for first, second in turns)
    owners = [first[0] for first, _ in turns]
    assert all(one != other for one, other in itertools.pairwise(owners))
    assert all(sorted(owners[i : i + 3]) == ["a", "b", "c"] for i in range(0, len(owners), 3))


def test_every_lane_follows_every_other() -> None:
    """Turns are in random order: each lane comes first in about as many rounds as any other."""
    made: list[str] = []
    lanes = [Lane(n, "run", [lambda n=n: made.append(n)] * 2) for n in "abcd"]
    time_turns(lanes, 400, np.random.default_rng(1), lambda: 0)
    firsts = made[:: 2 * len(lanes)]
    assert min(firsts.count(name) for name in "abcd") > 60


def test_warm_up_ends_when_times_stop_falling() -> None:
    """Calls that get faster are warmed up until they no longer do; a steady lane at once."""
    clock = FakeClock()
    falling = itertools.chain(np.linspace(9000, 5000, 100), itertools.repeat(5000))
    rest = warm_up([lambda: clock.spend(next(falling))], clock.clocks.wall_ns)
    assert rest.steady
    assert rest.n_calls >= 100
    assert rest.median_ns == 5000
    steady = warm_up([lambda: clock.spend(5000)], clock.clocks.wall_ns)
    assert steady.n_calls == 2 * WARM_UP_GROUP


def test_warm_up_is_bounded() -> None:
    """A lane that never comes to rest is not waited for, and is said not to be steady."""
    clock = FakeClock()
    falling = iter(4e5 * 0.99 ** np.arange(1000))
    rest = warm_up([lambda: clock.spend(next(falling))], clock.clocks.wall_ns)
    assert not rest.steady
    assert clock.wall_ns < 2 * WARM_UP_LIMIT_NS
    assert warm_up([lambda: clock.spend(1e9)], clock.clocks.wall_ns).n_calls == 1


def test_streak_tells_cpu_from_wall() -> None:
    """CPU time that other threads of the process burn shows beside the wall time."""
    clock = FakeClock()
    wall_ns, cpu_ns = time_streak([lambda: clock.spend(1000, 1.9)], 100, clock.clocks)
    assert (wall_ns, cpu_ns) == (100_000, 190_000)


@pytest.mark.parametrize("enabled", [True, False])
def test_collector_is_off_and_comes_back(enabled: bool) -> None:
    """The garbage collector is off while calls are timed, and afterwards as it was."""
    (gc.enable if enabled else gc.disable)()
    try:
        with garbage_collection_off():
            assert not gc.isenabled()
        assert gc.isenabled() == enabled
    finally:
        gc.enable()
