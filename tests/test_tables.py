"""Files and frames into tables, and tables into parts."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from kdexport.errors import DataError, KdexportWarning, OutputError
from kdexport.records import Parts, Table
from kdexport.tables import (
    as_table,
    concat_tables,
    drop_unlabelled,
    hash_table,
    iter_chunks,
    read_table,
    split_table,
    write_columns,
)


def write(folder: Path, content: str | bytes, name: str = "rows.csv") -> Path:
    """Write a file and return its path."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def split(table: Table, seed: int = 0, **changes: object) -> Parts[Table]:
    """Split with everyday shares."""
    options = {"test": None, "split_column": None, "test_share": 0.2, "validation_share": 0.25}
    return split_table(table, "y", seed=seed, **(options | changes))


def labelled(n: int = 200) -> Table:
    """Rows of one feature, 3 in 4 of class no."""
    labels = np.array(["no", "no", "no", "yes"] * (n // 4), object)
    return as_table({"a": np.arange(n, dtype=float), "y": labels})


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
    ],
)
def test_binary_garbage(tmp_path: Path, content: bytes) -> None:
    """A file that is no table, whatever its name, is an error that names it."""
    with pytest.raises(DataError, match=r"rows\.csv"):
        read_table(write(tmp_path, content))


@pytest.mark.parametrize("content", ["a,y\n1,2,3,4\n", "a,b,y\n1,2,3\n1,2,3,4,5\n"])
def test_ragged_rows(tmp_path: Path, content: str) -> None:
    """A row of more cells than the header is refused."""
    with pytest.raises(DataError, match=r"rows\.csv"):
        read_table(write(tmp_path, content))


def test_duplicate_header(tmp_path: Path) -> None:
    """A header that names a column twice is refused, naming it and how often."""
    with pytest.raises(DataError, match=r"'a' 2 times"):
        read_table(write(tmp_path, "a,a,y\n1,2,3\n"))


@pytest.mark.parametrize("kind", ["pandas", "pyarrow"])
def test_duplicate_header_of_frames(kind: str) -> None:
    """A frame that names a column twice is refused as a file is."""
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "a", "y"])
    arrow = pa.table([[1], [2], [3]], names=["a", "a", "y"])
    with pytest.raises(DataError, match=r"'a' 2 times"):
        as_table(frame if kind == "pandas" else arrow)


def test_bom(tmp_path: Path) -> None:
    """A UTF-8 byte order mark is no part of the first name."""
    table = read_table(write(tmp_path, b"\xef\xbb\xbfa,y\n1,2\n3,4\n"))
    assert list(table.columns) == ["a", "y"]


def test_bom_and_duplicate(tmp_path: Path) -> None:
    """A byte order mark hides no repeated name."""
    with pytest.raises(DataError, match="'a' 2 times"):
        read_table(write(tmp_path, b"\xef\xbb\xbfa,a\n1,2\n"))


def test_odd_names(tmp_path: Path) -> None:
    """Header text with punctuation, quotes, accents and spaces survives as it is."""
    names = ['"x: [1]"', '"p,q"', "größe", "中文", '" led"']
    table = read_table(write(tmp_path, ",".join(names) + "\n1,2,3,4,5\n"))
    assert list(table.columns) == ["x: [1]", "p,q", "größe", "中文", " led"]


def test_types(tmp_path: Path) -> None:
    """Whole numbers, fractions and text are read as int64, float64 and object."""
    table = read_table(write(tmp_path, "i,f,s,e\n1,1.5,u,\n2,,,\n"))
    assert [table.columns[c].dtype.kind for c in "ifs"] == ["i", "f", "O"]
    assert np.isnan(table.columns["f"][1])
    assert table.columns["s"].tolist() == ["u", None]
    assert table.row_ids.tolist() == [0, 1]


def test_late_text_cell(tmp_path: Path) -> None:
    """One text cell after many numbers makes a text column, not an error of row one."""
    content = "a,y\n" + "1,0\n" * 500 + "oops,1\n"
    assert read_table(write(tmp_path, content)).columns["a"].dtype == object


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
    """Parquet is told by its first bytes, not by its name."""
    path = tmp_path / "rows.csv"
    pl.DataFrame({"a": [1, 2]}).write_parquet(path)
    assert read_table(path).columns["a"].tolist() == [1, 2]


def test_write_into_no_folder(tmp_path: Path) -> None:
    """A file cannot be written where there is no folder."""
    with pytest.raises(OutputError, match="output file can be written"):
        write_columns({"a": np.arange(2)}, tmp_path / "absent" / "out.csv")


def test_frames_agree() -> None:
    """A mapping, pandas, polars and pyarrow frames give the same table."""
    data = {"f": [1.5, -2.0, 0.0], "i": [3, 4, 5], "s": ["u", None, "é"], "b": [True, False, True]}
    frames = {
        "mapping": {k: np.array(v, object if k == "s" else None) for k, v in data.items()},
        "pandas": pd.DataFrame(data),
        "polars": pl.DataFrame(data),
        "pyarrow": pa.table(data),
    }
    tables = {name: as_table(frame) for name, frame in frames.items()}
    first = tables["mapping"]
    for table in tables.values():
        assert list(table.columns) == list(data)
        for name, values in table.columns.items():
            assert values.dtype == first.columns[name].dtype
            assert values.tolist() == first.columns[name].tolist()
        assert hash_table(table) == hash_table(first)


def test_numpy_matrix() -> None:
    """A 2-d array becomes columns x0, x1, ... of 64-bit numbers."""
    matrix = np.arange(6, dtype=np.float32).reshape(3, 2)
    table = as_table(matrix)
    assert list(table.columns) == ["x0", "x1"]
    assert table.columns["x1"].dtype == np.float64
    assert table.columns["x1"].tolist() == [1, 3, 5]


def test_missing_cells_of_frames() -> None:
    """A missing number is NaN and a missing text None, whichever frame it comes from."""
    data = {"f": [1.0, None], "s": ["u", None]}
    for frame in (pd.DataFrame(data), pl.DataFrame(data), pa.table(data)):
        table = as_table(frame)
        assert np.isnan(table.columns["f"][1])
        assert table.columns["s"].tolist() == ["u", None]


def test_categories() -> None:
    """Categories of pandas and polars are read as their text."""
    text = ["u", "v", "u"]
    for frame in (
        pd.DataFrame({"s": pd.Categorical(text)}),
        pl.DataFrame({"s": text}, schema={"s": pl.Categorical}),
    ):
        assert as_table(frame).columns["s"].tolist() == text


@pytest.mark.parametrize("data", [[1, 2], "text", np.arange(3), None])
def test_other_objects(data: object) -> None:
    """Data of another type is refused, naming the type."""
    with pytest.raises(DataError, match=type(data).__name__):
        as_table(data)


@pytest.mark.parametrize(
    "data", [{}, {"a": np.arange(3), "b": np.arange(2)}, {"a": np.zeros((2, 2)), "b": np.zeros(2)}]
)
def test_malformed_columns(data: dict[str, np.ndarray]) -> None:
    """Columns are there, one-dimensional and of equal length."""
    with pytest.raises(DataError):
        as_table(data)


def test_unlabelled_rows_dropped() -> None:
    """Rows without a label are dropped, and a warning counts them."""
    for labels in (np.array([0, np.nan, 1, np.nan]), np.array(["u", None, "v", np.nan], object)):
        table = as_table({"a": np.arange(4), "y": labels})
        with pytest.warns(KdexportWarning, match=r"^2 rows .*'y'"):
            kept = drop_unlabelled(table, "y")
        assert kept.row_ids.tolist() == [0, 2]
        assert kept.columns["a"].tolist() == [0, 2]


def test_no_warning_without_missing_labels() -> None:
    """A table whose rows all have labels comes back as it is, without a warning."""
    table = labelled(8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert drop_unlabelled(table, "y") is table


def test_no_target_column() -> None:
    """An absent target is named, with the columns there are."""
    with pytest.raises(DataError, match=r"no column 'z'.*'a', 'y'"):
        drop_unlabelled(labelled(8), "z")


def test_no_label_at_all() -> None:
    """A target of empty cells only is refused."""
    with pytest.raises(DataError, match="all 3 cells of 'y'"):
        drop_unlabelled(as_table({"a": np.arange(3), "y": np.full(3, np.nan)}), "y")


def test_split_disjoint() -> None:
    """Every row is in exactly one part."""
    table = labelled()
    parts = split(table)
    ids = np.concatenate([part.row_ids for _, part in parts.items()])
    assert sorted(ids.tolist()) == table.row_ids.tolist()
    assert [part.n_rows for _, part in parts.items()] == [120, 40, 40]


def test_split_stratified() -> None:
    """Each part has the table's share of each class."""
    for _, part in split(labelled()).items():
        assert (part.columns["y"] == "yes").mean() == pytest.approx(0.25)


def test_split_seeded() -> None:
    """One seed always draws the same rows, another seed others."""
    ids = [split(labelled(), seed).test.row_ids.tolist() for seed in (0, 0, 1)]
    assert ids[0] == ids[1]
    assert ids[0] != ids[2]


def test_split_with_own_test_rows() -> None:
    """The user's own test rows are taken whole, and none of the table's are."""
    own = labelled(12)
    parts = split(labelled(), test=own)
    assert parts.test is own
    assert parts.train.n_rows + parts.validation.n_rows == 200


def test_split_column() -> None:
    """A split column decides the parts, in any case and spelling, and then goes."""
    where = np.array(["Train", "valid", "TEST", "validation", "train", "val"] * 4, object)
    table = as_table({"a": np.arange(24), "part": where, "y": np.arange(24) % 2})
    parts = split(table, split_column="part")
    assert parts.train.columns["a"].tolist() == sorted([*range(0, 24, 6), *range(4, 24, 6)])
    assert parts.test.columns["a"].tolist() == list(range(2, 24, 6))
    assert parts.validation.n_rows == 12
    assert all("part" not in part.columns for _, part in parts.items())


def test_split_column_without_validation() -> None:
    """Without validation rows in the split column, they are drawn from its training rows."""
    where = np.array(["train"] * 40 + ["test"] * 10, object)
    table = as_table({"a": np.arange(50), "part": where, "y": np.arange(50) % 2})
    parts = split(table, split_column="part")
    assert parts.test.row_ids.tolist() == list(range(40, 50))
    assert (parts.train.n_rows, parts.validation.n_rows) == (30, 10)


def test_split_column_with_other_values() -> None:
    """A split column of another value is refused, naming value and number of rows."""
    where = np.array(["train", "test", "dev", "dev"], object)
    table = as_table({"part": where, "y": np.arange(4) % 2})
    with pytest.raises(DataError, match=r"'dev' in 2 rows"):
        split(table, split_column="part")


def test_no_split_column() -> None:
    """An absent split column is named."""
    with pytest.raises(DataError, match="no column 'part'"):
        split(labelled(), split_column="part")


def test_split_column_without_test_rows() -> None:
    """A part that comes out empty is named."""
    table = as_table({"part": np.array(["train"] * 8, object), "y": np.arange(8) % 2})
    with pytest.raises(DataError, match="left for test"):
        split(table, split_column="part")


def test_too_few_rows() -> None:
    """A table too small for three parts is refused."""
    table = as_table({"a": np.arange(2), "y": np.zeros(2)})
    with pytest.raises(DataError, match="no row is left"):
        split(table)


def test_lone_class_warned() -> None:
    """A class of one row is kept for training, and a warning names it."""
    labels = np.array(["no"] * 20 + ["yes"] * 20 + ["odd"], object)
    table = as_table({"a": np.arange(41), "y": labels})
    with pytest.warns(KdexportWarning, match=r"1 classes of 'y' .*'odd'"):
        parts = split(table)
    assert "odd" in parts.train.columns["y"]


def test_chunks_and_concat() -> None:
    """Chunks laid end to end are the table again."""
    table = labelled(20)
    chunks = list(iter_chunks(table, 7))
    assert [chunk.n_rows for chunk in chunks] == [7, 7, 6]
    whole = concat_tables(concat_tables(chunks[0], chunks[1]), chunks[2])
    assert hash_table(whole) == hash_table(table)
    assert whole.row_ids.tolist() == table.row_ids.tolist()


def test_hash_tells_tables_apart() -> None:
    """A name, a value or an empty cell changes a table's hash."""
    base = {"a": np.array([1, 2]), "s": np.array(["", "v"], object)}
    others = [
        base | {"a": np.array([1, 3])},
        base | {"s": np.array([None, "v"], object)},
        {"b": base["a"], "s": base["s"]},
    ]
    hashes = {hash_table(as_table(columns)) for columns in (base, *others)}
    assert len(hashes) == 4
