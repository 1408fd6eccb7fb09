"""Comparisons, on simulated runs: what they may say, and how often they are wrong."""

import math

import numpy as np
import pytest

from kdexport.errors import DataError, SlowdownError
from kdexport.evidence.compare import (
    bound_noise,
    check_comparable,
    compare_records,
    compare_rows,
    estimate_mean,
    judge_ratio,
    require_speed,
)
from kdexport.evidence.latency_facts import LatencyRecord, RatioFact
from kdexport.evidence.shape import Interval
from tests.evidence.records import make_record, make_row, scale_times

N_BLOCKS, N_TURNS = 30, 40


def simulate_times(rng: np.random.Generator, drift: np.ndarray, level_us: float) -> np.ndarray:
    """Calls of one file, **Shape** `[blocks, turns]`: drift of the machine, luck, neighbours.

    Luck with memory is one of two values per block, 4 % apart; a busy neighbour doubles some calls.
    """
    luck = rng.choice([1.0, 1.04], size=(N_BLOCKS, 1))
    spikes = np.where(rng.random((N_BLOCKS, N_TURNS)) < 0.15, 2 + rng.exponential(size=1), 1)
    noise = rng.lognormal(0, 0.05, (N_BLOCKS, N_TURNS))
    return 1e3 * level_us * drift * luck * spikes * noise


def simulate_run(seed: int, *, slower_us: float) -> list[RatioFact]:
    """One run: a file, the same file again, and a file that takes so much longer."""
    rng = np.random.default_rng(seed)
    drift = 1 + 0.25 * rng.random((N_BLOCKS, 1)).cumsum(axis=0) / N_BLOCKS
    levels = {"a": 9.0, "a again": 9.0, "b": 9.0 + slower_us}
    rows = [make_row(name, simulate_times(rng, drift, us)) for name, us in levels.items()]
    return compare_rows(rows, "a", "a again")


def test_same_file_shows_no_difference() -> None:
    """E3: a file beside itself is called "no difference" in nearly every run, drift or not."""
    runs = [simulate_run(seed, slower_us=0.0) for seed in range(150)]
    aa, ab = zip(*runs, strict=True)
    assert {fact.name for fact in aa} == {"a again"}
    assert sum(fact.verdict == "NO_DIFFERENCE" for fact in aa) >= 0.96 * len(runs)
    assert sum(fact.verdict == "NO_DIFFERENCE" for fact in ab) >= 0.98 * len(runs)


def test_real_difference_is_found() -> None:
    """One node more, half a microsecond in nine, is told apart in at least nine runs of ten."""
    runs = [simulate_run(seed, slower_us=0.5) for seed in range(60)]
    assert sum(run[1].verdict == "SLOWER" for run in runs) >= 54


@pytest.mark.parametrize("n_blocks", [5, 8, 30])
def test_interval_of_few_blocks_covers(n_blocks: int) -> None:
    """A 99 % interval holds the truth in about 99 % of samples, also of five blocks."""
    rng = np.random.default_rng(2)
    found = [estimate_mean(rng.normal(3, 1, n_blocks), seed=i) for i in range(600)]
    assert np.mean([f.low <= 3 <= f.high for f in found]) >= 0.97


@pytest.mark.parametrize(
    ("low", "value", "high", "noise", "verdict"),
    [
        (0.99, 1.01, 1.03, None, "NO_DIFFERENCE"),
        (1.01, 1.02, 1.03, None, "SLOWER"),
        (1.01, 1.02, 1.03, 1.03, "NO_DIFFERENCE"),
        (0.90, 0.92, 0.94, 1.03, "FASTER"),
        (0.97, 0.98, 0.99, 1.03, "NO_DIFFERENCE"),
    ],
)
def test_verdict_needs_interval_and_noise(
    low: float, value: float, high: float, noise: float | None, verdict: str
) -> None:
    """Faster and slower are said only beyond both the interval and what A/A showed."""
    assert judge_ratio(Interval(value=value, low=low, high=high), noise) == verdict


def test_noise_is_the_far_end_of_the_same_file() -> None:
    """What chance may show is the farthest end of the A/A interval, on either side."""
    assert bound_noise(Interval(value=1.0, low=0.8, high=1.1)) == pytest.approx(1.25)
    facts = simulate_run(0, slower_us=0.5)
    assert facts[1].noise == pytest.approx(bound_noise(facts[0].ratio))


def slow_down(record: LatencyRecord, *, own: float, floor: float) -> LatencyRecord:
    """The same record, measured where the candidate and the floor take other times."""
    rows = [scale_times(row, floor if row.name == "floor" else own) for row in record.rows]
    return record.model_copy(update={"rows": rows})


def test_slowdown_beyond_the_allowed_fails() -> None:
    """A candidate that became 30 % slower fails a limit of 10 %, and the message names it."""
    old = make_record({"a": 9.0, "floor": 4.5})
    slowdowns = compare_records(old, slow_down(old, own=1.3, floor=1.0), max_slowdown=0.1)
    assert slowdowns[0].ratio.value == pytest.approx(1.3, rel=1e-3)
    with pytest.raises(SlowdownError, match=r"a at batch 1 .* 1\.30 times"):
        require_speed(slowdowns, max_slowdown=0.1)


@pytest.mark.parametrize(
    ("own", "floor"), [(1.0, 1.0), (1.05, 1.0), (1.3, 1.3), (0.5, 0.5), (1.0, 0.5)]
)
def test_slower_machine_is_no_slowdown(own: float, floor: float) -> None:
    """What is within the limit, or slows the floor as much, is the machine and passes."""
    old = make_record({"a": 9.0, "floor": 4.5})
    slowdowns = compare_records(old, slow_down(old, own=own, floor=floor), max_slowdown=0.1)
    require_speed(slowdowns, max_slowdown=0.1)


def test_uncertain_slowdown_passes() -> None:
    """A slowdown whose interval reaches into what is allowed does not fail."""
    rng = np.random.default_rng(0)
    old = make_record({"a": 9.0, "floor": 4.5})
    blocks = 9e3 * 1.15 * np.exp(rng.normal(0, 0.2, (N_BLOCKS, 1))) * np.ones((1, N_TURNS))
    new = old.model_copy(update={"rows": [make_row("a", blocks), old.rows[1]]})
    (fact,) = compare_records(old, new, max_slowdown=0.1)
    assert fact.ratio.low < 1.1 < fact.ratio.high
    assert not fact.slower


@pytest.mark.parametrize(
    ("field", "value"),
    [("cpu", "another"), ("python", "3.11.0"), ("runtime", {"onnxruntime": "1.0"})],
)
def test_other_machine_is_refused(field: str, value: object) -> None:
    """Records of different CPUs or versions are not compared, and the difference is named."""
    machine = make_record({"a": 9.0, "floor": 4.5}).machine
    check_comparable(machine, machine)
    with pytest.raises(DataError, match=field):
        check_comparable(machine, machine.model_copy(update={field: value}))


def test_baseline_of_other_files_is_refused() -> None:
    """A baseline that has nothing in common with the run is an error, not a pass."""
    old, new = make_record({"a": 9.0, "floor": 4.5}), make_record({"b": 9.0, "floor": 4.5})
    with pytest.raises(DataError, match="in common"):
        compare_records(old, new, max_slowdown=0.1)


def test_functions_stand_beside_plain_calls() -> None:
    """A function is compared with the reference's plain calls, bound calls with bound ones."""
    a, b = make_record({"a": 9.0, "b": 18.0}).rows
    rows = [a, a.model_copy(update={"path": "io_binding"}), b.model_copy(update={"path": "call"})]
    (fact,) = compare_rows(rows, "a", "a again")
    assert (fact.name, fact.path) == ("b", "call")
    assert fact.ratio.value == pytest.approx(2.0, rel=0.01)


def test_ratio_is_geometric() -> None:
    """A ratio and its inverse are each other's, whatever the spread of the blocks."""
    rng = np.random.default_rng(0)
    rows = [make_row(n, 1e3 * rng.lognormal(2, 0.3, (N_BLOCKS, 1))) for n in ("a", "b")]
    forth, back = (compare_rows(r, r[0].name, "-")[0].ratio for r in (rows, rows[::-1]))
    assert math.log(forth.value) == pytest.approx(-math.log(back.value))
    assert forth.low == pytest.approx(1 / back.high)
