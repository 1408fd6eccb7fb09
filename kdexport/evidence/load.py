"""Load: client threads that call one session at once, as the workers of a service do.

Takes a session and feeds, gives throughput and tail. A closed loop: each client calls again as
soon as it has its answer, so waiting for a core, or for Python's lock, counts as latency. Nobody
calls while all of them wait, so a pause is one slow call per client, however long it is.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from kdexport.evidence.latency_facts import LoadFact
from kdexport.evidence.percentiles import estimate_percentiles
from kdexport.evidence.timed import count_chunks, select_feeds, take_chunks
from kdexport.evidence.timing import Clock, Clocks, garbage_collection_off, time_calls
from kdexport.runtime import Feeds, Session, sheltered

REAL_CLOCK = Clocks().wall_ns


def measure_load(
    name: str,
    session: Session,
    feeds: Feeds,
    *,
    batch: int,
    n_clients: int,
    seconds: float,
    clock: Clock = REAL_CLOCK,
) -> LoadFact:
    """Let `n_clients` threads call one session for some seconds.

    Args:
        name: What the fact calls the session.
        session: One loaded file, shared by all clients.
        feeds: Input name to rows that batches are drawn from.
        batch: Rows per call.
        n_clients: Threads that call at once.
        seconds: How long.
        clock: Nanoseconds.
    """
    own_feeds, rng = select_feeds(session, feeds), np.random.default_rng(0)
    chunks = take_chunks(own_feeds, batch, count_chunks(batch), rng)
    calls = [session.prepare_call(chunk) for chunk in chunks]
    with sheltered(feeds):
        for call in calls:
            call()
    start = threading.Barrier(n_clients)
    stop = threading.Event()
    with garbage_collection_off(), ThreadPoolExecutor(n_clients) as pool:
        begin = clock()
        try:
            clients = [
                pool.submit(_call_for, calls[i:] + calls[:i], start, stop, seconds, clock)
                for i in range(n_clients)
            ]
            times = [client.result() for client in clients]
        finally:  # a thread that still calls when Python ends takes the process down with it
            start.abort()
            stop.set()
        elapsed_s = (clock() - begin) / 1e9
    times_us = np.concatenate(times) / 1e3
    percentiles, calls_needed = estimate_percentiles(times_us)
    return LoadFact(
        name=name,
        batch=batch,
        clients=n_clients,
        seconds=elapsed_s,
        calls=len(times_us),
        calls_per_second=len(times_us) / elapsed_s,
        p50_us=percentiles["p50"],
        p90_us=percentiles["p90"],
        p99_us=percentiles["p99"],
        p999_us=percentiles["p999"],
        calls_needed=calls_needed,
    )


def _call_for(
    calls: Sequence[Callable[[], Any]],
    start: threading.Barrier,
    stop: threading.Event,
    seconds: float,
    clock: Clock,
) -> list[int]:
    """One client: calls until its time is up or all stop; returns the nanoseconds of each."""
    times: list[int] = []
    start.wait()
    end = clock() + int(seconds * 1e9)
    while not stop.is_set() and (not times or clock() < end):
        times += time_calls(calls, clock)
    return times
