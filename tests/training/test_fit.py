"""The training loop and its temperatures."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from kdexport.records import Float64, Progress
from kdexport.schema import Category
from kdexport.sections import FitRecipe
from kdexport.training.encode import Encoder
from kdexport.training.fit import FitRecord, _RowOrder, fit_stack
from kdexport.training.nets import StackedMLP, compute_member_outputs
from kdexport.training.objective import Classification, fit_temperatures
from tests.training.toys import make_encoder

N_ROWS = 200


def make_recipe(**changes: object) -> FitRecipe:
    """A recipe that learns in a few dozen steps."""
    values = {
        "batch_size": 32,
        "learning_rate": 0.02,
        "weight_decay": 0.0,
        "schedule": "cosine",
        "max_epochs": 1,
        "max_steps": 1000,
        "patience": 30,
    }
    return FitRecipe.model_validate(values | changes)


def make_rows() -> tuple[Tensor, Tensor]:
    """Rows of three features; the first two decide the class, but for some noise."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(N_ROWS, 3, generator=generator)
    noise = 0.5 * torch.randn(N_ROWS, generator=generator)
    return features, (features[:, 0] + features[:, 1] + noise > 0).long()


FEATURES, LABELS = make_rows()
TARGETS = F.one_hot(LABELS, 2).float()


def judge(outputs: Tensor) -> tuple[Float64, Float64]:
    """Compare with the labels of the last 80 rows."""
    targets = TARGETS[120:].expand(len(outputs), -1, -1)
    return Classification(2).judge(outputs, targets, torch.ones(80))


def fit(
    seeds: Sequence[int] = (1, 2),
    *,
    pools: Sequence[Tensor] | None = None,
    n_steps: int = 60,
    log: list[Progress] | None = None,
    rates: Tensor | None = None,
    encoder: Encoder | None = None,
    rows: Tensor = FEATURES,
    **changes: object,
) -> tuple[StackedMLP, FitRecord]:
    """Train a small stack on the labels; the last 80 rows validate."""
    stack = StackedMLP(encoder or make_encoder(3), hidden=(8,), d_out=2, seeds=seeds)

    def loss(logits: Tensor, drawn: Tensor) -> Tensor:
        losses = F.cross_entropy(logits.flatten(0, 1), LABELS[drawn].flatten(), reduction="none")
        return losses.view(drawn.shape).mean(dim=1)

    record = fit_stack(
        stack,
        rows=rows,
        pools=pools or [torch.arange(120)] * len(seeds),
        loss=loss,
        validation_rows=rows[120:],
        judge=judge,
        recipe=make_recipe(**changes),
        n_steps=n_steps,
        seeds=seeds,
        step_name="toy",
        rates=rates,
        on_progress=(log if log is not None else []).append,
    )
    return stack, record


def test_a_category_that_training_never_met() -> None:
    """Its first-layer weights are those of the mean category, of the weights that are kept."""
    colours = Category(kept=("blue", "red"), shares=(0.25, 0.75), has_other=False)
    codes = (LABELS + 1).float()[:, None]
    stack, _ = fit(encoder=make_encoder(0, categories=(colours,)), rows=codes)
    unseen, blue, red = stack.weights[0].unbind(dim=1)
    torch.testing.assert_close(unseen, 0.25 * blue + 0.75 * red)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5, 4.0])
def test_known_temperature(temperature: float) -> None:
    """Where the labels follow softmax(z), logits T z are best divided by T."""
    true = torch.randn(1, 400, 3, generator=torch.Generator().manual_seed(0)) * 2
    found, _ = fit_temperatures(true * temperature, torch.softmax(true, dim=-1), torch.ones(400))
    assert found == pytest.approx(temperature, rel=0.01)


def test_temperature_per_member() -> None:
    """Each member gets its own temperature and the log loss at it."""
    true = torch.randn(300, 2, generator=torch.Generator().manual_seed(0)) * 2
    targets = torch.softmax(true, dim=-1).expand(2, -1, -1)
    temperatures, losses = fit_temperatures(
        torch.stack([true * 3, true / 2]), targets, torch.ones(300)
    )
    entropy = -(targets[0] * targets[0].log()).sum(dim=-1).mean().item()
    np.testing.assert_allclose(temperatures, [3, 0.5], rtol=0.01)
    np.testing.assert_allclose(losses, entropy, rtol=1e-3)


@pytest.mark.parametrize("n_rows", [20, 200])
def test_temperature_of_rows_that_are_all_right(n_rows: int) -> None:
    """Labels that are all answered rightly do not make a network sure beyond their number."""
    targets = F.one_hot(torch.arange(n_rows) % 2, 2).float()
    (found,), _ = fit_temperatures(3 * targets[None], targets[None], torch.ones(n_rows))
    answer = torch.softmax(3 * targets[0].double() / found, dim=-1)
    assert answer.min() == pytest.approx(0.5 / (n_rows + 1), rel=1e-3)


def test_temperature_never_hurts() -> None:
    """The loss at the found temperature is no higher than at 1."""
    logits = torch.randn(4, 50, 3, generator=torch.Generator().manual_seed(0)) * 5
    targets = F.one_hot(torch.arange(50) % 3, 3).float().expand(4, -1, -1)
    _, losses = fit_temperatures(logits, targets, torch.ones(50))
    plain = -(targets * torch.log_softmax(logits.double(), dim=-1)).sum(dim=-1).mean(dim=-1)
    assert (losses <= plain.numpy() + 1e-9).all()


def test_learns() -> None:
    """Training beats guessing on rows it never drew."""
    _, record = fit()
    assert (record.best_losses < 0.5).all()
    assert record.n_steps == 60


def test_kept_weights_are_the_recorded() -> None:
    """The weights left are those of the best look, at its temperature: their loss says so."""
    stack, record = fit(learning_rate=0.3, schedule="constant")
    assert not stack.training
    logits = compute_member_outputs(stack, FEATURES[120:]).double()
    losses = -(TARGETS[120:] * torch.log_softmax(logits, dim=-1)).sum(dim=-1).mean(dim=-1)
    np.testing.assert_allclose(losses, record.best_losses, rtol=1e-5)
    assert (record.best_steps <= record.n_steps).all()


def test_same_seeds_same_weights() -> None:
    """The same seeds give the same weights to the last bit."""
    first, second = fit()[0], fit()[0]
    for p, q in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(p, q)


def test_twins_in_one_stack() -> None:
    """Two members of one seed and one pool end up alike."""
    stack, record = fit((5, 5))
    for parameter in stack.parameters():
        torch.testing.assert_close(parameter[0], parameter[1])
    assert record.best_steps[0] == record.best_steps[1]


def test_member_trains_as_if_alone() -> None:
    """A member learns the same whoever stands beside it."""
    rows = FEATURES[120:]
    alone = compute_member_outputs(fit((2,))[0], rows)[0]
    torch.testing.assert_close(
        compute_member_outputs(fit((1, 2))[0], rows)[1], alone, rtol=1e-3, atol=1e-4
    )


def test_member_at_its_own_rate() -> None:
    """A share of the learning rate trains as that rate does, decay included."""
    rows = FEATURES[120:]
    slow = fit((2,), learning_rate=0.02, weight_decay=0.5)[0]
    stack = fit((1, 2), learning_rate=0.08, weight_decay=0.5, rates=torch.tensor([1.0, 0.25]))[0]
    torch.testing.assert_close(
        compute_member_outputs(stack, rows)[1],
        compute_member_outputs(slow, rows)[0],
        rtol=1e-3,
        atol=1e-4,
    )


def test_draws_its_pool_only() -> None:
    """A member never draws a row outside its pool, and each of its rows once per pass."""
    drawn: list[Tensor] = []

    def loss(logits: Tensor, rows: Tensor) -> Tensor:
        drawn.append(rows)
        return logits.square().mean(dim=(1, 2))

    pools = [torch.arange(64), torch.arange(64, 96)]
    fit_stack(
        StackedMLP(make_encoder(3), hidden=(4,), d_out=2, seeds=[0, 1]),
        rows=FEATURES,
        pools=pools,
        loss=loss,
        validation_rows=FEATURES[120:],
        judge=judge,
        recipe=make_recipe(batch_size=16),
        n_steps=4,
        seeds=[0, 1],
        step_name="toy",
    )
    rows = torch.cat(drawn, dim=1)
    assert sorted(rows[0].tolist()) == list(range(64))
    assert sorted(rows[1, :32].tolist()) == list(range(64, 96))
    assert sorted(rows[1, 32:].tolist()) == list(range(64, 96))


def test_patience() -> None:
    """Training stops after as many looks without progress as the recipe allows."""
    _, record = fit(learning_rate=1e-30, schedule="constant", patience=2, n_steps=300)
    assert record.n_steps < 300
    assert len(record.validation_losses) == record.n_steps / 10


@pytest.mark.parametrize("n_steps", [1, 7, 60])
def test_progress(n_steps: int) -> None:
    """Progress grows to the end, one report per look."""
    log: list[Progress] = []
    _, record = fit(n_steps=n_steps, log=log)
    done = [report.n_done for report in log]
    assert done == sorted(set(done))
    assert log[-1] == Progress("toy", n_steps, n_steps)
    assert len(log) == len(record.validation_losses) <= 30


@pytest.mark.parametrize("n_rows", [1, 7, 10, 64])
def test_rows_come_in_one_order(n_rows: int) -> None:
    """Permutation after permutation of the pool, however many rows are asked for at a time."""
    pool, generator = torch.arange(10) * 3, torch.Generator().manual_seed(5)
    expected = torch.cat([pool[torch.randperm(10, generator=generator)] for _ in range(40)])
    order = _RowOrder(pool, 5)
    drawn = torch.cat([order.next(n_rows) for _ in range(5)])
    assert torch.equal(drawn, expected[: 5 * n_rows])
