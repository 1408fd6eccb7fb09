"""Simulated models of a known population: their true recovered edge, and test sets drawn from it.

A row is a point of 12 normal numbers, its label chance given by one direction. A model is a
direction too; replicates differ in theirs, and each errs on every row in a way of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kdexport.evidence.metrics import BINARY, Metric, score_rows
from kdexport.records import Answers, Float64

D_ROWS = 12
N_REPLICATES = 5
TRUTH = np.array([2.0, 1.5, -1.0] + [0.0] * 9)
DIRECTIONS = {
    "teacher": TRUTH * 0.95 + 0.05,
    "control": TRUTH * 0.7 + np.array([0.5, -0.6, 0.7] + [0.1] * 9),
    "student": TRUTH * 0.9 + np.array([0.2, -0.15, 0.3] + [0.05] * 9),
}


@dataclass(frozen=True)
class Population:
    """What replicates of one kind differ in.

    Attributes:
        spread: Deviation of their directions.
        noise: Deviation of what each adds to the logit of each row.
        metrics: What they are scored by.
    """

    spread: float
    noise: float
    metrics: tuple[str, ...] = ("accuracy", "log_loss")

    def find_metrics(self) -> Mapping[str, Metric]:
        """What they are scored by, by name."""
        return {name: BINARY[name] for name in self.metrics}

    def draw_scores(
        self, rng: np.random.Generator, n_rows: int, n_replicates: int = N_REPLICATES
    ) -> dict[str, dict[str, Float64]]:
        """Draw test rows and replicates: role to metric to `[R, n]` scores."""
        rows = rng.standard_normal((n_rows, D_ROWS))
        targets = (rng.random(n_rows) < sigmoid(rows @ TRUTH)).astype(np.int64)
        scores = {}
        for role, direction in DIRECTIONS.items():
            n_models = 1 if role == "teacher" else n_replicates
            apart = rng.standard_normal((n_models, D_ROWS)) * self.spread
            logits = (direction + apart * (role != "teacher")) @ rows.T
            own = rng.standard_normal(logits.shape) * self.noise
            logits += own * (role != "teacher")
            scored = [score_logits(self.find_metrics(), model, targets) for model in logits]
            scores[role] = {name: np.stack([s[name] for s in scored]) for name in self.metrics}
        return scores

    def find_shares(self) -> dict[str, float]:
        """Return the true recovered edge by metric, from far more rows and replicates."""
        means = {role: dict.fromkeys(self.metrics, 0.0) for role in DIRECTIONS}
        for seed in range(12):
            scores = self.draw_scores(np.random.default_rng(10**6 + seed), 20_000, 20)
            for role, by_metric in scores.items():
                for name in self.metrics:
                    means[role][name] += float(by_metric[name].mean())
        edges = {name: means["teacher"][name] - means["control"][name] for name in self.metrics}
        return {
            name: (means["student"][name] - means["control"][name]) / edges[name]
            for name in self.metrics
        }


def score_logits(
    metrics: Mapping[str, Metric], logits: Float64, targets: np.ndarray
) -> dict[str, Float64]:
    """Scores of the answers whose second class has these logits."""
    second = sigmoid(logits)
    answers = Answers(np.empty(len(logits)), np.stack([1 - second, second], axis=1))
    return score_rows(metrics, answers, targets, np.ones(len(logits)))


def sigmoid(logits: Float64) -> Float64:
    """Logits to probabilities."""
    return 1 / (1 + np.exp(-logits))
