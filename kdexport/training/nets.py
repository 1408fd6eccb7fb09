"""Networks: many members of one shape, stacked so that one batched product serves them all.

Takes standardised features, gives logits. Knows nothing of losses, data or files.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from kdexport.records import Float32
from kdexport.schema import FLOAT32_MAX, Schema

RANDOM_VALUES_PER_BYTE = 256
LARGEST_STANDARDISED = 1e20  # beyond it a network's float32 sums could overflow


class Standardizer(nn.Module):
    """Raw features to standardised ones: missing cells, extreme cells, centre and scale.

    A missing cell (NaN) becomes the column's mean, an infinite or absurdly large one the largest
    value that no network overflows on, and a column that was constant in training becomes 0.

    **Shape** input and output `[..., F]` float32.

    Example:
        >>> import torch
        >>> from kdexport.training.nets import Standardizer
        >>> standardize = Standardizer(center=[1.0, 5.0], scale=[2.0, 0.0])
        >>> standardize(torch.tensor([[3.0, 7.0], [float("nan"), 5.0]])).tolist()
        [[1.0, 0.0], [0.0, 0.0]]
    """

    center: Tensor
    inverse_scale: Tensor

    def __init__(self, *, center: Sequence[float], scale: Sequence[float]) -> None:
        super().__init__()
        scales = np.asarray(scale, np.float64)
        varies = scales > 0
        inverse = np.divide(1.0, scales, out=np.zeros_like(scales), where=varies)
        self.register_buffer("center", torch.tensor(list(center), dtype=torch.float32))
        self.register_buffer("inverse_scale", torch.tensor(inverse, dtype=torch.float32))
        smallest = float(scales[varies].min()) if varies.any() else 1.0
        self.limit = min(FLOAT32_MAX, LARGEST_STANDARDISED * smallest)

    @classmethod
    def from_schema(cls, schema: Schema) -> "Standardizer":
        """Build the standardizer of a schema."""
        return cls(center=schema.center, scale=schema.scale)

    def fill(self, features: Tensor) -> Tensor:
        """Replace missing cells by the mean and bound extreme ones, still in the raw scale."""
        filled = torch.where(torch.isnan(features), self.center, features)
        return filled.clamp(-self.limit, self.limit)

    def forward(self, features: Tensor) -> Tensor:
        return (self.fill(features) - self.center) * self.inverse_scale


class ByteDropout:
    """Dropout masks from random bytes: independent per element, many times cheaper than draws.

    The rate is rounded to 1/256, and what is kept is scaled by exactly the inverse of the rounded
    rate, so the expectation is exact. The stream is counted by calls: two networks built with one
    seed see the same masks.
    """

    def __init__(self, rate: float, *, seed: int) -> None:
        self.threshold = round(rate * RANDOM_VALUES_PER_BYTE)
        kept = 1.0 - self.threshold / RANDOM_VALUES_PER_BYTE
        if kept <= 0:
            raise ValueError(f"a dropout rate leaves some units, however: {rate}")
        self.scale = np.float32(1.0 / kept)
        self._bits = np.random.SFC64(seed)

    def draw(self, shape: torch.Size, device: torch.device) -> Tensor:
        """Return a mask of 0 and 1/keep, **Shape** `shape` float32."""
        n_bytes = shape.numel()
        words = self._bits.random_raw(-(-n_bytes // 8))
        kept = words.view(np.uint8)[:n_bytes] >= self.threshold
        mask = np.multiply(kept, self.scale, dtype=np.float32)
        return torch.from_numpy(mask).view(shape).to(device)


class StackedMLP(nn.Module):
    """M multilayer perceptrons of one shape as one module; each has its own weights and masks.

    Member i is initialised from `seeds[i]` alone (uniform in +-1/sqrt(d_in), as `nn.Linear` is),
    so it does not depend on who stands beside it.

    **Shape** input `[M, B, F]`, or `[B, F]` to give every member the same rows; output `[M, B, K]`
    float32 logits.

    Example:
        >>> import torch
        >>> from kdexport.training.nets import StackedMLP
        >>> stack = StackedMLP(d_in=20, hidden=(64, 32), d_out=2, seeds=range(3))
        >>> tuple(stack(torch.zeros(5, 20)).shape)
        (3, 5, 2)
    """

    def __init__(
        self,
        *,
        d_in: int,
        hidden: Sequence[int],
        d_out: int,
        seeds: Sequence[int],
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not seeds:
            raise ValueError("a stack has one seed per member, however: it got none")
        widths = (d_in, *hidden, d_out)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for d_from, d_to in itertools.pairwise(widths):
            bound = d_from**-0.5
            self.weights.append(nn.Parameter(_uniform((d_from, d_to), bound, generators)))
            self.biases.append(nn.Parameter(_uniform((1, d_to), bound, generators)))
        self.dropout = ByteDropout(dropout, seed=seeds[0]) if dropout > 0 else None

    @property
    def n_members(self) -> int:
        return int(self.weights[0].shape[0])

    @property
    def n_parameters_per_member(self) -> int:
        return sum(p[0].numel() for p in self.parameters())

    def forward(self, features: Tensor) -> Tensor:
        if features.ndim == 2:
            features = features.expand(self.n_members, -1, -1)
        *inner, last = zip(self.weights, self.biases, strict=True)
        hidden = features
        for weight, bias in inner:
            hidden = torch.relu(torch.baddbmm(bias, hidden, weight))
            if self.training and self.dropout is not None:
                hidden = hidden * self.dropout.draw(hidden.shape, hidden.device)
        weight, bias = last
        return torch.baddbmm(bias, hidden, weight)

    @torch.no_grad()
    def divide_logits(self, temperatures: Tensor) -> None:
        """Divide each member's logits by its temperature, **Shape** `[M]`, for good."""
        for parameter in (self.weights[-1], self.biases[-1]):
            parameter.div_(temperatures.to(parameter)[:, None, None])

    def linears(self, member: int) -> list[nn.Linear]:
        """Return one member's layers as plain linear layers, on the CPU."""
        layers = []
        for weight, bias in zip(self.weights, self.biases, strict=True):
            layer = nn.Linear(weight.shape[1], weight.shape[2])
            layer.weight.data = weight[member].detach().T.contiguous().cpu()
            layer.bias.data = bias[member, 0].detach().clone().cpu()
            layers.append(layer)
        return layers


@torch.no_grad()
def compute_logits(
    stack: StackedMLP, features: Tensor, *, n_rows_at_once: int = 512
) -> tuple[Tensor, ...]:
    """Answer for many rows in chunks, in evaluation mode.

    Args:
        stack: The networks.
        features: **Shape** `[n, F]` float32, standardised.
        n_rows_at_once: Rows per chunk: few enough that the layers stay in the cache.

    Returns:
        One tensor of logits per chunk, **Shape** each `[M, <= n_rows_at_once, K]`.
    """
    was_training = stack.training
    stack.eval()
    chunks = tuple(stack(chunk) for chunk in torch.split(features, n_rows_at_once))
    stack.train(was_training)
    return chunks


def compute_member_logits(stack: StackedMLP, features: Tensor) -> Tensor:
    """Every member's logits, **Shape** `[M, n, K]`, for standardised features `[n, F]`."""
    return torch.cat(compute_logits(stack, features), dim=1)


def compute_mean_logits(stack: StackedMLP, features: Tensor) -> Tensor:
    """The members' mean logits, **Shape** `[n, K]`: the ensemble's answer."""
    return torch.cat([chunk.mean(dim=0) for chunk in compute_logits(stack, features)])


def as_tensor(features: Float32, device: str) -> Tensor:
    """Copy an array to a device."""
    return torch.from_numpy(np.ascontiguousarray(features)).to(device)


def _uniform(shape: tuple[int, int], bound: float, generators: Sequence[torch.Generator]) -> Tensor:
    drawn = [torch.rand(shape, generator=generator) for generator in generators]
    return (torch.stack(drawn) * 2 - 1) * bound
