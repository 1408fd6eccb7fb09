"""Built-in tasks: tables that need no file, made or shipped by scikit-learn.

Takes a name, gives the rows to learn from and the rows to test on.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, make_classification
from sklearn.model_selection import train_test_split

from kdexport.errors import RecipeError
from kdexport.records import Column, Int64, Table
from kdexport.tables import as_table

TARGET = "label"
N_LEARN = 4000
N_TEST = 100_000


@dataclass(frozen=True)
class Task:
    """A built-in task: rows to learn from, and rows to test on (None: split off as usual)."""

    learn: Table
    test: Table | None
    target: str = TARGET


def load_task(name: str) -> Task:
    """Load a built-in task.

    Raises:
        RecipeError: There is no task of that name.
    """
    if name not in TASKS:
        raise RecipeError(
            "the task is a built-in one",
            found=f"no task {name!r}",
            cure=f"choose one of {', '.join(TASKS)}, or pass a file with --target",
        )
    return TASKS[name][1]()


def make_clicks(*, draw: int = 42) -> Task:
    """The article's distribution with 100,000 test rows of the same draw.

    Args:
        draw: random_state of the draw; the reported one is 42.
    """
    features, labels = make_classification(
        n_samples=N_LEARN + N_TEST,
        n_features=20,
        n_informative=10,
        n_redundant=5,
        random_state=draw,
    )
    table = _to_table(features, labels, f"clicks, draw {draw}")
    rows = np.arange(table.n_rows)
    return Task(table.take(rows[:N_LEARN]), table.take(rows[N_LEARN:]))


def make_article() -> Task:
    """Exactly the article's 5,000 rows and its 80/20 split, both with random_state 42."""
    features, labels = make_classification(
        n_samples=5000, n_features=20, n_informative=10, n_redundant=5, random_state=42
    )
    table = _to_table(features, labels, "article")
    learn, test = train_test_split(table.row_ids, test_size=0.2, random_state=42)
    return Task(table.take(learn), table.take(test))


def _load_breast_cancer() -> Task:
    bunch = load_breast_cancer()
    labels = bunch.target_names.astype(object)[bunch.target]
    return Task(_to_table(bunch.data, labels, "breast_cancer", bunch.feature_names), None)


def _load_digits() -> Task:
    bunch = load_digits()
    return Task(_to_table(bunch.data, bunch.target, "digits", bunch.feature_names), None)


def _to_table(
    features: Column, labels: Column | Int64, source: str, names: Column | list[str] | None = None
) -> Table:
    names = [f"x{i}" for i in range(features.shape[1])] if names is None else list(names)
    columns = {str(name): features[:, i] for i, name in enumerate(names)}
    return as_table({**columns, TARGET: labels}, source=source)


TASKS: dict[str, tuple[str, Callable[[], Task]]] = {
    "clicks": (
        "the distribution of a published experiment: 4,000 rows, 100,000 test rows, 2 classes",
        make_clicks,
    ),
    "article": ("exactly the 5,000 rows and the split of that experiment, 2 classes", make_article),
    "breast_cancer": ("569 real rows of 30 measurements, 2 text classes", _load_breast_cancer),
    "digits": ("1,797 real images of 8 x 8 pixels, 10 classes", _load_digits),
}
