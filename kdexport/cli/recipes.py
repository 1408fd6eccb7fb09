"""Options that become a recipe: what columns are, and how everything is trained."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import click

from kdexport.cli.options import (
    NAMES,
    PATH,
    Command,
    add_options,
    csv_options,
    parse_settings,
)
from kdexport.errors import RecipeError
from kdexport.recipe import EFFORTS, Recipe, read_recipe
from kdexport.sections import GoldenKind

# Flag to the recipe's key: a flag given overrides the recipe.
RECIPE_KEYS = {
    "task": "data.task",
    "target": "data.target",
    "split_column": "data.split_column",
    "separator": "data.separator",
    "decimal": "data.decimal",
    "thousands": "data.thousands",
    "missing": "data.missing",
    "goal": "columns.goal",
    "categorical": "columns.categorical",
    "numeric": "columns.numeric",
    "drop": "columns.drop",
    "id": "columns.id",
    "weight_column": "columns.weight",
    "seed": "seed",
    "threads": "threads",
    "device": "device",
    "members": "teacher.n_members",
    "epochs": "teacher.max_epochs",
    "hidden": "student.hidden",
    "temperature": "student.temperature",
    "alpha": "student.alpha",
    "golden": "export.golden",
}

NO_KEYS: Mapping[str, Any] = MappingProxyType({})
golden_option = click.option(
    "--golden",
    type=click.Choice(get_args(GoldenKind)),
    help="Rows in the bundle to check it by: test rows (the default), drawn ones, or none.",
)


def column_options(command: Command) -> Command:
    """Add the flags that say what columns are."""
    options = [
        click.option("--target", help="Column to predict; the last one by default."),
        click.option("--goal", help="classification or regression; the target decides by default."),
        click.option("--categorical", multiple=True, help=f"Take as categories. {NAMES}"),
        click.option("--numeric", multiple=True, help=f"Take as numbers. {NAMES}"),
        click.option("--drop", multiple=True, help=f"Leave out. {NAMES}"),
        click.option("--id", multiple=True, help=f"Leave out: it only names rows. {NAMES}"),
        click.option("--weight-column", help="Says how much a row counts."),
    ]
    return csv_options(add_options(options, command))


def recipe_options(command: Command) -> Command:
    """Add `--recipe`, `--set` and the flags that override the recipe."""
    options = [
        click.option("--recipe", type=PATH, help="TOML file to start from."),
        click.option(
            "--effort",
            type=click.Choice(list(EFFORTS)),
            default="normal",
            help="Time for quality, where neither a recipe nor --set says otherwise.",
        ),
        click.option("--task", help="Built-in task, when no file is given (see --list-tasks)."),
        click.option("--test", type=PATH, help="File of test rows."),
        click.option(
            "--unlabeled",
            type=PATH,
            help="File of rows without labels, which the teacher labels.",
        ),
        click.option("--split-column", help="Column that says train, validation or test."),
        click.option("--seed", type=int, help="Of splits and of every network."),
        click.option("--threads", type=int, help="Training threads; 0: what the process may use."),
        click.option("--device", help="Torch device that trains."),
        click.option("--members", type=int, help="Networks in the teacher."),
        click.option("--epochs", type=int, help="The teacher's passes over its rows, at most."),
        click.option("--hidden", help="The student's hidden widths, such as 64,32."),
        click.option("--temperature", type=float, help="Softens the teacher's answers."),
        click.option("--alpha", type=float, help="The teacher's share of the loss."),
        golden_option,
        click.option("--set", "settings", multiple=True, help="Any recipe key: SECTION.KEY=VALUE."),
    ]
    return column_options(add_options(options, command))


def build_recipe(
    options: dict[str, Any], data: Path | None, keys: Mapping[str, Any] = NO_KEYS
) -> Recipe:
    """Lay the given flags, and keys that a command made of its own, over the recipe file."""
    if data is not None and options.get("task") is not None:
        raise click.UsageError("--task names a built-in task: pass either it or DATA")
    if data is None and options.get("target") is not None:
        raise click.UsageError("--target names a column of DATA: pass the table too")
    overrides: dict[str, Any] = dict(keys)
    for flag, key in RECIPE_KEYS.items():
        value = options.get(flag)
        if value is not None and value != ():
            overrides[key] = _widths(value) if flag == "hidden" else value
    if data is not None:
        overrides["data.file"] = data.name
    if options.get("test") is not None:
        overrides["data.test_file"] = options["test"].name
    if options.get("unlabeled") is not None:
        overrides["data.unlabeled_file"] = options["unlabeled"].name
    overrides |= parse_settings(options.get("settings", ()), "--set", "SECTION.KEY=VALUE")
    return read_recipe(options.get("recipe"), overrides, effort=options.get("effort") or "normal")


def _widths(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise RecipeError(
            "--hidden takes whole numbers between commas", found=repr(text), cure="such as 64,32"
        ) from error
