"""Training time of the 12 members: the article's loop against the stacked module, interleaved.

Each draw is trained by both, one after the other on the same threads, so that whatever the machine
does hits both. The loop is the article's recipe as we read it: one network after the other, a
DataLoader, batch 64, Adam 1e-3, 30 epochs, dropout 0.3, seeds 0 to 11. "stacked" is the same
recipe on the same 4,000 rows in the product's stack (the article has no validation rows, so 600
of the training rows stand in: as many as the product keeps, and looking at them costs the same);
"default" is the product's own recipe, which keeps those 600 of the 4,000 rows for choosing.

Usage: python -m benchmarks.training [--draws 42,0,1,2,3] [--threads N]
"""

import argparse
import json
import time
from typing import Any

import numpy as np

from benchmarks.record import make_claim, write_result
from kdexport.prepare import prepare
from kdexport.prepared import Prepared
from kdexport.recipe import Recipe, read_recipe
from kdexport.records import Parts, Rows
from kdexport.training.encode import Encoder
from kdexport.training.ensemble import train_ensemble
from kdexport.training.nets import compute_mean_outputs
from kdexport.training.tasks import make_clicks
from kdexport.training.threads import use_threads

import torch  # isort: skip  # after the package, which bounds OpenMP's spinning first
from torch import nn  # isort: skip

MIN_SPEEDUP, MAX_LOSS_POINTS = 5.0, 0.05
ARTICLE = {
    "teacher.batch_size": 64,
    "teacher.learning_rate": 1e-3,
    "teacher.weight_decay": 0.0,
    "teacher.schedule": "constant",
    "teacher.max_epochs": 30,
    "teacher.patience": 1000,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", default="42,0,1,2,3")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    rows = []
    with use_threads(options.threads) as n_threads:
        for draw in map(int, options.draws.split(",")):
            row = time_draw(draw)
            rows.append(row)
            print(json.dumps(row), flush=True)
    speedups = np.array([row["loop_s"] / row["stacked_s"] for row in rows])
    losses = np.array([row["loop_accuracy"] - row["stacked_accuracy"] for row in rows])
    default_losses = np.array([row["loop_accuracy"] - row["default_accuracy"] for row in rows])
    claims = [
        claim("speed-up of the stack, median", speedups, "times", MIN_SPEEDUP, at_least=True),
        claim("accuracy lost, stacked", losses, "points", MAX_LOSS_POINTS, at_least=False),
        claim("accuracy lost, default", default_losses, "points", MAX_LOSS_POINTS, at_least=False),
    ]
    command = f"python -m benchmarks.training --draws {options.draws}"
    write_result("training", command, rows, claims, threads=n_threads)
    print(json.dumps(claims, indent=1))


def time_draw(draw: int) -> dict[str, Any]:
    task = make_clicks(draw=draw)
    default = Recipe()
    prepared = prepare(
        read_recipe(None, {"data.target": task.target}), data=task.learn, test=task.test
    )
    article = read_recipe(None, ARTICLE)
    every_row = np.argsort(
        np.concatenate([prepared.rows.train.row_ids, prepared.rows.validation.row_ids])
    )
    whole = _join(prepared, every_row)
    row: dict[str, Any] = {"draw": draw}
    for name, train in (
        ("loop", lambda: train_loop(whole)),
        ("stacked", lambda: train_stacked(whole, article)),
        ("default", lambda: train_stacked(prepared, default)),
    ):
        start = time.perf_counter()
        answer = train()
        row[f"{name}_s"] = round(time.perf_counter() - start, 3)
        row[f"{name}_accuracy"] = round(measure_accuracy(answer, prepared), 4)
    return row


def _join(prepared: Prepared, order: np.ndarray) -> Prepared:
    """All 4,000 rows as training rows; the validation rows are among them."""
    train, validation = prepared.rows.train, prepared.rows.validation
    joined = Rows(
        train.inputs.joined_with(validation.inputs).take(order),
        np.concatenate([train.targets, validation.targets])[order],
        np.ones(len(order)),
        np.concatenate([train.row_ids, validation.row_ids])[order],
    )
    rows = Parts(joined, validation, prepared.rows.test)
    return Prepared(prepared.recipe, prepared.schema, rows, "whole", prepared.data_sha256)


def train_stacked(prepared: Prepared, recipe: Recipe) -> Any:
    ensemble, _ = train_ensemble(prepared.rows, prepared.schema, recipe)
    return lambda rows: compute_mean_outputs(ensemble, rows)


def train_loop(prepared: Prepared) -> Any:
    networks = train_networks(prepared)
    return lambda rows: torch.stack([network(rows) for network in networks]).mean(dim=0)


def train_networks(prepared: Prepared) -> list[nn.Sequential]:
    """The article's twelve, on the training rows as the product's encoder prepares them."""
    features = Encoder(prepared.schema).prepare(prepared.rows.train.inputs)
    labels = torch.from_numpy(prepared.rows.train.targets)
    networks = []
    for seed in range(12):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for d_from, d_to in ((20, 256), (256, 128), (128, 64)):
            layers += [nn.Linear(d_from, d_to), nn.ReLU(), nn.Dropout(0.3)]
        network = nn.Sequential(*layers, nn.Linear(64, 2))
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        loader = torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(features, labels), batch_size=64, shuffle=True
        )
        for _ in range(30):
            for batch, batch_labels in loader:
                optimizer.zero_grad()
                nn.functional.cross_entropy(network(batch), batch_labels).backward()
                optimizer.step()
        networks.append(network.eval())
    return networks


@torch.no_grad()
def measure_accuracy(answer: Any, prepared: Prepared) -> float:
    """Accuracy on the test rows in percent."""
    features = Encoder(prepared.schema).prepare(prepared.rows.test.inputs)
    labels = torch.from_numpy(prepared.rows.test.targets)
    n_right = sum(
        int((answer(chunk).argmax(dim=1) == chunk_labels).sum())
        for chunk, chunk_labels in zip(
            torch.split(features, 10_000), torch.split(labels, 10_000), strict=True
        )
    )
    return 100 * n_right / len(labels)


def claim(
    name: str, values: np.ndarray, unit: str, target: float, *, at_least: bool
) -> dict[str, Any]:
    """A claim with a 95 % bootstrap interval over draws."""
    center = np.median if at_least else np.mean
    rng = np.random.default_rng(0)
    draws = [center(rng.choice(values, len(values))) for _ in range(2000)]
    low, high = np.percentile(draws, [2.5, 97.5])
    return make_claim(
        name,
        float(center(values)),
        low=float(low),
        high=float(high),
        unit=unit,
        target=target,
        at_least=at_least,
    )


if __name__ == "__main__":
    main()
