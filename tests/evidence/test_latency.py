"""The latency run, on files whose times the test sets, or real ones whose times do not count."""

import signal

import numpy as np
import pytest

from kdexport.errors import DataError
from kdexport.evidence.latency import measure_latency
from kdexport.evidence.latency_facts import LatencyRecord
from kdexport.runtime import open_session
from tests.evidence.clocks import FakeClock, FakeSession
from tests.evidence.models import build_gemm

FEEDS = {"numeric": np.zeros((16, 3), np.float32)}


def test_start_is_apart_from_steady_state() -> None:
    """E2: opening and the first call are told apart from the calls that follow, at least 1,000."""
    clock = FakeClock()
    session = FakeSession(clock, open_us=800, first_us=300, call_us=lambda: 6.0)
    record = measure_latency(
        {"fake": session}, FEEDS, batches=[1], seconds=0.5, clocks=clock.clocks
    )
    start = record.starts[0]
    assert (start.name, set(start.open_us), set(start.first_call_us)) == ("fake", {800}, {300})
    row = record.find_row("fake")
    assert row.calls >= 1000
    for found in (row.p50_us, row.p90_us, row.p99_us):
        assert found is not None
        assert found.value == pytest.approx(6.0)


def test_each_path_is_named() -> None:
    """E5: plain calls, bound calls and functions are timed apart, and the record says which."""
    clock = FakeClock()
    record = measure_latency(
        {"fake": FakeSession(clock), "function": lambda _: clock.spend(20_000)},
        FEEDS,
        batches=[1],
        seconds=0.2,
        clocks=clock.clocks,
    )
    medians = {
        (row.name, row.path): row.p50_us.value
        for row in record.rows
        if row.p50_us and row.name in ("fake", "function")
    }
    assert medians == {
        ("fake", "run"): pytest.approx(6.0),
        ("fake", "io_binding"): pytest.approx(4.0),
        ("function", "call"): pytest.approx(20.0),
    }


def test_cpu_time_stands_beside_wall_time() -> None:
    """E1: threads that spin show as CPU time above the wall time."""
    clock = FakeClock()
    spinning = FakeSession(clock, cpu_share=1.9)
    record = measure_latency(
        {"quiet": FakeSession(clock), "spinning": spinning},
        FEEDS,
        batches=[1],
        seconds=0.2,
        clocks=clock.clocks,
    )
    assert record.find_row("quiet").cpu_share == pytest.approx(1.0, abs=0.01)
    assert record.find_row("spinning").cpu_share == pytest.approx(1.9, abs=0.01)


def test_default_session_has_one_thread_and_does_not_spin() -> None:
    """E1: without options a session has one thread of each kind, and idle threads sleep."""
    options = open_session(build_gemm())._session.get_session_options()
    assert options.intra_op_num_threads == options.inter_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_every_block_opens_afresh() -> None:
    """A file is opened anew in every block, with the threads asked for; so is its second self."""
    clock = FakeClock()
    session = FakeSession(clock)
    record = measure_latency(
        {"fake": session}, FEEDS, batches=[1], threads=[1, 2], seconds=0.4, clocks=clock.clocks
    )
    n_blocks = [row.raw.blocks for row in record.rows if row.name == "fake" and row.path == "run"]
    assert len(n_blocks) == 2
    once_to_see_how_it_can_be_called = 1
    assert session.n_opened.count(2) == 2 * n_blocks[1] + once_to_see_how_it_can_be_called


def test_slow_calls_are_not_bound() -> None:
    """Where a call takes more than a millisecond, IO binding's microseconds are not looked for."""
    clock = FakeClock()
    slow = FakeSession(clock, first_us=5000, call_us=lambda: 4000.0)
    record = measure_latency(
        {"slow": slow, "quick": FakeSession(clock)},
        FEEDS,
        batches=[1],
        seconds=0.3,
        clocks=clock.clocks,
    )
    paths = [(row.name, row.path) for row in record.rows]
    assert ("slow", "io_binding") not in paths
    assert ("slow again", "io_binding") not in paths
    assert ("quick", "io_binding") in paths


def test_time_is_kept_and_shared() -> None:
    """The run takes about the time asked for, split evenly over batch sizes, slow calls or not."""
    clock = FakeClock()
    session = FakeSession(clock, call_us=lambda: 3000.0)
    measure_latency({"fake": session}, FEEDS, batches=[1, 2], seconds=4.0, clocks=clock.clocks)
    assert 2.5e9 < clock.wall_ns < 4.5e9


def test_real_file_beside_a_function_and_the_floor() -> None:
    """Files and functions share a run; both get the same rows, the floor the same inputs."""
    seen = []
    record = measure_latency(
        {"file": open_session(build_gemm()), "function": lambda feeds: seen.append(feeds)},
        {"numeric": np.arange(48, dtype=np.float64).reshape(16, 3)},
        batches=[1, 4],
        seconds=0.1,
    )
    assert {chunk["numeric"].shape for chunk in seen} == {(1, 3), (4, 3)}
    assert {row.name for row in record.rows} == {"file", "function", "file again", "floor"}
    assert record.find_row("file", batch=4).floor_p50_us > 0
    assert LatencyRecord.model_validate_json(record.model_dump_json()) == record


def test_names_of_the_company_are_taken() -> None:
    """A candidate cannot be called as the floor is."""
    with pytest.raises(DataError, match="'floor'"):
        measure_latency({"floor": lambda _: None}, FEEDS, batches=[1], seconds=0.1)


def test_threads_are_bounded() -> None:
    """A slip such as 9999 takes no machine down."""
    with pytest.raises(DataError, match="at most 256 threads"):
        measure_latency(
            {"f": lambda _: []}, {"x": np.zeros((4, 1))}, batches=[1], threads=[1, 9999], seconds=1
        )


def test_stop_comes_between_blocks_where_texts_are_read() -> None:
    """A stop while a file may be reading texts waits: onnxruntime would crash."""
    done = []

    def stop(_: object) -> None:
        signal.raise_signal(signal.SIGINT)
        done.append("the call went on")

    texts = {"x": np.array(["a", "b"], object)}
    with pytest.raises(KeyboardInterrupt):
        measure_latency({"stops": stop}, texts, batches=[1], seconds=0.1)
    assert done
