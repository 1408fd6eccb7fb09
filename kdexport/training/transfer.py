"""The transfer set: training rows and synthetic ones, all answered by the teacher.

Takes training rows, ways to make synthetic rows and a teacher; gives tensors, and for each way the
row numbers of its own set.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kdexport.recipe import Recipe, TransferRecipe
from kdexport.records import Float32, Float64, Inputs, Rows
from kdexport.training.augment import make_synthetic_inputs
from kdexport.training.encode import Encoder
from kdexport.training.ensemble import target_tensor, weight_tensor
from kdexport.training.objective import Objective

LabelRows = Callable[[Inputs], Float32]
"""A teacher: n rows of raw inputs to outputs `[n, K]` float32: logits, or one standardised
number."""


@dataclass(frozen=True)
class TransferSet:
    """Rows that students draw from.

    Attributes:
        rows: **Shape** `[N, D]` float32, compact: training rows first.
        outputs: The teacher's, **Shape** `[N, K]` float32.
        targets: Labels, **Shape** `[N, K]` float32, NaN where there is none.
        weights: How much each row counts, **Shape** `[N]` float32.
        labelled: Numbers of the training rows, int64.
        pools: For each way of making rows, the numbers of the training rows and its own, int64.
    """

    rows: Tensor
    outputs: Tensor
    targets: Tensor
    weights: Tensor
    labelled: Tensor
    pools: tuple[Tensor, ...]


def build_transfer_set(
    train: Rows,
    encoder: Encoder,
    objective: Objective,
    teacher: LabelRows,
    recipe: Recipe,
    ways: Sequence[TransferRecipe],
    *,
    own_outputs: Float64 | None = None,
) -> TransferSet:
    """Make synthetic rows in one or more ways and let the teacher answer all of them.

    Args:
        train: Training rows.
        encoder: Prepares rows.
        objective: Encodes labels.
        teacher: Labels rows.
        recipe: Seed and device.
        ways: How synthetic rows are made.
        own_outputs: What stands for the teacher's outputs on the training rows, where it answers
            rows that it has seen more surely than others. **Shape** `[n, K]` float64.
    """
    device = recipe.device
    near = Encoder(encoder.schema)  # standardised, whatever the students read
    made = [make_synthetic_inputs(train.inputs, near, way, seed=recipe.seed) for way in ways]
    inputs = train.inputs
    for synthetic, _ in made:
        inputs = inputs.joined_with(synthetic)
    sources = torch.from_numpy(np.concatenate([sources for _, sources in made]))
    outputs = teacher(inputs)
    if own_outputs is not None:
        outputs[: train.n_rows] = own_outputs
    targets, weights = target_tensor(train, objective, recipe), weight_tensor(train, recipe)
    no_label = torch.full((len(sources), objective.d_out), math.nan, device=device)
    labelled = torch.arange(train.n_rows, device=device)
    ends = np.cumsum([train.n_rows, *(synthetic.n_rows for synthetic, _ in made)]).tolist()
    pools = tuple(
        torch.cat([labelled, torch.arange(start, end, device=device)])
        for start, end in itertools.pairwise(ends)
    )
    return TransferSet(
        rows=encoder.prepare(inputs, device),
        outputs=torch.from_numpy(outputs).to(device),
        targets=torch.cat([targets, no_label]),
        weights=torch.cat([weights, weights[sources.to(device)]]),
        labelled=labelled,
        pools=pools,
    )
