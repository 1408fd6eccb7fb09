"""Client threads on one session."""

import numpy as np
import pytest

from kdexport.evidence.load import measure_load
from kdexport.runtime import open_session
from tests.evidence.models import build_gemm


def test_every_client_is_counted() -> None:
    """All clients' calls are counted, and throughput is calls over the time they took."""
    fact = measure_load(
        "a",
        open_session(build_gemm()),
        {"numeric": np.ones((8, 3), np.float32)},
        batch=2,
        n_clients=3,
        seconds=0.05,
    )
    assert (fact.name, fact.batch, fact.clients) == ("a", 2, 3)
    assert fact.calls >= 3 * 32
    assert fact.calls_per_second * fact.seconds == pytest.approx(fact.calls)
    assert fact.p50_us is not None
