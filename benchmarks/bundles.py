"""Small tables of both kinds, and quick bundles made of them, for scripts that need many."""

import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kdexport import read_recipe, run
from kdexport.errors import KdexportWarning

Kind = Literal["numeric", "mixed", "regression"]
N_ROWS = 500
QUICK = {
    "data.target": "y",
    "teacher.n_members": 2,
    "teacher.hidden": [16],
    "teacher.max_epochs": 5,
    "student.hidden": [12, 8],
    "student.n_replicates": 2,
    "student.max_epochs": 2,
    "transfer.n_synthetic": 1000,
    "evidence.n_draws": 100,
    "bench.batches": [1],
    "bench.seconds": 0.2,
}


def make_table(kind: Kind, seed: int) -> dict[str, Any]:
    """Return columns of a table that networks can learn something from.

    `numeric`: four numbers, three classes; `mixed`: numbers with gaps and far from 0, flags,
    dates and texts, two classes; `regression`: the numbers of `numeric`, a number to predict.
    """
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(N_ROWS, 4)) * [1.0, 5.0, 0.1, 2.0]
    if kind != "mixed":
        signal = numbers[:, 0] + numbers[:, 1] / 5 - numbers[:, 3]
        classes = np.array([3, 5, 9])[np.digitize(signal, [-1, 1])]
        labels = signal if kind == "regression" else classes
        return {**{f"x{i}": numbers[:, i] for i in range(4)}, "y": labels}
    size = rng.normal(400, 20, N_ROWS)
    plan = rng.choice(["basic", "free", "max", "pro"], N_ROWS)
    days = np.datetime64("2026-01-01") + rng.integers(0, 300, N_ROWS).astype("m8[D]")
    flag = rng.random(N_ROWS) < 0.5
    signal = (size - 400) / 20 + 2 * (plan == "pro") - 2 * (plan == "free") + flag
    return {
        "size": np.where(rng.random(N_ROWS) < 0.1, np.nan, size),
        "x": numbers[:, 1],
        "flag": flag,
        "since": days,
        "plan": plan.astype(object),
        "town": rng.choice(["Ulm", "Köln", "Wien"], N_ROWS).astype(object),
        "y": np.where(signal > 0, "yes", "no").astype(object),
    }


def make_bundle(kind: Kind, seed: int, output: Path, **changes: Any) -> Path:
    """Train, export and measure a quick bundle."""
    recipe = read_recipe(None, {**QUICK, "seed": seed, **changes})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KdexportWarning)
        run(recipe, output, data=make_table(kind, seed), force=True)
    return output
