"""What each column and the target are taken as, and why."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdexport.errors import DataError, KdexportWarning
from kdexport.kinds import (
    MAX_CLASSES,
    Decision,
    decide_columns,
    find_classes,
    find_goal,
    warn_about,
)
from kdexport.prepare import describe_columns
from kdexport.recipe import read_recipe
from kdexport.records import Column, Table
from kdexport.schema import Schema
from kdexport.sections import ColumnsRecipe
from kdexport.tables import as_table

N_ROWS = 40


def text(*cells: str | bool | float | None) -> Column:
    """Return the cells, repeated to fill the rows, as an object column."""
    return np.array([cells[i % len(cells)] for i in range(N_ROWS)], dtype=object)


def make_table(**columns: Column) -> Table:
    """Some columns beside a number and a target."""
    common = {"n": np.linspace(0, 1, N_ROWS), "y": np.arange(N_ROWS) % 2}
    return as_table(columns | common, source="rows.csv")


def decide(table: Table, **named: Any) -> dict[str, Decision]:
    """Decide with some of the user's words, and return decisions by name."""
    decisions = decide_columns(table, "y", ColumnsRecipe(**named))
    return {decision.name: decision for decision in decisions}


def test_large_ids() -> None:
    """Whole numbers that would fall together in float64 are names: one for each row is an id, left
    out with a warning; few of them are categories, told apart to the last digit.
    """
    ids = 2**60 + np.arange(N_ROWS)
    table = make_table(ids=ids, shops=2**60 + np.arange(N_ROWS) % 3, y=np.arange(N_ROWS) % 2)
    decisions = decide(table)
    assert decisions["ids"].kind == "left out"
    with pytest.warns(KdexportWarning, match="40 distinct whole numbers, too large for float64"):
        warn_about([*decisions.values()])
    assert decide(table, numeric=("ids",))["ids"].kind == "number"
    with pytest.warns(KdexportWarning, match="'ids' is left out"):
        schema = Schema.fit(table, "y", ColumnsRecipe(), classes=(0, 1))
    assert schema.categories[0].kept == tuple(str(2**60 + i) for i in range(3))
    codes = schema.encode_categories(schema.signature.take_inputs(table).categorical)
    np.testing.assert_array_equal(codes[:, 0], 1 + np.arange(N_ROWS) % 3)


@pytest.mark.parametrize(
    ("values", "kind", "why"),
    [
        (np.arange(N_ROWS), "number", "whole numbers"),
        (np.linspace(0, 1, N_ROWS), "number", "numbers"),
        (np.arange(N_ROWS) % 2 == 0, "boolean", "true and false"),
        (text(True, False, None), "boolean", "true and false"),
        (np.arange(N_ROWS).astype("M8[D]"), "date", "days since 1970-01-01"),
        (1_700_000_000 * 10**9 + 10**10 * np.arange(N_ROWS), "number", "whole numbers"),
        (np.append(2**53, np.arange(N_ROWS - 1)), "number", "whole numbers"),
        (np.full(N_ROWS, 2**60 + 1), "number", "whole numbers"),
        (2**60 + np.arange(N_ROWS) % 4, "category", "whole numbers that float64 cannot tell apart"),
        (text("u", "v", None), "category", "text"),
        (text("NA", "nan"), "category", "text"),
        (text("00501", "10001"), "category", "text"),
        (text(None), "left out", "every cell is empty"),
        (np.full(N_ROWS, np.nan), "left out", "every cell is empty"),
        (np.full(N_ROWS, "NaT", "M8[us]"), "left out", "every cell is empty"),
    ],
)
def test_kinds(values: Column, kind: str, why: str) -> None:
    """Each type of column has its kind and reason, decided from its cells alone."""
    decision = decide(make_table(a=values))["a"]
    assert (decision.kind, decision.why) == (kind, why)


def test_counts() -> None:
    """A decision says how many cells are missing and how many known ones differ."""
    table = make_table(
        s=text("u", "v", None, None), f=np.array([1.0, np.nan] * 20), i=np.arange(N_ROWS) % 7
    )
    counts = {name: (d.n_missing, d.n_distinct) for name, d in decide(table).items()}
    assert counts == {"s": (20, 2), "f": (20, 1), "i": (0, 7), "n": (0, N_ROWS)}


def test_order_and_target() -> None:
    """Decisions come in the table's order, and the target has none."""
    assert list(decide(make_table(b=np.arange(N_ROWS), a=text("u")))) == ["b", "a", "n"]


@pytest.mark.parametrize(
    ("named", "kind", "why"),
    [
        ({"drop": ("a",)}, "left out", "--drop"),
        ({"id": ("a",)}, "left out", "--id"),
        ({"weight": "a"}, "left out", "--weight"),
        ({"categorical": ("a",)}, "category", "--categorical"),
        ({"numeric": ("a",)}, "number", "--numeric"),
        ({"categorical": ("a",), "drop": ("a",)}, "left out", "--drop"),
    ],
)
def test_user_says(named: dict[str, Any], kind: str, why: str) -> None:
    """The user's word goes before what the cells look like; what is left out stays out."""
    decision = decide(make_table(a=np.arange(N_ROWS) % 3), **named)["a"]
    assert decision.kind == kind
    assert decision.why.startswith(why)


def test_numeric_text() -> None:
    """Text that spells numbers is a number where the user says so."""
    table = make_table(a=text("1.5", "2", None))
    assert decide(table)["a"].kind == "category"
    assert decide(table, numeric=("a",))["a"].kind == "number"


def test_numeric_of_no_numbers() -> None:
    """A column named as numbers that holds other text is refused, with the first cell."""
    with pytest.raises(DataError, match=r"'a' of rows\.csv holds text in 20 rows, the first 'red'"):
        decide(make_table(a=text("1", "red")), numeric=("a",))


@pytest.mark.parametrize("key", ["drop", "id", "categorical", "numeric"])
def test_absent_columns(key: str) -> None:
    """A named column that is not there is refused, with the columns there are."""
    with pytest.raises(DataError, match=r"no column 'p', 'z'; its columns are 'a', 'n', 'y'"):
        decide(make_table(a=text("u")), **{key: ("z", "n", "p")})


def test_absent_weight() -> None:
    """An absent column of weights is named."""
    with pytest.raises(DataError, match=r"rows\.csv has no column 'w'"):
        decide(make_table(), weight="w")


def test_nothing_left() -> None:
    """A table with no usable column but its target is refused."""
    with pytest.raises(DataError, match=r"rows\.csv has no usable column but 'y'"):
        decide(make_table(a=text(None)), drop=("n",))


def make_ids() -> Table:
    """5,000 rows, a text column with 5,000 distinct values, and 2 useful columns (A8)."""
    x = np.random.default_rng(0).normal(size=(5000, 2))
    names = np.array([f"customer {i:05}" for i in range(5000)], object)
    y = (x.sum(axis=1) > 0).astype(int)
    return as_table({"name": names, "b": x[:, 0], "c": x[:, 1], "y": y})


def test_id_left_out() -> None:
    """A text column of as many values as rows is left out as an id, and a warning says so (A8)."""
    with pytest.warns(
        KdexportWarning, match=r"'name' is left out: 5000 distinct .* id .*--categorical name"
    ) as caught:
        schema = Schema.fit(make_ids(), "y", ColumnsRecipe(), classes=(0, 1))
    assert len(caught) == 1
    assert schema.signature.columns == ("b", "c")


def test_id_taken_all_the_same() -> None:
    """--categorical takes an id all the same, without a warning and with few categories (A8)."""
    table = make_ids()
    recipe = ColumnsRecipe(categorical=("name",), min_category_rows=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schema = Schema.fit(table, "y", recipe, classes=(0, 1))
    assert schema.signature.categorical == ("name",)
    assert schema.n_codes == recipe.max_categories + 1


@pytest.mark.parametrize(("n_distinct", "kind"), [(20, "category"), (21, "left out")])
def test_id_share(n_distinct: int, kind: str) -> None:
    """Text looks like an id from more distinct values than half of its rows on."""
    values = np.array([f"v{i % n_distinct}" for i in range(N_ROWS)], object)
    assert decide(make_table(a=values), min_category_rows=1)["a"].kind == kind


def test_few_rows_have_no_ids() -> None:
    """With a handful of rows, distinct texts are no sign of an id."""
    table = as_table({"a": np.array(list("stuv"), object), "y": np.arange(4) % 2})
    assert decide(table, min_category_rows=1)["a"].kind == "category"


@pytest.mark.parametrize(("n_rows", "kind"), [(4, "left out"), (5, "category")])
def test_rare_texts_alone(n_rows: int, kind: str) -> None:
    """Text is left out where no category, and no gap, gets a weight of its own; this is said."""
    values = np.array([f"v{i // 4}" for i in range(N_ROWS)], object)
    values[: n_rows - 4] = "v9"
    decision = decide(make_table(a=values))["a"]
    assert decision.kind == kind
    assert (kind == "category") or re.search(r"10 texts has 5 .*--categorical a", decision.why)
    values[:5] = None
    assert decide(make_table(a=values))["a"].kind == "category"
    named = decide(make_table(a=values[5:].repeat(2)[:N_ROWS]), categorical=("a",))
    assert named["a"].kind == "category"


def test_nothing_but_rare_texts() -> None:
    """Where only rare texts are left, the error says why they are not taken."""
    columns = {"a": np.array([f"v{i // 4}" for i in range(N_ROWS)], object)}
    table = as_table({**columns, "y": np.arange(N_ROWS) % 2})
    with pytest.raises(DataError, match=r"no usable column but 'y'; 'a': none of its 10 texts"):
        decide_columns(table, "y", ColumnsRecipe())


def test_whole_numbers_are_no_ids() -> None:
    """A column of distinct whole numbers is a number: its size may carry something."""
    assert decide(make_table(a=np.arange(N_ROWS)))["a"].kind == "number"


def test_warned() -> None:
    """Columns left out of our own accord are warned about, those the user named are not."""
    table = make_table(a=text(None), b=text("u"), c=text("v"))
    decisions = decide_columns(table, "y", ColumnsRecipe(drop=("b",), id=("c",)))
    with pytest.warns(KdexportWarning) as caught:
        warn_about(decisions)
    assert [str(w.message) for w in caught] == ["column 'a' is left out: every cell is empty"]


@pytest.mark.parametrize(
    ("labels", "goal", "why"),
    [
        (np.array(["u", "v"] * 3, object), "classification", "its values are names"),
        (np.array([True, False]), "classification", "its values are names"),
        (np.arange(40) % 20, "classification", "it holds 20 distinct whole numbers"),
        (np.arange(42) % 21, "regression", "it holds 21 distinct numbers"),
        (np.arange(40) % 20 - 5.0, "classification", "it holds 20 distinct whole numbers"),
        (np.array([0.5, 1.0]), "regression", "it holds fractions"),
        (np.array([-(2**40), 2**40]), "classification", "it holds 2 distinct whole numbers"),
    ],
)
def test_goal(labels: Column, goal: str, why: str) -> None:
    """Names and few whole numbers are classes; fractions and many numbers are measured."""
    assert find_goal(labels, "auto") == (goal, why)


@pytest.mark.parametrize("goal", ["classification", "regression"])
def test_goal_of_the_user(goal: str) -> None:
    """--goal goes before what the labels look like."""
    for labels in (np.array([0, 1]), np.array([0.5, 1.5]), np.arange(99)):
        assert find_goal(labels, goal) == (goal, "--goal")


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (np.array([True, False]), (False, True)),
        (np.array([7, -3, 2**40]), (-3, 7, 2**40)),
        (np.array([3.0, -1.0]), (-1, 3)),
        (np.array(["é", "b", "a", "10", "9", "NA"], object), ("10", "9", "NA", "a", "b", "é")),
    ],
)
def test_classes(labels: Column, classes: tuple[Any, ...]) -> None:
    """Classes are sorted and typed: flags, whole numbers with gaps and signs, or text."""
    found = find_classes(np.repeat(labels, 2), "y")
    assert found == classes
    assert [type(value) for value in found] == [type(value) for value in classes]


def test_one_blank_label(tmp_path: Path) -> None:
    """100 whole labels, one blank: one row is dropped and said so, classes stay 0 and 1 (A5)."""
    path = tmp_path / "rows.csv"
    path.write_text("a,y\n" + "".join(f"{i},{i % 2 if i else ''}\n" for i in range(100)))
    recipe = read_recipe(None, {"data.target": "y"})
    with pytest.warns(KdexportWarning, match="1 rows of rows.csv have no 'y' and were dropped"):
        described = describe_columns(recipe, data=path)
    assert repr(described.classes) == "(0, 1)"
    assert described.goal == "classification"


def test_one_class() -> None:
    """A target of a single class is refused, naming class and rows."""
    with pytest.raises(DataError, match="'y' holds only 7 in 12 rows"):
        find_classes(np.full(12, 7), "y")


def test_too_many_classes() -> None:
    """A target of nearly as many values as rows is refused, with both numbers."""
    with pytest.raises(DataError, match="'y' holds 12 distinct values in 12 rows"):
        find_classes(np.arange(12), "y")
    assert len(find_classes(np.arange(12) // 2, "y")) == 6


def test_more_than_most_classes() -> None:
    """More than the most classes are refused however many rows there are."""
    labels = np.tile(np.arange(MAX_CLASSES + 1), 3)
    with pytest.raises(DataError, match=f"at most {MAX_CLASSES} classes"):
        find_classes(labels, "y")
    assert len(find_classes(labels[labels < MAX_CLASSES], "y")) == MAX_CLASSES


def test_fraction_classes() -> None:
    """Classes of fractions are refused, showing one and naming the way out."""
    with pytest.raises(DataError, match=r"'y' holds fractions, such as 0\.25; .*--goal regression"):
        find_classes(np.arange(12) % 2 + 0.25, "y")


def test_date_classes() -> None:
    """A target of dates is refused, naming its type."""
    with pytest.raises(DataError, match=re.escape("'y' is of type datetime64[us]")):
        find_classes(np.zeros(4, "M8[us]"), "y")


@pytest.mark.parametrize(
    ("labels", "found"), [((1, "b"), "int and text"), ((2**70, 2**71), "holds 2361183241")]
)
def test_labels_of_several_types(labels: tuple[object, ...], found: str) -> None:
    """Labels that are neither all text nor numbers of 64 bits are refused by their types."""
    with pytest.raises(DataError, match=found):
        find_classes(text(*labels * 4), "y")


def test_options_of_names_with_spaces() -> None:
    """An option in a message can be copied into a shell, whatever the column is called."""
    cells = np.array([f"t{i}" for i in range(60)], object)
    table = as_table({"a b": cells, "x": np.arange(60), "y": np.arange(60)})
    why = decide_columns(table, "y", ColumnsRecipe())[0].why
    assert "(--categorical 'a b' takes it all the same)" in why


@pytest.mark.parametrize("dtype", [object, np.float64])
def test_labels_beyond_int64(dtype: type) -> None:
    """Whole numbers too long to be answered are refused as that, not as fractions."""
    with pytest.raises(DataError, match=r"'y' holds 10000000000000000000[01].*turn them into text"):
        find_classes(np.array([10**20, 10**20 + 1] * 6, dtype), "y")


def test_blanks_make_two_of_one() -> None:
    """Classes, or categories, that differ by outer blanks alone are warned about, once a column."""
    twins = text("no", "no ", "yes", " yes")
    with pytest.warns(KdexportWarning, match="'y' holds 'no' and 'no ', which differ by blanks"):
        assert len(find_classes(twins, "y")) == 4
    table = as_table({"a": twins, "x": np.arange(N_ROWS), "y": np.arange(N_ROWS)})
    with pytest.warns(KdexportWarning, match="'a' holds 'no' and 'no '") as caught:
        Schema.fit(table, "y", ColumnsRecipe())
    assert len(caught) == 1
