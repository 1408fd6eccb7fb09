"""Units over all numbers at once, which stand beside the pieces in the oblique form.

Takes standardised numbers, gives what the first layer reads of them. A sum over single columns
cannot follow what depends on several together; these units can, and an exported network computes
them in one product with the pieces.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

N_UNITS = 104
CEILING = 8.0  # a power of two, which units rarely reach on real rows
FIRST_BOUND = 2.0  # of the first weights, in bounds of any other layer


class ObliqueUnits(nn.Module):
    """`clip(x @ weight + bias, 0, CEILING)`, for each of M members its own.

    Args:
        d_in: Numbers and indicators, D.
        generators: One per member: its first weights are drawn from it.

    **Shape** input `[M, B, D]`; output `[M, B, N_UNITS]` float32.
    """

    def __init__(self, d_in: int, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        bound = d_in**-0.5
        weight = draw_uniform((d_in, N_UNITS), FIRST_BOUND * bound, generators)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(draw_uniform((1, N_UNITS), bound, generators))

    def forward(self, numbers: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, numbers, self.weight).clamp(0.0, CEILING)


def follow_units(layer: nn.Linear, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Compute one member's units in float64, and the size of the terms that each sums.

    Where a bound holds a unit, what it is off by goes no further.

    Args:
        layer: The member's weights, as `take_member` gives them.
        numbers: **Shape** `[n, D]` float64.

    Returns:
        Both **Shape** `[n, N_UNITS]` float64.
    """
    weight, bias = layer.weight.double().T, layer.bias.double()
    sums, terms = numbers @ weight + bias, numbers.abs() @ weight.abs() + bias.abs()
    units = sums.clamp(0.0, CEILING)
    return units, torch.where(sums == units, terms, units)


def take_member(weight: Tensor, bias: Tensor, member: int) -> nn.Linear:
    """Return one member's part of `[M, d_from, d_to]` and `[M, 1, d_to]` as a layer, on the CPU."""
    layer = nn.Linear(weight.shape[1], weight.shape[2])
    layer.weight.data = weight[member].detach().T.contiguous().cpu()
    layer.bias.data = bias[member, 0].detach().clone().cpu()
    return layer


def draw_uniform(
    shape: tuple[int, int], bound: float, generators: Sequence[torch.Generator]
) -> Tensor:
    """Draw every member's values in +-bound from its own generator, **Shape** `[M, *shape]`."""
    drawn = [torch.rand(shape, generator=generator) for generator in generators]
    return (torch.stack(drawn) * 2 - 1) * bound
