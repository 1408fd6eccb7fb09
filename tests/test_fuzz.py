"""Whatever bytes a reader is given, nothing but a KdexportError comes out of it.

`make test` tries some dozens; `benchmarks/faults.py` tries 100,000 of each.
"""

import os
from pathlib import Path

import pytest

from benchmarks.fuzzing import fuzz, open_targets

N_INPUTS = int(os.environ.get("KDEXPORT_FUZZED", "60"))


@pytest.mark.parametrize("name", ["CSV", "recipe", "evidence", "bundle", "info"])
def test_only_errors_of_ours(name: str, bundle_path: Path) -> None:
    """A reader answers damaged files with what they hold, or with one line that refuses them."""
    with open_targets(bundle_path) as targets:
        n_tried, found = fuzz(*targets[name], N_INPUTS)
    assert found is None
    assert n_tried >= min(N_INPUTS, 20)
