"""Torch modules to ONNX: from filled features to logits, the scaler folded in where it is exact.

Takes stacked networks and their standardizer, gives an ONNX model of one input and one output.
The only room outside `training` that knows torch.
"""

import contextlib
import logging
import warnings
from collections.abc import Iterator

import onnx
import torch
from torch import Tensor, nn

from kdexport.contract import OPSET
from kdexport.training.nets import StackedMLP, Standardizer

# Folding turns (x - c) / s into x / s - c / s. In float32 that loses about log2(|c| / s) bits, so
# it is done only where the centre is within a few deviations; elsewhere two nodes stay in front.
MAX_FOLDED_OFFSET = 1.0


def build_student(stack: StackedMLP, member: int, standardizer: Standardizer) -> nn.Module:
    """Return one member as a plain module from filled raw features to logits."""
    return _with_scaler(_chain(stack.linears(member)), standardizer)


def build_teacher(stack: StackedMLP, standardizer: Standardizer) -> nn.Module:
    """Return the whole ensemble as one module from filled raw features to mean logits.

    One branch per member; their last layers become a single one over the concatenation, so that
    the mean costs nothing.
    """
    members = [stack.linears(member) for member in range(stack.n_members)]
    heads = [layers.pop() for layers in members]
    head = nn.Linear(sum(h.in_features for h in heads), heads[0].out_features)
    head.weight.data = torch.cat([h.weight.data for h in heads], dim=1) / stack.n_members
    head.bias.data = torch.stack([h.bias.data for h in heads]).mean(dim=0)
    branches = [nn.Sequential(*_alternate(layers), nn.ReLU()) for layers in members if layers]
    return _with_scaler(_Branches(branches, head, n_branches=stack.n_members), standardizer)


def export_network(module: nn.Module, *, d_in: int) -> onnx.ModelProto:
    """Export any module from `[n, d_in]` float32 to `[n, K]` float32 logits.

    The module is exported in evaluation mode and left in the mode it came in.

    Returns:
        A model with input `features`, output `logits` and a symbolic batch axis.
    """
    modes = [(inner, inner.training) for inner in module.modules()]
    module.eval()
    try:
        with _quiet_exporter():
            program = torch.onnx.export(
                module,
                (torch.zeros(2, d_in),),
                dynamo=True,
                external_data=False,
                opset_version=OPSET,
                input_names=["features"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
    finally:
        for inner, was_training in modes:
            inner.training = was_training
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    return program.model_proto


class _Branches(nn.Module):
    """Members beside each other, one head over all of them."""

    def __init__(self, branches: list[nn.Sequential], head: nn.Linear, *, n_branches: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.head = head
        self.n_branches = n_branches

    def forward(self, features: Tensor) -> Tensor:
        # Members without hidden layers read the features directly.
        outputs = [branch(features) for branch in self.branches] or [features] * self.n_branches
        logits: Tensor = self.head(torch.cat(outputs, dim=-1))
        return logits


class _Scale(nn.Module):
    """The standardizer's last step, for tables where it cannot be folded."""

    center: Tensor
    inverse_scale: Tensor

    def __init__(self, standardizer: Standardizer) -> None:
        super().__init__()
        self.register_buffer("center", standardizer.center.cpu())
        self.register_buffer("inverse_scale", standardizer.inverse_scale.cpu())

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.center) * self.inverse_scale


def _with_scaler(network: nn.Module, standardizer: Standardizer) -> nn.Module:
    offsets = standardizer.center * standardizer.inverse_scale
    if float(offsets.abs().max()) > MAX_FOLDED_OFFSET:
        return nn.Sequential(_Scale(standardizer), network)
    for layer in _input_layers(network):
        weight, bias = layer.weight.data.double(), layer.bias.data.double()
        repeats = layer.in_features // len(standardizer.center)
        scaled = weight * standardizer.inverse_scale.cpu().double().repeat(repeats)
        layer.weight.data = scaled.float()
        center = standardizer.center.cpu().double().repeat(repeats)
        layer.bias.data = (bias - scaled @ center).float()
    return network


def _input_layers(network: nn.Module) -> list[nn.Linear]:
    """Return the layers that read the features."""
    if isinstance(network, _Branches) and network.branches:
        return [layer for branch in network.branches for layer in _input_layers(branch)]
    if isinstance(network, _Branches):
        return [network.head]
    return [next(m for m in network.modules() if isinstance(m, nn.Linear))]


def _chain(layers: list[nn.Linear]) -> nn.Sequential:
    return nn.Sequential(*_alternate(layers))


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
            # torch deprecates its own pytree class, which its exporter still uses.
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(level)
