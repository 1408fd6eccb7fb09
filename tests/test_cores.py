"""How many cores there are to train on."""

import os

import pytest
import torch

from kdexport.cores import count_cores
from kdexport.training.steps import set_threads


def test_cores_where_no_system_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """Off Linux all cores count, and training asks no further."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    before = torch.get_num_threads()
    try:
        assert set_threads(0) == count_cores() == 3
    finally:
        torch.set_num_threads(before)
