"""Torch modules to ONNX: from filled inputs to logits, the scalers folded in where it is exact.

Takes stacked networks, gives an ONNX model from `features` (numbers in their raw scale, then
indicators) and `codes` (one row number per category) to `outputs`. The only room of `export` that
knows torch.
"""

import contextlib
import logging
import warnings
from collections.abc import Iterator

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from kdexport.contract import BATCH, CODES, FEATURES, OPSET, OUTPUTS
from kdexport.stops import unstoppable
from kdexport.training.encode import Encoder
from kdexport.training.nets import StackedMLP, evaluating
from kdexport.training.oblique import CEILING
from kdexport.training.pieces import Pieces

N_ROUNDED = 2  # outputs whose sum over all members may round to float32


def build_student(stack: StackedMLP, member: int) -> nn.Module:
    """Return one member as a plain module from filled raw inputs to outputs."""
    first, *rest = stack.linears(member)
    network = nn.Sequential(*_alternate(rest)) if rest else nn.Identity()
    _scale_targets(rest[-1] if rest else first, stack.encoder)
    reading = _FirstLayer([first], stack.encoder, stack.units(member))
    return _Network(reading, network, has_hidden=bool(rest))


def build_teacher(stack: StackedMLP) -> nn.Module:
    """Return the whole ensemble as one module from filled raw inputs to mean outputs.

    The first layers stand side by side as one, the last ones become a single layer over the
    concatenation, so that the mean costs nothing; between them each member has its own branch.
    """
    members = [stack.linears(member) for member in range(stack.n_members)]
    heads = [layers.pop() for layers in members]
    head = nn.Linear(sum(h.in_features for h in heads), heads[0].out_features)
    head.weight.data = torch.cat([h.weight.data for h in heads], dim=1) / stack.n_members
    head.bias.data = torch.stack([h.bias.data for h in heads]).mean(dim=0)
    _scale_targets(head, stack.encoder)
    if not members[0]:  # without hidden layers, the mean of the members is one of them
        mean = nn.Linear(heads[0].in_features, heads[0].out_features)
        mean.weight.data = torch.stack(head.weight.data.chunk(stack.n_members, dim=1)).sum(dim=0)
        mean.bias.data = head.bias.data
        return _Network(_FirstLayer([mean], stack.encoder), nn.Identity(), has_hidden=False)
    first = _FirstLayer([layers.pop(0) for layers in members], stack.encoder)
    branches: list[nn.Module] = [
        nn.Sequential(*_alternate(layers), nn.ReLU()) if layers else nn.Identity()
        for layers in members
    ]
    return _Network(first, _Branches(branches, head), has_hidden=True)


def export_network(module: nn.Module, *, d_features: int, n_categorical: int) -> onnx.ModelProto:
    """Export a module from `[n, d_features]` float32 (and codes) to `[n, K]` float32.

    The module is exported in evaluation mode and left in the mode it came in.

    Args:
        module: Takes features and, where there are any, codes `[n, n_categorical]` int64.
        d_features: Width of the features; with 0, the module is given None for them.
        n_categorical: Number of codes.

    Returns:
        A model with inputs `features` and `codes`, output `outputs` and a symbolic batch axis.
    """
    examples = {
        FEATURES: torch.zeros(2, d_features) if d_features else None,
        CODES: torch.zeros(2, n_categorical, dtype=torch.int64) if n_categorical else None,
    }
    if not n_categorical:
        del examples[CODES]
    batch = torch.export.Dim(BATCH)
    # The exporter swallows stops, and then fails for another cause.
    with evaluating(module), unstoppable(), _quiet_exporter():
        program = torch.onnx.export(
            module,
            tuple(examples.values()),
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            input_names=[name for name, value in examples.items() if value is not None],
            output_names=[OUTPUTS],
            dynamic_shapes=tuple(
                None if value is None else {0: batch} for value in examples.values()
            ),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    return program.model_proto


class _FirstLayer(nn.Module):
    """The layer that reads the inputs: a product for numbers, rows of a table for categories.

    One row is picked per column and their sum goes into the product, so a category costs no
    multiplication. The scaler stands in the weights, or in front where that is not exact; numbers
    that are read piece by piece need none.
    """

    weight: Tensor
    bias: Tensor
    table: Tensor

    def __init__(
        self, layers: list[nn.Linear], encoder: Encoder, units: nn.Linear | None = None
    ) -> None:
        super().__init__()
        weight = torch.cat([layer.weight.data for layer in layers]).double()
        bias = torch.cat([layer.bias.data for layer in layers]).double()
        dense, table = weight[:, : encoder.d_dense], weight[:, encoder.d_dense : encoder.d_out].T
        n_indicators = len(encoder.schema.indicators)
        self.read: nn.Module = nn.Identity()
        if encoder.pieces is not None:
            rise = _Rise(encoder.pieces, encoder.d_compact - n_indicators, n_indicators)
            if units is not None:
                rise.append(units)
                dense = torch.cat([dense, weight[:, encoder.d_out :] * CEILING], dim=1)
            self.read = nn.Sequential(*_standardize(encoder), rise) if units is not None else rise
        else:
            center, inverse = _read_scaler(encoder)
            dense = dense * inverse
            if encoder.is_folded or not center.any():
                bias = bias - dense.float().double() @ center
            else:
                self.read = _Subtract(center)
        if encoder.schema.categories:
            # Every row picks one code of the first column, which therefore carries the bias.
            table = table.clone()
            table[: encoder.schema.categories[0].n_codes] += bias
        self.register_buffer("weight", dense.float().contiguous())
        self.register_buffer("bias", bias.float())
        self.register_buffer("table", table.float().contiguous())

    def forward(self, features: Tensor | None, codes: Tensor | None = None) -> Tensor:
        start = self.bias
        if codes is not None:
            start = nn.functional.embedding(codes, self.table).sum(dim=1)
        if features is None:
            return start
        return torch.addmm(start, self.read(features), self.weight.T)


class _Subtract(nn.Module):
    """The scaler's centres, where they are not folded."""

    center: Tensor

    def __init__(self, center: Tensor) -> None:
        super().__init__()
        self.register_buffer("center", center.float())

    def forward(self, features: Tensor) -> Tensor:
        return features - self.center


class _Scale(nn.Module):
    """Powers of two in a node of their own, so that the weights behind it have one size."""

    factor: Tensor

    def __init__(self, factor: Tensor) -> None:
        super().__init__()
        self.register_buffer("factor", factor.float())

    def forward(self, features: Tensor) -> Tensor:
        return features * self.factor


def _read_scaler(encoder: Encoder) -> tuple[Tensor, Tensor]:
    """Centres and inverse scales of features, float64: indicators stay as they are."""
    n_indicators = len(encoder.schema.indicators)
    center = np.append(encoder.exported_center, np.zeros(n_indicators))
    inverse = np.append(encoder.inverse_scale, np.ones(n_indicators))
    return torch.from_numpy(center), torch.from_numpy(inverse)


def _standardize(encoder: Encoder) -> Iterator[nn.Module]:
    """Yield what makes standardised numbers of filled ones.

    Scaled first: beside the largest float32 a difference could overflow.
    """
    center, inverse = _read_scaler(encoder)
    yield _Scale(inverse)
    if center.any():
        yield _Subtract(center * inverse)


class _Rise(nn.Module):
    """Numbers to pieces in one product and one bound; indicators are pieces from 0 to 1.

    A slope is a power of two and every other weight of its row is 0, so the product is exact and
    the sum with the bias is rounded once: as `Encoder` does it. Oblique units stand behind them,
    divided by their upper bound, so that one bound serves all.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, pieces: Pieces, n_numeric: int, n_indicators: int) -> None:
        super().__init__()
        n_pieces = len(pieces)
        weight = torch.zeros(n_pieces + n_indicators, n_numeric + n_indicators)
        weight[range(n_pieces), pieces.columns.tolist()] = torch.from_numpy(pieces.slopes)
        weight[n_pieces:, n_numeric:] = torch.eye(n_indicators)
        bias = np.append(-pieces.starts * pieces.slopes, np.zeros(n_indicators))
        self.register_buffer("weight", weight)
        self.register_buffer("bias", torch.from_numpy(bias).float())

    def append(self, units: nn.Linear) -> None:
        """Put oblique units behind the pieces: their bound is a power of two, nothing rounds."""
        self.weight = torch.cat([self.weight, units.weight.data / CEILING])
        self.bias = torch.cat([self.bias, units.bias.data / CEILING])

    def forward(self, features: Tensor) -> Tensor:
        return torch.addmm(self.bias, features, self.weight.T).clamp(0.0, 1.0)


class _Network(nn.Module):
    """First layer, its ReLU where a layer follows, and the layers behind it."""

    def __init__(self, first: _FirstLayer, rest: nn.Module, *, has_hidden: bool) -> None:
        super().__init__()
        self.first, self.rest, self.has_hidden = first, rest, has_hidden

    def forward(self, features: Tensor | None, codes: Tensor | None = None) -> Tensor:
        hidden = self.first(features, codes)
        outputs: Tensor = self.rest(torch.relu(hidden) if self.has_hidden else hidden)
        return outputs


class _Branches(nn.Module):
    """Members beside each other on their share of the first layer, one head over all of them.

    With three classes or more the head sums in float64: logits are large there, and a sum over all
    members' units would round them by more than all other layers do.
    """

    def __init__(self, branches: list[nn.Module], head: nn.Linear) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.head = head

    def forward(self, hidden: Tensor) -> Tensor:
        shares = torch.chunk(hidden, len(self.branches), dim=-1)
        outputs = [branch(share) for branch, share in zip(self.branches, shares, strict=True)]
        joined = torch.cat(outputs, dim=-1)
        if self.head.out_features <= N_ROUNDED:
            rounded: Tensor = self.head(joined)
            return rounded
        exact = [values.double() for values in (joined, self.head.weight, self.head.bias)]
        return functional.linear(*exact).float()


def _scale_targets(last: nn.Linear, encoder: Encoder) -> None:
    """Fold a regression's target scaling into the last layer."""
    schema = encoder.schema
    last.weight.data = last.weight.data * schema.target_scale
    last.bias.data = last.bias.data * schema.target_scale + schema.target_center


def _alternate(layers: list[nn.Linear]) -> list[nn.Module]:
    """Put a ReLU between each two layers."""
    modules: list[nn.Module] = []
    for layer in layers:
        modules += [layer, nn.ReLU()]
    return modules[:-1]


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence the exporter's notes on operators of packages that are not installed."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # torch deprecates its own pytree class, which its exporter still uses, and notes how
            # it names axes, which the finished graph names anew.
            warnings.simplefilter("ignore", FutureWarning)
            warnings.filterwarnings("ignore", category=UserWarning, module="torch.onnx")
            yield
    finally:
        logger.setLevel(level)
