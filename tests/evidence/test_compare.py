"""Comparisons, on simulated runs: what they may say, and how often they are wrong."""

import base64
import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest

from kdexport.errors import DataError, SlowdownError
from kdexport.evidence.baseline import (
    check_comparable,
    compare_records,
    describe_unclear,
    find_untimed,
    read_record,
    require_common,
    require_speed,
)
from kdexport.evidence.compare import bound_noise, compare_rows, estimate_mean, judge_ratio
from kdexport.evidence.latency_facts import MAX_RAW_CALLS, LatencyRecord, RatioFact
from kdexport.evidence.shape import Interval
from tests.evidence.records import make_record, make_row, scale_times

N_BLOCKS, N_TURNS = 30, 40


def pack(times_ns: np.ndarray) -> str:
    """Times as a record holds them."""
    return base64.b64encode(zlib.compress(times_ns.astype("<i8").tobytes())).decode()


def make_bins(medians_ns: list[float]) -> dict[str, object]:
    """A histogram with these medians of blocks."""
    return {"lowest_ns": 1, "counts": [1], "block_medians_ns": medians_ns}


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
    with pytest.raises(SlowdownError, match=r"more than 0\.5 % slower"):
        require_speed(slowdowns, max_slowdown=0.005)


@pytest.mark.parametrize(
    ("own", "floor"), [(1.0, 1.0), (1.05, 1.0), (1.3, 1.3), (0.5, 0.5), (1.0, 0.5)]
)
def test_slower_machine_is_no_slowdown(own: float, floor: float) -> None:
    """What is within the limit, or slows the floor as much, is the machine and passes."""
    old = make_record({"a": 9.0, "floor": 4.5})
    slowdowns = compare_records(old, slow_down(old, own=own, floor=floor), max_slowdown=0.1)
    require_speed(slowdowns, max_slowdown=0.1)


def test_uncertain_slowdown_passes() -> None:
    """A slowdown whose interval reaches into what is allowed does not fail, and is unclear."""
    rng = np.random.default_rng(0)
    old = make_record({"a": 9.0, "floor": 4.5})
    blocks = 9e3 * 1.15 * np.exp(rng.normal(0, 0.2, (N_BLOCKS, 1))) * np.ones((1, N_TURNS))
    new = old.model_copy(update={"rows": [make_row("a", blocks), old.rows[1]]})
    (fact,) = compare_records(old, new, max_slowdown=0.1)
    assert fact.ratio.low < 1.1 < fact.ratio.high
    assert not fact.slower
    assert not fact.within
    assert describe_unclear([fact], max_slowdown=0.1).startswith("too noisy to tell of 1 of 1")
    clear = compare_records(old, old, max_slowdown=0.1)
    assert not describe_unclear(clear, max_slowdown=0.1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cpu", "another"),
        ("python", "3.11.0"),
        ("runtime", {"onnxruntime": "1.0"}),
        ("cpu_flags", ("amx", "avx2")),
    ],
)
def test_other_machine_is_refused(field: str, value: object) -> None:
    """Records of different CPUs or versions are not compared, and the difference is named."""
    machine = make_record({"a": 9.0, "floor": 4.5}).machine
    check_comparable(machine, machine)
    with pytest.raises(DataError, match=field):
        check_comparable(machine, machine.model_copy(update={field: value}))


def test_flags_that_differ_are_named_alone() -> None:
    """Of the dozens of flags that a CPU has, those are named that the other one lacks."""
    machine = make_record({"a": 9.0}).machine
    other = machine.model_copy(update={"cpu_flags": (*machine.cpu_flags, "amx")})
    with pytest.raises(DataError, match="cpu_flags lost none, gained amx;"):
        check_comparable(machine, other)


def test_baseline_of_other_files_is_refused() -> None:
    """A baseline that has nothing in common with the run is an error, not a pass."""
    old, new = make_record({"a": 9.0, "floor": 4.5}), make_record({"b": 9.0, "floor": 4.5})
    with pytest.raises(DataError, match="it timed a, --batch 1 --threads 1;"):
        compare_records(old, new, max_slowdown=0.1)


def test_baseline_of_nothing_that_will_be_timed_is_refused() -> None:
    """That a baseline has nothing in common with a run is known before it is made."""
    old = make_record({"a": 9.0, "floor": 4.5}, batches=(1, 32))
    require_common(old, ["b", "a"], [32, 64], [1])
    for names, batches, threads in ((["b"], [1], [1]), (["a"], [2], [1]), (["a"], [1], [2])):
        with pytest.raises(DataError, match="it timed a, --batch 1,32 --threads 1;"):
            require_common(old, names, batches, threads)


def test_second_opening_is_no_other_candidate() -> None:
    """A file that is timed twice has one chance to be found slower, not two."""
    record = make_record({"a": 9.0, "a again": 9.0, "floor": 4.5})
    assert [fact.name for fact in compare_records(record, record, max_slowdown=0.1)] == ["a"]


def test_what_is_not_timed_again_is_named() -> None:
    """Files, batches and threads of the baseline that the run lacks are named, and fail; the floor,
    the file opened twice and bound calls of a file that is timed plainly are not missed.
    """
    levels = {"a": 9.0, "b": 9.0, "a again": 9.0, "floor": 4.5}
    old = make_record(levels, batches=(1, 32))
    more = [old.rows[0].model_copy(update=way) for way in ({"path": "io_binding"}, {"threads": 2})]
    old = old.model_copy(update={"rows": [*old.rows, *more]})
    new = make_record({"a": 9.0, "b again": 9.0, "floor": 4.5, "new": 9.0})
    untimed = find_untimed(old, new)
    assert untimed == [
        "b at batch 1 (run, 1 thread)",
        "a at batch 32 (run, 1 thread)",
        "b at batch 32 (run, 1 thread)",
        "a at batch 1 (run, 2 threads)",
    ]
    assert not find_untimed(new, new)
    with pytest.raises(SlowdownError, match=r"the run has not b at batch 1 .*, a at batch 32 .*"):
        require_speed(compare_records(old, new, max_slowdown=0.1), untimed, max_slowdown=0.1)


def test_baseline_without_a_floor_is_refused(tmp_path: Path) -> None:
    """Times without an empty graph beside them are refused, with the candidate's name."""
    record = make_record({"a": 9.0, "floor": 4.5})
    path = tmp_path / "old.json"
    path.write_text(record.model_copy(update={"rows": record.rows[:1]}).model_dump_json())
    with pytest.raises(DataError, match="no empty graph was timed beside a at batch 1"):
        read_record(path)


def test_baseline_of_other_blocks_is_refused(tmp_path: Path) -> None:
    """A candidate's blocks are paired with the floor's: other numbers of them are no run's."""
    record = make_record({"a": 9.0, "floor": 4.5})
    rows = [make_row("a", np.full((8, 9), 9e3)), record.rows[1]]
    path = tmp_path / "old.json"
    path.write_text(record.model_copy(update={"rows": rows}).model_dump_json())
    with pytest.raises(DataError, match="the empty graph has other blocks than a at batch 1"):
        read_record(path)


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ({"packed_ns": None}, r"rows\.0\.raw: times are either packed or a histogram"),
        ({"packed_ns": "AAAA"}, r"rows\.0\.raw: packed times are compressed by zlib"),
        ({"packed_ns": "A"}, r"rows\.0\.raw: "),
        ({"packed_ns": pack(np.ones(8 * MAX_RAW_CALLS))}, "at most 20000 calls"),
        ({"packed_ns": pack(np.zeros(60))}, "median is 0 ns for a at batch 1"),
        ({"packed_ns": pack(np.full(60, -1))}, "times are 0 or more"),
        ({"blocks": 7}, "7 equal blocks"),
        ({"blocks": 0}, "two blocks or more, not of 0"),
        ({"packed_ns": None, "histogram": make_bins([1.0] * 29)}, "30 blocks have as many medians"),
        ({"packed_ns": None, "histogram": make_bins([0.0] * 30)}, "median is 0 ns"),
    ],
)
def test_damaged_baseline_says_where(raw: dict[str, object], found: str, tmp_path: Path) -> None:
    """A record whose times cannot be read is bad input: one line that says where it is damaged."""
    record = json.loads(make_record({"a": 9.0, "floor": 4.5}).model_dump_json())
    record["rows"][0]["raw"] |= raw
    (tmp_path / "old.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match=found):
        read_record(tmp_path / "old.json")


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
