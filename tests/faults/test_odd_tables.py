"""Odd numbers and odd sizes: trained on or refused in one line, and no claim beyond the rows."""

from pathlib import Path

import pytest

from benchmarks.odd_tables import list_tables, try_table

pytestmark = pytest.mark.faults
TABLES = {table.name: table for table in list_tables()}


@pytest.mark.parametrize("name", TABLES)
def test_odd_table(name: str, tmp_path: Path) -> None:
    """It ends as it should, with no NaN in any file; see `benchmarks.odd_tables` for the rest."""
    outcome = try_table(TABLES[name], tmp_path)
    assert outcome.faults == (), outcome
