"""Client threads on one session."""

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kdexport.evidence.load import measure_load
from kdexport.runtime import Feeds, open_session
from tests.evidence.clocks import FakeClock, FakeSession
from tests.evidence.models import build_gemm

FEEDS = {"numeric": np.ones((8, 3), np.float32)}


class Odd(FakeSession):
    """A file whose calls do what a test says, and that counts the rows that are prepared."""

    call: Callable[[], Any]
    n_rows = 0

    def prepare_call(self, feeds: Feeds) -> Callable[[], Any]:
        self.n_rows += len(feeds["numeric"])
        return self.call


def test_every_client_is_counted() -> None:
    """All clients' calls are counted, and throughput is calls over the time they took."""
    fact = measure_load(
        "a",
        open_session(build_gemm()),
        FEEDS,
        batch=2,
        n_clients=3,
        seconds=0.05,
    )
    assert (fact.name, fact.batch, fact.clients) == ("a", 2, 3)
    assert fact.calls >= 3 * 32
    assert fact.calls_per_second * fact.seconds == pytest.approx(fact.calls)
    assert fact.p50_us is not None


def test_stop_ends_every_client() -> None:
    """A stop leaves no thread that still calls: Python would end with it, by an abort."""
    session, me = Odd(FakeClock()), threading.main_thread()
    made: list[int] = []

    def call() -> None:
        time.sleep(0.001)
        if threading.current_thread() is not me:
            made.append(1)
            if len(made) == 20:
                signal.pthread_kill(me.ident or 0, signal.SIGINT)

    session.call = call
    signal.signal(signal.SIGINT, signal.default_int_handler)  # polars' own cuts no wait short
    with pytest.raises(KeyboardInterrupt):
        measure_load("a", session, FEEDS, batch=1, n_clients=3, seconds=3)
    n_made = len(made)
    time.sleep(0.05)
    assert len(made) == n_made < 1000


def test_client_that_fails_is_no_result() -> None:
    """What a call raises in a client's thread is raised, not printed beside a load of no calls."""
    session, me = Odd(FakeClock()), threading.main_thread()

    def call() -> None:
        if threading.current_thread() is not me:
            raise ValueError("not here")

    session.call = call
    with pytest.raises(ValueError, match="not here"):
        measure_load("a", session, FEEDS, batch=1, n_clients=2, seconds=0.01)


def test_load_prepares_as_many_rows_as_the_turns() -> None:
    """Big batches are few: 32 of a million rows would take gigabytes."""
    session = Odd(FakeClock())
    session.call = lambda: None
    measure_load("a", session, FEEDS, batch=10_000, n_clients=1, seconds=0.01)
    assert session.n_rows == 20_000
