"""Answers of a teacher that is not there any more."""

import numpy as np
import pytest

from kdexport.errors import DataError
from kdexport.records import Column, Parts
from kdexport.schema import Schema
from kdexport.sections import ColumnsRecipe
from kdexport.tables import as_table
from kdexport.training.stored import read_stored


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        (np.array(["likely"] * 12, object), "holds text in 12 rows, the first 'likely'"),
        (np.array([None, *["0.5"] * 11], object), r"\[nan, 0.5\] for row 0"),
        (np.array(["0.5"] * 12, object), None),
    ],
)
def test_cells_of_text(answers: Column, found: str | None) -> None:
    """Text that spells a number is one, other text is refused with its column."""
    table = as_table({"a": np.arange(12.0), "y": np.arange(12) % 2})
    schema = Schema.fit(table, "y", ColumnsRecipe(), classes=(0, 1))
    parts = (np.arange(6), np.arange(6, 9), np.arange(9, 12))
    rows = Parts(*(schema.encode(table.take(part)) for part in parts))
    stored = as_table({"probability_0": answers, "probability_1": np.full(12, 0.5)})
    if found is None:
        teacher = read_stored(stored, rows, schema.signature)
        assert (teacher.answer(table) == 0.5).all()
        return
    with pytest.raises(DataError, match=found):
        read_stored(stored, rows, schema.signature)
