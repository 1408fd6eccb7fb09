"""The transfer set: training rows and synthetic ones, all answered by the teacher.

Takes a lesson (rows and a teacher) and ways to make synthetic rows; gives tensors, and for each
way the row numbers of its own set.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from kdexport.recipe import Recipe
from kdexport.records import Float32, Float64, Inputs, Parts, Rows
from kdexport.schema import Schema
from kdexport.sections import TransferRecipe
from kdexport.training.augment import make_synthetic_inputs
from kdexport.training.encode import Encoder
from kdexport.training.ensemble import target_tensor, weight_tensor
from kdexport.training.objective import find_objective

LabelRows = Callable[[Inputs], Float32]
"""A teacher: n rows of raw inputs to outputs `[n, K]` float32: logits, or one standardised
number."""


@dataclass(frozen=True)
class Lesson:
    """What students are taught with; test rows are never read.

    Attributes:
        rows: Encoded parts.
        schema: Columns, classes and scaling.
        teacher: Labels rows.
        unlabeled: Rows without labels that join every transfer set.
        own_outputs: What stands for the teacher's outputs on the training rows, where it answers
            rows that it has seen more surely than others. **Shape** `[n, K]` float64.
    """

    rows: Parts[Rows]
    schema: Schema
    teacher: LabelRows
    unlabeled: Inputs | None = None
    own_outputs: Float64 | None = None

    @cached_property
    def validation_outputs(self) -> Float32:
        """The teacher's outputs on the validation rows, **Shape** `[v, K]`, asked once."""
        return self.teacher(self.rows.validation.inputs)

    @cached_property
    def least_loss(self) -> float:
        """The loss on the validation rows of a student that answers just as the teacher does."""
        return float(self.judge_arrays(self.validation_outputs[None])[0])

    def judge(self, outputs: Tensor) -> Float64:
        """Compare outputs on the validation rows with the teacher's answers to them.

        **Shape** `[M, v, K]` float32 to the loss of each of M students, `[M]`.
        """
        objective = find_objective(self.schema)
        answers = objective.soften(torch.from_numpy(self.validation_outputs).to(outputs.device))
        weights = torch.from_numpy(self.rows.validation.weights).to(outputs.device)
        return objective.judge(outputs, answers.expand(outputs.shape), weights)[1]

    def judge_arrays(self, outputs: Float32) -> Float64:
        """Do the same with outputs as an array, **Shape** `[M, v, K]` float32 to `[M]`."""
        return self.judge(torch.from_numpy(outputs))

    def find_share(self, *, taught: float, alone: float) -> float:
        """Return what share of the way from its control to the teacher a student went, by losses
        beside the teacher's answers.
        """
        return (alone - taught) / (alone - self.least_loss) if alone > self.least_loss else 1.0


@dataclass(frozen=True)
class TransferSet:
    """Rows that students draw from.

    Attributes:
        inputs: N rows: training rows first, then unlabelled ones.
        outputs: The teacher's, **Shape** `[N, K]` float32.
        targets: Labels, **Shape** `[N, K]` float32, NaN where there is none.
        weights: How much each row counts, **Shape** `[N]` float32.
        labelled: Numbers of the training rows, int64.
        pools: For each way of making rows, the numbers of the training rows, the unlabelled ones
            and its own, int64.
    """

    inputs: Inputs
    outputs: Tensor
    targets: Tensor
    weights: Tensor
    labelled: Tensor
    pools: tuple[Tensor, ...]


def build_transfer_set(
    lesson: Lesson, recipe: Recipe, ways: Sequence[TransferRecipe]
) -> TransferSet:
    """Make synthetic rows in one or more ways and let the teacher answer all of them.

    Args:
        lesson: Rows and teacher.
        recipe: Seed and device.
        ways: How synthetic rows are made.
    """
    device, train, unlabeled = recipe.device, lesson.rows.train, lesson.unlabeled
    objective = find_objective(lesson.schema)
    near = Encoder(lesson.schema)  # standardised, whatever the students read
    made = [make_synthetic_inputs(train, near, way, seed=recipe.seed) for way in ways]
    inputs = train.inputs if unlabeled is None else train.inputs.joined_with(unlabeled)
    n_real = inputs.n_rows
    for synthetic, _ in made:
        inputs = inputs.joined_with(synthetic)
    sources = torch.from_numpy(np.concatenate([sources for _, sources in made]))
    outputs = lesson.teacher(inputs)
    if lesson.own_outputs is not None:
        outputs[: train.n_rows] = lesson.own_outputs
    targets, weights = target_tensor(train, objective, recipe), weight_tensor(train, recipe)
    no_label = torch.full((inputs.n_rows - train.n_rows, objective.d_out), math.nan, device=device)
    alike = torch.ones(n_real - train.n_rows, device=device)
    real = torch.arange(n_real, device=device)
    ends = np.cumsum([n_real, *(synthetic.n_rows for synthetic, _ in made)]).tolist()
    pools = tuple(
        torch.cat([real, torch.arange(start, end, device=device)])
        for start, end in itertools.pairwise(ends)
    )
    return TransferSet(
        inputs=inputs,
        outputs=torch.from_numpy(outputs).to(device),
        targets=torch.cat([targets, no_label]),
        weights=torch.cat([weights, alike, weights[sources.to(device)]]),
        labelled=real[: train.n_rows],
        pools=pools,
    )
