"""Form and transfer set are what validation rows prefer."""

from typing import get_args

import numpy as np
import pytest
import torch

from kdexport.records import Column, Float32, Float64, Inputs, Parts, Rows
from kdexport.schema import Schema
from kdexport.sections import ColumnsRecipe
from kdexport.student_section import Form
from kdexport.tables import as_table
from kdexport.training import choose as choose_room
from kdexport.training.choose import (
    choose_form,
    choose_transfer,
    find_floor,
    measure_nat,
    pick_form,
)
from kdexport.training.transfer import Lesson
from tests.training.test_distill import RECIPE, make_parts, teach


def test_transfer_set_is_chosen_by_validation_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two ways to make rows, the one whose students are closer to the teacher is taken."""
    schema, parts = make_parts()
    useless = {"method": "jitter", "noise": 1e-9}
    useful = {"method": "munge", "swap_probability": 0.5}
    train = parts.train
    few = Rows(
        train.inputs.take(slice(0, 6)), train.targets[:6], train.weights[:6], train.row_ids[:6]
    )
    scarce = Parts(few, parts.validation, parts.test)
    for ways in ((useless, useful), (useful, useless)):
        monkeypatch.setattr(choose_room, "WAYS", ways)
        chosen = choose_transfer(Lesson(scarce, schema, teach), RECIPE)
        assert (chosen.method, chosen.selection) == ("munge", "given")
        assert chosen.n_synthetic == RECIPE.transfer.n_synthetic


def make_bent_parts() -> tuple[Schema, Parts[Rows]]:
    """1,000 rows of a number whose logarithm is spread evenly over five powers of ten."""
    numbers = 10 ** np.random.default_rng(0).uniform(-2, 3, 1000)
    return split_labelled({"a": numbers}, wave(numbers) > 0)


def make_tilted_parts() -> tuple[Schema, Parts[Rows]]:
    """1,000 rows of four numbers whose sum decides."""
    columns = dict(zip("abcd", np.random.default_rng(0).normal(size=(4, 1000)), strict=True))
    return split_labelled(columns, wave(10 ** (sum(columns.values()) / 4)) > 0)


def split_labelled(columns: dict[str, Float64], is_yes: Column) -> tuple[Schema, Parts[Rows]]:
    """Make a task of them."""
    table = as_table({**columns, "y": np.where(is_yes, "yes", "no").astype(object)})
    schema = Schema.fit(table.take(np.arange(700)), "y", ColumnsRecipe(), classes=("no", "yes"))
    bounds = ((0, 700), (700, 900), (900, 1000))
    return schema, Parts(*(schema.encode(table.take(np.arange(*b))) for b in bounds))


def wave(numbers: Float32) -> Float32:
    """What rises and falls once with each power of ten."""
    return np.sin(2 * np.pi * np.log10(numbers)).astype(np.float32)


def teach_wave(inputs: Inputs) -> Float32:
    """A teacher that knows it."""
    return 3 * np.stack([-wave(inputs.numeric[:, 0]), wave(inputs.numeric[:, 0])], axis=1)


def teach_tilted(inputs: Inputs) -> Float32:
    """A teacher that knows how."""
    answers = 3 * wave(10 ** (inputs.numeric.sum(axis=1) / 4))
    return np.stack([-answers, answers], axis=1)


def test_pieces_where_they_pay() -> None:
    """A target that bends over powers of ten asks for pieces; a straight one does without."""
    steps = RECIPE.student.model_copy(
        update={"max_steps": 1200, "max_epochs": 1000, "hidden": (16,)}
    )
    recipe = RECIPE.model_copy(update={"student": steps})
    schema, parts = make_bent_parts()
    assert choose_form(Lesson(parts, schema, teach_wave), recipe) == "piecewise"
    straight, rows = make_parts()
    wide = recipe.model_copy(update={"student": steps.model_copy(update={"hidden": (64, 32)})})
    assert choose_form(Lesson(rows, straight, teach), wide) == "plain"


def test_oblique_units_where_they_pay() -> None:
    """A target that bends along a sum of columns asks for units over all of them."""
    schema, parts = make_tilted_parts()
    steps = RECIPE.student.model_copy(
        update={"max_steps": 1200, "max_epochs": 1000, "hidden": (8,)}
    )
    recipe = RECIPE.model_copy(update={"student": steps})
    assert choose_form(Lesson(parts, schema, teach_tilted), recipe) == "oblique"


def test_no_pieces_without_knots() -> None:
    """A table that has no knots has plain students, and nothing is trained to know it."""
    schema, parts = make_parts()
    bare = schema.model_copy(update={"knots": ()})

    def refuse(inputs: Inputs) -> Float32:
        raise AssertionError(f"{inputs.n_rows} rows were asked")

    assert choose_form(Lesson(parts, bare, refuse), RECIPE) == "plain"


@pytest.mark.parametrize(
    ("gaps", "nat", "picked"),
    [
        ((2e-3, 1e-3, 8e-4), 1.0, "piecewise"),
        ((2e-3, 1e-3, 8e-4), 0.02, "oblique"),
        ((2e-2, 1.9e-2, 1.7e-2), 1.0, "oblique"),
        ((2e-2, 1.9e-2, 1.85e-2), 1.0, "plain"),
        ((2e-2, 3e-2, 1e-2), 1.0, "oblique"),
    ],
)
def test_a_form_has_to_pay(gaps: tuple[float, ...], nat: float, picked: Form) -> None:
    """It closes a tenth of the gap of the form picked before it, and half a thousandth of a nat."""
    assert pick_form(dict(zip(get_args(Form), gaps, strict=True)), nat) == picked


def test_a_nat_of_a_number() -> None:
    """It is twice what the teacher misses of it, squared: forms pay beside that."""
    numbers = np.random.default_rng(0).normal(size=300)
    table = as_table({"a": numbers, "y": numbers})
    schema = Schema.fit(table.take(np.arange(200)), "y", ColumnsRecipe(), classes=())
    bounds = ((0, 200), (200, 250), (250, 300))
    parts = Parts(*(schema.encode(table.take(np.arange(*b))) for b in bounds))

    def teach_off(inputs: Inputs) -> Float32:
        exact = (inputs.numeric - schema.target_center) / schema.target_scale
        return (exact + 0.1).astype(np.float32)

    assert measure_nat(Lesson(parts, schema, teach_off)) == pytest.approx(0.02, rel=1e-4)
    assert measure_nat(Lesson(make_parts()[1], make_parts()[0], teach)) == 1


def test_forms_are_compared_with_who_answers_as_the_teacher_does() -> None:
    """By the judge that students have: where labels share the loss, they are in it too."""
    schema, parts = make_bent_parts()
    lesson = Lesson(parts, schema, teach_wave)
    for alpha in (1.0, 0.5):
        student = RECIPE.student.model_copy(update={"alpha": alpha})
        floor = find_floor(lesson, RECIPE.model_copy(update={"student": student}))
        labels = np.eye(2)[parts.validation.targets]
        logs = torch.log_softmax(torch.from_numpy(lesson.validation_outputs).double(), dim=-1)
        mixture = alpha * np.exp(logs.numpy()) + (1 - alpha) * labels
        assert floor <= -(mixture * logs.numpy()).sum(axis=1).mean() + 1e-7
        assert (floor == lesson.least_loss) == (alpha == 1)


def test_one_step_is_enough_to_choose() -> None:
    """A quarter of three steps is one."""
    schema, parts = make_bent_parts()
    student = RECIPE.student.model_copy(update={"max_steps": 3})
    recipe = RECIPE.model_copy(update={"student": student})
    assert choose_form(Lesson(parts, schema, teach_wave), recipe) in (
        "plain",
        "piecewise",
        "oblique",
    )
