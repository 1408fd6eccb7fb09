"""How many cores there are to train on."""

import os

import pytest
import torch

from kdexport.cores import count_cores
from kdexport.training.threads import use_threads


def test_torch_has_its_threads_back() -> None:
    """Whatever happens in between, torch has as many threads as before."""
    before = torch.get_num_threads()

    def fail() -> None:
        with use_threads(before + 2) as n_threads:
            assert n_threads == torch.get_num_threads() == before + 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert torch.get_num_threads() == before


def test_cores_where_no_system_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """Off Linux all cores count, and training asks no further."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    with use_threads(0) as n_threads:
        assert n_threads == count_cores() == torch.get_num_threads() == 3
