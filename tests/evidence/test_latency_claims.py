"""Times follow from the calls that a record keeps."""

from typing import Any

import numpy as np
import pytest

from kdexport.evidence.latency import add_apart, measure_latency
from kdexport.evidence.latency_claims import find_wrong_times
from kdexport.evidence.latency_facts import MAX_RAW_CALLS, NATIVE, LatencyRecord
from tests.evidence.clocks import FakeClock, FakeSession
from tests.evidence.records import make_row

FEEDS = {"numeric": np.zeros((8, 3), np.float32)}


def measure(name: str = "function") -> LatencyRecord:
    """A run of a file and a function, on a clock that a test turns."""
    clock, rng = FakeClock(), np.random.default_rng(0)

    def call(_: object) -> None:
        clock.spend(9e3 * rng.lognormal(0, 0.1))

    session = FakeSession(clock, call_us=lambda: 6 * rng.lognormal(0, 0.1))
    timed: dict[str, Any] = {"fake": session, name: call}
    return measure_latency(timed, FEEDS, batches=[1, 2], seconds=0.05, clocks=clock.clocks)


@pytest.fixture(scope="module")
def record() -> LatencyRecord:
    """What a run measured."""
    return measure()


def test_a_run_follows_from_its_calls(record: LatencyRecord) -> None:
    """A run contradicts itself nowhere, nor with a slow candidate from a run of its own."""
    assert {row.path for row in record.rows} == {"run", "io_binding", "call"}
    assert find_wrong_times(record) == []
    assert find_wrong_times(add_apart(record, measure(NATIVE), NATIVE)) == []


def change(facts: list[Any], at: int, **changes: Any) -> list[Any]:
    """The same facts, one of them with other fields."""
    return [one.model_copy(update=changes) if i == at else one for i, one in enumerate(facts)]


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("p50_us", "p50 of fake at batch 1"),
        ("p90_us", "p90 of fake at batch 1"),
        ("after_others_p50_us", "p50 after others of fake"),
        ("over_floor_us", "not as far over the floor"),
    ],
)
@pytest.mark.parametrize("bound", ["value", "low", "high"])
def test_changed_rows(record: LatencyRecord, field: str, bound: str, said: str) -> None:
    """A percentile or a distance from the floor that is not that of the calls is named."""
    stated = getattr(record.rows[0], field)
    forged = stated.model_copy(update={bound: 0.9 * getattr(stated, bound)})
    rows = change(record.rows, 0, **{field: forged})
    (problem,) = find_wrong_times(record.model_copy(update={"rows": rows}))
    assert said in problem


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"p99_us": None}, "p99 of fake"),
        ({"calls": 7}, "the number of calls"),
        ({"floor_p50_us": 0.1}, "the floor beside fake"),
        ({"batch": 2}, "no empty graph|is not that of"),
    ],
)
def test_other_rows(record: LatencyRecord, changes: dict[str, Any], said: str) -> None:
    """So is a row that is of other calls, or beside another floor."""
    rows = change(record.rows, 0, **changes)
    problems = find_wrong_times(record.model_copy(update={"rows": rows}))
    assert any(part in "; ".join(problems) for part in said.split("|"))


@pytest.mark.parametrize(
    "changes", [{"verdict": "FASTER"}, {"noise": 9.0}, {"batch": 4}, {"reference": "function"}]
)
def test_changed_ratios(record: LatencyRecord, changes: dict[str, Any]) -> None:
    """A ratio, its noise and its verdict are made again of the rows' blocks."""
    ratios = change(record.ratios, 1, **changes)
    (problem,) = find_wrong_times(record.model_copy(update={"ratios": ratios}))
    assert problem.startswith("the ratio of function over")
    forged = record.ratios[1].ratio.model_copy(update={"value": 0.5})
    ratios = change(record.ratios, 1, ratio=forged)
    assert len(find_wrong_times(record.model_copy(update={"ratios": ratios}))) == 1


def test_many_calls(record: LatencyRecord) -> None:
    """Of calls that were counted in bins, a percentile lies in the bin of its call."""
    times_ns = np.random.default_rng(0).lognormal(9, 1, (10, MAX_RAW_CALLS // 4))
    row = make_row(NATIVE, times_ns)
    assert row.raw.histogram is not None
    assert find_wrong_times(record.model_copy(update={"rows": [row], "ratios": []})) == []
    assert row.p90_us is not None
    for factor in (0.97, 1.03):
        forged = row.p90_us.model_copy(update={"value": factor * row.p90_us.value})
        rows = [row.model_copy(update={"p90_us": forged})]
        (problem,) = find_wrong_times(record.model_copy(update={"rows": rows, "ratios": []}))
        assert problem.startswith("p90 of teacher")


def test_unusable_blocks(record: LatencyRecord) -> None:
    """Blocks of 0 ns, of which no ratio can be made, are named."""
    rows = [make_row("fake", np.zeros((5, 40))), make_row("floor", np.ones((5, 40)))]
    problems = find_wrong_times(record.model_copy(update={"rows": rows, "ratios": []}))
    assert problems == ["at batch 1 not every row has the same blocks, above 0 us"]
