"""Networks and boosted trees as one teacher."""

import numpy as np
import pytest

from kdexport.prepare import prepare
from kdexport.prepared import Prepared
from kdexport.recipe import read_recipe
from kdexport.records import Float32, ignore_progress
from kdexport.training.checkpoints import load_mixture
from kdexport.training.mixture import Mixture, _select_share, stand_alone
from kdexport.training.steps import train_rival_of, train_teacher

RECIPE = {
    "data.target": "y",
    "teacher.n_members": 2,
    "teacher.hidden": [8],
    "teacher.max_epochs": 8,
    "teacher.batch_size": 32,
    "teacher.learning_rate": 0.02,
    "teacher.dropout": 0.0,
    "teacher.n_folds": 2,
}


def prepare_rows(*, is_regression: bool = False) -> Prepared:
    """500 rows of three numbers: a slope that networks find, and a step that trees find."""
    rng = np.random.default_rng(2)
    a, b, c = rng.normal(size=(3, 500))
    score = a + b + 1.5 * (c > 0.3) + 0.5 * rng.normal(size=500)
    y = 300 + 20 * score if is_regression else np.where(score > 0.6, "yes", "no").astype(object)
    return prepare(read_recipe(None, RECIPE), data={"a": a, "b": b, "c": c, "y": y})


def make_logits(prepared: Prepared, *, every: int | None = None) -> Float32:
    """Logits for the validation rows that know the labels, but are wrong in every so many rows."""
    sure = np.eye(2, dtype=np.float32)[prepared.rows.validation.targets] * 3
    if every is not None:
        sure[::every] = sure[::every, ::-1].copy()
    return sure


@pytest.mark.parametrize("better", [0, 1])
def test_share_goes_to_the_better_part(better: int) -> None:
    """A part that only misleads gets no share, whichever of the two it is."""
    prepared = prepare_rows()
    parts = [make_logits(prepared, every=10 if part == better else 2) for part in (0, 1)]
    validation = prepared.rows.validation
    share, _ = _select_share(np.stack(parts), validation, prepared.schema, prepared.recipe)
    assert share == better


def test_share_goes_to_both_where_both_help() -> None:
    """Two parts of independent errors are averaged."""
    prepared = prepare_rows()
    rng, sure = np.random.default_rng(0), make_logits(prepared)
    parts = np.stack([sure + 3 * rng.normal(size=sure.shape) for _ in range(2)])
    share, _ = _select_share(
        parts.astype(np.float32), prepared.rows.validation, prepared.schema, prepared.recipe
    )
    assert 0.2 < share < 0.8


@pytest.mark.parametrize("is_regression", [False, True])
def test_mixture_is_the_sum_of_its_parts(is_regression: bool) -> None:
    """A checkpoint answers as networks and trees that are added up, each with its share inside."""
    prepared = prepare_rows(is_regression=is_regression)
    trained = train_teacher(prepared, ignore_progress)
    mixture = load_mixture(prepared, trained)
    inputs = prepared.rows.test.inputs
    assert 0 < trained.settings["boosting_share"] < 1
    networks = Mixture(prepared.schema, mixture.stack, None)
    expected = networks.compute_outputs(inputs) + mixture.answer_trees(inputs)
    np.testing.assert_allclose(mixture.compute_outputs(inputs), expected, rtol=0, atol=1e-5)


def test_a_mixture_has_one_temperature(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks, trees and answers out of fold are all divided by it."""
    prepared = prepare_rows()
    outputs, own_outputs = [], []
    for temperature in (1.0, 2.0):
        chosen = (0.25, temperature)
        monkeypatch.setattr("kdexport.training.mixture._select_share", lambda *_, c=chosen: c)
        trained = train_teacher(prepared, ignore_progress)
        mixture = load_mixture(prepared, trained)
        outputs.append(mixture.compute_outputs(prepared.rows.test.inputs))
        own_outputs.append(trained.own_outputs)
    for warm, cold in (outputs, own_outputs):
        assert np.ptp(warm) > 1
        np.testing.assert_allclose(cold, warm / 2, rtol=0, atol=1e-5)


def test_trees_alone_tell_of_no_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where trees take the whole share, the ensemble's steps and curve are not the teacher's."""
    monkeypatch.setattr("kdexport.training.mixture._select_share", lambda *_: (1.0, 2.0))
    prepared = prepare_rows()
    trained = train_teacher(prepared, ignore_progress)
    assert (trained.weights, trained.n_steps, trained.looks) == ({}, 0, None)
    assert trained.settings == {"boosting_share": 1.0}
    assert trained.trees is not None
    assert trained.own_outputs is not None


def test_own_outputs_come_from_trees_that_never_saw_the_row() -> None:
    """Out of fold, the trees fit their training labels less well than with them in sight."""
    prepared = prepare_rows(is_regression=True)
    trained = train_teacher(prepared, ignore_progress)
    train = prepared.rows.train
    assert trained.own_outputs is not None
    targets = (train.targets - prepared.schema.target_center) / prepared.schema.target_scale
    seen = load_mixture(prepared, trained).compute_outputs(train.inputs)[:, 0]
    errors = [np.square(x - targets).mean() for x in (trained.own_outputs[:, 0], seen)]
    assert errors[0] > errors[1]


def test_rival_answers_in_the_targets_unit() -> None:
    """Trees alone carry the centre of a regression's target; the outputs are standardised."""
    prepared = prepare_rows(is_regression=True)
    trained = train_rival_of(prepared)
    assert trained.trees is not None
    rival = load_mixture(prepared, trained)
    outputs = rival.compute_outputs(prepared.rows.test.inputs)[:, 0]
    schema, test = prepared.schema, prepared.rows.test
    numbers = outputs * schema.target_scale + schema.target_center
    assert np.corrcoef(numbers, test.targets)[0, 1] > 0.7
    assert abs(numbers.mean() - test.targets.mean()) < 0.3 * schema.target_scale


def test_share_of_trees_alone_scales_logits() -> None:
    """The inverse of a temperature multiplies what trees alone answer."""
    prepared = prepare_rows()
    trees = train_rival_of(prepared).trees
    assert trees is not None
    inputs = prepared.rows.test.inputs
    whole, half = (stand_alone(trees, prepared.schema, share=s) for s in (1.0, 0.5))
    np.testing.assert_allclose(
        half.compute_outputs(inputs), 0.5 * whole.compute_outputs(inputs), atol=1e-5
    )
