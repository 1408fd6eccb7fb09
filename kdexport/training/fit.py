"""The one training loop: a stack of networks, a loss, rows to draw and rows to choose by.

Weights are chosen by refinement, then calibrated: a network that trains on becomes over-confident
long before it stops getting better at ranking, so every look at the validation rows first divides
the logits by their best temperature. The chosen weights keep that temperature in their last layer.
Source: Berta, Holzmueller, Jordan and Bach, "Rethinking Early Stopping: Refine, Then Calibrate"
(2025); temperature scaling: Guo et al., "On Calibration of Modern Neural Networks" (2017).

Takes tensors, changes the stack's weights in place, gives the record of how it went. Teacher,
students and controls all train here; what differs between them (loss, how validation rows judge,
which rows a member may draw) is passed in.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kdexport.records import Float64, Int64, Progress, ProgressSink, ignore_progress
from kdexport.sections import FitRecipe
from kdexport.training.nets import StackedMLP, compute_member_outputs

WARM_UP_SHARE = 0.05
N_LOOKS = 30  # how often, in a whole run, the validation rows are looked at

Loss = Callable[[Tensor, Tensor], Tensor]
"""(outputs `[M, B, K]`, row numbers `[M, B]`) to the mean loss per member, `[M]`."""

Judge = Callable[[Tensor], tuple[Float64, Float64]]
"""Outputs on the validation rows `[M, v, K]` to each member's best temperature and the loss at it,
`[M]` float64 each."""


@dataclass(frozen=True)
class FitRecord:
    """How a stack was trained.

    Attributes:
        n_steps: Optimiser steps taken (the best step of a member is at or before it).
        best_steps: **Shape** `[M]` int64: the step whose weights each member kept.
        temperatures: **Shape** `[M]` float64: what each member's logits were divided by.
        look_steps: **Shape** `[looks]` int64: steps taken before each look at the validation rows.
        validation_losses: **Shape** `[looks, M]` float64: what the judge says of the validation
            rows, at the best temperature of that look.
    """

    n_steps: int
    best_steps: Int64
    temperatures: Float64
    look_steps: Int64
    validation_losses: Float64

    @property
    def best_losses(self) -> Float64:
        """**Shape** `[M]`: the validation loss of the weights each member kept."""
        known = np.isfinite(self.validation_losses)  # a look at weights that diverged is none
        lowest: Float64 = np.where(known, self.validation_losses, np.inf).min(axis=0)
        return lowest


def fit_stack(
    stack: StackedMLP,
    *,
    rows: Tensor,
    pools: Sequence[Tensor],
    loss: Loss,
    validation_rows: Tensor,
    judge: Judge,
    recipe: FitRecipe,
    n_steps: int,
    seeds: Sequence[int],
    step_name: str,
    weight_decays: Tensor | None = None,
    rates: Tensor | None = None,
    on_progress: ProgressSink = ignore_progress,
) -> FitRecord:
    """Train all members of a stack and leave each with the weights of its best validation look.

    Args:
        stack: The networks; changed in place.
        rows: **Shape** `[N, D]` float32, compact: every row that any member may draw.
        pools: Per member, the row numbers it draws from, int64; passed over in a new random order
            each time.
        loss: From outputs and row numbers to one loss per member.
        validation_rows: **Shape** `[v, D]` float32, compact.
        judge: Picks each member's best weights by its outputs on the validation rows.
        recipe: Batch size, learning rate and schedule, patience.
        n_steps: Optimiser steps, the same for every member.
        seeds: Per member, the seed of its row order.
        step_name: What progress reports call this.
        weight_decays: **Shape** `[M]`: each member's own, in place of the recipe's.
        rates: **Shape** `[M]`: each member's share of the recipe's learning rate; None is all.
        on_progress: Called at every look.

    Returns:
        The record of the run.
    """
    optimizer = torch.optim.AdamW(
        stack.parameters(),
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay if weight_decays is None else 0.0,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _learning_rate_factor(recipe, n_steps))
    orders = [_RowOrder(pool, seed) for pool, seed in zip(pools, seeds, strict=True)]
    keeper = _BestWeights(stack)
    look_every = max(1, math.ceil(n_steps / N_LOOKS))
    n_done = 0
    stack.train()
    while n_done < n_steps and not keeper.has_stalled(recipe.patience):
        n_block = min(look_every, n_steps - n_done)
        drawn = torch.stack([order.next(n_block * recipe.batch_size) for order in orders])
        for numbers in torch.split(drawn, recipe.batch_size, dim=1):
            # The sum over members leaves each member the gradient of its own mean loss.
            total = loss(stack(take_rows(rows, numbers)), numbers).sum()
            optimizer.zero_grad(set_to_none=True)
            total.backward()
            if weight_decays is not None:
                _decay(stack, schedule.get_last_lr()[0] * weight_decays)
            with _slowed(stack, rates):
                optimizer.step()
            schedule.step()
        n_done += n_block
        stack.fill_fallbacks()
        keeper.look(*judge(compute_member_outputs(stack, validation_rows)), n_done)
        on_progress(Progress(step_name, n_done, n_steps))
    keeper.restore()
    stack.divide_outputs(torch.from_numpy(keeper.temperatures))
    stack.eval()
    return FitRecord(
        n_done,
        keeper.best_steps,
        keeper.temperatures,
        np.array(keeper.steps, np.int64),
        np.array(keeper.losses, np.float64),
    )


def count_steps(recipe: FitRecipe, n_rows: int) -> int:
    """Return the optimiser steps of a run over `n_rows` rows per pass."""
    return min(recipe.max_epochs * math.ceil(n_rows / recipe.batch_size), recipe.max_steps)


def take_rows(values: Tensor, numbers: Tensor) -> Tensor:
    """Return `values[numbers]`, **Shape** `[N, ...]` and `[M, B]` to `[M, B, ...]`.

    Rows are copied whole, which is three times as fast as indexing; a step of a small network
    costs little else.
    """
    taken = values.index_select(0, numbers.flatten())
    return taken.view(*numbers.shape, *values.shape[1:])


class _RowOrder:
    """An endless stream of one member's rows: permutation after permutation of its pool."""

    def __init__(self, pool: Tensor, seed: int) -> None:
        self._pool = pool
        self._generator = torch.Generator().manual_seed(seed)
        self._left = pool[:0]

    def next(self, n_rows: int) -> Tensor:
        parts, n_there = [self._left], len(self._left)
        while n_there < n_rows:
            order = torch.randperm(len(self._pool), generator=self._generator)
            parts.append(self._pool[order.to(self._pool.device)])
            n_there += len(self._pool)
        rows = torch.cat(parts) if len(parts) > 1 else self._left
        drawn, self._left = rows[:n_rows], rows[n_rows:]
        return drawn


class _BestWeights:
    """Per member, the weights at its lowest validation loss so far."""

    def __init__(self, stack: StackedMLP) -> None:
        self._stack = stack
        self._best = [p.detach().clone() for p in stack.parameters()]
        self._best_losses = np.full(stack.n_members, np.inf)
        self._looks_since_best = 0
        self.best_steps: Int64 = np.zeros(stack.n_members, np.int64)
        self.temperatures: Float64 = np.ones(stack.n_members)
        self.steps: list[int] = []
        self.losses: list[Float64] = []

    def look(self, temperatures: Float64, losses: Float64, n_steps: int) -> None:
        self.steps.append(n_steps)
        self.losses.append(losses)
        better = losses < self._best_losses
        self._looks_since_best = 0 if better.any() else self._looks_since_best + 1
        self._best_losses[better] = losses[better]
        self.best_steps[better] = n_steps
        self.temperatures[better] = temperatures[better]
        members = torch.from_numpy(np.flatnonzero(better))
        for kept, parameter in zip(self._best, self._stack.parameters(), strict=True):
            kept[members] = parameter.detach()[members]

    def has_stalled(self, patience: int) -> bool:
        return self._looks_since_best >= patience

    def restore(self) -> None:
        for kept, parameter in zip(self._best, self._stack.parameters(), strict=True):
            parameter.data.copy_(kept)


@torch.no_grad()
def _decay(stack: StackedMLP, shares: Tensor) -> None:
    """Shrink each member's parameters by its share, as AdamW does before its step."""
    for parameter in stack.parameters():
        parameter.mul_(1.0 - shares.to(parameter)[:, None, None])


@contextmanager
def _slowed(stack: StackedMLP, rates: Tensor | None) -> Iterator[None]:
    """Let each member take its share of the step inside: as if its learning rate were that low."""
    if rates is None:
        yield
        return
    before = [parameter.detach().clone() for parameter in stack.parameters()]
    yield
    with torch.no_grad():
        for old, parameter in zip(before, stack.parameters(), strict=True):
            parameter.copy_(torch.lerp(old, parameter, rates.to(parameter)[:, None, None]))


def _learning_rate_factor(recipe: FitRecipe, n_steps: int) -> Callable[[int], float]:
    if recipe.schedule == "constant":
        return lambda step: 1.0
    n_warm_up = max(1, round(WARM_UP_SHARE * n_steps))

    def factor(step: int) -> float:
        if step < n_warm_up:
            return (step + 1) / n_warm_up
        done = (step - n_warm_up) / max(1, n_steps - n_warm_up)
        return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    return factor
