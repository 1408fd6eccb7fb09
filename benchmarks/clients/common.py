"""What every client does: rows in, answers and a time out. Runs where kdexport is not installed.

Usage: CLIENT model.onnx rows.npz answers.npz     prints {"version": ..., "p50_us": ...}
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

N_WARM, N_CALLS = 200, 2000
Feeds = dict[str, np.ndarray]


def serve(version: str, open_model: Callable[[str], Callable[[Feeds], Feeds]]) -> None:
    """Open the model, answer all rows, time single ones, write what was answered."""
    model, rows, output = sys.argv[1:4]
    with np.load(rows) as stored:
        feeds = {name: stored[name] for name in stored.files}
    ask = open_model(model)
    answers = {name: np.asarray(values) for name, values in ask(feeds).items()}
    for name, values in answers.items():
        if values.dtype.kind == "O":
            answers[name] = values.astype(np.str_)
    np.savez(output, **answers)
    one = {name: values[:1] for name, values in feeds.items()}
    times = [measure_ns(ask, one) for _ in range(N_WARM + N_CALLS)][N_WARM:]
    print(json.dumps({"version": version, "p50_us": statistics.median(times) / 1e3}))


def measure_ns(ask: Callable[[Feeds], Feeds], feeds: Feeds) -> int:
    start = time.perf_counter_ns()
    ask(feeds)
    return time.perf_counter_ns() - start
