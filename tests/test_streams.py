"""Tables larger than memory: a chunk at a time, as if they were read at once."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from kdexport import streams
from kdexport.errors import DataError
from kdexport.records import Column, Table
from kdexport.streams import TableFile, answer_file
from kdexport.tables import read_table

CSV = "w,x,flag,day,code,s\n" + "\n".join(
    f"{i},{i if i < 70 else i / 4},{str(i % 2 == 0).lower()},2026-01-{i % 28 + 1:02},"
    f"{'007' if i == 77 else i},{'' if i % 9 == 0 else f't{i % 5}'}"
    for i in range(100)
)


@pytest.fixture(params=["csv", "parquet"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file of 100 rows and columns of every kind, some of which show it late."""
    path = tmp_path / f"rows.{request.param}"
    if request.param == "csv":
        path.write_text(CSV)
    else:
        (tmp_path / "rows.csv").write_text(CSV)
        pl.read_csv(tmp_path / "rows.csv", try_parse_dates=True).write_parquet(path)
    return path


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 7 rows."""
    monkeypatch.setattr(streams, "MAX_ROWS", 7)
    monkeypatch.setattr(streams, "MIN_ROWS", 1)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_as_if_read_at_once(source: Path, ending: str, tmp_path: Path) -> None:
    """Chunks have the rows, order and types of the whole table; copied columns and answers too."""
    whole, seen = read_table(source), []
    names = tuple(whole.columns)

    def answer(table: Table) -> Mapping[str, Column]:
        seen.append(table)
        return {"double": 2 * table.columns["x"].astype(float)}

    output = tmp_path / f"out.{ending}"
    n_rows = answer_file(TableFile(source), answer, output, columns=names, keep=["day", "w"])
    assert n_rows == 100
    assert max(table.n_rows for table in seen) <= 7
    for name in names:
        pieces = [table.columns[name] for table in seen]
        assert np.concatenate(pieces).tolist() == whole.columns[name].tolist()
    written = read_table(output)
    assert list(written.columns) == ["day", "w", "double"]
    assert written.columns["w"].tolist() == list(range(100))
    assert written.columns["double"].tolist() == (2 * whole.columns["x"]).tolist()
    assert written.columns["day"].astype("M8[D]").tolist() == (
        whole.columns["day"].astype("M8[D]").tolist()
    )


def test_late_fault(tmp_path: Path) -> None:
    """A file that is damaged after many good rows is refused, and leaves no output."""
    path = tmp_path / "rows.csv"
    path.write_text(CSV + "\n1,2,3,4,5,6,7,8,9\n")
    with pytest.raises(DataError, match=r"rows\.csv"):
        answer_file(
            TableFile(path), lambda t: t.columns, tmp_path / "out.csv", columns=["w"], keep=[]
        )
    assert [entry.name for entry in tmp_path.iterdir()] == ["rows.csv"]
