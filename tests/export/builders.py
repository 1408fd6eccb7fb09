"""Small untrained networks, and the files made of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import onnx
import torch
from torch import Tensor

from kdexport.contract import serialize_model
from kdexport.export.graph import Filling, build_model
from kdexport.export.network import build_student, export_network
from kdexport.records import Float32, Inputs
from kdexport.schema import Schema
from kdexport.signature import Classes, Signature
from kdexport.training.encode import Encoder
from kdexport.training.nets import StackedMLP

COLUMNS = ("a", "b", "c", "d")
CONSTANT = COLUMNS.index("d")  # 14.62 in every training row


@dataclass(frozen=True)
class Scaling:
    """Centres and scales of the four columns."""

    center: tuple[float, ...]
    scale: tuple[float, ...]


# Folded into the first layer, and too far off to be.
NEAR = Scaling(center=(0.5, -2.0, 10.0, 14.62), scale=(1.0, 3.0, 20.0, 0.0))
FAR = Scaling(center=(0.5, -2.0, 1e4, 14.62), scale=(1.0, 3.0, 1.0, 0.0))


def make_schema(scaling: Scaling = NEAR, classes: Classes = ("no", "yes")) -> Schema:
    """Four numeric columns."""
    signature = Signature(numeric=COLUMNS, classes=classes, target="y")
    center = tuple(float(np.float32(value)) for value in scaling.center)
    return Schema(signature=signature, center=center, scale=scaling.scale)


def make_stack(
    scaling: Scaling = NEAR, *, n_members: int = 3, hidden: Sequence[int] = (16, 8), d_out: int = 2
) -> StackedMLP:
    """Untrained members, sharp and centred, so that every class is the best one of some rows."""
    encoder = Encoder(make_schema(scaling))
    stack = StackedMLP(encoder, hidden=hidden, d_out=d_out, seeds=range(n_members), dropout=0.3)
    stack.divide_outputs(torch.full((n_members,), 0.1))
    stack.eval()
    with torch.no_grad():
        rows = torch.randn(500, len(COLUMNS), generator=torch.Generator().manual_seed(0))
        stack.biases[-1].sub_(stack(rows).mean(dim=1, keepdim=True))
    return stack


def make_rows(scaling: Scaling, n_rows: int) -> Float32:
    """Rows as they could have been in training, **Shape** `[n, F]` float32."""
    rng = np.random.default_rng(3)
    drawn = rng.normal(size=(n_rows, len(COLUMNS))) * scaling.scale + scaling.center
    return drawn.astype(np.float32)


def as_inputs(rows: Float32) -> Inputs:
    """Rows of numbers as a model takes them."""
    return Inputs(rows, np.empty((len(rows), 0), object))


@torch.no_grad()
def answer_in_torch(stack: StackedMLP, rows: Float32) -> Tensor:
    """Each member's logits for raw rows, **Shape** `[M, n, K]`."""
    logits: Tensor = stack(stack.encoder.prepare(as_inputs(rows)))
    return logits


def wrap(
    network: onnx.ModelProto, scaling: Scaling, classes: Classes = ("no", "yes")
) -> onnx.ModelProto:
    """The finished file of an exported network."""
    schema = make_schema(scaling, classes)
    encoder = Encoder(schema)
    return build_model(network, schema, Filling(encoder.center, encoder.limit))


@cache
def export_member(scaling: Scaling = NEAR, d_out: int = 2) -> onnx.ModelProto:
    """Member 0 of `make_stack`, exported once for every test that asks."""
    student = build_student(make_stack(scaling, d_out=d_out), 0)
    return export_network(student, d_features=len(COLUMNS), n_categorical=0)


def make_file(scaling: Scaling = NEAR, classes: Classes = ("no", "yes")) -> bytes:
    """The bytes of a student's file."""
    network = export_member(scaling, len(classes))
    return serialize_model(wrap(network, scaling, classes))
