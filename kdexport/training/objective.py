"""What networks learn: classes or numbers. The loss is a parameter, the loop is one.

An `Objective` says how wide the last layer is, how an answer is scored against hard and soft
targets, and how validation answers are judged. Targets are always `[N, K]` float32: class
probabilities (one-hot for labels), or one standardised number. A row without a label is NaN.
"""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from kdexport.records import Column, Float32, Float64
from kdexport.schema import Schema

MIN_INVERSE_TEMPERATURE = 0.1  # and at most its inverse
N_NEWTON_STEPS = 10


class Objective(Protocol):
    """What a stack of networks is trained for."""

    @property
    def d_out(self) -> int:
        """Width of the networks' last layer."""
        ...

    def encode_targets(self, targets: Column) -> Float32:
        """Rows' targets `[n]` to `[n, K]` float32."""
        ...

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Hard loss of each row, **Shape** `[M, B, K]` twice to `[M, B]`."""
        ...

    def temper(self, teacher: Tensor) -> Tensor:
        """Turn the teacher's outputs `[N, K]` into what `imitate` compares with, `[N, K]`."""
        ...

    def imitate(self, outputs: Tensor, tempered: Tensor) -> Tensor:
        """Soft loss of each row beside the tempered teacher, **Shape** as `score`."""
        ...

    def soften(self, teacher: Tensor) -> Tensor:
        """Turn the teacher's outputs `[n, K]` into targets `[n, K]` for validation."""
        ...

    def judge(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> tuple[Float64, Float64]:
        """Find each member's best temperature and the validation loss at it, `[M]` each."""
        ...


class Classification:
    """Class probabilities by softmax: cross entropy, and KL divergence at a temperature.

    Source: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (2015).
    """

    def __init__(self, n_classes: int, *, temperature: float = 1.0) -> None:
        self.d_out = n_classes
        self.temperature = temperature

    def encode_targets(self, targets: Column) -> Float32:
        one_hot: Float32 = np.eye(self.d_out, dtype=np.float32)[targets]
        return one_hot

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return -(targets * torch.log_softmax(outputs, dim=-1)).sum(dim=-1)

    def temper(self, teacher: Tensor) -> Tensor:
        return torch.log_softmax(teacher / self.temperature, dim=-1)

    def imitate(self, outputs: Tensor, tempered: Tensor) -> Tensor:
        """T^2 KL(teacher || student): T^2 keeps the gradient at one size whatever T is."""
        answers = torch.log_softmax(outputs / self.temperature, dim=-1)
        terms = F.kl_div(answers, tempered, reduction="none", log_target=True)
        return self.temperature**2 * terms.sum(dim=-1)

    def soften(self, teacher: Tensor) -> Tensor:
        return torch.softmax(teacher, dim=-1)

    def judge(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> tuple[Float64, Float64]:
        return fit_temperatures(outputs, targets, weights)


class Regression:
    """One standardised number: squared error, and the Huber loss beside the teacher."""

    d_out = 1

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def encode_targets(self, targets: Column) -> Float32:
        return self._schema.standardise(targets).astype(np.float32)[:, None]

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square().squeeze(-1)

    def temper(self, teacher: Tensor) -> Tensor:
        return teacher

    def imitate(self, outputs: Tensor, tempered: Tensor) -> Tensor:
        return F.huber_loss(outputs, tempered, reduction="none").squeeze(-1)

    def soften(self, teacher: Tensor) -> Tensor:
        return teacher

    def judge(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> tuple[Float64, Float64]:
        losses = (self.score(outputs.double(), targets.double()) * weights).mean(dim=-1)
        return np.ones(len(losses)), losses.cpu().numpy()


def find_objective(schema: Schema, *, temperature: float = 1.0) -> Objective:
    """Return what the schema's target asks for."""
    if schema.signature.is_regression:
        return Regression(schema)
    return Classification(len(schema.signature.classes), temperature=temperature)


def fit_temperatures(logits: Tensor, targets: Tensor, weights: Tensor) -> tuple[Float64, Float64]:
    """Find the temperature that each member's logits are best divided by.

    Where labels are all answered rightly, none is low enough: so a row that is sure of its class
    shares it with one row more, whose class nobody knows.

    Args:
        logits: **Shape** `[M, v, K]` float32.
        targets: **Shape** `[M, v, K]` float32 class probabilities.
        weights: **Shape** `[v]`: how much each row counts, 1 on average.

    Returns:
        Temperatures between 0.1 and 10 and the log loss at each, **Shape** `[M]` float64. The
        loss is convex in the inverse temperature, so Newton's steps are taken inside a bracket
        that every slope narrows; a step that would leave it halves it instead.

    Source: targets that are never quite 0 or 1: Platt, "Probabilistic Outputs for Support Vector
        Machines" (1999).
    """
    exact, shares, shared = logits.double(), targets.double(), weights.double()
    unsure = (shares.amax(dim=-1, keepdim=True) == 1) / (1 + len(weights))
    smoothed = (1 - unsure) * shares + unsure / logits.shape[-1]
    centred = exact - (exact * smoothed).sum(dim=-1, keepdim=True)  # 0 where the target stands
    low = torch.full_like(exact[:, 0, 0], MIN_INVERSE_TEMPERATURE)
    high = torch.full_like(low, 1 / MIN_INVERSE_TEMPERATURE)
    inverse = torch.ones_like(low)
    for _ in range(N_NEWTON_STEPS):
        probabilities = torch.softmax(centred * inverse[:, None, None], dim=-1)
        means = (probabilities * centred).sum(dim=-1)
        variances = (probabilities * centred.square()).sum(dim=-1) - means.square()
        slope, curvature = (means * shared).mean(dim=-1), (variances * shared).mean(dim=-1)
        low = torch.where(slope < 0, inverse, low)
        high = torch.where(slope > 0, inverse, high)
        step = inverse - slope / curvature.clamp_min(torch.finfo(torch.float64).tiny)
        inside = (step >= low) & (step <= high)
        inverse = torch.where(inside, step, (low * high).sqrt())
    log_probabilities = torch.log_softmax(exact * inverse[:, None, None], dim=-1)
    losses = -((shares * log_probabilities).sum(dim=-1) * shared).mean(dim=-1)
    return (1 / inverse).cpu().numpy(), losses.cpu().numpy()
