"""Networks: many members of one shape, stacked so that one batched product serves them all.

Takes rows that an `Encoder` prepared, gives outputs (logits, or one number). Knows nothing of
losses, data or files.
"""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from kdexport.training.encode import Encoder
from kdexport.training.oblique import (
    CEILING,
    N_UNITS,
    ObliqueUnits,
    draw_uniform,
    follow_units,
    take_member,
)

RANDOM_VALUES_PER_BYTE = 256
LARGEST_FLOAT16 = 65504.0
ROWS_AT_ONCE = 4096  # in float64


class ByteDropout:
    """Dropout masks from random bytes: independent per element, many times cheaper than draws.

    A rate is rounded to 1/256, and what is kept is scaled by exactly the inverse of the rounded
    rate, so the expectation is exact. The stream is counted by calls: two networks built with one
    seed see the same masks.

    Args:
        rates: One for all members, or one per member.
        seed: Decides the stream.
    """

    def __init__(self, rates: float | Sequence[float], *, seed: int) -> None:
        self.thresholds = np.round(np.atleast_1d(rates) * RANDOM_VALUES_PER_BYTE)[:, None]
        kept = 1.0 - self.thresholds / RANDOM_VALUES_PER_BYTE
        if (kept <= 0).any():
            raise ValueError(f"a dropout rate leaves some units, however: {rates}")
        self.scales = (1.0 / kept).astype(np.float32)
        self._bits = np.random.SFC64(seed)

    def draw(self, shape: torch.Size, device: torch.device) -> Tensor:
        """Return a mask of 0 and 1/keep, **Shape** `shape` float32, members first."""
        n_bytes = shape.numel()
        words = self._bits.random_raw(-(-n_bytes // 8))
        drawn = words.view(np.uint8)[:n_bytes].reshape(len(self.thresholds), -1)
        mask = np.multiply(drawn >= self.thresholds, self.scales, dtype=np.float32)
        return torch.from_numpy(mask).view(shape).to(device)


class StackedMLP(nn.Module):
    """M multilayer perceptrons of one shape as one module; each has its own weights and masks.

    Member i is initialised from `seeds[i]` alone (uniform in +-1/sqrt(inputs that are not 0), as
    `nn.Linear` is), so it does not depend on who stands beside it.

    In the oblique form the first layer reads `ObliqueUnits` behind what the encoder spreads, where
    there are numbers that they could read.

    **Shape** input `[M, B, D]` compact rows, or `[B, D]` to give every member the same; output
    `[M, B, K]` float32.

    Example:
        >>> import torch
        >>> from kdexport.schema import Schema
        >>> from kdexport.signature import Signature
        >>> from kdexport.training.encode import Encoder
        >>> from kdexport.training.nets import StackedMLP
        >>> signature = Signature(numeric=("a", "b"), target="y")
        >>> encoder = Encoder(Schema(signature=signature, center=(0.0, 0.0), scale=(1.0, 1.0)))
        >>> stack = StackedMLP(encoder, hidden=(64, 32), d_out=2, seeds=range(3))
        >>> tuple(stack(torch.zeros(5, 2)).shape)
        (3, 5, 2)
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        hidden: Sequence[int],
        d_out: int,
        seeds: Sequence[int],
        dropout: float | Sequence[float] = 0.0,
    ) -> None:
        super().__init__()
        if not seeds:
            raise ValueError("a stack has one seed per member, however: it got none")
        self.encoder = encoder
        n_units = N_UNITS if encoder.form == "oblique" and encoder.d_compact else 0
        widths = (encoder.d_out + n_units, *hidden, d_out)
        # Of a column's categories one is 1 and the others 0, of the units about half are 0.
        n_active = (encoder.d_in + n_units // 2, *hidden)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.oblique = ObliqueUnits(encoder.d_compact, generators) if n_units else None
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for (d_from, d_to), n_inputs in zip(itertools.pairwise(widths), n_active, strict=True):
            bound = n_inputs**-0.5
            self.weights.append(nn.Parameter(draw_uniform((d_from, d_to), bound, generators)))
            self.biases.append(nn.Parameter(draw_uniform((1, d_to), bound, generators)))
        self.dropout = ByteDropout(dropout, seed=seeds[0]) if np.any(dropout) else None

    @property
    def n_members(self) -> int:
        return int(self.weights[0].shape[0])

    def layers(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every layer's weights `[M, d_from, d_to]` and biases `[M, 1, d_to]`."""
        yield from zip(self.weights, self.biases, strict=True)

    @property
    def n_parameters_per_member(self) -> int:
        return sum(p[0].numel() for p in self.parameters())

    def forward(self, rows: Tensor) -> Tensor:
        hidden = self._widen(self.encoder(rows))
        if self.oblique is not None:
            units = self.oblique(self._widen(self.encoder.numbers(rows)))
            hidden = torch.cat([hidden, units], dim=-1)
        *inner, last = self.layers()
        for weight, bias in inner:
            hidden = torch.relu(torch.baddbmm(bias, hidden, weight))
            if self.training and self.dropout is not None:
                hidden = hidden * self.dropout.draw(hidden.shape, hidden.device)
        weight, bias = last
        return torch.baddbmm(bias, hidden, weight)

    def _widen(self, read: Tensor) -> Tensor:
        """Rows that all members share as one copy each, **Shape** `[B, D]` to `[M, B, D]`."""
        return read.expand(self.n_members, -1, -1) if read.ndim == 2 else read

    @torch.no_grad()
    def fill_fallbacks(self) -> None:
        """Set what training never sets: the weights of categories met only at inference."""
        positions, means = self.encoder.fallbacks()
        if positions:
            first = self.weights[0][:, : self.encoder.d_out]
            first[:, list(positions)] = torch.from_numpy(means).to(first) @ first

    @torch.no_grad()
    def divide_outputs(self, temperatures: Tensor) -> None:
        """Divide each member's outputs by its temperature, **Shape** `[M]`, for good."""
        for parameter in (self.weights[-1], self.biases[-1]):
            parameter.div_(temperatures.to(parameter)[:, None, None])

    @torch.no_grad()
    def round_weights(self) -> None:
        """Round all layers but the last to what float16 holds, so that a file may store them so.

        Of oblique units it stores what is divided by their ceiling.

        The first bias moves into the weights of the first category, of which every row has one:
        there an exported network keeps it.
        """
        categories = self.encoder.schema.categories
        if categories:
            start = self.encoder.d_dense
            self.weights[0][:, start : start + categories[0].n_codes] += self.biases[0]
            self.biases[0].zero_()
        if self.oblique is not None:
            for parameter in self.oblique.parameters():
                parameter.copy_(_round_to_float16(parameter / CEILING) * CEILING)
        for parameter in (*self.weights[:-1], *self.biases[:-1]):
            parameter.copy_(_round_to_float16(parameter))

    def linears(self, member: int) -> list[nn.Linear]:
        """Return one member's layers as plain linear layers, on the CPU."""
        return [take_member(weight, bias, member) for weight, bias in self.layers()]

    def units(self, member: int) -> nn.Linear | None:
        """Return one member's oblique units without their bounds, on the CPU, if it has any."""
        if self.oblique is None:
            return None
        return take_member(self.oblique.weight, self.oblique.bias, member)


def _round_to_float16(values: Tensor) -> Tensor:
    return values.clamp(-LARGEST_FLOAT16, LARGEST_FLOAT16).half().float()


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode, and every part of it back into its own mode after."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


@torch.no_grad()
def compute_chunks(
    stack: StackedMLP, rows: Tensor, *, n_rows_at_once: int = 512
) -> tuple[Tensor, ...]:
    """Answer for many rows in chunks, in evaluation mode.

    Args:
        stack: The networks.
        rows: **Shape** `[n, D]` float32, compact.
        n_rows_at_once: Rows per chunk: few enough that the layers stay in the cache.

    Returns:
        One tensor of outputs per chunk, **Shape** each `[M, <= n_rows_at_once, K]`.
    """
    with evaluating(stack):
        return tuple(stack(chunk) for chunk in torch.split(rows, n_rows_at_once))


def compute_member_outputs(stack: StackedMLP, rows: Tensor) -> Tensor:
    """Every member's outputs, **Shape** `[M, n, K]`, for compact rows `[n, D]`."""
    return torch.cat(compute_chunks(stack, rows), dim=1)


def compute_mean_outputs(stack: StackedMLP, rows: Tensor) -> Tensor:
    """The members' mean outputs, **Shape** `[n, K]`: the ensemble's answer."""
    return torch.cat([chunk.mean(dim=0) for chunk in compute_chunks(stack, rows)])


@torch.no_grad()
def follow_terms(stack: StackedMLP, member: int, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Compute a member's outputs in float64, and the size of all terms that they are summed from.

    What a layer is off by goes through the weights of the next one as its values do, but where a
    ReLU holds it back; without their signs nothing cancels. So an output in another precision is
    off by a share of that size.

    Args:
        stack: The networks, on any device.
        member: Which of them.
        rows: **Shape** `[n, D]` float32, compact, on the CPU.

    Returns:
        Outputs, **Shape** `[n, K]` float64, and the largest sum behind one of them, `[n]` float64.

    Source: Higham, "Accuracy and Stability of Numerical Algorithms" (2002), section 3.3: running
        error analysis.
    """
    layers = [(w[member].cpu().double(), b[member].cpu().double()) for w, b in stack.layers()]
    units = stack.units(member)
    encoder = Encoder(stack.encoder.schema, form=stack.encoder.form)  # on the CPU
    outputs, sizes = [], []
    for some in torch.split(rows, ROWS_AT_ONCE):
        hidden = encoder(some).double()
        size = hidden.abs()
        if units is not None:
            values, terms = follow_units(units, encoder.numbers(some).double())
            hidden, size = torch.cat([hidden, values], dim=1), torch.cat([size, terms], dim=1)
        for position, (weight, bias) in enumerate(layers, start=1):
            hidden, size = hidden @ weight + bias, size @ weight.abs() + bias.abs()
            if position < len(layers):
                hidden, size = torch.relu(hidden), torch.where(hidden > 0, size, 0.0)
        outputs.append(hidden)
        sizes.append(size.amax(dim=1))
    return torch.cat(outputs), torch.cat(sizes)
