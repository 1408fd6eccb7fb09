"""The recipe: one strict TOML file."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from kdexport.errors import RecipeError
from kdexport.recipe import EFFORTS, Effort, Recipe, read_recipe
from kdexport.student_section import TABLE_SCHEDULE, TINY_SCHEDULE, StudentRecipe


def write(folder: Path, text: str) -> Path:
    """Write a recipe and return its path."""
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_default() -> None:
    """Without a file or overrides, the recipe is the default one, and changes nothing."""
    assert read_recipe(None, {}) == Recipe()
    assert Recipe().changes() == {}


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"seed": 7, "teacher.hidden": [4, 4], "student.alpha": 0.5},
        {"data.target": "y\U0001f600\x7f", "columns.drop": ["\U0001f600"]},
        {"data.file": 'x "q" \\ y\n.csv', "data.target": "größe: [1]"},
        {"teacher.weight_decay": 1e-9, "student.learning_rate": 1e-5, "student.hidden": []},
    ],
)
def test_round_trip(tmp_path: Path, overrides: dict[str, Any]) -> None:
    """A recipe written as TOML and read back is equal and gives the same text."""
    recipe = read_recipe(None, overrides)
    again = read_recipe(write(tmp_path, recipe.to_toml()), {})
    assert again == recipe
    assert again.to_toml() == recipe.to_toml()


def test_file_and_overrides(tmp_path: Path) -> None:
    """An override wins over the file, and the file over the default."""
    path = write(tmp_path, "seed = 3\n[teacher]\nn_members = 2\ndropout = 0.1\n")
    recipe = read_recipe(path, {"teacher.n_members": 5})
    assert (recipe.seed, recipe.teacher.n_members, recipe.teacher.dropout) == (3, 5, 0.1)
    assert recipe.student == Recipe().student


@pytest.mark.parametrize("key", ["sead", "teacher.members", "nothing.at_all", "data.test"])
def test_unknown_key(key: str) -> None:
    """An unknown key names itself."""
    with pytest.raises(RecipeError, match=f"there is no '{key.removesuffix('.at_all')}'"):
        read_recipe(None, {key: 1})


def test_every_key_names_itself() -> None:
    """Whatever key has a value that it cannot have is named as it is written in a recipe."""
    sections = Recipe().model_dump()
    inner = {name: keys for name, keys in sections.items() if isinstance(keys, dict)}
    for key in [f"{name}.{key}" for name, keys in inner.items() for key in keys]:
        with pytest.raises(RecipeError, match=rf"the recipe's {key} (?!.*literal)"):
            read_recipe(None, {key: {"a": 1}})
    with pytest.raises(RecipeError, match="'plain', 'piecewise', 'oblique', 'auto' or 'chosen'"):
        read_recipe(None, {"student.form": "spline"})


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("teacher.members", "'teacher.n_members' comes close"),
        ("n_members", "'teacher.n_members' comes close"),
        ("students.hidden", "'student' comes close"),
        ("budgets.max_byte", "'budgets.max_bytes' comes close"),
        ("zzz", "docs/recipes.md lists every key"),
    ],
)
def test_unknown_key_has_a_cure(key: str, meant: str) -> None:
    """Of an unknown key, the one that comes close is named."""
    with pytest.raises(RecipeError, match=meant):
        read_recipe(None, {key: 1})


@pytest.mark.parametrize("given", [{"student.max_steps": 7}, {"student": {"max_steps": 7}}])
def test_keys_are_a_recipe_too(tmp_path: Path, given: dict[str, Any]) -> None:
    """A mapping of keys, dotted or in sections, is read as their file is, and stays as it was."""
    recipe = read_recipe(given, {"student.hidden": [8]})
    assert recipe == read_recipe(write(tmp_path, recipe.to_toml()))
    assert (recipe.student.max_steps, recipe.student.hidden) == (7, (8,))
    assert given in ({"student.max_steps": 7}, {"student": {"max_steps": 7}})


def test_a_recipe_is_a_recipe_too() -> None:
    """Overrides are laid over a recipe as over its file: what nobody gave stays open."""
    recipe = read_recipe({"data.target": "y"})
    assert read_recipe(recipe) is recipe
    own = read_recipe(recipe, {"student.hidden": [8]})
    assert own == read_recipe({"data.target": "y", "student.hidden": [8]})
    assert own.settle(is_own_table=True).student.max_epochs == 60  # of a tiny student


@pytest.mark.parametrize("given", [["data.target"], 3])
def test_no_recipe_at_all(given: Any) -> None:
    """What is none of the forms is refused by its type; an effort that is none by its name."""
    with pytest.raises(RecipeError, match=f"an object of type {type(given).__name__}"):
        read_recipe(given)
    with pytest.raises(RecipeError, match="one of quick, normal, thorough, however: 'fast'"):
        read_recipe(None, effort=cast(Any, "fast"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", -1),
        ("seed", 1.5),
        ("seed", "3"),
        ("data.test_share", 1.0),
        ("data.validation_share", 0.0),
        ("teacher.dropout", 1.0),
        ("teacher.dropout", 0.999),
        ("teacher.n_members", 0),
        ("teacher.n_members", True),
        ("teacher.schedule", "linear"),
        ("student.alpha", 1.01),
        ("student.temperature", 0),
        ("student.n_replicates", 1),
        ("student.learning_rate", float("nan")),
        ("transfer.method", "magic"),
        ("transfer.n_synthetic", -1),
        ("evidence.n_draws", 99),
        ("evidence.asked_share", 200),
        ("bench.batches", "1"),
        ("bench.batches", []),
        ("format_version", 2),
    ],
)
def test_bad_value(key: str, value: Any) -> None:
    """A bad value names its key and shows itself."""
    with pytest.raises(RecipeError, match=rf"recipe's {key}") as caught:
        read_recipe(None, {key: value})
    if value == value:
        assert repr(value) in str(caught.value)


def test_bad_element() -> None:
    """A bad element of a list is named with its place."""
    with pytest.raises(RecipeError, match=r"teacher\.hidden\.1.*it is 0"):
        read_recipe(None, {"teacher.hidden": [8, 0]})


@pytest.mark.parametrize("text", ["seed = ", "seed = 1\nseed = 2", "[teacher"])
def test_no_toml(tmp_path: Path, text: str) -> None:
    """A file that is no TOML is refused by name."""
    with pytest.raises(RecipeError, match=r"recipe\.toml"):
        read_recipe(write(tmp_path, text), {})


def test_no_file(tmp_path: Path) -> None:
    """An absent recipe is refused by name."""
    with pytest.raises(RecipeError, match=r"absent\.toml: No such file"):
        read_recipe(tmp_path / "absent.toml", {})


def test_binary_file(tmp_path: Path) -> None:
    """A recipe that is no UTF-8 is refused."""
    path = tmp_path / "recipe.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match=r"recipe\.toml"):
        read_recipe(path, {})


def test_value_where_a_section_is(tmp_path: Path) -> None:
    """An override into a value that should be a section is refused."""
    with pytest.raises(RecipeError, match="recipe's teacher is a section"):
        read_recipe(write(tmp_path, "teacher = 3\n"), {"teacher.n_members": 2})


def test_changes_only_differences() -> None:
    """Changes holds what differs from the default and nothing else."""
    overrides = {"seed": 4, "teacher.hidden": [8], "teacher.dropout": 0.3, "data.target": "y"}
    assert read_recipe(None, overrides).changes() == {
        "seed": 4,
        "teacher": {"hidden": [8], "regularisation": "given"},
        "data": {"target": "y"},
    }


def test_frozen() -> None:
    """A recipe does not change once it is read."""
    with pytest.raises(ValueError, match="frozen"):
        Recipe().teacher.__setattr__("n_members", 3)


def test_effort_sets_what_is_left_open(tmp_path: Path) -> None:
    """An effort stands behind the recipe file, and both behind what is given beside them."""
    path = tmp_path / "recipe.toml"
    path.write_text("[teacher]\nn_members = 3\n")
    quick = read_recipe(path, {"student.max_steps": 10}, effort="quick")
    assert (quick.teacher.n_members, quick.student.max_steps) == (3, 10)
    assert quick.transfer.n_synthetic == EFFORTS["quick"]["transfer.n_synthetic"]
    assert read_recipe(None, {}, effort="normal") == read_recipe(None, {})


@pytest.mark.parametrize("effort", EFFORTS)
def test_evidence_costs_the_same_at_every_effort(effort: Effort) -> None:
    """Replicates, controls and intervals are not what an effort saves on."""
    recipe, usual = read_recipe(None, {}, effort=effort), read_recipe(None, {})
    assert recipe.evidence == usual.evidence
    assert recipe.student.n_replicates == usual.student.n_replicates
    assert recipe.student.plain_control == usual.student.plain_control


def test_students_of_a_table_have_a_rate_of_their_own() -> None:
    """Unless a key of the schedule is given; other shapes of the same table keep to theirs."""
    usual = StudentRecipe()
    student = usual.settle(is_own_table=True)
    assert {key: getattr(student, key) for key in TABLE_SCHEDULE} == TABLE_SCHEDULE
    given = usual.model_copy(update={"temperature": 3.0}).settle(is_own_table=True)
    for other in (given, usual.settle(is_own_table=False)):
        assert other.learning_rate == usual.learning_rate
    for n_steps in (3000, 24_000):  # an effort's
        stepped = usual.model_copy(update={"max_steps": n_steps}).settle(is_own_table=True)
        assert (stepped.max_steps, stepped.learning_rate) == (n_steps, student.learning_rate)


def show(student: StudentRecipe) -> dict[str, Any]:
    """The keys of all schedules."""
    return {key: getattr(student, key) for key in (*TINY_SCHEDULE, *TABLE_SCHEDULE, "sizing")}


@pytest.mark.parametrize("is_own_table", [True, False])
@pytest.mark.parametrize(
    "given", [{}, {"max_steps": 3000}, {"temperature": 2.0}, {"sizing": "given"}]
)
def test_shapes_of_a_search_have_the_schedule_of_a_run(
    given: dict[str, Any], is_own_table: bool
) -> None:
    """Whatever the usual shape is, and what was given of its schedule."""
    shapes = ((8, 8), (32, 16), (64, 32))
    for usual in shapes:
        settled = StudentRecipe(**given, hidden=usual).settle(is_own_table=is_own_table)
        for hidden in shapes:
            shaped = settled.shaped(hidden, "piecewise", is_own_table=is_own_table)
            run = StudentRecipe(**given, hidden=hidden).settle(is_own_table=is_own_table)
            assert show(shaped) == show(run)
            assert (shaped.hidden, shaped.form) == (hidden, "piecewise")


def test_what_is_given_stays(tmp_path: Path) -> None:
    """Also where it is a default: auto decides what nobody gave."""
    text = "[teacher]\ndropout = 0.3\n[student]\nmax_steps = 8000\n[transfer]\nnoise = 0.5\n"
    recipe = read_recipe(write(tmp_path, text), {"data.target": "y"})
    settled = recipe.settle(is_own_table=True)
    assert settled.student.max_steps == 8000
    assert settled.student.learning_rate == TABLE_SCHEDULE["learning_rate"]
    assert settled.teacher.regularisation == "given"
    assert settled.transfer.method == "munge"
    assert settled.changes()["student"] == {"max_steps": 8000}
    warm = read_recipe(None, {"student.temperature": 2.0}).settle(is_own_table=True)
    assert warm.student.learning_rate == StudentRecipe().learning_rate


@pytest.mark.parametrize("overrides", [{}, {"student.max_steps": 8000}, {"student.hidden": [8]}])
@pytest.mark.parametrize("is_own_table", [True, False])
def test_a_written_recipe_settles_alike(
    tmp_path: Path, overrides: dict[str, Any], is_own_table: bool
) -> None:
    """Settled before it is written, or after it is read back, or both, or twice."""
    recipe = read_recipe(None, overrides)
    settled = recipe.settle(is_own_table=is_own_table)
    for written in (recipe, settled):
        again = read_recipe(write(tmp_path, written.to_toml()), {})
        assert again.settle(is_own_table=is_own_table) == settled
    assert settled.settle(is_own_table=not is_own_table) == settled


def test_tiny_students_have_a_schedule_of_their_own() -> None:
    """Unless one of its keys is given, and it is settled once: a written recipe says it all."""
    tiny = read_recipe(None, {"student.hidden": [16, 8]}).settle(is_own_table=False)
    assert {key: getattr(tiny.student, key) for key in TINY_SCHEDULE} == TINY_SCHEDULE
    assert tiny.settle(is_own_table=True) == tiny
    for overrides in ({"student.hidden": [17]}, {"student.max_epochs": 5}, {}):
        given = {"student.hidden": [8], **overrides} if overrides else {"student.sizing": "given"}
        settled = read_recipe(None, given).settle(is_own_table=False).student
        assert settled.temperature == StudentRecipe().temperature


def test_numbers_of_numpy() -> None:
    """Numbers and arrays of numpy are what Python's own are; fractions stay refused for counts."""
    given = {
        "seed": np.int64(3),
        "student.hidden": np.array([8, 4]),
        "student.alpha": np.float32(1),
    }
    plain = {"seed": 3, "student.hidden": [8, 4], "student.alpha": 1.0}
    assert read_recipe(None, given) == read_recipe(None, plain)
    with pytest.raises(RecipeError):
        read_recipe(None, {"seed": np.float32(3.5)})
