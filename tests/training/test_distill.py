"""The distillation loss, and students beside their controls."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from kdexport.knots import MAX_PER_COLUMN
from kdexport.recipe import read_recipe
from kdexport.records import Float32, Inputs, Parts
from kdexport.schema import Schema
from kdexport.sections import ColumnsRecipe
from kdexport.student_section import Form
from kdexport.tables import as_table
from kdexport.training.distill import (
    build_plain_controls,
    build_students,
    make_distillation_loss,
    train_students,
)
from kdexport.training.ensemble import build_ensemble, train_ensemble
from kdexport.training.objective import Classification
from kdexport.training.oblique import N_UNITS
from kdexport.training.transfer import Lesson

N_ROWS, N_CLASSES = 32, 3
TEACHER = torch.randn(N_ROWS, N_CLASSES, generator=torch.Generator().manual_seed(0)) * 3
LABELS = torch.arange(N_ROWS) % N_CLASSES
TARGETS = F.one_hot(LABELS, N_CLASSES).float()
UNLABELLED = torch.full((N_ROWS, N_CLASSES), float("nan"))
STUDENT = torch.randn(1, N_ROWS, N_CLASSES, generator=torch.Generator().manual_seed(1))
EVERY_ROW = torch.arange(N_ROWS)[None]
ONES = torch.ones(N_ROWS)


def measure(
    logits: Tensor,
    *,
    alpha: float = 1.0,
    temperature: float = 2.0,
    teacher: Tensor = TEACHER,
    targets: Tensor = TARGETS,
    weights: Tensor = ONES,
) -> Tensor:
    """The loss of one member over every row."""
    loss = make_distillation_loss(
        Classification(N_CLASSES, temperature=temperature),
        teacher=teacher,
        targets=targets,
        weights=weights,
        alphas=torch.tensor([alpha]),
    )
    return loss(logits, EVERY_ROW)[0]


@pytest.mark.parametrize("temperature", [1.0, 2.0, 16.0])
def test_equal_logits(temperature: float) -> None:
    """With alpha 1, a student that answers as its teacher has loss 0, up to a constant shift."""
    assert measure(TEACHER[None], temperature=temperature).item() == pytest.approx(0, abs=1e-5)
    assert measure(TEACHER[None] + 5, temperature=temperature).item() == pytest.approx(0, abs=1e-4)


def test_other_logits() -> None:
    """With alpha 1, any other student has a loss above 0."""
    assert measure(STUDENT).item() > 0.1


def test_soft_term_by_hand() -> None:
    """The soft term is T^2 KL(teacher || student) at temperature T, averaged over rows."""
    p, q = torch.softmax(TEACHER / 2, -1), torch.softmax(STUDENT[0] / 2, -1)
    expected = 4 * (p * (p / q).log()).sum(dim=-1).mean()
    torch.testing.assert_close(measure(STUDENT), expected)


def test_gradient_size() -> None:
    """The factor T^2 keeps the gradient at one order whatever the temperature."""
    norms = []
    for temperature in (1.0, 4.0, 16.0):
        logits = STUDENT.clone().requires_grad_()
        measure(logits, temperature=temperature).backward()
        assert logits.grad is not None
        norms.append(logits.grad.norm().item())
    assert max(norms) / min(norms) < 10


def test_alpha_zero() -> None:
    """With alpha 0 the loss is the cross entropy, and no teacher moves it."""
    expected = F.cross_entropy(STUDENT[0], LABELS)
    for teacher in (TEACHER, -TEACHER, torch.full_like(TEACHER, float("nan"))):
        torch.testing.assert_close(measure(STUDENT, alpha=0.0, teacher=teacher), expected)


def test_alpha_mixes() -> None:
    """On labelled rows the loss is alpha soft plus 1 - alpha hard."""
    soft, hard = measure(STUDENT), measure(STUDENT, alpha=0.0)
    torch.testing.assert_close(measure(STUDENT, alpha=0.3), 0.3 * soft + 0.7 * hard)


@pytest.mark.parametrize("alpha", [0.2, 0.7, 1.0])
def test_unlabelled_rows(alpha: float) -> None:
    """A row without a label has its soft term only, with the whole weight."""
    torch.testing.assert_close(
        measure(STUDENT, alpha=alpha, targets=UNLABELLED), measure(STUDENT, alpha=1.0)
    )


def test_members_apart() -> None:
    """In one stack each member has the loss that it has alone, students and controls."""
    alphas = [0.5, 0.0, 1.0]
    loss = make_distillation_loss(
        Classification(N_CLASSES, temperature=2.0),
        teacher=TEACHER,
        targets=TARGETS,
        weights=ONES,
        alphas=torch.tensor(alphas),
    )
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(3, N_ROWS, N_CLASSES, generator=generator)
    together = loss(logits, EVERY_ROW.expand(3, -1))
    alone = [measure(z[None], alpha=alpha) for z, alpha in zip(logits, alphas, strict=True)]
    torch.testing.assert_close(together, torch.stack(alone))


def test_drawn_rows() -> None:
    """Row numbers choose teacher answers and labels."""
    loss = make_distillation_loss(
        Classification(N_CLASSES, temperature=2.0),
        teacher=TEACHER,
        targets=TARGETS,
        weights=ONES,
        alphas=torch.tensor([0.5]),
    )
    order = torch.randperm(N_ROWS, generator=torch.Generator().manual_seed(3))[None]
    measured = loss(STUDENT[:, order[0]], order)[0]
    torch.testing.assert_close(measured, measure(STUDENT, alpha=0.5))


RECIPE = read_recipe(
    None,
    {
        "teacher.n_members": 2,
        "teacher.hidden": [8],
        "teacher.max_epochs": 2,
        "student.hidden": [6],
        "student.n_replicates": 2,
        "student.max_epochs": 4,
        "student.batch_size": 32,
        "student.learning_rate": 0.02,
        "transfer.n_synthetic": 200,
        "threads": 1,
    },
)


def make_parts() -> tuple[Schema, Parts]:
    """240 rows of two features and two text classes, in three parts."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(240, 2)) * [1, 10] + [0, 50]
    labels = np.where(matrix[:, 0] > 0, "yes", "no").astype(object)
    table = as_table({"a": matrix[:, 0], "b": matrix[:, 1], "y": labels})
    schema = Schema.fit(table.take(np.arange(200)), "y", ColumnsRecipe(), classes=("no", "yes"))
    bounds = ((0, 150), (150, 200), (200, 240))
    return schema, Parts(*(schema.encode(table.take(np.arange(*b))) for b in bounds))


def teach(inputs: Inputs) -> Float32:
    """A teacher that knows the rule."""
    return np.stack([-3 * inputs.numeric[:, 0], 3 * inputs.numeric[:, 0]], axis=1)


def test_students_and_controls() -> None:
    """Students come first, then controls, with the same start; plain controls stand apart."""
    schema, parts = make_parts()
    stack, plain = build_students(schema, RECIPE), build_plain_controls(schema, RECIPE)
    for p, q in zip(stack.parameters(), plain.parameters(), strict=True):
        assert torch.equal(p[:2], p[2:])
        assert torch.equal(p[:2], q)
    students = train_students(Lesson(parts, schema, teach), RECIPE)
    assert students.plain_controls is not None
    assert (students.stack.n_members, students.plain_controls.n_members) == (4, 2)
    trained = zip(students.stack.parameters(), students.plain_controls.parameters(), strict=True)
    for p, q in trained:
        assert not torch.equal(p[:2], p[2:])
        assert not torch.equal(p[2:], q)


@pytest.mark.parametrize(("form", "n_units"), [("piecewise", 0), ("oblique", N_UNITS)])
def test_controls_read_as_students_do_and_plain_controls_plainly(form: Form, n_units: int) -> None:
    """Pieces widen the first layer of students and controls, never that of plain controls."""
    schema, parts = make_parts()
    recipe = RECIPE.with_student_form(form)
    students = train_students(Lesson(parts, schema, teach), recipe)
    assert students.plain_controls is not None
    assert students.stack.weights[0].shape == (4, 2 * (MAX_PER_COLUMN + 1) + n_units, 6)
    assert students.plain_controls.weights[0].shape == (2, 2, 6)


def test_plain_controls_change_nobody_else() -> None:
    """Students and controls are the same to the last bit with and without plain controls."""
    schema, parts = make_parts()
    student = RECIPE.student.model_copy(update={"plain_control": "none"})
    alone = train_students(
        Lesson(parts, schema, teach), RECIPE.model_copy(update={"student": student})
    )
    beside = train_students(Lesson(parts, schema, teach), RECIPE)
    assert alone.plain_controls is None
    for p, q in zip(alone.stack.parameters(), beside.stack.parameters(), strict=True):
        assert torch.equal(p, q)


def test_controls_take_their_share_of_the_rate() -> None:
    """At half the students' rate they train as they would at that rate; students do not notice."""
    schema, parts = make_parts()

    def train(**changes: object) -> list[torch.Tensor]:
        student = RECIPE.student.model_copy(update=changes)
        recipe = RECIPE.model_copy(update={"student": student})
        return list(train_students(Lesson(parts, schema, teach), recipe).stack.parameters())

    usual, slowed, slow = train(), train(control_rate=0.5), train(learning_rate=0.01)
    for p, q, r in zip(usual, slowed, slow, strict=True):
        torch.testing.assert_close(q[:2], p[:2], rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(q[2:], r[2:], rtol=1e-3, atol=1e-4)


def test_own_outputs_stand_for_the_teacher() -> None:
    """Training rows are taught by the outputs given for them, not by the teacher's own."""
    schema, parts = make_parts()
    transfer = RECIPE.transfer.model_copy(update={"n_synthetic": 0})
    recipe = RECIPE.model_copy(update={"transfer": transfer})
    own = teach(parts.train.inputs).astype(np.float64)
    plain = train_students(Lesson(parts, schema, teach), recipe)
    same = train_students(Lesson(parts, schema, teach, own_outputs=own), recipe)
    other = train_students(Lesson(parts, schema, teach, own_outputs=-own), recipe)
    first, second, third = (s.stack.get_parameter("weights.0")[:2] for s in (plain, same, other))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_controls_never_see_the_teacher() -> None:
    """Another teacher changes the students and leaves the controls to the last bit."""
    schema, parts = make_parts()
    first = train_students(Lesson(parts, schema, teach), RECIPE)
    second = train_students(Lesson(parts, schema, lambda inputs: -teach(inputs)), RECIPE)
    for p, q in zip(first.stack.parameters(), second.stack.parameters(), strict=True):
        torch.testing.assert_close(p[2:], q[2:], rtol=0, atol=1e-6)
        assert not torch.equal(p[:2], q[:2])


@pytest.mark.parametrize("kind", ["teacher", "students"])
def test_test_rows_never_read(kind: str) -> None:
    """Spoiled test rows change no weight."""
    schema, parts = make_parts()
    test = parts.test
    inputs = Inputs(test.inputs.numeric * np.nan, test.inputs.categorical)
    spoiled = replace(test, inputs=inputs, targets=test.targets * 0 + 9)
    stacks = []
    for part in (test, spoiled):
        changed = Parts(parts.train, parts.validation, part)
        if kind == "teacher":
            stacks.append(train_ensemble(changed, schema, RECIPE)[0])
        else:
            stacks.append(train_students(Lesson(changed, schema, teach), RECIPE).stack)
    for p, q in zip(stacks[0].parameters(), stacks[1].parameters(), strict=True):
        assert torch.equal(p, q)


def test_ensemble_shape() -> None:
    """The teacher has the recipe's members, widths and dropout."""
    schema, _ = make_parts()
    ensemble = build_ensemble(schema, RECIPE)
    assert ensemble.n_members == 2
    assert ensemble.n_parameters_per_member == 2 * 8 + 8 + 8 * 2 + 2
    assert ensemble.dropout is not None
