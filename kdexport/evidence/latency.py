"""Latency: candidates timed in turns in one process, beside an empty graph and beside themselves.

Takes sessions or plain functions and rows, gives a `LatencyRecord`. How it measures and what may
be concluded from it is in docs/latency.md. Never imports torch, nor `parity`.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from itertools import product

import numpy as np

from kdexport.errors import DataError
from kdexport.evidence.blocks import Block, Setting, Timed, measure_blocks, open_timed
from kdexport.evidence.compare import compare_rows, estimate_mean
from kdexport.evidence.latency_facts import (
    AGAIN,
    FLOOR,
    CallPath,
    LatencyFact,
    LatencyRecord,
    MemoryFact,
    RatioFact,
    StartFact,
    pack_times,
)
from kdexport.evidence.machine import (
    PEAK,
    RESIDENT,
    describe_machine,
    read_load,
    read_memory_bytes,
    reset_peak_memory,
    watch_busy_cores,
)
from kdexport.evidence.noise import find_noise
from kdexport.evidence.percentiles import estimate_percentiles, percentile_interval
from kdexport.evidence.timed import (
    build_floor,
    check_batches,
    check_feeds,
    take_chunks,
    try_batches,
)
from kdexport.evidence.timing import AFTER_ITSELF, AFTER_OTHERS, Clocks
from kdexport.records import Int64, Progress, ProgressSink, ignore_progress
from kdexport.runtime import Feeds, open_session, sheltered
from kdexport.sections import MAX_THREADS, BenchRecipe

N_MEMORY_CALLS = 3
REAL_CLOCKS = Clocks()


def measure_latency(
    timed: Mapping[str, Timed],
    feeds: Feeds,
    *,
    batches: Sequence[int],
    threads: Sequence[int] = (1,),
    seconds: float,
    seed: int = 0,
    clocks: Clocks = REAL_CLOCKS,
    on_progress: ProgressSink = ignore_progress,
) -> LatencyRecord:
    """Time every candidate, the first one a second time, and the floor, at every batch size.

    Args:
        timed: Name to loaded file, or to any function of the feeds. The first is what the
            others are compared with.
        feeds: Input name to rows (first axis: rows) that batches are drawn from. A file is given
            the inputs that it has.
        batches: Rows per call.
        threads: Intra-op threads of the sessions; a function uses its own.
        seconds: Time for all of it, split evenly over batch sizes and threads.
        seed: Decides order and rows.
        clocks: What tells the time.
        on_progress: Told after each batch size and number of threads.

    Raises:
        DataError: A candidate's name is taken, there are no rows, or none for one of its inputs,
            or a file does not answer them in a batch size.
    """
    if max(threads) > MAX_THREADS:
        raise DataError(
            f"a session has at most {MAX_THREADS} threads",
            found=f"{max(threads):,}",
            cure="ask for as many as the machine has cores, or fewer",
        )
    check_feeds(feeds)
    reference = next(iter(timed))
    again = f"{reference}{AGAIN}"
    everyone = _add_company(timed, feeds, again)
    for one in timed.values():
        if not callable(one):
            check_batches(one, batches)
            try_batches(one, feeds, batches)
    rng = np.random.default_rng(seed)
    machine, load_before = describe_machine(), read_load()
    # A clock that a test turns by hand says nothing of what other processes do meanwhile.
    busy_cores = watch_busy_cores() if clocks is REAL_CLOCKS else None
    biggest = Setting(max(batches), threads[0])
    memory = [
        fact
        for name, one in timed.items()
        if (fact := _measure_memory(name, one, feeds, biggest, clocks)) is not None
    ]
    settings = [Setting(*pair) for pair in product(batches, threads)]
    rows: list[LatencyFact] = []
    starts: list[StartFact] = []
    ratios: list[RatioFact] = []
    for n_done, setting in enumerate(settings):
        budget_ns = seconds * 1e9 / len(settings)
        blocks = measure_blocks(
            everyone, feeds, setting, budget_ns=budget_ns, rng=rng, clocks=clocks
        )
        found = _summarise_lanes(blocks, setting)
        rows += found
        starts += [_summarise_start(blocks, name, setting) for name in everyone]
        ratios += compare_rows(found, reference, again)
        on_progress(Progress("latency", n_done + 1, len(settings)))
    return LatencyRecord(
        kdexport_version=version("kdexport"),
        machine=machine,
        seconds=seconds,
        load_before=load_before,
        load_after=read_load(),
        notes=find_noise(machine, rows, ratios, busy_cores),
        rows=rows,
        starts=starts,
        ratios=ratios,
        memory=memory,
        load=[],
    )


def run_bench(timed: Mapping[str, Timed], feeds: Feeds, bench: BenchRecipe) -> LatencyRecord:
    """Time every candidate as a recipe asks for."""
    return measure_latency(
        timed,
        feeds,
        batches=bench.batches,
        threads=(bench.n_threads,),
        seconds=bench.seconds,
    )


def add_apart(record: LatencyRecord, other: LatencyRecord, name: str) -> LatencyRecord:
    """Put one candidate of a run of its own into a record.

    A slow candidate is timed apart, with the same first candidate: beside it the others would
    have few turns. Its ratios and its noise are of the run that it was in.
    """
    parts = {
        field: [
            *getattr(record, field),
            *(one for one in getattr(other, field) if one.name == name),
        ]
        for field in ("rows", "starts", "ratios", "memory")
    }
    notes = [*record.notes, *(note for note in other.notes if note not in record.notes)]
    seconds = record.seconds + other.seconds
    return record.model_copy(
        update={**parts, "notes": notes, "seconds": seconds, "load_after": other.load_after}
    )


def _add_company(timed: Mapping[str, Timed], feeds: Feeds, again: str) -> dict[str, Timed]:
    """Put the first candidate, opened a second time, and the floor beside the candidates."""
    taken = {FLOOR, again} & set(timed)
    if taken:
        raise DataError(
            "no candidate is named like the floor or the second opening of the first one",
            found=f"one is called {taken.pop()!r}",
            cure="name it otherwise",
        )
    first = next(iter(timed.values()))
    return {**timed, again: first, FLOOR: open_session(build_floor(feeds))}


def _summarise_lanes(blocks: Sequence[Block], setting: Setting) -> list[LatencyFact]:
    lanes = blocks[0].lanes
    times_ns = np.stack([block.times_ns for block in blocks], axis=1)  # lanes, blocks, turns, 2
    streaks_ns = np.sum([block.streaks_ns for block in blocks], axis=0)
    floors = {path: times_ns[i] for i, (name, path) in enumerate(lanes) if name == FLOOR}
    return [
        _summarise_lane(
            lane,
            setting,
            times_ns[i],
            floor_ns=floors["run" if lane[1] == "call" else lane[1]],
            cpu_share=float(streaks_ns[i, 1] / max(streaks_ns[i, 0], 1)),
        )
        for i, lane in enumerate(lanes)
    ]


def _summarise_lane(
    lane: tuple[str, CallPath],
    setting: Setting,
    times_ns: Int64,
    *,
    floor_ns: Int64,
    cpu_share: float,
) -> LatencyFact:
    """Sum up one lane; **Shape** of times `[blocks, turns, 2]` int64."""
    own_ns, others_ns = times_ns[..., AFTER_ITSELF], times_ns[..., AFTER_OTHERS]
    floor_ns = floor_ns[..., AFTER_ITSELF]
    percentiles, calls_needed = estimate_percentiles(own_ns.ravel() / 1e3)
    over_floor_us = (np.median(own_ns, axis=1) - np.median(floor_ns, axis=1)) / 1e3
    return LatencyFact(
        name=lane[0],
        path=lane[1],
        batch=setting.batch,
        threads=setting.threads,
        calls=own_ns.size,
        p50_us=percentiles["p50"],
        p90_us=percentiles["p90"],
        p99_us=percentiles["p99"],
        p999_us=percentiles["p999"],
        after_others_p50_us=percentile_interval(others_ns.ravel() / 1e3, 0.5),
        floor_p50_us=float(np.median(floor_ns)) / 1e3,
        over_floor_us=estimate_mean(over_floor_us),
        cpu_share=cpu_share,
        calls_needed=calls_needed,
        raw=pack_times(own_ns),
        raw_after_others=pack_times(others_ns),
    )


def _summarise_start(blocks: Sequence[Block], name: str, setting: Setting) -> StartFact:
    starts = [block.starts[name] for block in blocks]
    anew = [start for start in starts if start.open_ns is not None]
    rests = [
        rest
        for block in blocks
        for lane, rest in zip(block.lanes, block.warm_ups, strict=True)
        if lane[0] == name
    ]
    return StartFact(
        name=name,
        batch=setting.batch,
        threads=setting.threads,
        open_us=[start.open_ns / 1e3 for start in anew if start.open_ns is not None],
        first_call_us=[start.first_call_ns / 1e3 for start in anew or starts[:1]],
        warm_up_calls=int(np.median([rest.n_calls for rest in rests])),
        steady_share=float(np.mean([rest.steady for rest in rests])),
    )


def _measure_memory(
    name: str, one: Timed, feeds: Feeds, setting: Setting, clocks: Clocks
) -> MemoryFact | None:
    """Resident memory that opening a candidate and calling it adds; None where unreadable."""
    chunks = take_chunks(feeds, setting.batch, 1, np.random.default_rng(0))
    is_reset = reset_peak_memory()
    before = read_memory_bytes(RESIDENT)
    if before is None or not is_reset:
        return None
    with sheltered(feeds):
        _, lanes = open_timed(name, one, ["run"], chunks, setting, clocks.wall_ns)
        for _ in range(N_MEMORY_CALLS):
            lanes[0].calls[0]()
    after, peak = read_memory_bytes(RESIDENT), read_memory_bytes(PEAK)
    if after is None or peak is None:
        return None
    return MemoryFact(
        name=name,
        batch=setting.batch,
        growth_bytes=after - before,
        peak_growth_bytes=max(peak - before, 0),
    )
