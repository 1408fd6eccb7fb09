"""Dropout masks and stacked networks."""

import copy

import pytest
import torch

from kdexport.training.nets import (
    ByteDropout,
    StackedMLP,
    compute_chunks,
    compute_mean_outputs,
    compute_member_outputs,
    follow_terms,
)
from tests.training.toys import make_encoder


def make_stack(seeds: list[int], **options: float) -> StackedMLP:
    """A tiny stack of three inputs and two outputs."""
    return StackedMLP(make_encoder(3), hidden=(5, 4), d_out=2, seeds=seeds, **options)


def test_members_independent() -> None:
    """A member's weights depend on its own seed alone, not on its neighbours'."""
    rows = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    alone = make_stack([7])(rows)[0]
    assert torch.equal(make_stack([1, 7, 9])(rows)[1], alone)
    assert torch.equal(make_stack([7, 2])(rows)[0], alone)
    assert not torch.equal(make_stack([8])(rows)[0], alone)


def test_gradients_independent() -> None:
    """The loss of one member moves no other member."""
    stack = make_stack([1, 2, 3])
    stack(torch.ones(4, 3))[1].square().sum().backward()
    for parameter in stack.parameters():
        assert parameter.grad is not None
        assert not parameter.grad[[0, 2]].any()
    assert any(p.grad is not None and p.grad[1].any() for p in stack.parameters())


def test_initial_weights() -> None:
    """Initial weights are within 1/sqrt(d_in) and fill that range."""
    stack = StackedMLP(make_encoder(100), hidden=(50,), d_out=2, seeds=[0])
    weights = stack.weights[0].detach()
    assert weights.abs().max() <= 0.1
    assert weights.std() == pytest.approx(0.1 / 3**0.5, rel=0.05)


def test_stack_equals_its_linears() -> None:
    """One member as plain layers answers as it does within the stack."""
    stack = make_stack([1, 2])
    rows = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    *inner, last = stack.linears(1)
    hidden = rows
    for layer in inner:
        hidden = torch.relu(layer(hidden))
    torch.testing.assert_close(last(hidden), stack(rows)[1])


def test_sizes() -> None:
    """A stack knows its number of members and of parameters per member."""
    stack = make_stack([1, 2])
    assert stack.n_members == 2
    assert stack.n_parameters_per_member == 3 * 5 + 5 + 5 * 4 + 4 + 4 * 2 + 2


def test_no_seeds() -> None:
    """A stack without seeds is refused."""
    with pytest.raises(ValueError, match="one seed per member"):
        make_stack([])


def test_own_rows_per_member() -> None:
    """Rows `[M, B, F]` give each member its own, `[B, F]` all of them the same."""
    stack = make_stack([1, 2])
    rows = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    own = stack(rows)
    torch.testing.assert_close(own[0], stack(rows[0])[0])
    torch.testing.assert_close(own[1], stack(rows[1])[1])


def test_dropout_rate() -> None:
    """The share of dropped units is the rate, rounded to 1/256."""
    mask = ByteDropout(0.3, seed=0).draw(torch.Size([400, 500]), torch.device("cpu"))
    assert (mask == 0).float().mean() == pytest.approx(77 / 256, abs=0.005)
    assert mask.unique().tolist() == pytest.approx([0, 256 / 179])


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_expectation(rate: float) -> None:
    """A mask is 1 on average."""
    mask = ByteDropout(rate, seed=1).draw(torch.Size([1000, 501]), torch.device("cpu"))
    assert mask.mean() == pytest.approx(1, abs=0.02)


def test_dropout_stream() -> None:
    """One seed gives one stream of masks, in which no two are alike."""
    shape, cpu = torch.Size([7, 11]), torch.device("cpu")
    first, second = (ByteDropout(0.5, seed=3) for _ in range(2))
    masks = [first.draw(shape, cpu) for _ in range(2)]
    assert torch.equal(masks[0], second.draw(shape, cpu))
    assert torch.equal(masks[1], second.draw(shape, cpu))
    assert not torch.equal(masks[0], masks[1])


def test_dropout_of_everything() -> None:
    """A rate that leaves nothing is refused."""
    with pytest.raises(ValueError, match="leaves some units"):
        ByteDropout(0.999, seed=0)


def test_dropout_in_training_only() -> None:
    """Dropout changes answers in training mode and none in evaluation mode."""
    stack = make_stack([1], dropout=0.5)
    rows = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(stack.train()(rows), stack(rows))
    stack.eval()
    assert torch.equal(stack(rows), stack(rows))
    assert torch.equal(stack(rows), make_stack([1])(rows))


def test_mean_outputs() -> None:
    """The ensemble's answer is the mean of its members' outputs, whatever the chunks."""
    stack = make_stack([1, 2, 3])
    rows = torch.randn(5000, 3, generator=torch.Generator().manual_seed(0))
    members = compute_member_outputs(stack, rows)
    assert members.shape == (3, 5000, 2)
    torch.testing.assert_close(compute_mean_outputs(stack, rows), members.mean(dim=0))
    torch.testing.assert_close(members, stack(rows).detach())
    chunks = compute_chunks(stack, rows, n_rows_at_once=2048)
    assert [chunk.shape[1] for chunk in chunks] == [2048, 2048, 904]


@pytest.mark.parametrize("training", [True, False])
def test_mode_restored(training: bool) -> None:
    """Answering is done in evaluation mode, and the mode it came in is restored."""
    stack = make_stack([1], dropout=0.5).train(training)
    first, second = (compute_mean_outputs(stack, torch.ones(4, 3)) for _ in range(2))
    assert torch.equal(first, second)
    assert stack.training is training
    assert not first.requires_grad


def test_divide_outputs() -> None:
    """Dividing by a temperature divides that member's outputs."""
    stack = make_stack([1, 2])
    rows = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    before = stack(rows).detach()
    stack.divide_outputs(torch.tensor([2.0, 0.5], dtype=torch.float64))
    torch.testing.assert_close(stack(rows).detach(), before / torch.tensor([[[2.0]], [[0.5]]]))


@pytest.mark.parametrize("hidden", [(), (8,), (8, 8), (8, 8, 8)])
def test_rounding_is_a_share_of_the_terms(hidden: tuple[int, ...]) -> None:
    """What float32 is off by grows with the terms of all layers, however they cancel."""
    stack = StackedMLP(make_encoder(6), hidden=hidden, d_out=2, seeds=[0, 1])
    rows = (
        torch.randn(500, 6, generator=torch.Generator().manual_seed(0))
        * torch.logspace(-3, 3, 500)[:, None]
    )
    exact, sizes = follow_terms(stack, 1, rows)
    rounded = compute_member_outputs(stack, rows)[1]
    expected = compute_member_outputs(copy.deepcopy(stack).double(), rows.double())[1]
    torch.testing.assert_close(exact, expected, rtol=0, atol=1e-9)
    off = (rounded - exact).abs().amax(dim=1)
    n_roundings = 10 * (len(hidden) + 1)  # of a sum of at most 8 products and a bias
    assert (off <= n_roundings * 2.0**-24 * sizes).all()
    assert (exact.abs().amax(dim=1) <= sizes).all()


def test_terms_of_early_layers() -> None:
    """Units that nearly cancel in front of the last layer are told from those that do not."""
    stack = StackedMLP(make_encoder(1), hidden=(2, 1), d_out=1, seeds=[0])
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.zero_()
        stack.weights[0][0, 0] = torch.tensor([1e4, 1e4])
        stack.weights[1][0, :, 0] = torch.tensor([1.0, -0.9999])
        stack.weights[2].fill_(1.0)
    _, sizes = follow_terms(stack, 0, torch.tensor([[1.0], [-1.0]]))
    assert sizes.tolist() == [pytest.approx(1.9999e4), 0.0]
