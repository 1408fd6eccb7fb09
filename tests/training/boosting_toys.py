"""Small tables for boosting: numbers with missing cells, and a category that matters."""

from typing import Literal

import numpy as np

from kdexport.records import Parts, Rows, Table
from kdexport.schema import Schema
from kdexport.sections import ColumnsRecipe
from kdexport.signature import Classes
from kdexport.tables import as_table

Kind = Literal["binary", "multiclass", "regression"]
KINDS: tuple[Kind, ...] = ("binary", "multiclass", "regression")
EFFECTS = {"red": 2.0, "green": -2.0, "blue": 0.5, "": -1.0}  # a cell may be missing
TARGET_CENTER = 1000.0


def draw_table(kind: Kind, n_rows: int, seed: int) -> Table:
    """Three numbers, of which missing cells of the first mean something, and a color."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(n_rows, 3)).astype(np.float32)
    colors = rng.choice(list(EFFECTS), size=n_rows).astype(object)
    is_missing = rng.random(n_rows) < 0.2
    score = np.where(is_missing, 1.5, numbers[:, 0]) + [EFFECTS[c] for c in colors]
    score = score + rng.normal(size=n_rows) * 0.5
    numbers[is_missing, 0] = np.nan
    targets = {
        "binary": np.where(score > 0, "yes", "no").astype(object),
        "multiclass": np.digitize(score, [-1.5, 1.5]),
        "regression": score * 50 + TARGET_CENTER,
    }
    columns = {"a": numbers[:, 0], "b": numbers[:, 1], "c": numbers[:, 2], "color": colors}
    return as_table({**columns, "y": targets[kind]})


def make_task(kind: Kind, n_train: int = 1500) -> tuple[Schema, Parts[Rows]]:
    """The schema and the encoded parts."""
    classes: dict[Kind, Classes] = {"binary": ("no", "yes"), "multiclass": (0, 1, 2)}
    tables = [draw_table(kind, n, seed) for seed, n in enumerate((n_train, 600, 600))]
    schema = Schema.fit(tables[0], "y", ColumnsRecipe(), classes=classes.get(kind, ()))
    return schema, Parts(*[schema.encode(table) for table in tables])
