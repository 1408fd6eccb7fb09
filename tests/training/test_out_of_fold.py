"""Teachers that have seen the rows are noticed; those that have not are left in peace."""

import warnings

import numpy as np
import pandas as pd
import pytest

from kdexport.errors import KdexportWarning
from kdexport.records import Column, Rows
from kdexport.tables import as_table
from kdexport.training.out_of_fold import warn_of_seen_rows
from tests.training.test_teachers import mix

N_ROWS = 1000


def warned(labels: Column, answers: Column) -> bool:
    """Whether a teacher that answers so is taken for one that has seen the labels."""
    numbers = np.arange(N_ROWS, dtype=float)
    frame = pd.DataFrame({"a": numbers, "y": labels})
    own = mix(lambda rows: answers[rows["a"].astype(int)], frame.drop(columns="y"), labels)
    inputs = own.schema.signature.take_inputs(as_table(frame))
    rows = Rows(inputs, labels, np.ones(N_ROWS), np.arange(N_ROWS))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", KdexportWarning)
        warn_of_seen_rows(own, rows)
    return bool(caught)


@pytest.mark.parametrize(
    ("n_rare", "n_missed", "expected"),
    [(500, 5, True), (500, 15, False), (5, 5, False), (5, 1, False), (5, 0, True), (200, 5, True)],
)
def test_agreement_counts_beyond_the_most_frequent_class(
    n_rare: int, n_missed: int, expected: bool
) -> None:
    """Whoever misses half of five rare rows among a thousand agrees with 99.7 % and has seen none.

    The teacher misses rows of the rare class, which are the first ones.
    """
    labels = (np.arange(N_ROWS) < n_rare).astype(np.int64)
    said = (np.arange(N_ROWS) < n_rare - n_missed).astype(float)
    assert warned(labels, np.stack([1 - said, said], axis=1)) == expected


@pytest.mark.parametrize(("noise", "expected"), [(0.05, True), (0.2, False)])
def test_a_number_s_share_is_of_its_spread(noise: float, expected: bool) -> None:
    """A regression's teacher is noticed where it explains 99 % of the target."""
    target = np.random.default_rng(0).normal(size=N_ROWS) + 100.0
    assert warned(target, target + noise * (-1.0) ** np.arange(N_ROWS)) == expected
