"""Load: client threads that call one session at once, as the workers of a service do.

Takes a session and feeds, gives throughput and tail. Each client calls again as soon as it has
its answer, so waiting for a core, or for Python's lock, counts as latency: the client waits too.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kdexport.evidence.latency_facts import LoadFact
from kdexport.evidence.percentiles import estimate_percentiles
from kdexport.evidence.timed import select_feeds, take_chunks
from kdexport.evidence.timing import Clock, Clocks, garbage_collection_off, time_calls
from kdexport.runtime import Feeds, Session, sheltered

N_CHUNKS = 32
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
    chunks = take_chunks(select_feeds(session, feeds), batch, N_CHUNKS, np.random.default_rng(0))
    calls = [session.prepare_call(chunk) for chunk in chunks]
    with sheltered(feeds):
        for call in calls:
            call()
    times: list[list[int]] = [[] for _ in range(n_clients)]
    start = threading.Barrier(n_clients)
    clients = [
        threading.Thread(target=_call_for, args=(calls[i:] + calls[:i], own, start, seconds, clock))
        for i, own in enumerate(times)
    ]
    with garbage_collection_off():
        begin = clock()
        for client in clients:
            client.start()
        for client in clients:
            client.join()
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
    times: list[int],
    start: threading.Barrier,
    seconds: float,
    clock: Clock,
) -> None:
    """One client: calls until its time is up."""
    start.wait()
    end = clock() + int(seconds * 1e9)
    while not times or clock() < end:
        times += time_calls(calls, clock)
