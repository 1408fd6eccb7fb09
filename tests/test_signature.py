"""How a model file is called: columns by name, and its metadata there and back."""

import warnings
from typing import Any

import numpy as np
import pytest

from kdexport.errors import DataError
from kdexport.records import Column
from kdexport.signature import Classes, Signature, listed
from kdexport.tables import as_table

SIGNATURE = Signature(
    numeric=("n", "flag", "day"),
    categorical=("s", "code"),
    kinds={"flag": "boolean", "day": "date"},
    classes=("u", "v"),
    target="y",
)
COLUMNS: dict[str, Column] = {
    "n": np.array([0.1, np.nan]),
    "flag": np.array([True, None], object),
    "day": np.array(["1970-01-02", "NaT"], "M8[us]"),
    "s": np.array(["red", None], object),
    "code": np.array([5.0, np.nan]),
}


@pytest.mark.parametrize(
    "order",
    [
        ["n", "flag", "day", "s", "code"],
        ["code", "s", "day", "flag", "n"],
        ["x", "s", "n", "y", "flag", "code", "day"],
    ],
)
def test_columns_by_name(order: list[str]) -> None:
    """Columns are found by name in any order, and others are passed over (A10)."""
    others = np.array(["other", "other"], object)
    inputs = SIGNATURE.take_inputs(as_table({name: COLUMNS.get(name, others) for name in order}))
    assert inputs.numeric.dtype == np.float32
    np.testing.assert_array_equal(inputs.numeric, [[np.float32(0.1), 1, 1], [np.nan] * 3])
    assert inputs.categorical.dtype == object
    assert inputs.categorical.tolist() == [["red", "5"], ["", ""]]


def test_absent_columns() -> None:
    """Absent columns are named, numeric and categorical, with those there are (A10)."""
    rest = {name: COLUMNS[name] for name in ("flag", "day", "code")}
    with pytest.raises(DataError, match=r"no column 'n', 's'; its columns are 'flag', 'day', 'co"):
        SIGNATURE.take_inputs(as_table(rest))


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("n", np.array(["0.5", "red"], object), "column 'n' .* 1 rows, the first 'red'"),
        (
            "flag",
            np.array(["yes", "no"], object),
            "column 'flag' .* others in 2 rows, the first 'yes'",
        ),
        ("day", np.array(["31.01.2026", None], object), r"column 'day' .*'31\.01\.2026' in 1 rows"),
        ("day", np.arange(2), "column 'day' .*int64"),
        ("n", np.zeros(2, "M8[us]"), "column 'n' .*datetime64"),
    ],
)
def test_other_kinds(name: str, values: Column, found: str) -> None:
    """A column that holds something else than in training is refused by name."""
    with pytest.raises(DataError, match=found):
        SIGNATURE.take_inputs(as_table(COLUMNS | {name: values}))


@pytest.mark.parametrize("name", ["n", "flag", "day", "s", "code"])
def test_blank_columns(name: str) -> None:
    """Every column may be all blank when answering, whatever its kind (A5)."""
    blank = np.full(2, None, object)
    inputs = SIGNATURE.take_inputs(as_table(COLUMNS | {name: blank}))
    if name in SIGNATURE.numeric:
        assert np.isnan(inputs.numeric[:, SIGNATURE.numeric.index(name)]).all()
    else:
        assert inputs.categorical[:, SIGNATURE.categorical.index(name)].tolist() == ["", ""]


def test_extreme_cells() -> None:
    """What is beyond float32 becomes infinite, without a warning; float64 keeps it."""
    table = as_table({"a": np.array([1e39, -np.inf, 16777217.0])})
    narrow = Signature(numeric=("a",), target="y")
    wide = Signature(numeric=("a",), precision="float64", target="y")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = [s.take_inputs(table).numeric[:, 0].tolist() for s in (narrow, wide)]
    assert found == [[np.inf, -np.inf, 16777216.0], [1e39, -np.inf, 16777217.0]]


def test_one_kind_only() -> None:
    """A model of numbers alone or of text alone takes an empty other matrix."""
    numbers = Signature(numeric=("n",), target="y").take_inputs(as_table(COLUMNS))
    texts = Signature(numeric=(), categorical=("s",), target="y").take_inputs(as_table(COLUMNS))
    assert (numbers.numeric.shape, numbers.categorical.shape) == ((2, 1), (2, 0))
    assert (texts.numeric.shape, texts.categorical.shape) == ((2, 0), (2, 1))


@pytest.mark.parametrize(
    ("classes", "label_dtype", "dtype"),
    [
        ((False, True), "bool", np.dtype(bool)),
        ((-3, 7, 2**40), "int64", np.dtype(np.int64)),
        ((0, 1), "int64", np.dtype(np.int64)),
        (("a", "b"), "string", np.dtype(object)),
        (("1", "2"), "string", np.dtype(object)),
    ],
)
def test_labels(classes: Classes, label_dtype: str, dtype: np.dtype[Any]) -> None:
    """Labels are typed as the classes are and keep their order."""
    signature = Signature(numeric=("a",), classes=classes, target="y")
    assert signature.label_dtype == label_dtype
    assert signature.label_values.dtype == dtype
    assert tuple(signature.label_values.tolist()) == classes
    assert not signature.is_regression


@pytest.mark.parametrize(
    "classes", [("u", "v"), (0, 1), (False, True), (-3, 7, 2**40), ("1", "é", 'x: ["1"]'), ()]
)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_metadata_round_trip(classes: Classes, precision: Any) -> None:
    """A signature read back from its metadata is equal: names, kinds and types too."""
    signature = Signature(
        numeric=("x: [1]", "größe", "中"),
        categorical=('"q"', "two\nlines"),
        kinds={"größe": "date", "中": "boolean"},
        precision=precision,
        classes=classes,
        target='"y"',
    )
    metadata = signature.to_metadata()
    assert set(metadata) == {"kdexport.schema", "kdexport.classes"}
    read = Signature.from_metadata(metadata | {"other": "entry"})
    assert read == signature
    assert repr(read.classes) == repr(classes)
    assert read.is_regression == (classes == ())


def test_short_metadata() -> None:
    """What a plain model of numbers does not use takes no room in its metadata."""
    metadata = Signature(numeric=("a",), classes=(0, 1), target="y").to_metadata()
    assert metadata == {
        "kdexport.schema": '{"numeric":["a"],"target":"y"}',
        "kdexport.classes": "[0,1]",
    }


GOOD_SCHEMA = '{"numeric":["a"],"target":"y"}'


@pytest.mark.parametrize(
    ("schema", "classes"),
    [
        (None, "[0,1]"),
        (GOOD_SCHEMA, None),
        ("{}", "[0,1]"),
        ("not json", "[0,1]"),
        ("[]", "[0,1]"),
        (GOOD_SCHEMA, "[0"),
        (GOOD_SCHEMA, '[0,"u"]'),
        (GOOD_SCHEMA, "[0.5,1.5]"),
        ('{"numeric":[1],"target":"y"}', "[0,1]"),
        ('{"numeric":["a"],"kinds":{"a":"colour"},"target":"y"}', "[0,1]"),
        ('{"numeric":["a"],"precision":"float16","target":"y"}', "[0,1]"),
        ('{"numeric":["a"],"extra":1,"target":"y"}', "[0,1]"),
    ],
)
def test_damaged_metadata(schema: str | None, classes: str | None) -> None:
    """Absent or damaged metadata is a data error, not a crash."""
    entries = {"kdexport.schema": schema, "kdexport.classes": classes}
    metadata = {key: value for key, value in entries.items() if value is not None}
    with pytest.raises(DataError, match="pass a file that kdexport wrote"):
        Signature.from_metadata(metadata)


def test_undamaged_metadata() -> None:
    """The entries that the damaged ones are made from are good."""
    metadata = {"kdexport.schema": GOOD_SCHEMA, "kdexport.classes": "[0,1]"}
    assert Signature.from_metadata(metadata).columns == ("a",)


def test_listed() -> None:
    """A message shows eight names and says how many more there are."""
    assert listed(("a", 1, True)) == "'a', 1, True"
    assert listed(range(8)) == "0, 1, 2, 3, 4, 5, 6, 7"
    assert listed(range(20)) == "0, 1, 2, 3, 4, 5, 6, 7 and 12 more"
