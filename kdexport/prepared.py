"""What the steps of a job hand on: a prepared task, and networks or trees that were trained on it.

Frozen records without torch: they are known where only the core is installed. `workspace` has them
as files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from kdexport.recipe import Recipe
from kdexport.records import Column, Float64, Int64, Parts, Rows, Unlabeled
from kdexport.restore import Restorer
from kdexport.schema import Schema
from kdexport.trees import Trees

Arrays = dict[str, Column]


@dataclass(frozen=True)
class Prepared:
    """Rows ready for the networks, and where they came from.

    Attributes:
        recipe: What to make of them.
        schema: How networks read them.
        rows: The three parts.
        source: What messages call the table.
        data_sha256: Of the rows to learn from.
        restorer: Gives inputs back the user's own columns; None where a work folder was read,
            which does not keep them.
        unlabeled: Rows without labels that join the transfer set, if there are any.
    """

    recipe: Recipe
    schema: Schema
    rows: Parts[Rows]
    source: str
    data_sha256: str
    restorer: Restorer | None = None
    unlabeled: Unlabeled | None = None


class Looks(NamedTuple):
    """When the validation rows were looked at in training, and what was seen.

    Attributes:
        steps: Optimiser steps before each look, **Shape** `[L]` int64.
        losses: Each network's loss, **Shape** `[L, M]` float64.
    """

    steps: Int64
    losses: Float64


@dataclass(frozen=True)
class Trained:
    """A trained stack as arrays, and how its training went.

    Attributes:
        weights: Parameter name to values, **Shape** each `[M, ...]` float32.
        n_steps: Optimiser steps taken.
        best_losses: **Shape** `[M]` float64: validation log loss of each member.
        settings: What was chosen on validation rows before it was trained.
        trees: Boosted trees that are added to the stack, or stand alone where it has no weights.
        own_outputs: What a teacher of trees answers for the training rows, each by trees that
            never saw it, **Shape** `[n, K]` float64.
        looks: How training went; None of trees, and of a checkpoint from before it was kept.
    """

    weights: Arrays
    n_steps: int
    best_losses: Float64
    settings: Mapping[str, float]
    trees: Trees | None = None
    own_outputs: Float64 | None = None
    looks: Looks | None = None
