"""The recipe: everything that decides the bytes of a bundle, in one strict TOML file.

Takes a TOML file, or keys, and overrides, gives a checked `Recipe`. An unknown key or a bad value
names itself. Its sections are in `sections` and `student_section`.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from kdexport.errors import RecipeError
from kdexport.nested import find_differences, set_dotted, write_toml
from kdexport.reading import MAX_TEXT_BYTES, read_file
from kdexport.sections import (
    MAX_THREADS,
    BenchRecipe,
    Budgets,
    ColumnsRecipe,
    DataRecipe,
    EvidenceRecipe,
    ExportRecipe,
    RivalRecipe,
    Section,
    TeacherRecipe,
    TransferRecipe,
)
from kdexport.student_section import Form, StudentRecipe

MAX_SHOWN = 200
NOTHING: Mapping[str, Any] = MappingProxyType({})

Effort = Literal["quick", "normal", "thorough"]

# What an effort sets where a recipe does not say otherwise. What a claim rests on (replicates,
# controls, intervals) is the same in all of them.
EFFORTS: Mapping[Effort, Mapping[str, Any]] = MappingProxyType(
    {
        "quick": {
            "teacher.n_members": 6,
            "teacher.max_steps": 1500,
            "teacher.regularisation": "given",
            "teacher.n_folds": 3,
            "student.max_steps": 3000,
            "transfer.n_synthetic": 50_000,
            "bench.seconds": 3.0,
        },
        "normal": {},
        "thorough": {
            "teacher.max_steps": 8000,
            "teacher.n_folds": 20,
            "student.max_steps": 24_000,
            "transfer.n_synthetic": 400_000,
            "bench.seconds": 20.0,
        },
    }
)


class Recipe(Section):
    """The whole recipe. `Recipe()` is the default run on the built-in task."""

    format_version: Literal[1] = 1
    seed: Annotated[int, Field(ge=0, lt=2**31, description="of splits and of every network")] = 0
    device: Annotated[str, Field(description="torch device that trains")] = "cpu"
    threads: Annotated[
        int,
        Field(
            ge=0, le=MAX_THREADS, description="threads that train; 0 is what the process may use"
        ),
    ] = 0
    data: DataRecipe = DataRecipe()
    columns: ColumnsRecipe = ColumnsRecipe()
    teacher: TeacherRecipe = TeacherRecipe()
    rival: RivalRecipe = RivalRecipe()
    student: StudentRecipe = StudentRecipe()
    transfer: TransferRecipe = TransferRecipe()
    evidence: EvidenceRecipe = EvidenceRecipe()
    bench: BenchRecipe = BenchRecipe()
    export: ExportRecipe = ExportRecipe()
    budgets: Budgets = Budgets()

    def to_toml(self) -> str:
        """Return the recipe as TOML, every value written out, in a fixed order.

        Of a recipe that is not settled, all but those that an `auto` may still set.
        """
        undecided = {name: part.undecided for name, part in self if isinstance(part, Section)}
        exclude = {name: set(keys) for name, keys in undecided.items() if keys}
        return write_toml(self.model_dump(exclude_none=True, exclude=exclude))

    @property
    def names_a_table(self) -> bool:
        """Whether it is about a table of the user's, not a built-in task."""
        return self.data.file is not None or self.data.target is not None

    def settle(self, *, is_own_table: bool) -> "Recipe":
        """Return the recipe with every `auto` replaced."""
        settled = {
            "teacher": self.teacher.settle(is_own_table=is_own_table),
            "student": self.student.settle(is_own_table=is_own_table),
            "transfer": self.transfer.settle(is_own_table=is_own_table),
        }
        return self.model_copy(update=settled)

    def with_student_form(self, form: Form) -> "Recipe":
        """Return the recipe of students that read numbers this way."""
        return self.model_copy(update={"student": self.student.model_copy(update={"form": form})})

    def with_own_teacher(
        self, names: Sequence[str], weights: Sequence[float], *, out_of_fold: bool
    ) -> "Recipe":
        """Return the recipe that says whose teachers were distilled, and how they were asked."""
        update = {
            "own": tuple(names),
            "weights": tuple(float(weight) for weight in weights),
            "fitting": "out_of_fold" if out_of_fold else "given",
        }
        return self.model_copy(update={"teacher": self.teacher.model_copy(update=update)})

    def changes(self) -> dict[str, Any]:
        """Return only what differs from the default recipe: short enough for a file's metadata.

        What `auto` stands for by itself is no difference.
        """
        default = Recipe().settle(is_own_table=self.names_a_table)
        settled = self.settle(is_own_table=self.names_a_table)
        return find_differences(settled.model_dump(mode="json"), default.model_dump(mode="json"))


RecipeLike = Recipe | Mapping[str, Any] | str | Path
"""A recipe, some of its keys, or the path of its file: what `read_recipe` takes."""


def read_recipe(
    given: RecipeLike | None,
    overrides: Mapping[str, Any] = NOTHING,
    *,
    effort: Effort = "normal",
) -> Recipe:
    """Read a recipe and lay overrides over it.

    Args:
        given: TOML file, or None for the defaults; or keys to values, dotted such as
            `{"teacher.n_members": 6}` or in sections; or a recipe.
        overrides: Keys to values in the same forms.
        effort: What stands for keys that neither of them has.

    Raises:
        RecipeError: The file cannot be read, or a key or value is wrong; the message names it.
    """
    if effort not in EFFORTS:
        raise RecipeError(
            f"an effort is one of {', '.join(EFFORTS)}", found=repr(effort), cure="pass one of them"
        )
    values = _read_values(given)
    laid = {**_left_open(values, EFFORTS[effort]), **overrides}
    if isinstance(given, Recipe) and not laid:
        return given
    for key, value in laid.items():
        set_dotted(values, str(key), deepcopy(value))
    try:
        # JSON is pydantic's strict mode for text formats: arrays become tuples, nothing else bends.
        return Recipe.model_validate_json(json.dumps(values, default=_as_plain))
    except RecursionError as error:
        raise RecipeError(
            "a recipe has sections and keys",
            found="tables nested in each other",
            cure="docs/recipes.md lists every key",
        ) from error
    except ValidationError as error:
        raise _explain(error) from error


def _explain(error: ValidationError) -> RecipeError:
    """Say which key is wrong and why; of a key that there is not, which one may be meant."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"]) or "the recipe"
    cure = "docs/recipes.md lists every key"
    if first["type"] == "extra_forbidden":
        near = get_close_matches(key, [*Recipe.model_fields, *_flatten(Recipe().model_dump())], 1)
        return RecipeError(
            "a recipe has no other keys than those of docs/recipes.md",
            found=f"there is no {key!r}",
            cure=f"{near[0]!r} comes close" if near else cure,
        )
    return RecipeError(
        f"the recipe's {key} must be valid",
        found=f"{first['msg']} (it is {repr(first['input'])[:MAX_SHOWN]})",
        cure=cure,
    )


def _read_values(given: RecipeLike | None) -> dict[str, Any]:
    """Return the keys that a recipe, a mapping or a TOML file sets, in sections."""
    values: dict[str, Any] = {}
    if isinstance(given, Recipe):
        return given.model_dump(mode="json", exclude_unset=True)
    if isinstance(given, Mapping):
        for key, value in given.items():
            set_dotted(values, str(key), deepcopy(value))
    elif isinstance(given, str | Path):
        try:
            return tomllib.loads(read_file(Path(given), MAX_TEXT_BYTES).decode())
        except (OSError, ValueError, RecursionError) as error:  # a number of 5,000 digits, too
            raise RecipeError(
                "a recipe is a TOML file",
                found=f"{Path(given).name}: {getattr(error, 'strerror', None) or error}",
                cure="pass the recipe.toml of a bundle, or write one after docs/recipes.md",
            ) from error
    elif given is not None:
        raise RecipeError(
            "a recipe is a Recipe, the path of its file or a mapping of its keys",
            found=f"an object of type {type(given).__name__}",
            cure='pass keys to values, such as {"data.target": "y"}',
        )
    return values


def _as_plain(value: Any) -> Any:
    """Return numpy's numbers and arrays as Python's own, and what JSON has no word for as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _left_open(values: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the dotted keys that a recipe file does not set."""
    flat = _flatten(values)
    return {key: value for key, value in keys.items() if key not in flat}


def _flatten(values: Mapping[str, Any]) -> list[str]:
    """Return the dotted keys that stand in sections."""
    return [
        f"{section}.{key}"
        for section, inner in values.items()
        if isinstance(inner, Mapping)
        for key in inner
    ]
