"""Latency: candidates timed call by call in one process, beside an empty graph.

Takes sessions and rows, gives percentiles with order-statistic intervals. Candidates take turns in
random order, so that whatever the machine does hits all of them alike.
"""

import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from kdexport.bundle import STUDENT, TEACHER, load_bundle
from kdexport.contract import IR_VERSION, OPSET
from kdexport.errors import DataError
from kdexport.evidence.facts import LatencyFact, Percentile
from kdexport.evidence.golden import unpack_golden
from kdexport.records import Column, Float64, Inputs
from kdexport.runtime import Session, open_session

CONFIDENCE = 0.99
N_WARM_UP = 50
N_FEEDS = 32  # different rows that take turns, so that no call sees only cached values
FLOOR = "floor"


def measure_latency(
    candidates: Mapping[str, Session],
    feeds: Mapping[str, Column],
    *,
    batches: Sequence[int],
    n_calls: int,
    n_threads: int,
    seed: int = 0,
) -> list[LatencyFact]:
    """Time every candidate and the floor at every batch size.

    Args:
        candidates: Name to loaded file; all take the same inputs.
        feeds: Input name to values of real rows to draw batches from, **Shape** each `[n, ...]`.
        batches: Rows per call.
        n_calls: Timed calls per candidate and batch size.
        n_threads: Intra-op threads that the sessions were opened with.
        seed: Decides order and rows.
    """
    rng = np.random.default_rng(seed)
    n_rows = len(next(iter(feeds.values())))
    floor = open_session(_build_floor(feeds), n_threads=n_threads)
    sessions = {**candidates, FLOOR: floor}
    facts = []
    for batch in batches:
        drawn = [rng.integers(n_rows, size=batch) for _ in range(N_FEEDS)]
        chunks = [{name: values[rows] for name, values in feeds.items()} for rows in drawn]
        calls = {
            name: [session.prepare_call(chunk) for chunk in chunks]
            for name, session in sessions.items()
        }
        times = _time_interleaved(calls, n_calls, rng)
        floor_p50_us = float(np.median(times[FLOOR])) / 1e3
        facts += [
            _summarise(name, times[name], batch, n_threads, floor_p50_us) for name in sessions
        ]
    return facts


def load_candidates(
    paths: Sequence[Path], *, n_threads: int
) -> tuple[dict[str, Session], dict[str, Column]]:
    """Open what is to be timed, and find rows to time it on.

    Args:
        paths: Bundles (their student and teacher) and model files.
        n_threads: Intra-op threads of each session.

    Returns:
        Sessions by name, and inputs by name: a bundle's golden rows, else drawn ones.

    Raises:
        DataError: A path is neither, or the candidates take different columns.
    """
    candidates: dict[str, Session] = {}
    inputs: Inputs | None = None
    for path in paths:
        if path.is_dir():
            bundle = load_bundle(path)
            if inputs is None and bundle.evidence.golden.rows:
                inputs = unpack_golden(bundle.files).inputs
            for name in (STUDENT, TEACHER):
                label = name if len(paths) == 1 else f"{path.name}/{name}"
                candidates[label] = open_session(bundle.files[name], n_threads=n_threads)
        else:
            label = path.name if path.name not in candidates else str(path)
            candidates[label] = open_session(path, n_threads=n_threads)
    columns = [session.signature.columns for session in candidates.values()]
    if any(names != columns[0] for names in columns):
        raise DataError(
            "files that are timed together take the same columns",
            found=f"{', '.join(candidates)} do not",
            cure="time them one by one",
        )
    if inputs is None:
        signature = next(iter(candidates.values())).signature
        numeric = np.random.default_rng(0).standard_normal((1024, len(signature.numeric)))
        texts = np.full((1024, len(signature.categorical)), "", object)
        inputs = Inputs(numeric.astype(signature.precision), texts)
    return candidates, inputs.feeds()


def _time_interleaved(
    calls: Mapping[str, Sequence[Callable[[], Any]]], n_calls: int, rng: np.random.Generator
) -> dict[str, Float64]:
    """Return nanoseconds per call; warm-up calls are made and thrown away."""
    names = list(calls)
    times = {name: np.empty(n_calls) for name in names}
    orders = np.argsort(rng.random((N_WARM_UP + n_calls, len(names))), axis=1)
    clock = time.perf_counter_ns
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for i, order in enumerate(orders):
            for position in order:
                name = names[position]
                call = calls[name][i % N_FEEDS]
                start = clock()
                call()
                elapsed = clock() - start
                if i >= N_WARM_UP:
                    times[name][i - N_WARM_UP] = elapsed
    finally:
        if was_enabled:
            gc.enable()
    return times


def _summarise(
    name: str, times_ns: Float64, batch: int, n_threads: int, floor_p50_us: float
) -> LatencyFact:
    found = {q: percentile_interval(times_ns / 1e3, q / 100) for q in (50, 90, 99)}
    return LatencyFact(
        name=name,
        path="run",
        batch=batch,
        threads=n_threads,
        calls=len(times_ns),
        p50_us=found[50],
        p90_us=found[90],
        p99_us=found[99],
        floor_p50_us=floor_p50_us,
        calls_needed={f"p{q}": calls_needed(q / 100) for q, f in found.items() if f is None},
    )


def percentile_interval(values: Float64, quantile: float) -> Percentile | None:
    """Return a percentile with its 99 % order-statistic interval.

    None where the interval is not bounded inside the sample: then the sample is too small to say.

    Args:
        values: **Shape** `[n]`.
        quantile: 0 to 1.
    """
    n = len(values)
    if n < calls_needed(quantile):
        return None
    tail = (1 - CONFIDENCE) / 2
    cumulative = np.cumsum(_binomial_probabilities(n, quantile))
    low = int(np.searchsorted(cumulative, tail, side="right")) - 1
    high = int(np.searchsorted(cumulative, 1 - tail, side="left"))
    if low < 0 or high >= n:
        return None
    ordered = np.sort(values)
    value = float(np.quantile(values, quantile))
    return Percentile(value=value, low=float(ordered[low]), high=float(ordered[high]))


def calls_needed(quantile: float) -> int:
    """Return the smallest sample whose extremes bound the quantile on both sides."""
    tail = (1 - CONFIDENCE) / 2
    return math.ceil(math.log(tail) / math.log(max(quantile, 1 - quantile)))


def _binomial_probabilities(n: int, p: float) -> Float64:
    k = np.arange(n + 1)
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    log_choose = log_factorials[n] - log_factorials[k] - log_factorials[n - k]
    probabilities: Float64 = np.exp(log_choose + k * math.log(p) + (n - k) * math.log1p(-p))
    return probabilities


def _build_floor(feeds: Mapping[str, Column]) -> bytes:
    """Identity graphs with the same inputs: what a call costs that does nothing."""
    nodes, inputs, outputs = [], [], []
    for name, values in feeds.items():
        dtype = np.dtype(np.str_) if values.dtype.kind == "O" else values.dtype
        element, shape = onnx.helper.np_dtype_to_tensor_dtype(dtype), ("batch", values.shape[1])
        nodes.append(onnx.helper.make_node("Identity", [name], [f"{name}_out"]))
        inputs.append(onnx.helper.make_tensor_value_info(name, element, shape))
        outputs.append(onnx.helper.make_tensor_value_info(f"{name}_out", element, shape))
    graph = onnx.helper.make_graph(nodes, FLOOR, inputs, outputs)
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    return bytes(model.SerializeToString())
