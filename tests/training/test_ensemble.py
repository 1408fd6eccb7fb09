"""The teacher's regularisation: chosen on validation rows, or as given."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kdexport.prepare import prepare
from kdexport.recipe import Recipe, read_recipe
from kdexport.records import ignore_progress
from kdexport.sections import TeacherRecipe
from kdexport.training import ensemble as ensemble_room
from kdexport.training.ensemble import REGULARISATIONS, choose_regularisation, train_ensemble
from kdexport.training.nets import ByteDropout, StackedMLP
from kdexport.training.steps import train_teacher

RECIPE = read_recipe(
    None,
    {
        "data.target": "y",
        "teacher.n_members": 2,
        "teacher.hidden": [8],
        "teacher.max_epochs": 4,
        "threads": 1,
    },
)


def make_columns() -> dict[str, np.ndarray]:
    """300 rows whose label is the sign of a sum."""
    rng = np.random.default_rng(0)
    columns = {name: rng.normal(size=300) for name in "abc"}
    return columns | {"y": (columns["a"] + columns["b"] > 0).astype(int)}


def test_rate_per_member() -> None:
    """Each member drops its own share of units, and 0 drops none."""
    mask = ByteDropout([0.0, 0.25, 0.5], seed=0).draw(torch.Size([3, 200, 50]), torch.device("cpu"))
    shares = (mask == 0).float().mean(dim=(1, 2)).tolist()
    assert shares == pytest.approx([0, 0.25, 0.5], abs=0.02)
    assert mask.mean(dim=(1, 2)).tolist() == pytest.approx([1, 1, 1], abs=0.03)


def test_one_rate_for_all_is_one_rate_each() -> None:
    """A single rate draws the same masks as that rate for every member."""
    shape, cpu = torch.Size([3, 20, 7]), torch.device("cpu")
    single, each = ByteDropout(0.3, seed=4), ByteDropout([0.3] * 3, seed=4)
    assert torch.equal(single.draw(shape, cpu), each.draw(shape, cpu))


def test_decay_per_member() -> None:
    """A member with its own weight decay ends as a stack of that decay would leave it."""
    prepared = prepare(RECIPE, data=make_columns())
    decays = (0.5, 0.0)
    apart = []
    for decay in decays:
        changed = RECIPE.teacher.model_copy(update={"weight_decay": decay, "dropout": 0.0})
        stack, _ = train_ensemble(
            prepared.rows, prepared.schema, RECIPE.model_copy(update={"teacher": changed})
        )
        apart.append(stack)
    together = StackedMLP(apart[0].encoder, hidden=(8,), d_out=2, seeds=[0, 1])
    changed = RECIPE.teacher.model_copy(update={"dropout": 0.0})
    ensemble_room.fit_on_labels(
        together,
        prepared.rows,
        RECIPE,
        changed,
        [0, 1],
        step_name="toy",
        weight_decays=torch.tensor(decays),
    )
    for member, stack in enumerate(apart):
        torch.testing.assert_close(
            together.weights[0][member], stack.weights[0][member], rtol=1e-4, atol=1e-5
        )
    assert not torch.allclose(apart[0].weights[0][1], apart[1].weights[0][1], atol=1e-3)


def test_best_on_validation_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The regularisation whose member answers the validation rows best is taken, and is stated."""
    prepared = prepare(RECIPE, data=make_columns())
    assert prepared.recipe.teacher.regularisation == "chosen"
    chosen = choose_regularisation(prepared.rows, prepared.schema, prepared.recipe)
    assert (chosen.dropout, chosen.weight_decay) in REGULARISATIONS
    # A share of 99 % dropped learns next to nothing.
    monkeypatch.setattr(ensemble_room, "REGULARISATIONS", ((0.99, 0.1), (0.0, 0.02)))
    chosen = choose_regularisation(prepared.rows, prepared.schema, prepared.recipe)
    assert (chosen.dropout, chosen.weight_decay) == (0.0, 0.02)
    # Trees beside the networks could take the whole share: no network would be stated.
    teacher = prepared.recipe.teacher.model_copy(update={"family": "mlp"})
    alone = replace(prepared, recipe=prepared.recipe.model_copy(update={"teacher": teacher}))
    trained = train_teacher(alone, ignore_progress)
    assert {"dropout": 0.0, "weight_decay": 0.02}.items() <= trained.settings.items()


@pytest.mark.parametrize(
    ("changes", "is_own_table", "settled"),
    [
        ({}, True, "chosen"),
        ({}, False, "given"),
        ({"dropout": 0.2}, True, "given"),
        ({"weight_decay": 0.0}, True, "given"),
        ({"dropout": 0.2, "regularisation": "chosen"}, True, "chosen"),
        ({"regularisation": "chosen"}, False, "chosen"),
    ],
)
def test_who_decides(changes: dict[str, object], is_own_table: bool, settled: str) -> None:
    """A table of one's own is looked at, unless the recipe says what is wanted."""
    recipe = TeacherRecipe().model_copy(update=changes)
    assert recipe.settle(is_own_table=is_own_table).regularisation == settled


def test_settled_recipe_is_kept() -> None:
    """What a bundle's recipe says is what was done: auto is never written."""
    prepared = prepare(RECIPE, data=make_columns())
    again = read_recipe(None, {"teacher.regularisation": prepared.recipe.teacher.regularisation})
    assert again.teacher.regularisation == "chosen"
    assert Recipe().teacher.regularisation == "auto"
