"""Tables larger than memory: a chunk at a time, as if they were read at once."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from kdexport import streams
from kdexport.cells import CsvFormat
from kdexport.columns import flags_of, numbers_of
from kdexport.errors import DataError
from kdexport.records import Column, Table
from kdexport.signature import Signature
from kdexport.streams import TableFile, answer_file
from kdexport.tables import from_polars, read_table

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
    """Chunks have the rows, order and types of the whole table; what is copied has its cells."""
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
    assert [int(cell) for cell in written.columns["w"].tolist()] == list(range(100))
    assert written.columns["double"].tolist() == (2 * whole.columns["x"]).tolist()
    days = [str(cell)[:10] for cell in written.columns["day"].tolist()]
    assert days == whole.columns["day"].astype("M8[D]").astype(str).tolist()


def test_late_fault(tmp_path: Path) -> None:
    """A file that is damaged after many good rows is refused, and leaves no output."""
    path = tmp_path / "rows.csv"
    path.write_text(CSV + "\n1,2,3,4,5,6,7,8,9\n")
    with pytest.raises(DataError, match=r"rows\.csv"):
        answer_file(
            TableFile(path), lambda t: t.columns, tmp_path / "out.csv", columns=["w"], keep=[]
        )
    assert [entry.name for entry in tmp_path.iterdir()] == ["rows.csv"]


def test_names_are_no_patterns(tmp_path: Path) -> None:
    """Brackets and stars in a file's name, or its folder's, are letters of it."""
    folder = tmp_path / "of [2026]*"
    folder.mkdir()
    (folder / "rows1.csv").write_text("a\n1\n")
    (folder / "rows[1].csv").write_text("a\n100\n")
    asked = folder / "rows[1].csv"
    assert read_table(asked).columns["a"].tolist() == [100]
    output = folder / "out[1].parquet"
    answer_file(TableFile(asked), answer_with_a, output, columns=["a"], keep=[])
    assert read_table(output).columns["b"].tolist() == [100]


def answer_with_a(table: Table) -> Mapping[str, Column]:
    """An answer that can be told by the row's cell."""
    return {"b": table.columns["a"]}


def test_kept_as_they_stand(tmp_path: Path) -> None:
    """Kept cells are copied, not read: long ids, amounts, flags and dates stay as written."""
    cells = ["12345678901234567890", "1.10", "TRUE", "2026-01-31"]
    path, output = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text(f"a,id,pay,flag,day\n1,{','.join(cells)}\n")
    answer_file(
        TableFile(path), answer_with_a, output, columns=["a"], keep=["id", "pay", "flag", "day"]
    )
    assert output.read_text() == f"id,pay,flag,day,b\n{','.join(cells)},1\n"


def test_kept_under_an_answers_name(tmp_path: Path) -> None:
    """A kept column that an answer is called by is refused: one of the two would be lost."""
    path, output = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="'b' is an answer's name too"):
        answer_file(TableFile(path), answer_with_a, output, columns=["a"], keep=["b"])
    assert not output.exists()


def test_an_odd_cell_leaves_its_neighbours_alone(tmp_path: Path) -> None:
    """In a column of numbers, each cell is read by the format, whatever stands below it."""
    path = tmp_path / "in.csv"
    path.write_text("x;y\n1.299;a\n007;b\nNaN;c\n")
    given = CsvFormat(";", ",", ".")
    for table in (
        read_table(path, csv_format=given, numbers=["x"]),
        from_polars(next(TableFile(path, given, (), ["x"]).read_chunks(["x"]))[0], "rows"),
    ):
        np.testing.assert_array_equal(numbers_of(table, "x"), [1299, 7, np.nan])


def test_flags_beside_numbers(tmp_path: Path) -> None:
    """A flag may be written as true or as 1, cell by cell; where numbers belong, true is none."""
    path = tmp_path / "in.csv"
    path.write_text("n,flag\n1,1\n2,true\n3,FALSE\n")
    signature = Signature(numeric=("n", "flag"), kinds={"flag": "boolean"}, target="y")
    file = TableFile(path, numbers=signature.numbers_and_flags)
    for frame, _ in file.read_chunks(signature.columns):
        inputs = signature.take_inputs(from_polars(frame, "rows"))
        np.testing.assert_array_equal(inputs.numeric, [[1, 1], [2, 1], [3, 0]])
    path.write_text("n,flag\ntrue,1\nfalse,0\n")
    (frame, _), *_ = file.read_chunks(signature.columns)
    with pytest.raises(DataError, match="'n' of rows holds text in 2 rows, the first 'true'"):
        signature.take_inputs(from_polars(frame, "rows"))


@pytest.mark.parametrize("cells", [["true", "false"], ["1", "12345678901234567890"], ["1", "007"]])
def test_blanks_among_cells_read_one_by_one(tmp_path: Path, cells: list[str]) -> None:
    """A cell of blanks alone is missing, whatever its neighbours look like."""
    path = tmp_path / "in.csv"
    path.write_text("n,s\n" + "".join(f"{cell},a\n" for cell in [*cells, "  ", ""]))
    (frame, _), *_ = TableFile(path, numbers=["n"]).read_chunks(["n"])
    for table in (read_table(path, numbers=["n"]), from_polars(frame, "rows")):
        read = flags_of(table, "n")
        assert np.isnan(read).tolist() == [False, False, True, True]


def test_few_flags_beside_numbers_not_warned(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """Where cells are read one by one, a few that say true are no gaps: none is proposed."""
    path = tmp_path / "in.csv"
    path.write_text("flag,s\n" + "1,a\n" * 6 + "true,a\n" + "0,a\n" * 40)
    table = read_table(path, numbers=["flag"])
    assert flags_of(table, "flag").sum() == 7
    assert sum(len(frame) for frame, _ in TableFile(path, numbers=["flag"]).read_chunks(["flag"]))
    assert not recwarn.list


def test_read_whole(source: Path) -> None:
    """The rows of all chunks at once are those of the table; other columns are left out."""
    whole, names = read_table(source), ("w", "x", "flag", "day", "s")
    read = TableFile(source).read([*names, "absent"])
    assert (read.source, [*read.columns]) == (source.name, [*names])
    for name in names:
        assert read.columns[name].dtype == whole.columns[name].dtype
        assert read.columns[name].tolist() == whole.columns[name].tolist()
