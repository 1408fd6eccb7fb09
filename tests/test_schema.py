"""Signature and schema: what columns mean, and what cannot be trained on."""

import re
import warnings

import numpy as np
import pytest

from kdexport.errors import DataError, KdexportWarning
from kdexport.records import Column, Table
from kdexport.schema import MAX_CLASSES, Schema, Signature, find_classes
from kdexport.tables import as_table

N_ROWS = 12


def make_table(**changes: Column) -> Table:
    """Two clean features and a target of two classes, with some columns replaced."""
    columns = {
        "a": np.arange(N_ROWS, dtype=float),
        "b": np.arange(N_ROWS) % 5,
        "y": np.arange(N_ROWS) % 2,
    }
    return as_table(columns | changes, source="rows.csv")


def spoiled(value: float, n: int) -> Column:
    """A numeric column with n spoiled cells."""
    column = np.linspace(0, 1, N_ROWS)
    column[:n] = value
    return column


def test_fit() -> None:
    """A schema takes every column but the target, with its mean and deviation."""
    schema = Schema.fit(make_table(), "y")
    assert schema.signature == Signature(numeric=("a", "b"), classes=(0, 1), target="y")
    assert schema.center[0] == pytest.approx(5.5)
    assert schema.scale[0] == pytest.approx(np.arange(N_ROWS).std())


def test_no_target_column() -> None:
    """An absent target is named, with the columns there are."""
    with pytest.raises(DataError, match=r"no column 'z'.*'a', 'b', 'y'"):
        Schema.fit(make_table(), "z")


def test_target_only() -> None:
    """A table of its target alone is refused."""
    with pytest.raises(DataError, match="only 'y'"):
        Schema.fit(make_table().without("a", "b"), "y")


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39, -1e39])
def test_huge_cells(value: float) -> None:
    """Infinite cells and those beyond float32 are refused, naming column and rows."""
    with pytest.raises(DataError, match=r"column 'a' of rows\.csv has 3 rows"):
        Schema.fit(make_table(a=spoiled(value, 3)), "y")


def test_missing_cells() -> None:
    """Missing training cells are refused, naming column and number."""
    with pytest.raises(DataError, match=r"missing cells.*column 'a' of rows\.csv has 2"):
        Schema.fit(make_table(a=spoiled(np.nan, 2)), "y")


def test_empty_column() -> None:
    """A column of empty cells only counts as missing, not as text."""
    with pytest.raises(DataError, match=f"'a' of rows.csv has {N_ROWS}"):
        Schema.fit(make_table(a=np.full(N_ROWS, None, object)), "y")


def test_text_column() -> None:
    """A text column is refused, naming it and its first value."""
    text = np.array(["red", "blue"] * (N_ROWS // 2), object)
    with pytest.raises(DataError, match=r"column 'a' of rows\.csv holds text in 12 rows.*'red'"):
        Schema.fit(make_table(a=text), "y")


def test_dates() -> None:
    """A column of dates is refused, naming it."""
    with pytest.raises(DataError, match=r"column 'a' of rows\.csv is of type datetime64"):
        Schema.fit(make_table(a=np.zeros(N_ROWS, "M8[ns]")), "y")


def test_flags_are_numbers() -> None:
    """True and false are numeric, 1 and 0."""
    schema = Schema.fit(make_table(a=np.arange(N_ROWS) % 2 == 0), "y")
    assert schema.center[0] == 0.5


def test_constant_column() -> None:
    """A constant column gets scale 0 and no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schema = Schema.fit(make_table(a=np.full(N_ROWS, 0.1)), "y")
    assert schema.scale[0] == 0


def test_precision_warned() -> None:
    """A column whose detail float32 cannot hold is warned about by name."""
    column = 1e9 + np.arange(N_ROWS, dtype=float)
    with pytest.warns(KdexportWarning, match="column 'a'"):
        Schema.fit(make_table(a=column), "y")


def test_one_class() -> None:
    """A target of a single class is refused, naming class and rows."""
    with pytest.raises(DataError, match="'y' holds only 7 in 12 rows"):
        Schema.fit(make_table(y=np.full(N_ROWS, 7)), "y")


def test_too_many_classes() -> None:
    """A target of nearly as many values as rows is refused, with both numbers."""
    with pytest.raises(DataError, match="'y' holds 12 distinct values in 12 rows"):
        Schema.fit(make_table(y=np.arange(N_ROWS)), "y")


def test_more_than_most_classes() -> None:
    """More than the most classes are refused however many rows there are."""
    labels = np.tile(np.arange(MAX_CLASSES + 1), 3)
    with pytest.raises(DataError, match=f"at most {MAX_CLASSES} classes"):
        find_classes(labels, "y")
    assert len(find_classes(labels[labels < MAX_CLASSES], "y")) == MAX_CLASSES


def test_fraction_target() -> None:
    """A target with fractions is refused, showing one."""
    labels = np.arange(N_ROWS) % 2 + 0.25
    with pytest.raises(DataError, match=r"'y' holds fractions, such as 0\.25"):
        Schema.fit(make_table(y=labels), "y")


def test_whole_float_target() -> None:
    """A float target of whole numbers has int64 classes."""
    assert find_classes(np.array([3.0, -1.0, 3.0, -1.0]), "y") == (-1, 3)


@pytest.mark.parametrize("labels", [np.zeros(4, bool), np.zeros(4, "M8[ns]")])
def test_other_targets(labels: Column) -> None:
    """A target of flags or dates is refused, naming its type."""
    with pytest.raises(DataError, match=re.escape(str(labels.dtype))):
        find_classes(labels, "y")


def test_text_classes_sorted() -> None:
    """Text classes are sorted, and the label type is string."""
    labels = np.array(["é", "b", "a"] * 4, object)
    signature = Schema.fit(make_table(y=labels), "y").signature
    assert signature.classes == ("a", "b", "é")
    assert signature.label_dtype == "string"
    assert signature.label_values.tolist() == ["a", "b", "é"]


def test_encode() -> None:
    """Rows carry raw float32 features, class positions and row ids."""
    table = make_table(y=np.where(np.arange(N_ROWS) < 5, 9, -4))
    rows = Schema.fit(table, "y").encode(table.take(np.array([6, 0])))
    assert rows.features.dtype == np.float32
    assert rows.features.tolist() == [[6, 1], [0, 0]]
    assert rows.labels.tolist() == [0, 1]
    assert rows.row_ids.tolist() == [6, 0]


def test_unseen_label() -> None:
    """A label never seen in training is refused, with value and number of rows."""
    schema = Schema.fit(make_table(), "y")
    labels = np.arange(N_ROWS) % 2
    labels[3:5] = 8
    with pytest.raises(DataError, match=r"2 rows of 'y' hold others, the first .*8.*0, 1"):
        schema.encode(make_table(y=labels))


SIGNATURE = Signature(numeric=("a", "b"), classes=("u", "v"), target="y")


@pytest.mark.parametrize("order", ["ab", "ba", "bca", "cabd"])
def test_features_by_name(order: str) -> None:
    """Columns are found by name, in any order, and others are passed over."""
    columns = {name: np.array([ord(name), 0.5]) for name in order}
    matrix = SIGNATURE.feature_matrix(as_table(columns))
    assert matrix.dtype == np.float32
    assert matrix.tolist() == [[97, 98], [0.5, 0.5]]


def test_absent_feature() -> None:
    """An absent column is named, with those there are."""
    with pytest.raises(DataError, match=r"no column 'b'; its columns are 'a', 'c'"):
        SIGNATURE.feature_matrix(as_table({"a": np.zeros(2), "c": np.zeros(2)}))


def test_text_feature() -> None:
    """A text column is refused by name when answering, too."""
    with pytest.raises(DataError, match="column 'b'"):
        SIGNATURE.feature_matrix(as_table({"a": np.zeros(1), "b": np.array(["u"], object)}))


def test_extreme_features() -> None:
    """When answering, a missing cell is NaN and one beyond float32 infinite, without a warning."""
    columns = {"a": np.array([np.nan, 1e39]), "b": np.array([None, None], object)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        matrix = SIGNATURE.feature_matrix(as_table(columns))
    np.testing.assert_array_equal(matrix, [[np.nan, np.nan], [np.inf, np.nan]])


@pytest.mark.parametrize("classes", [("u", "v"), (0, 1), (-3, 7, 2**40), ("1", "é", 'x: ["1"]')])
def test_metadata_round_trip(classes: tuple[int, ...] | tuple[str, ...]) -> None:
    """A signature read back from its metadata is equal, names and types too."""
    signature = Signature(numeric=("x: [1]", "größe", "中"), classes=classes, target='"y"')
    assert Signature.from_metadata(signature.to_metadata()) == signature


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"kdexport.schema": "{}", "kdexport.classes": "[0,1]"},
        {"kdexport.schema": "not json", "kdexport.classes": "[0,1]"},
        {"kdexport.schema": '{"numeric":["a"],"target":"y"}', "kdexport.classes": '[0,"u"]'},
        {"kdexport.schema": '{"numeric":[1],"target":"y"}', "kdexport.classes": "[0,1]"},
        {"kdexport.schema": "[]", "kdexport.classes": "[0,1]"},
    ],
)
def test_damaged_metadata(metadata: dict[str, str]) -> None:
    """Absent or damaged metadata is a data error, not a crash."""
    with pytest.raises(DataError, match="pass a file that kdexport wrote"):
        Signature.from_metadata(metadata)


def test_schema_round_trip() -> None:
    """A schema written as JSON and read back is equal to the last bit."""
    schema = Schema.fit(make_table(a=np.linspace(0, 1 / 3, N_ROWS)), "y")
    assert Schema.model_validate_json(schema.model_dump_json()) == schema
