"""Teachers of the user's own on the command line: ONNX files, functions to import, pickles."""

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from kdexport.cli.options import NAMES, PATH, Command, add_options
from kdexport.errors import DataError, running_user_code
from kdexport.recipe import Recipe

FORMS = "--teacher takes an .onnx file, or MODULE:FUNCTION of yours that returns a teacher"
PICKLES = (".joblib", ".pickle", ".pkl")


def teacher_options(command: Command) -> Command:
    """Add the flags that say whose answers the students learn."""
    options = [
        click.option(
            "--teacher",
            "teachers",
            type=click.Path(),
            metavar="TEACHER",
            multiple=True,
            help=f"Your own in place of the native one: an .onnx file or MODULE:FUNCTION. {NAMES}",
        ),
        click.option(
            "--teacher-weight", "weights", type=float, multiple=True, help="One per --teacher."
        ),
        click.option(
            "--oof",
            is_flag=True,
            help="Fit copies of your teachers; each row is answered by one that never saw it.",
        ),
        click.option(
            "--trust",
            is_flag=True,
            help="Read pickled teachers, and run the code that a recipe names.",
        ),
    ]
    return add_options(options, command)


def answer_options(command: Command) -> Command:
    """Add the flags that name files of a teacher's answers."""
    options = [
        click.option(
            "--teacher-probabilities",
            "answers",
            type=PATH,
            help="What your teacher answered for DATA's rows.",
        ),
        click.option(
            "--unlabeled-probabilities",
            "unlabeled_answers",
            type=PATH,
            help="The same for the rows of --unlabeled.",
        ),
    ]
    return add_options(options, command)


def name_teachers(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the flags say of teachers, as keys of the recipe.

    Raises:
        UsageError: Two of them cannot stand together.
    """
    teachers = options["teachers"]
    answers, extra = options.get("answers"), options.get("unlabeled_answers")
    if answers is not None and teachers:
        raise click.UsageError("--teacher-probabilities stands in place of --teacher: pass one")
    if extra is not None and (answers is None or options["unlabeled"] is None):
        raise click.UsageError(
            "--unlabeled-probabilities stands beside --teacher-probabilities and --unlabeled"
        )
    keys: dict[str, Any] = {}
    if teachers or answers is not None:
        keys = {
            "teacher.own": [t if _is_function(t) else Path(t).name for t in teachers],
            "teacher.weights": [],
            "teacher.fitting": "given",
            "teacher.probabilities_file": answers and answers.name,
            "teacher.unlabeled_probabilities_file": extra and extra.name,
        }
    if options["weights"]:
        keys["teacher.weights"] = list(options["weights"])
    if options["oof"]:
        keys["teacher.fitting"] = "out_of_fold"
    return keys


def load_teachers(given: Sequence[str], recipe: Recipe, *, trust: bool) -> list[Any] | None:
    """Return the teachers that `--teacher` names, or else the recipe; None where neither does.

    A function is imported from the user's own code, the current folder first, and called without
    arguments; it returns one teacher or a list. A recipe may be a stranger's: its functions are
    called, and pickles are read, only with trust.

    Raises:
        UsageError: There are none, and flags that say how to ask them.
        DataError: One has another form, is not trusted, or cannot be imported, called or read.
    """
    named = given or recipe.teacher.own
    settings = recipe.teacher
    if not named and (settings.weights or settings.fitting != "given"):
        raise click.UsageError("--teacher-weight and --oof say how to ask teachers: pass --teacher")
    teachers: list[Any] = []
    for text in named:
        made = _load(text, is_from_recipe=not given, trust=trust)
        teachers += made if isinstance(made, list | tuple) else [made]
    return teachers or None


def _load(text: str, *, is_from_recipe: bool, trust: bool) -> Any:
    path = Path(text)
    if path.suffix.lower() == ".onnx":
        return path
    if path.suffix.lower() in PICKLES:
        if not trust:
            raise DataError(
                FORMS,
                found=f"{text!r}: pickles are not read, since reading one runs what code it holds",
                cure="add --trust if you made it, or name a function of yours that loads it",
            )
        _look_here()
        from kdexport.training.pickles import load_pickle

        return load_pickle(path)
    if not _is_function(text):
        raise DataError(
            FORMS, found=repr(text), cure="such as own:make_teacher, the function of own.py"
        )
    if is_from_recipe and not trust:
        raise DataError(
            "the code that a recipe names is run with --trust only",
            found=f"teacher.own names {text!r}",
            cure="look at it first, then add --trust, or pass it as --teacher",
        )
    return _call(text)


def _is_function(text: str) -> bool:
    module, separator, function = text.partition(":")
    return bool(separator) and all(p.isidentifier() for p in [*module.split("."), function])


def _call(text: str) -> Any:
    module, _, function = text.partition(":")
    _look_here()
    with running_user_code(repr(text), rule=FORMS, cure="try it in Python, from the same folder"):
        return getattr(importlib.import_module(module), function)()


def _look_here() -> None:
    """Let the user's code be imported from the current folder."""
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
