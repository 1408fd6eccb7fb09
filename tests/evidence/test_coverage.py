"""The interval of the recovered edge is honest: it holds the truth as often as it says.

`make test` draws 300 test sets of each population, `make test-thorough` 1,000; the band is 93 to
97 % of 1,000, and as many standard errors of fewer.
"""

import os

import numpy as np
import pytest

from kdexport.evidence.edge import measure_edge
from kdexport.evidence.metrics import METRICS
from tests.evidence.population import Population

N_RUNS = int(os.environ.get("KDEXPORT_RUNS", "300"))
N_DRAWS = 200
LOG_LOSS = METRICS["log_loss"]
MARGIN = 0.02 * (1000 / N_RUNS) ** 0.5


@pytest.mark.parametrize(
    ("population", "n_rows"),
    [
        (Population(0.0, 0.3, ("accuracy", "log_loss", "auc")), 1000),  # all differ by chance alone
        (Population(0.02, 0.7), 1000),  # and by more of it than of what they learned
        (Population(0.15, 0.3), 2000),  # they learned differently
        (Population(0.15, 0.0), 2500),  # nothing else matters beside that
    ],
)
def test_interval_covers(population: Population, n_rows: int) -> None:
    """A 95 % interval holds the true recovered edge in 95 % of draws: no fewer, and no more."""
    metrics, truth = population.find_metrics(), population.find_shares()
    covered = dict.fromkeys(population.metrics, 0)
    for run in range(N_RUNS):
        scores = population.draw_scores(np.random.default_rng([n_rows, run]), n_rows)
        result = measure_edge(scores, metrics, asked_share=0.9, n_draws=N_DRAWS, seed=run)
        for name in population.metrics:
            share = result.recovered[name]
            covered[name] += share.low <= truth[name] <= share.high
    shares = {name: n / N_RUNS for name, n in covered.items()}
    assert all(abs(share - 0.95) <= MARGIN for share in shares.values()), shares


@pytest.mark.parametrize("n_rows", [10, 20])
def test_few_rows_are_paid_for(n_rows: int) -> None:
    """However few the rows, an interval of a quality or an edge holds the truth as often."""
    levels, metrics = {"teacher": 1.0, "control": 1.5, "student": 1.1}, {"log_loss": LOG_LOSS}
    covered = dict.fromkeys(("resampled", "edge", "gained"), 0)
    for run in range(N_RUNS):
        rng = np.random.default_rng([n_rows, run])
        common = rng.standard_normal(n_rows)
        scores = {
            role: {"log_loss": np.tile(level + common + rng.standard_normal(n_rows), (n, 1))}
            for (role, level), n in zip(levels.items(), (1, 5, 5), strict=True)
        }
        found = measure_edge(scores, metrics, asked_share=0.9, n_draws=N_DRAWS, seed=run)
        for name, interval, truth in (
            ("resampled", found.quality["teacher"]["log_loss"], 1.0),
            ("edge", found.edge["log_loss"], 0.5),
            ("gained", found.gained["log_loss"], 0.4),
        ):
            covered[name] += interval.low <= truth <= interval.high
    shares = {name: n / N_RUNS for name, n in covered.items()}
    assert all(abs(share - 0.95) <= MARGIN for share in shares.values()), shares
