"""Files and frames into tables: which cells make which type of column."""

import bz2
import datetime as dt
import gzip
import lzma
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from kdexport import lines
from kdexport.cells import CsvFormat
from kdexport.columns import numbers_of, texts_of
from kdexport.errors import DataError, KdexportWarning, OutputError, RecipeError
from kdexport.records import Column, Table
from kdexport.streams import TableFile, answer_file
from kdexport.tables import as_table, from_polars, read_table, write_columns

GERMAN = CsvFormat(separator=";", decimal=",", thousands=".")


def write(folder: Path, content: str | bytes, name: str = "rows.csv") -> Path:
    """Write a file and return its path."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def column(folder: Path, cells: list[str], *, missing: tuple[str, ...] = ()) -> Column:
    """Return the column that a CSV of these cells and a column of ones is read as."""
    path = write(folder, "a,y\n" + "".join(f"{cell},1\n" for cell in cells))
    return read_table(path, csv_format=CsvFormat(missing=missing)).columns["a"]


def day(text: str) -> np.datetime64:
    """Return a time as tables hold it."""
    return np.datetime64(text, "us")


def test_no_such_file(tmp_path: Path) -> None:
    """An absent file is named."""
    with pytest.raises(DataError, match=r"no file '.*absent\.csv'"):
        read_table(tmp_path / "absent.csv")


def test_folder_is_no_file(tmp_path: Path) -> None:
    """A folder is refused as no file."""
    with pytest.raises(DataError, match="no file"):
        read_table(tmp_path)


@pytest.mark.parametrize(
    ("content", "found"),
    [("", "has nothing"), ("a,b,y\n", "header only"), ("a,b,y", "header only")],
)
def test_no_rows(tmp_path: Path, content: str, found: str) -> None:
    """A file without rows is refused, saying whether it has a header."""
    with pytest.raises(DataError, match=found):
        read_table(write(tmp_path, content))


@pytest.mark.parametrize(
    "content",
    [
        bytes(range(256)) * 20,
        b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe" * 30,
        b"PAR1" + b"\x00\xff" * 99,
        b"a,y\n1,\xff\xfe\xfa\n2,ok\n",
        b"a,y\n1,2,3,4\n",
        b"a,b,y\n1,2,3\n1,2,3,4,5\n",
    ],
)
def test_garbage(tmp_path: Path, content: bytes) -> None:
    """A file that is no table, or has rows longer than its header, is an error that names it."""
    with pytest.raises(DataError, match=r"rows\.csv"):
        read_table(write(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (gzip.compress(b"a,y\n1,2\n", mtime=0), "is compressed with gzip; unpack it"),
        (bz2.compress(b"a,y\n1,2\n"), "is compressed with bzip2"),
        (lzma.compress(b"a,y\n1,2\n"), "is compressed with xz"),
        (b"PK\x03\x04rest", "is a zip archive or a spreadsheet"),
        (b"a,b,y\r1,2,3\r4,5,6\r", r"ends its first line with \\r alone"),
    ],
    ids=["gzip", "bzip2", "xz", "zip", "line ends"],
)
def test_other_files(tmp_path: Path, content: bytes, found: str) -> None:
    """A file that is packed, or has line ends of its own, is told what it is."""
    path = write(tmp_path, content)
    for read in (read_table, lambda path: list(TableFile(path).read_chunks(["a"]))):
        with pytest.raises(DataError, match=found):
            read(path)


def test_header_that_begins_like_a_packed_file(tmp_path: Path) -> None:
    """A name may begin with the letters that bzip2 begins with."""
    assert list(read_table(write(tmp_path, "BZh,b\n1,2\n")).columns) == ["BZh", "b"]


def test_pipe_is_no_file(tmp_path: Path) -> None:
    """Tables are read from files, not from a pipe."""
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("-"), tmp_path / "pipe"):
        with pytest.raises(DataError, match="a pipe or device; write a file first"):
            read_table(path)


@pytest.mark.parametrize("content", [b"a,a,y\n1,2,3\n", b"\xef\xbb\xbfa,a,y\n1,2,3\n"])
def test_duplicate_header(tmp_path: Path, content: bytes) -> None:
    """A header that names a column twice is refused with name and number (A3), mark or not."""
    with pytest.raises(DataError, match=r"rows\.csv has 'a' 2 times"):
        read_table(write(tmp_path, content))


@pytest.mark.parametrize("kind", ["pandas", "pyarrow"])
def test_duplicate_header_of_frames(kind: str) -> None:
    """A frame that names a column twice is refused as a file is."""
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "a", "y"])
    arrow = pa.table([[1], [2], [3]], names=["a", "a", "y"])
    with pytest.raises(DataError, match=r"'a' 2 times"):
        as_table(frame if kind == "pandas" else arrow)


@pytest.mark.parametrize("header", ["y,a,b", "a,b,y", '"y",a,b', '"x: [1]",b,y'])
def test_bom(tmp_path: Path, header: str) -> None:
    """A UTF-8 byte order mark is no part of the first name, quoted or not (A1)."""
    marked = read_table(write(tmp_path, b"\xef\xbb\xbf" + header.encode() + b"\n1,2,3\n"))
    plain = read_table(write(tmp_path, header + "\n1,2,3\n"))
    assert list(marked.columns) == list(plain.columns)
    assert marked.hash() == plain.hash()


def test_odd_names(tmp_path: Path) -> None:
    """Header text with punctuation, quotes, accents, spaces and line ends survives (A3)."""
    names = ['"x: [1]"', '"p,q"', "größe", "中文", '" led"', '"say ""hi"""', '"two\nlines"']
    table = read_table(write(tmp_path, ",".join(names) + "\n1,2,3,4,5,6,7\n"))
    expected = ["x: [1]", "p,q", "größe", "中文", " led", 'say "hi"', "two\nlines"]
    assert list(table.columns) == expected
    assert [values.tolist() for values in table.columns.values()] == [[i] for i in range(1, 8)]


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", "-20", "+3", " 4 "], "i", [1, -20, 3, 4]),
        (["1", "2.5", "-2e3", ".5"], "f", [1.0, 2.5, -2000.0, 0.5]),
        (["0", "0.5", "-0.25"], "f", [0.0, 0.5, -0.25]),
        (["TRUE", "false", "True", "FALSE"], "b", [True, False, True, False]),
        (["2026-01-31", "1969-12-31"], "M", [day("2026-01-31"), day("1969-12-31")]),
        (["2026-01-31T12:30", "2026-01-31"], "M", [day("2026-01-31T12:30"), day("2026-01-31")]),
        (["2026-01-31 12:30:01.5Z"], "M", [day("2026-01-31T12:30:01.5")]),
        (["2026-01-31T12:30+02:00"], "M", [day("2026-01-31T10:30")]),
        (["u", " v w ", "ü"], "O", ["u", " v w ", "ü"]),
        (["00501", "10001"], "O", ["00501", "10001"]),
        (["-07", "12"], "O", ["-07", "12"]),
        (["0x10", "0x11"], "O", ["0x10", "0x11"]),
        (["true", "yes"], "O", ["true", "yes"]),
        (["2026-02-31", "2026-02-01"], "O", ["2026-02-31", "2026-02-01"]),
        (["2026-01-31", "soon"], "O", ["2026-01-31", "soon"]),
        (["31.01.2026", "01.02.2026"], "O", ["31.01.2026", "01.02.2026"]),
    ],
)
def test_types(tmp_path: Path, cells: list[str], kind: str, values: list[object]) -> None:
    """A column is numbers, flags or dates where all its cells spell one, and else text as is."""
    read = column(tmp_path, cells)
    assert read.dtype.kind == kind
    assert list(read) == values


def test_row_ids(tmp_path: Path) -> None:
    """Rows are numbered from 0, in the order of the file."""
    assert read_table(write(tmp_path, "a,y\n5,u\n4,v\n")).row_ids.tolist() == [0, 1]


def test_missing_numbers(tmp_path: Path) -> None:
    """An empty or blank cell among whole numbers is NaN."""
    read = column(tmp_path, ["1", "", "  ", '""', "2"])
    np.testing.assert_array_equal(read, [1.0, np.nan, np.nan, np.nan, 2.0])


def test_missing_flags_and_dates(tmp_path: Path) -> None:
    """An empty cell among flags is None and among dates NaT."""
    assert column(tmp_path, ["true", "", "False"]).tolist() == [True, None, False]
    dates = column(tmp_path, ["2026-01-31", ""])
    assert dates.dtype.kind == "M"
    assert np.isnat(dates).tolist() == [False, True]


def test_words_for_missing_are_text(tmp_path: Path) -> None:
    """NA, None, null and nan in a text column are values; an empty cell alone is missing."""
    cells = ["NA", "None", "null", "nan", "NaN", "N/A", "", "u"]
    read = column(tmp_path, cells)
    assert read.tolist() == ["NA", "None", "null", "nan", "NaN", "N/A", None, "u"]


def test_markers(tmp_path: Path) -> None:
    """Markers that the user lists are missing, in text as in numbers."""
    assert column(tmp_path, ["u", "?", "NA"], missing=("?",)).tolist() == ["u", None, "NA"]
    numbers = column(tmp_path, ["1", "?", "NA", "3"], missing=("?", "NA"))
    np.testing.assert_array_equal(numbers, [1, np.nan, np.nan, 3])


def test_blank_column(tmp_path: Path) -> None:
    """A column of empty cells is empty text, whatever it held elsewhere."""
    assert column(tmp_path, ["", "", ""]).tolist() == [None, None, None]


def test_late_text_cell(tmp_path: Path) -> None:
    """One text cell after many numbers makes a text column, and every cell stays as written."""
    with pytest.warns(KdexportWarning, match="'a' is text for 1 of 5001 cells: 'oops'"):
        read = column(tmp_path, ["1.50"] * 5000 + ["oops"])
    assert read.dtype == object
    assert read[[0, -1]].tolist() == ["1.50", "oops"]


def test_text_by_name(tmp_path: Path) -> None:
    """A column named as text keeps its cells as written, empty ones apart."""
    path = write(tmp_path, "a,b\n1.50,1.50\n,2\n5,3\n")
    table = read_table(path, text=["a"])
    assert table.columns["a"].tolist() == ["1.50", None, "5"]
    assert table.columns["b"].dtype == np.float64


def test_other_locale(tmp_path: Path) -> None:
    """Semicolons, decimal commas and thousands points read as the US form does (A2)."""
    german = "n;p;s;y\n1.234;1.299,99;a,b;u\n-12;0,5;c;v\n"
    english = 'n,p,s,y\n1234,1299.99,"a,b",u\n-12,0.5,c,v\n'
    table = read_table(write(tmp_path, german), csv_format=GERMAN)
    assert table.hash() == read_table(write(tmp_path, english)).hash()
    assert table.columns["p"].tolist() == [1299.99, 0.5]


@pytest.mark.parametrize(
    "cells", [["1.299,99", "5,0"], ["0,5", "-12,25"], ["1 299,99"], ["1'299,99"]]
)
def test_other_locale_warned(tmp_path: Path, cells: list[str]) -> None:
    """A column that is text for its decimal commas is warned about by name, with the cure (A2)."""
    path = write(tmp_path, "a;y\n" + "".join(f"{cell};1\n" for cell in cells))
    with pytest.warns(KdexportWarning, match=f"column 'a' .*{cells[0]}.*--decimal") as caught:
        table = read_table(path, csv_format=CsvFormat(separator=";"))
    assert len(caught) == 1
    assert table.columns["a"].tolist() == cells


def test_thousands_warned(tmp_path: Path) -> None:
    """A column that is text for its thousands commas is warned about, and --thousands cures it."""
    path = write(tmp_path, 'a,y\n"1,234.5",1\n"12,000",2\n')
    with pytest.warns(KdexportWarning, match=r"column 'a' .*'1,234\.5'.*--thousands"):
        read_table(path)
    table = read_table(path, csv_format=CsvFormat(thousands=","))
    assert table.columns["a"].tolist() == [1234.5, 12000.0]


def test_semicolon_header(tmp_path: Path) -> None:
    """A file of one column with other separators in its name is refused, naming the option."""
    with pytest.raises(DataError, match=r"one column, 'a;b;y'.*--separator ';'"):
        read_table(write(tmp_path, "a;b;y\n1;2;3\n"))
    with pytest.raises(DataError, match=r"--separator '\\t'"):
        read_table(write(tmp_path, "a\tb\ty\n1\t2\t3\n"))


def test_few_markers_warned(tmp_path: Path) -> None:
    """A column of numbers but for a few cells is warned about, naming them and the option."""
    cells = [str(i) for i in range(98)] + ["?", "n/k"]
    with pytest.warns(
        KdexportWarning, match=r"'a' is text for 2 of 100 cells: '\?', 'n/k'; .*--missing"
    ):
        read = column(tmp_path, cells)
    assert read.dtype == object


@pytest.mark.parametrize("cell", ["05", "00.3"])
def test_few_zeros_warned(tmp_path: Path, cell: str) -> None:
    """Numbers of which a few begin with a zero are text, with a warning that names the option."""
    path = write(tmp_path, "a b,y\n" + "".join(f"{i}.5,1\n" for i in range(59)) + f"{cell},1\n")
    found = rf"'a b' is text for 1 of 60 cells, which begin with 0: '{cell}'; --numeric 'a b' "
    with pytest.warns(KdexportWarning, match=found):
        assert read_table(path).columns["a b"].dtype == object
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_table(path, numbers=["a b"])
        list(TableFile(path, numbers=["a b"]).read_chunks(["a b"]))


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (["1.5", "12.25", "7"], "written otherwise, such as '1.5'.*--decimal"),
        (["1,234.5", "7"], r"written otherwise, such as '1,234\.5'"),
        (["1.234,5", "7"], r"written otherwise, such as '1\.234,5'"),
        (["12%", "3,5 %"], "numbers with signs, such as '12%'"),
        (["$1.50", "-$12"], r"numbers with signs, such as '\$1\.50'"),
    ],
)
def test_numbers_beside_a_decimal_comma(tmp_path: Path, cells: list[str], found: str) -> None:
    """Where the decimal mark is given, columns of another are warned about, as are signs."""
    path = write(tmp_path, "a;y\n" + "".join(f"{cell};1\n" for cell in cells))
    with pytest.warns(KdexportWarning, match=f"column 'a' .*{found}"):
        assert read_table(path, csv_format=CsvFormat(";", ",")).columns["a"].tolist() == cells


@pytest.mark.parametrize(
    "cells",
    [
        ["1"] * 50 + ["u"] * 50,  # too many cells
        [*map(str, range(96)), "u", "v", "w", "x"],  # too many words
        ["red, very", "blue"],
        ["00501", "1.299,99"],
    ],
)
def test_text_not_warned(tmp_path: Path, cells: list[str]) -> None:
    """A column that is text for good reasons is read without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = write(tmp_path, "a,y\n" + "".join(f'"{cell}",1\n' for cell in cells))
        assert read_table(path).columns["a"].tolist() == cells


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_write_then_read(tmp_path: Path, ending: str) -> None:
    """What is written is read back, and nothing else stays in the folder."""
    columns = {"label": np.array(["é", "b"], object), "p": np.array([0.25, 0.75])}
    path = tmp_path / f"out.{ending}"
    write_columns(columns, path)
    table = read_table(path)
    assert table.columns["label"].tolist() == ["é", "b"]
    assert table.columns["p"].tolist() == [0.25, 0.75]
    assert list(tmp_path.iterdir()) == [path]


def test_parquet_by_content(tmp_path: Path) -> None:
    """Parquet is told by its first bytes, not by its name, and keeps its types."""
    path = tmp_path / "rows.csv"
    pl.DataFrame({"a": ["01", "2"], "b": [1, None]}).write_parquet(path)
    table = read_table(path)
    assert table.columns["a"].tolist() == ["01", "2"]
    np.testing.assert_array_equal(table.columns["b"], [1, np.nan])


@pytest.mark.parametrize("end", ["3,x", '3,"long, x"'])
def test_file_cut_within_its_last_row(tmp_path: Path, end: str) -> None:
    """A file that ends within a row is refused: its last cells would pass for missing ones."""
    path = tmp_path / "rows.csv"
    path.write_text("a,b,c\n1,u,2\n" + end)
    for read in (read_table, lambda path: list(TableFile(path).read_chunks(["a", "c"]))):
        with pytest.raises(DataError, match="ends after 2 of 3 cells"):
            read(path)
    for whole in (",", ",4", ",4\n"):
        path.write_text("a,b,c\n1,u,2\n" + end + whole)
        assert read_table(path).n_rows == 2


def read_both(path: Path) -> list[Table]:
    """Return a file of columns a and b as it is read at once, and in chunks."""
    frames = [typed for typed, _ in TableFile(path).read_chunks(["a", "b"])]
    return [read_table(path), from_polars(pl.concat(frames), path.name)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_empty_lines(tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty lines are no rows, but those within quotes are text: they are counted and left out."""
    monkeypatch.setattr(lines, "PIECE_BYTES", 5)
    rows = ["", "a,b", "", '1,"u', "", 'v, w"', "  ", "2,", ",", "3,x", "", ""]
    path = write(tmp_path, end.join(rows))
    with pytest.warns(KdexportWarning, match=r"3 empty lines of rows\.csv were left out"):
        tables = read_both(path)
    for table in tables:
        np.testing.assert_array_equal(table.columns["a"], [1, 2, np.nan, 3])
        assert table.columns["b"].tolist() == [f"u{end}{end}v, w", None, None, "x"]
        assert table.row_ids.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("mark", ["\n", "\t \n"])
def test_empty_line_behind_a_mark(tmp_path: Path, mark: str) -> None:
    """A line that holds a byte order mark, or tabs, and nothing else is empty."""
    with pytest.warns(KdexportWarning, match=r"1 empty lines"):
        tables = read_both(write(tmp_path, "\ufeff\na,b\n1,u\n" + mark + "2,\n"))
    for table in tables:
        assert table.columns["a"].tolist() == [1, 2]


def test_empty_lines_of_one_column(tmp_path: Path) -> None:
    """In a file of one column, an empty line is a missing cell."""
    np.testing.assert_array_equal(
        read_table(write(tmp_path, "a\n1\n\n3\n")).columns["a"], [1, np.nan, 3]
    )


def test_answers_beside_empty_lines(tmp_path: Path) -> None:
    """Answers and kept cells stand by the rows that are there."""
    path = write(tmp_path, "a,b\n\n1,u\n\n\n2,v\n")
    file = TableFile(path)
    with pytest.warns(KdexportWarning, match="3 empty lines"):
        n_rows = answer_file(
            file, lambda t: {"c": t.columns["a"]}, tmp_path / "out.csv", columns=["a"], keep=["b"]
        )
    assert n_rows == 2
    assert (tmp_path / "out.csv").read_text() == "b,c\nu,1\nv,2\n"


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("3,x", "line 5 of .* has 2 cells, not 3: '3,x'"),
        ("3", "line 5 of .* has 1 cells, not 3"),
        ('"3,4",x', "line 5 of .* has 2 cells, not 3"),
        ("3,x,y,z", "line 5 of .* has 4 cells, not 3"),
    ],
)
def test_uneven_rows(tmp_path: Path, row: str, found: str) -> None:
    """A row with fewer or more cells than the header is refused with its line."""
    path = write(tmp_path, f'a,b,c\n1,"u\nv",2\n\n{row}\n4,w,5\n')
    for read in (read_table, lambda path: list(TableFile(path).read_chunks(["a", "c"]))):
        with pytest.raises(DataError, match=found):
            read(path)


def test_quotes_within_cells_and_short_rows(tmp_path: Path) -> None:
    """A quote that does not begin a cell hides no separator."""
    path = write(tmp_path, 'a,b,c,d\n1,5" by 6" wide,,\n2,x " u,v " w,\n')
    assert read_table(path).columns["b"].tolist() == ['5" by 6" wide', 'x " u']


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('a,b\n1,x\n2,5" wide\n3,y\n4,6" wide\n5,z\n', 3),
        ('\ufeffa,b\n1,5" wide\n2,u\n', 2),
        ('a,b\n1,"u"\n2,"v\n3,w\n', 3),
        ('a,b"\n,cc\n5" d,x\n,u\n', 1),
        ('a,b\n1,"u" 5" d\n2,v\n"",x\n', 2),
    ],
)
@pytest.mark.parametrize("piece_bytes", [3, 2**24])
def test_quotes_that_hide_the_end_of_a_line(
    tmp_path: Path, content: str, line: int, piece_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quote within a cell joins no lines: rows would be lost. It is refused with its line."""
    monkeypatch.setattr(lines, "PIECE_BYTES", piece_bytes)
    path = write(tmp_path, content)
    for read in (read_table, lambda path: list(TableFile(path).read_chunks(["a"]))):
        with pytest.raises(DataError, match=rf"line {line} of rows\.csv has a quote that hides"):
            read(path)


def test_cells_of_many_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quotes at a cell's start hold lines, doubled quotes and separators, however long it is."""
    monkeypatch.setattr(lines, "PIECE_BYTES", 2**10)
    cells = ['u\n"v"\nw', "\n", '"\n', "x" * 200_000 + "\n,", '5" d', "end"]
    written = [cell.replace('"', '""') for cell in cells]
    path = write(tmp_path, "a,b\n" + "".join(f'{i},"{w}"\n' for i, w in enumerate(written)))
    for table in read_both(path):
        assert table.columns["b"].tolist() == cells


def test_write_into_no_folder(tmp_path: Path) -> None:
    """A file cannot be written where there is no folder."""
    with pytest.raises(OutputError, match="the output can be written"):
        write_columns({"a": np.arange(2)}, tmp_path / "absent" / "out.csv")


def test_dates_of_files_and_frames_agree(tmp_path: Path) -> None:
    """A date in a CSV, in Parquet and in a frame is the same cell."""
    frame = pl.DataFrame({"d": [dt.date(2026, 1, 31), None], "y": [1, 2]})
    frame.write_parquet(tmp_path / "d.parquet")
    frame.write_csv(tmp_path / "d.csv")
    hashes = {read_table(tmp_path / f"d.{ending}").hash() for ending in ("csv", "parquet")}
    assert hashes == {as_table(frame).hash()}


def test_long_whole_numbers_beside_gaps(tmp_path: Path) -> None:
    """Ids that float64 cannot tell apart stay whole numbers where a cell is missing."""
    ids = [2**53 + 1, 2**53 + 3, None]
    pl.DataFrame({"id": ids}).write_parquet(tmp_path / "x.parquet")
    frame = pd.DataFrame({"id": pd.array(ids, "Int64")})
    for table in (read_table(tmp_path / "x.parquet"), as_table(frame)):
        assert texts_of(table, "id").tolist() == ["9007199254740993", "9007199254740995", ""]


def test_ids_of_twenty_digits(tmp_path: Path) -> None:
    """Neighbours beyond int64 stay apart, gap or none; float64 that merged them is said."""
    ids = [2**64 - 1, 2**64 - 2]
    (tmp_path / "x.csv").write_text(f"id,x\n{ids[0]},1\n{ids[1]},2\n")
    frame = pl.DataFrame({"id": ids}, schema={"id": pl.UInt64})
    frame.write_parquet(tmp_path / "x.parquet")
    gaps = pl.DataFrame({"id": [*ids, None]}, schema={"id": pl.UInt64})
    arrays = [np.array(ids, np.uint64), np.array([ids[0], 7], object)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        csv = read_table(tmp_path / "x.csv", text=["id"])
        tables = [csv, read_table(tmp_path / "x.parquet"), as_table(frame), as_table(gaps)]
        tables += [as_table({"id": array}) for array in arrays]
        texts = [texts_of(table, "id").tolist() for table in tables]
    known = [str(cell) for cell in ids]
    assert texts == [known, known, known, [*known, ""], known, [known[0], "7"]]
    with pytest.warns(KdexportWarning, match="'id' holds whole numbers of which float64"):
        texts_of(as_table({"id": np.array(ids, np.float64)}), "id")


def test_digits_beyond_int64(tmp_path: Path) -> None:
    """Whole numbers of a CSV beyond int64 stay text, with a warning, unless named as numbers."""
    cells = ["100000000000000000001", "7", ""]
    with pytest.warns(KdexportWarning, match="'a' holds whole numbers beyond int64, such as 1000"):
        assert column(tmp_path, cells).tolist() == [*cells[:2], None]
    assert column(tmp_path, [*cells, "0.5"]).dtype == np.float64
    path = tmp_path / "rows.csv"
    path.write_text("a,y\n" + "".join(f"{cell},1\n" for cell in cells))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = read_table(path, numbers=["a"])
        (chunk, _), *_ = TableFile(path, numbers=["a"]).read_chunks(["a"])
    for table in (read, from_polars(chunk, "rows")):
        np.testing.assert_array_equal(numbers_of(table, "a"), [1e20, 7, np.nan])


@pytest.mark.parametrize(
    "marks", [("\\t", ".", ""), ("§", ".", ""), (";", ".", "."), (";", "x", "")]
)
def test_marks_that_cannot_be_told_apart(marks: tuple[str, str, str]) -> None:
    """Whoever builds the format, command or library, marks that mean two things are refused."""
    with pytest.raises(RecipeError, match="one mark between cells"):
        CsvFormat(*marks)


def test_masked_cells_are_missing() -> None:
    """What numpy masks is no value: in an array, and in columns of their own."""
    array = np.ma.masked_array([[1.0, 2.0], [3.0, 4.0]], mask=[[True, False], [False, False]])
    words = np.ma.masked_array(["a", "b"], mask=[False, True])
    assert np.isnan(as_table(array).columns["x0"]).tolist() == [True, False]
    assert as_table({"w": words}).columns["w"].tolist() == ["a", None]
    assert as_table({"n": np.ma.masked_array([1, 2])}).columns["n"].dtype == np.int64


@pytest.mark.parametrize("cell", [1.0, "text", None])
def test_a_row_is_written_as_lists(cell: object) -> None:
    """A mapping of single cells is refused with how to write one row."""
    with pytest.raises(
        DataError, match=r"a cell for each row.*pass one row as \{'a': \[\.\.\.\]\}"
    ):
        as_table({"a": cell, "b": cell})
