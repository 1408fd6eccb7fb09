"""Cells that are not what they seem: objects, gaps, dates, durations and numbers in disguise."""

import datetime as dt
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from kdexport.cells import CsvFormat
from kdexport.columns import days_of, texts_of
from kdexport.errors import DataError, KdexportError, KdexportWarning
from kdexport.kinds import decide_columns, find_classes
from kdexport.pipeline import run
from kdexport.prepare import prepare
from kdexport.recipe import read_recipe
from kdexport.schema import Schema
from kdexport.sections import ColumnsRecipe
from kdexport.splits import drop_weightless, split_table
from kdexport.tables import as_table, read_table


def csv_of(folder: Path, content: str, name: str = "rows.csv") -> Path:
    """Write a CSV and return its path."""
    path = folder / name
    path.write_text(content)
    return path


def kind_of(data: Any) -> str:
    """What the first column is taken as."""
    return decide_columns(as_table(data), "y", ColumnsRecipe())[0].kind


def test_absent_weight() -> None:
    """A weight column that is not there is named."""
    with pytest.raises(DataError, match="no column 'w'"):
        drop_weightless(as_table({"a": np.ones(2)}), "w")


def test_impossible_date() -> None:
    """A date that no calendar has is refused, naming column and cell."""
    with pytest.raises(DataError, match=r"'a'.*2026-02-31"):
        days_of(as_table({"a": np.array(["2026-02-31"], object)}), "a")


def test_infinite_label() -> None:
    """An infinite label is no class."""
    with pytest.raises(DataError, match="'y'"):
        find_classes(np.array([0.0, 1.0, np.inf] * 4), "y")


def test_regression_test_text(tmp_path: Path) -> None:
    """A test file whose target holds text is refused for a regression, naming the target."""
    learn = csv_of(tmp_path, "a,y\n" + "".join(f"{i},{i / 2}\n" for i in range(60)))
    test = csv_of(tmp_path, "a,y\n1,x\n2,3\n", "test.csv")
    with pytest.raises(DataError, match="'y'"):
        prepare(read_recipe(None, {"data.target": "y"}), data=learn, test=test)


def test_pandas_na() -> None:
    """Pandas' NA is a missing cell wherever it stands."""
    frame = pd.DataFrame({"a": pd.Series(["u", pd.NA], dtype=object)})
    assert as_table(frame).columns["a"].tolist() == ["u", None]


@pytest.mark.parametrize("cell", ["1.50", "TRUE", "2026-01-31"])
def test_text_of_test_file(tmp_path: Path, cell: str) -> None:
    """What is text among the rows to learn from is text in a test file, however it looks."""
    cells = [cell, "x", "z"]
    learn = csv_of(tmp_path, "s,y\n" + "".join(f"{cells[i % 3]},{i % 2}\n" for i in range(90)))
    test = csv_of(tmp_path, f"s,y\n{cell},0\n{cell},1\n", "test.csv")
    prepared = prepare(read_recipe(None, {"data.target": "y"}), data=learn, test=test)
    assert prepared.rows.test.inputs.categorical.tolist() == [[cell], [cell]]


@pytest.mark.parametrize("other", ["test", "unlabeled"])
def test_numbers_of_further_files(tmp_path: Path, other: str) -> None:
    """A number means the same in every file of a run, whatever odd cell stands below it."""
    rows = "".join(f"1.{200 + i};{i % 2}\n" for i in range(90))
    learn = csv_of(tmp_path, "a;y\n" + rows)
    more = csv_of(tmp_path, "a;y\n1.299;0\n007;1\n", "more.csv")
    marks = {"data.separator": ";", "data.decimal": ",", "data.thousands": "."}
    recipe = read_recipe(None, {"data.target": "y", **marks})
    prepared = prepare(recipe, data=learn, **{other: more})
    read = prepared.rows.test if other == "test" else prepared.unlabeled
    assert read is not None
    assert read.inputs.numeric.tolist() == [[1299], [7]]


def test_labels_of_test_file(tmp_path: Path) -> None:
    """Labels that are text in training are text in a test file of numbers only."""
    learn = csv_of(tmp_path, "a,y\n" + "".join(f"{i},{'12x'[i % 3]}\n" for i in range(60)))
    test = csv_of(tmp_path, "a,y\n1,1\n2,2\n", "test.csv")
    prepared = prepare(read_recipe(None, {"data.target": "y"}), data=learn, test=test)
    assert prepared.rows.test.targets.tolist() == [0, 1]


@pytest.mark.parametrize("cells", [[2**60, 2**60 + 1], [2**60, ""]])
def test_long_ids_behind_blanks(tmp_path: Path, cells: list[object]) -> None:
    """Ids that become categories are the texts that predict reads, blanks and signs included."""
    path = csv_of(tmp_path, "y,id\n" + "".join(f"1, {cell}\n0,{cell}\n" for cell in cells))
    learned, asked = (read_table(path, text=text) for text in ((), ("id",)))
    assert decide_columns(learned, "y", ColumnsRecipe(min_category_rows=1))[0].kind == "category"
    assert texts_of(learned, "id").tolist() == texts_of(asked, "id").tolist()


def test_few_test_rows(tmp_path: Path) -> None:
    """Fewer than 10 test rows carry no claim, and are refused with their number."""
    path = csv_of(tmp_path, "a,y\n" + "".join(f"{i},{i % 2}\n" for i in range(45)))
    with pytest.raises(DataError, match=r"10 test rows or more, however: rows\.csv leaves 9"):
        run(read_recipe(None, {"data.target": "y"}), tmp_path / "x", data=path)


def test_thousands_in_dates(tmp_path: Path) -> None:
    """A thousands mark counts only between groups of three digits."""
    path = csv_of(tmp_path, "d;v;y\n12.10.2024;1.2.3;1.000\n13.10.2024;4.5.6;2.000\n")
    table = read_table(path, csv_format=CsvFormat(";", ",", "."))
    assert table.columns["d"].tolist() == ["12.10.2024", "13.10.2024"]
    assert table.columns["v"].tolist() == ["1.2.3", "4.5.6"]


@pytest.mark.parametrize(("decimal", "thousands"), [(",", "."), (".", ",")])
def test_no_thousands_of_zero(tmp_path: Path, decimal: str, thousands: str) -> None:
    """No number has a zero before its thousands mark: 0.125 is not 125, whatever is passed."""
    path = csv_of(tmp_path, f"a;y\n0{thousands}125;1\n0{thousands}250;2\n")
    with pytest.warns(KdexportWarning, match="numbers written otherwise"):
        table = read_table(path, csv_format=CsvFormat(";", decimal, thousands))
    assert table.columns["a"].tolist() == [f"0{thousands}125", f"0{thousands}250"]


def test_many_whole_classes_are_stratified() -> None:
    """Classes are stratified however many there are."""
    labels = np.repeat(np.arange(40), 3)
    table = as_table({"a": np.arange(120), "y": labels})
    parts = split_table(
        table,
        "y",
        test=None,
        is_regression=False,
        split_column=None,
        test_share=0.34,
        validation_share=0.3,
        seed=0,
    )
    assert len(set(parts.train.columns["y"].tolist())) == 40


def test_object_numbers() -> None:
    """Numbers in an object column are numbers, as features and as classes."""
    frame = pd.DataFrame({"a": np.arange(60.0) % 7, "y": np.arange(60) % 2}).astype(object)
    assert kind_of(frame) == "number"
    schema = Schema.fit(as_table(frame), "y", ColumnsRecipe(), classes=(0, 1))
    prepared = prepare(read_recipe(None, {"data.target": "y"}), data=frame)
    assert prepared.schema.signature.classes == schema.signature.classes


def test_object_dates() -> None:
    """Python's dates are dates."""
    assert kind_of(pd.DataFrame({"a": [dt.date(2026, 1, 31)] * 4, "y": [0, 1, 0, 1]})) == "date"


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_durations_refused(unit: str) -> None:
    """Durations are refused by name."""
    with pytest.raises(DataError, match="'a'"):
        kind_of({"a": np.arange(4).astype(f"m8[{unit}]"), "y": np.arange(4) % 2})


@pytest.mark.parametrize("gap", [None, b""])
def test_bytes_are_text(gap: bytes | None, tmp_path: Path) -> None:
    """Bytes, as ARFF and old Parquet files give text, are the text that a CSV or a pack has."""
    frame = pl.DataFrame({"a": [b"\xc3\xa9", b"u", gap]})
    frame.write_parquet(tmp_path / "rows.parquet")
    for table in (
        as_table(frame),
        as_table(frame.to_pandas()),
        as_table({"a": np.array([b"\xc3\xa9", b"u", b""])}),
        read_table(tmp_path / "rows.parquet"),
    ):
        assert table.columns["a"].tolist() == ["é", "u", None]


def test_bytes_that_are_no_text() -> None:
    """Bytes that are no UTF-8 are refused by name."""
    with pytest.raises(DataError, match=r"'a' holds b'\\xff'"):
        as_table({"a": np.array([b"u", b"\xff"], object)})


def test_arrays_in_cells() -> None:
    """A cell that holds an array, as a frame of a Parquet file's lists does, is no gap: refused."""
    cells = np.empty(2, object)
    cells[:] = [np.arange(2), None]
    for data in ({"a": cells}, pd.DataFrame({"a": cells, "y": [0, 1]})):
        with pytest.raises(DataError, match=r"one value.* column 'a' holds ndarray"):
            as_table(data)


def test_unsigned() -> None:
    """An unsigned number beyond int64 is kept whole, neither wrapped nor rounded."""
    big = 2**63 + 5
    for data in (
        {"a": np.array([big, 1], np.uint64)},
        pl.DataFrame({"a": [big, 1]}, schema={"a": pl.UInt64}),
    ):
        assert as_table(data).columns["a"].tolist() == [big, 1]


def test_numbered_categories() -> None:
    """A pandas category is one, whatever its values are."""
    frame = pd.DataFrame({"a": pd.Categorical([1, 2] * 5), "y": [0, 1] * 5})
    assert kind_of(frame) == "category"


def test_spaced_marker(tmp_path: Path) -> None:
    """A marker of missing cells is found beside spaces."""
    path = csv_of(tmp_path, "a, y\n 1, 1\n NA, 2\n")
    read = read_table(path, csv_format=CsvFormat(missing=("NA",))).columns["a"]
    np.testing.assert_array_equal(read.astype(float), [1, np.nan])


def test_leading_blank_line(tmp_path: Path) -> None:
    """A CSV may start with an empty line."""
    table = read_table(csv_of(tmp_path, "\na,y\n1,2\n3,4\n"))
    assert table.columns["a"].dtype == np.int64


def test_numpy_flags() -> None:
    """Numpy's flags in an object column are flags."""
    table = as_table({"a": np.array([np.bool_(True), None], object), "y": np.arange(2)})
    assert texts_of(table, "a").tolist() == ["true", ""]


def test_one_known_cell_is_no_id() -> None:
    """One known cell names no rows."""
    cells = np.array(["yes", *[None] * 99], object)
    assert kind_of({"a": cells, "b": np.arange(100), "y": np.arange(100) % 2}) == "category"


def test_label_in_message() -> None:
    """A message shows an unseen label as the user wrote it."""
    table = as_table({"a": np.arange(4), "y": np.array([0, 1, 0, 1])})
    schema = Schema.fit(table, "y", ColumnsRecipe(), classes=(0, 1))
    with pytest.raises(KdexportError, match=re.escape("the first 8;")):
        schema.encode(table.replacing("y", np.array([0, 8, 1, 0])))


def test_few_valued_regression_has_no_lone_classes(recwarn: pytest.WarningsRecorder) -> None:
    """A regression has no lone classes to warn about."""
    table = as_table({"a": np.arange(20), "y": np.r_[np.arange(15) + 0.5, np.zeros(5)]})
    split_table(
        table,
        "y",
        test=None,
        is_regression=True,
        split_column=None,
        test_share=0.2,
        validation_share=0.2,
        seed=0,
    )
    assert not [str(w.message) for w in recwarn]


def test_huge_whole_float_label() -> None:
    """A number too large to be exact is no class."""
    with pytest.raises(DataError, match="'y'"):
        find_classes(np.array([0.0, 1e30] * 4), "y")


def test_regression_of_digits_beyond_int64(tmp_path: Path) -> None:
    """A target of long whole numbers is text, or numbers where the user says regression."""
    rows = "".join(f"{i},{10**19 + i % 30 * 10**14}\n" for i in range(90))
    path = csv_of(tmp_path, "a,y\n" + rows)
    changes = {"data.file": str(path), "data.target": "y", "columns.goal": "regression"}
    prepared = prepare(read_recipe(None, {**changes, "student.form": "plain"}))
    assert prepared.schema.signature.is_regression
    assert prepared.rows.train.targets.max() == 1e19 + 2.9e15
