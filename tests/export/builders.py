"""Small untrained networks, and the files made of them."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import onnx
import torch
from torch import Tensor

from kdexport.contract import serialize_model
from kdexport.export.graph import build_model
from kdexport.export.network import build_student, export_network
from kdexport.records import Float32
from kdexport.schema import Classes, Signature
from kdexport.training.nets import StackedMLP, Standardizer

COLUMNS = ("a", "b", "c", "d")
CONSTANT = COLUMNS.index("d")  # 14.62 in every training row
# Folded into the first layer, and too far off to be.
NEAR = Standardizer(center=[0.5, -2.0, 10.0, 14.62], scale=[1.0, 3.0, 20.0, 0.0])
FAR = Standardizer(center=[0.5, -2.0, 1e4, 14.62], scale=[1.0, 3.0, 1.0, 0.0])


def make_stack(
    *, n_members: int = 3, hidden: Sequence[int] = (16, 8), d_out: int = 2
) -> StackedMLP:
    """Untrained members, sharp and centred, so that every class is the best one of some rows."""
    stack = StackedMLP(
        d_in=len(COLUMNS), hidden=hidden, d_out=d_out, seeds=range(n_members), dropout=0.3
    )
    stack.divide_logits(torch.full((n_members,), 0.1))
    stack.eval()
    with torch.no_grad():
        rows = torch.randn(500, len(COLUMNS), generator=torch.Generator().manual_seed(0))
        stack.biases[-1].sub_(stack(rows).mean(dim=1, keepdim=True))
    return stack


def make_rows(standardizer: Standardizer, n_rows: int) -> Float32:
    """Rows as they could have been in training, **Shape** `[n, F]` float32."""
    rng = np.random.default_rng(3)
    inverse = standardizer.inverse_scale.numpy()
    scale = np.divide(1, inverse, out=np.zeros_like(inverse), where=inverse > 0)
    drawn = rng.normal(size=(n_rows, len(COLUMNS))) * scale + standardizer.center.numpy()
    return drawn.astype(np.float32)


@torch.no_grad()
def answer_in_torch(stack: StackedMLP, standardizer: Standardizer, rows: Float32) -> Tensor:
    """Each member's logits for raw rows, **Shape** `[M, n, K]`."""
    logits: Tensor = stack(standardizer(torch.from_numpy(rows)))
    return logits


def wrap(
    network: onnx.ModelProto, standardizer: Standardizer, classes: Classes = ("no", "yes")
) -> onnx.ModelProto:
    """The finished file of an exported network."""
    return build_model(
        network,
        Signature(numeric=COLUMNS, classes=classes, target="y"),
        center=standardizer.center.tolist(),
        limit=standardizer.limit,
    )


@cache
def export_member(standardizer: Standardizer = NEAR, d_out: int = 2) -> onnx.ModelProto:
    """Member 0 of `make_stack`, exported once for every test that asks."""
    student = build_student(make_stack(d_out=d_out), 0, standardizer)
    return export_network(student, d_in=len(COLUMNS))


def make_file(standardizer: Standardizer = NEAR, classes: Classes = ("no", "yes")) -> bytes:
    """The bytes of a student's file."""
    network = export_member(standardizer, len(classes))
    return serialize_model(wrap(network, standardizer, classes))
