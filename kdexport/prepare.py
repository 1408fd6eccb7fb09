"""From a table to a prepared task: read, split, and encoded as the recipe says.

Takes a recipe and rows (a file, data in memory, a built-in task), gives a `Prepared`, or says what
every column would be taken as. Trains nothing but a few trees that say where students may bend.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from kdexport.cells import CsvFormat
from kdexport.columns import numbers_of
from kdexport.errors import DataError, KdexportWarning
from kdexport.extras import needing
from kdexport.kinds import Description, decide_columns, find_classes, find_goal, list_classes
from kdexport.knots import MAX_PIECES, find_knots
from kdexport.prepared import Prepared
from kdexport.recipe import Recipe
from kdexport.records import Parts, Rows, Table
from kdexport.restore import Restorer
from kdexport.schema import Schema, column_of
from kdexport.signature import Classes
from kdexport.splits import drop_unlabelled, drop_weightless, split_table
from kdexport.tables import as_table, read_table
from kdexport.unlabeled import read_unlabeled

MIN_TEST_ROWS = 10  # of fewer, resampling says nothing: they would carry no claim

Source = Any
"""A path to a CSV or Parquet file, or data in memory (see `kdexport.as_table`)."""


def prepare(
    recipe: Recipe, *, data: Source = None, test: Source = None, unlabeled: Source = None
) -> Prepared:
    """Read, split and encode: read_table -> split -> Schema.fit -> rows -> knots.

    Columns and scaling are learned from the training rows; the classes are those of training and
    validation rows. Test rows and those without labels are only encoded.
    """
    parts, target, classes = _split(recipe, data, test)
    schema = Schema.fit(parts.train, target, recipe.columns, classes=classes)
    weight = recipe.columns.weight
    rows = Parts(*[schema.encode(part, weight=weight) for _, part in parts.items()])
    data_sha256 = parts.train.joined_with(parts.validation).hash()
    recipe = recipe.settle(is_own_table=is_own_table(recipe, data))
    if recipe.student.form != "plain":
        schema = _bend_at_splits(schema, rows.train, seed=recipe.seed)
    is_bent = recipe.student.form in ("piecewise", "oblique")
    if is_bent and schema.signature.numeric and not schema.has_knots:
        if not any(schema.scale):
            raise DataError(
                "students bend where numbers differ",
                found="every numeric column is constant in the training rows",
                cure='set student.form = "plain"',
            )
        raise DataError(
            f"students have at most {MAX_PIECES} pieces, two or more a column",
            found=f"{len(schema.signature.numeric)} numeric columns",
            cure='set student.form = "plain"',
        )
    features = parts.train.without(target, *filter(None, [weight]))
    restorer = Restorer.fit(features, schema.signature)
    if unlabeled is None:
        unlabeled = recipe.data.unlabeled_file
    extra = None
    if unlabeled is not None:
        extra = read_unlabeled(read_source(unlabeled, recipe, features), schema, rows.test)
    return Prepared(recipe, schema, rows, parts.train.source, data_sha256, restorer, extra)


def is_own_table(recipe: Recipe, data: Source) -> bool:
    """Say whether rows are the user's, not those of a built-in task."""
    return data is not None or recipe.data.file is not None


def _bend_at_splits(schema: Schema, train: Rows, *, seed: int) -> Schema:
    """Place knots where trees that know the labels split the training rows."""
    with needing("train", rule="training needs"):
        from kdexport.training.split_search import find_splits
    readable = train.inputs.numeric.astype(np.float64)
    if schema.signature.precision == "float64":
        readable -= np.array(schema.center)
    knots = find_knots(readable, find_splits(train, schema, seed=seed))
    return schema.model_copy(update={"knots": knots})


def refuse_few_test_rows(prepared: Prepared) -> Prepared:
    """Return a task that evidence can be measured on.

    Raises:
        DataError: It has fewer test rows than resampling needs.
    """
    n_rows = prepared.rows.test.n_rows
    if n_rows < MIN_TEST_ROWS:
        raise DataError(
            f"evidence needs {MIN_TEST_ROWS} test rows or more",
            found=f"{prepared.source} leaves {n_rows}",
            cure="pass more rows, or a larger data.test_share",
        )
    return prepared


def describe_columns(recipe: Recipe, *, data: Source = None) -> Description:
    """Say what a run would take every column as, and why, from the same training rows."""
    parts, target, classes = _split(recipe, data, None)
    goal, why = find_goal(parts.train.columns[target], recipe.columns.goal)
    decisions = decide_columns(parts.train, target, recipe.columns)
    return Description(
        parts.train.source, parts.train.n_rows, target, goal, why, classes, decisions
    )


def read_source(source: Source, recipe: Recipe, learn: Table | None = None) -> Table:
    """Read a file as the recipe says, or take data in memory as it is.

    Args:
        source: Either of them.
        recipe: How a CSV is written, and which of its columns are categories.
        learn: Rows to learn from. What is text among them is text in a CSV, however it looks, and
            what is numbers is read as such cell by cell, whatever stands beside a cell.
    """
    if not isinstance(source, str | Path):
        return as_table(source)
    data, columns = recipe.data, recipe.columns
    csv_format = CsvFormat(data.separator, data.decimal, data.thousands, data.missing)
    text, numbers = list(columns.categorical), list(columns.numeric)
    if learn is not None:
        kinds = {name: values.dtype.kind for name, values in learn.columns.items()}
        text += [name for name, kind in kinds.items() if kind == "O"]
        numbers += [n for n, kind in kinds.items() if kind in "iufb" and n not in text]
    if columns.goal == "regression" and data.target is not None:
        numbers.append(data.target)
    return read_table(
        Path(source),
        csv_format=csv_format,
        text=text,
        numbers=numbers,
    )


def _split(recipe: Recipe, data: Source, test: Source) -> tuple[Parts[Table], str, Classes]:
    """Return the three parts, the target's name and its classes (none for a regression)."""
    learn, test_table, target = _read(recipe, data, test)
    labels = column_of(learn, target)
    goal, _ = find_goal(labels, recipe.columns.goal)
    classes = find_classes(labels, target) if goal == "classification" else ()
    if goal == "regression" and labels.dtype.kind == "O":  # --goal says so of numbers in texts
        learn = learn.replacing(target, numbers_of(learn, target))
    settings = recipe.data
    parts = split_table(
        learn,
        target,
        test=test_table,
        is_regression=goal == "regression",
        split_column=settings.split_column,
        test_share=settings.test_share,
        validation_share=settings.validation_share,
        seed=recipe.seed,
    )
    if classes:  # those of the rows to learn from: a stranger among test rows is refused
        classes = list_classes(column_of(parts.train.joined_with(parts.validation), target), target)
    return parts, target, classes


def _read(recipe: Recipe, data: Source, test: Source) -> tuple[Table, Table | None, str]:
    """Read the rows to learn from, the user's test rows if there are any, and the target's name.

    Rows without a label and rows that weigh 0 are dropped from both.
    """
    settings = recipe.data
    if not is_own_table(recipe, data):
        with needing("train", rule="training needs"):
            from kdexport.training.tasks import load_task
        task = load_task(settings.task)
        return (*_weigh(recipe, task.learn, task.test), task.target)
    learn = read_source(settings.file if data is None else data, recipe)
    if test is None and settings.test_file is not None:
        test = settings.test_file
    target = settings.target
    if target is None:
        target = list(learn.columns)[-1]
        message = f"no --target given: taking the last column, {target!r}"
        warnings.warn(message, KdexportWarning, stacklevel=3)
    tables = [learn] if test is None else [learn, read_source(test, recipe, learn)]
    kept = [drop_unlabelled(table, target) for table in tables]
    return (*_weigh(recipe, kept[0], kept[1] if test is not None else None), target)


def _weigh(recipe: Recipe, learn: Table, test: Table | None) -> tuple[Table, Table | None]:
    """Return both tables without the rows that weigh 0."""
    weight = recipe.columns.weight
    return drop_weightless(learn, weight), None if test is None else drop_weightless(test, weight)
