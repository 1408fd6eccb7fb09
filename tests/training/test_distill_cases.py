"""What went wrong for others who distill: cases G1, G2 and G6."""

import numpy as np
import pytest
import torch
from torch import Tensor

from kdexport.contract import expose_logits
from kdexport.export.graph import Filling, build_model
from kdexport.export.network import build_student, export_network
from kdexport.recipe import Recipe, read_recipe
from kdexport.records import Float32, Inputs
from kdexport.runtime import open_session
from kdexport.training.distill import make_distillation_loss, train_students
from kdexport.training.objective import Classification
from kdexport.training.transfer import Lesson
from tests.training.test_distill import RECIPE, make_parts, teach

N_ROWS, N_CLASSES = 64, 4
UNUSED = -1e4  # the logit of a class that is never used


def draw_logits(seed: int, scale: float = 3.0) -> Tensor:
    """Random logits, **Shape** `[N_ROWS, N_CLASSES]`."""
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(N_ROWS, N_CLASSES, generator=generator)


def measure_soft(student: Tensor, teacher: Tensor, temperature: float = 2.0) -> Tensor:
    """The loss of one member with alpha 1, over every row."""
    n_rows, n_classes = teacher.shape
    loss = make_distillation_loss(
        Classification(n_classes, temperature=temperature),
        teacher=teacher,
        targets=torch.full_like(teacher, float("nan")),
        weights=torch.ones(n_rows),
        alphas=torch.tensor([1.0]),
    )
    return loss(student[None], torch.arange(n_rows)[None])[0]


def test_rows_doubled() -> None:
    """G1: every row twice leaves the loss as it is: it is a mean over rows."""
    student, teacher = draw_logits(0), draw_logits(1)
    doubled = measure_soft(torch.cat([student, student]), torch.cat([teacher, teacher]))
    torch.testing.assert_close(doubled, measure_soft(student, teacher))


@pytest.mark.parametrize("temperature", [1.0, 4.0, 16.0])
def test_unused_class(temperature: float) -> None:
    """G1: a class that neither side ever uses leaves the loss as it is: classes are summed."""
    student, teacher = draw_logits(0), draw_logits(1)
    unused = torch.full((N_ROWS, 1), UNUSED)
    wider = measure_soft(
        torch.cat([student, unused], dim=1), torch.cat([teacher, unused], dim=1), temperature
    )
    torch.testing.assert_close(wider, measure_soft(student, teacher, temperature))


@pytest.mark.parametrize("temperature", [1.0, 4.0, 16.0])
def test_never_negative(temperature: float) -> None:
    """G1: no pair of answers has a loss below 0, but for rounding."""
    for seed in range(50):
        teacher = draw_logits(seed, scale=10.0)
        for student in (draw_logits(seed + 100), teacher + 1e-3 * draw_logits(seed + 200)):
            assert measure_soft(student, teacher, temperature).item() > -1e-4


def test_gradient_does_not_fade() -> None:
    """G2: near the teacher, and so for any large T, the gradient is as large at T 4 as at T 16."""
    teacher = draw_logits(1, scale=0.2)
    norms = []
    for temperature in (1.0, 4.0, 16.0):
        student = draw_logits(0, scale=0.2).requires_grad_()
        measure_soft(student, teacher, temperature).backward()
        assert student.grad is not None
        norms.append(student.grad.norm().item())
    assert max(norms) / min(norms) < 1.1


def change_student(**changes: float) -> Recipe:
    """The quick recipe with other values in its [student]."""
    values = {f"student.{key}": value for key, value in changes.items()}
    return read_recipe(None, {**RECIPE.model_dump(exclude_none=True), **values})


def test_alpha_zero_knows_no_teacher() -> None:
    """G2: with alpha 0, two different teachers give the same student to the last bit."""
    schema, parts = make_parts()
    recipe = change_student(alpha=0.0, max_epochs=1)
    first = train_students(Lesson(parts, schema, teach), recipe)
    second = train_students(Lesson(parts, schema, lambda inputs: -teach(inputs)), recipe)
    for p, q in zip(first.stack.parameters(), second.stack.parameters(), strict=True):
        assert torch.equal(p, q)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_certain_teacher(temperature: float) -> None:
    """G6: a teacher that answers exactly 0 and 1 gives finite losses, weights and answers."""

    def answer(inputs: Inputs) -> Float32:
        certain = np.where(inputs.numeric[:, :1] > 0, [-1e4, 1e4], [1e4, -1e4])
        return certain.astype(np.float32)

    schema, parts = make_parts()
    recipe = change_student(alpha=0.5, temperature=temperature, max_epochs=1)
    students = train_students(Lesson(parts, schema, answer), recipe)
    assert np.isfinite(students.record.best_losses).all()
    assert all(p.isfinite().all() for p in students.stack.parameters())
    encoder = students.stack.encoder
    network = export_network(
        build_student(students.stack, 0), d_features=encoder.d_dense, n_categorical=0
    )
    model = build_model(network, schema, Filling(encoder.center, encoder.limit))
    answers = open_session(expose_logits(model.SerializeToString())).answer(parts.test.inputs)
    assert answers.logits is not None
    assert np.isfinite(answers.logits).all()
