"""Whatever bytes a reader is given, nothing but a KdexportError comes out of it.

`make test` tries some dozens; `benchmarks/faults.py` tries 100,000 of each.
"""

import os
from pathlib import Path

import pytest

from benchmarks.fuzzing import fuzz, open_targets
from kdexport.contract import parse_model
from kdexport.errors import DataError

N_INPUTS = int(os.environ.get("KDEXPORT_FUZZED", "60"))


@pytest.mark.parametrize("name", ["CSV", "recipe", "evidence", "bundle", "info"])
def test_only_errors_of_ours(name: str, bundle_path: Path) -> None:
    """A reader answers damaged files with what they hold, or with one line that refuses them."""
    with open_targets(bundle_path) as targets:
        n_tried, found = fuzz(*targets[name], N_INPUTS)
    assert found is None
    assert n_tried >= min(N_INPUTS, 20)


def test_text_that_is_no_utf8(bundle_path: Path) -> None:
    """A model whose names or texts are no UTF-8 is refused: protobuf hands them out as bytes."""
    content = bytearray((bundle_path / "student.onnx").read_bytes())
    start = content.index(b"kdexport.data_sha256") + len(b"kdexport.data_sha256")
    content[start + 10] = 0xFF  # within the hash, behind the field's tag and length
    with pytest.raises(DataError, match="UTF-8"):
        parse_model(bytes(content))
