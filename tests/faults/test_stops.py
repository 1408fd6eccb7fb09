"""Signals at random moments of run, export and report, over a good bundle."""

import os

import pytest

from benchmarks.stops import try_stops

pytestmark = pytest.mark.faults
N_STOPS = int(os.environ.get("KDEXPORT_STOPS", "18"))


def test_stops() -> None:
    """The old bundle or the new one passes `check`, and nothing lies beside it.

    SIGINT ends with 130 and SIGTERM with 143; what SIGKILL leaves is cleaned by the next writer.
    """
    trials = list(try_stops(N_STOPS, seed=1))
    assert len(trials) == N_STOPS
    assert [trial for trial in trials if trial.faults] == []
