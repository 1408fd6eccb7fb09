"""Torch modules to ONNX: the same answers, whatever mode and scale they come in."""

import copy
import signal

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from kdexport import open_session
from kdexport.contract import expose_logits, serialize_model
from kdexport.export.network import build_student, build_teacher, export_network
from kdexport.records import Float32
from tests.export.builders import (
    COLUMNS,
    FAR,
    NEAR,
    Scaling,
    answer_in_torch,
    as_inputs,
    export_member,
    make_rows,
    make_stack,
    wrap,
)


class Modes(nn.Module):
    """A user's own network, part of it in each mode."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(len(COLUMNS), 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5)
        )
        self.head = nn.Linear(8, 2)
        self.train()
        self.body[0].eval()

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(features))
        return logits


class Failing(Modes):
    """A network that the exporter cannot follow."""

    def forward(self, features: Tensor) -> Tensor:
        raise ValueError("no way through")


class Counting(nn.Module):
    """A network that asks how many rows there are."""

    def forward(self, features: Tensor) -> Tensor:
        n_rows = features.shape[0]
        return torch.cat([features[:, :1], features.new_zeros(n_rows, 1)], dim=1)


def probabilities_of(network: onnx.ModelProto, scaling: Scaling, rows: Float32) -> Float32:
    """What the finished file of a network answers."""
    session = open_session(serialize_model(wrap(network, scaling)))
    return session.answer(as_inputs(rows)).probabilities


def operators(network: onnx.ModelProto) -> list[str]:
    """The kinds of its nodes, in order."""
    return [node.op_type for node in network.graph.node]


def test_modes_are_restored() -> None:
    """Every module is left in the mode it came in, also when its export fails."""
    module = Failing()
    before = [inner.training for inner in module.modules()]
    assert len(set(before)) == 2
    with pytest.raises(Exception, match="no way through"):
        export_network(module, d_features=len(COLUMNS), n_categorical=0)
    assert [inner.training for inner in module.modules()] == before


class Stopped(Modes):
    """A network in whose export somebody stops the command."""

    n_calls = 0

    def forward(self, features: Tensor) -> Tensor:
        if not Stopped.n_calls:
            signal.raise_signal(signal.SIGINT)
        Stopped.n_calls += 1
        return super().forward(features)


def test_stop_waits_for_the_exporter() -> None:
    """A stop in the midst of an export is kept until it has ended, then it is a stop."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job has none
    try:
        with pytest.raises(KeyboardInterrupt):
            export_network(Stopped(), d_features=len(COLUMNS), n_categorical=0)
    finally:
        signal.signal(signal.SIGINT, before)
    assert Stopped.n_calls


def test_training_mode_stays_out() -> None:
    """A module in training mode is exported as it answers in evaluation mode, run after run.

    It comes back as it was: each part in its mode, no running mean moved.
    """
    torch.manual_seed(0)
    module, rows = Modes(), make_rows(NEAR, 40)
    with torch.no_grad():
        module(torch.from_numpy(rows))  # running means that are not those of a new BatchNorm
    state = {name: value.clone() for name, value in module.state_dict().items()}
    modes = [inner.training for inner in module.modules()]
    network = export_network(module, d_features=len(COLUMNS), n_categorical=0)
    assert [inner.training for inner in module.modules()] == modes
    assert "Dropout" not in operators(network)
    for name, value in module.state_dict().items():
        assert torch.equal(value, state[name])
    first, second = (probabilities_of(network, NEAR, rows) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    with torch.no_grad():
        expected = torch.softmax(module.eval()(torch.from_numpy(rows)), dim=-1)
    np.testing.assert_allclose(first, expected.numpy(), rtol=0, atol=1e-6)


def test_batch_axis_is_symbolic() -> None:
    """The number of rows that a network is exported with is not written into its file."""
    network = export_network(Counting(), d_features=len(COLUMNS), n_categorical=0)
    for value in (*network.graph.input, *network.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param
    for n_rows in (1, 2, 7, 1000):
        rows = make_rows(NEAR, n_rows)
        found = probabilities_of(network, NEAR, rows)[:, 0]
        expected = torch.sigmoid(torch.from_numpy(rows[:, 0]))
        np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("scaling", "n_scaling_nodes"), [(NEAR, 0), (FAR, 1)], ids=["folded", "not folded"]
)
def test_student_parity(scaling: Scaling, n_scaling_nodes: int) -> None:
    """A student's file answers as its network; the scaler is folded in only where it is exact."""
    network, rows = export_member(scaling), make_rows(scaling, 500)
    assert sum(kind in {"Sub", "Mul"} for kind in operators(network)) == n_scaling_nodes
    expected = torch.softmax(answer_in_torch(make_stack(scaling), rows)[0], dim=-1)
    found = probabilities_of(network, scaling, rows)
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("scaling", "hidden"),
    [(NEAR, (16, 8)), (NEAR, ()), (FAR, (16, 8))],
    ids=["folded", "no hidden layer", "not folded"],
)
def test_teacher_is_the_mean_of_its_members(scaling: Scaling, hidden: tuple[int, ...]) -> None:
    """A teacher's file answers with the mean of its members' logits."""
    stack, rows = make_stack(scaling, hidden=hidden), make_rows(scaling, 200)
    network = export_network(build_teacher(stack), d_features=len(COLUMNS), n_categorical=0)
    members = answer_in_torch(stack, rows)
    assert not torch.allclose(members[0], members[1], atol=0.1)
    expected = torch.softmax(members.mean(dim=0), dim=-1)
    found = probabilities_of(network, scaling, rows)
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-6)


def test_teacher_of_many_classes_sums_closely() -> None:
    """A head over all members rounds by no more than its inputs do, however large the logits."""
    classes = tuple("abcde")
    stack, rows = make_stack(n_members=12, hidden=(64,), d_out=5), make_rows(NEAR, 500)
    stack.divide_outputs(torch.full((12,), 0.01))
    network = export_network(build_teacher(stack), d_features=len(COLUMNS), n_categorical=0)
    content = serialize_model(wrap(network, NEAR, classes))
    found = open_session(expose_logits(content)).answer(as_inputs(rows)).logits
    assert found is not None
    prepared = stack.encoder.prepare(as_inputs(rows)).double()
    exact = copy.deepcopy(stack).double()(prepared).mean(dim=0).detach().numpy()
    size = np.abs(exact).max()
    assert size > 10
    assert np.abs(found - exact).max() < 2e-7 * size


def test_student_without_hidden_layers() -> None:
    """A student may be a single linear layer, and any member can be the one that ships."""
    stack, rows = make_stack(hidden=()), make_rows(NEAR, 200)
    network = export_network(build_student(stack, 2), d_features=len(COLUMNS), n_categorical=0)
    assert operators(network) == ["Gemm"]
    expected = torch.softmax(answer_in_torch(stack, rows)[2], dim=-1)
    found = probabilities_of(network, NEAR, rows)
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-6)


def test_export_leaves_the_stack_alone() -> None:
    """Folding scales copies: the stack answers after an export as it did before."""
    stack, rows = make_stack(), make_rows(NEAR, 20)
    before = answer_in_torch(stack, rows)
    build_student(stack, 0)
    build_teacher(stack)
    assert torch.equal(answer_in_torch(stack, rows), before)


def test_scales_worlds_apart() -> None:
    """A column of tiny numbers bounds no number of another one, nor overflows beside it."""
    scaling = Scaling(center=(0.0, 1e9, 0.0, -1e38), scale=(1e-13, 1e8, 1.0, 0.0))
    stack, rows = make_stack(scaling), make_rows(scaling, 200)
    network = export_network(build_student(stack, 0), d_features=len(COLUMNS), n_categorical=0)
    assert len(np.unique(stack.encoder.standardize(rows)[:, 1])) > 190
    rows[:4, :] = np.array([np.inf, -np.inf, 1e30, np.nan])[:, None]
    expected = torch.softmax(answer_in_torch(stack, rows)[0], dim=-1)
    found = probabilities_of(network, scaling, rows)
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-6)
