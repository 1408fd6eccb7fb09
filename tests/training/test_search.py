"""Many shapes of students on one transfer set."""

import numpy as np
import pytest

from kdexport.records import Float32, Inputs
from kdexport.training.search import SHARES, Shape, Tried, _halve, list_shapes, search_students
from kdexport.training.small_trees import Grove, answer_trees, train_taught_trees
from kdexport.training.transfer import Lesson, build_transfer_set
from tests.training.test_distill import RECIPE, make_parts, teach


def test_shapes() -> None:
    """The recipe's own comes first; 0 to 3 hidden layers; pieces only where there are knots."""
    schema, _ = make_parts()
    shapes = list_shapes(schema, RECIPE)
    assert shapes[0] == Shape(RECIPE.student.hidden, "plain")
    assert {len(shape.hidden) for shape in shapes} == {0, 1, 2, 3}
    assert len(set(shapes)) == len(shapes)
    forms = {shape.form for shape in shapes}
    assert forms == ({"plain", "piecewise"} if schema.has_knots else {"plain"})


def test_halving_goes_by_what_a_shape_reaches_for_its_size() -> None:
    """The best of every size stays before a larger one that is worse; the usual one stays."""

    def make(hidden: tuple[int, ...], n_weights: int, loss: float) -> Tried:
        return Tried(Shape(hidden, "plain"), RECIPE, n_weights, loss=loss)

    small, worse, large, usual = (
        make((4,), 40, 0.5),
        make((8,), 80, 0.9),
        make((16,), 160, 0.3),
        make((32,), 320, 0.8),
    )
    stay, gone = _halve([worse, usual, large, small], 3, usual.shape)
    assert {tried.shape for tried in stay} == {usual.shape, small.shape, large.shape}
    assert gone == [worse]


def test_the_teacher_answers_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search asks the teacher nothing beyond its transfer set, whatever it trains on it."""
    monkeypatch.setattr("kdexport.training.search.WIDTHS", ((), (3,), (4,)))
    monkeypatch.setattr("kdexport.training.search.MAX_FINALISTS", 2)
    schema, parts = make_parts()
    asked: list[int] = []

    def counted(inputs: Inputs) -> Float32:
        asked.append(inputs.n_rows)
        return teach(inputs)

    lesson = Lesson(parts, schema, counted)
    transfer = build_transfer_set(lesson, RECIPE, [RECIPE.transfer])
    assert lesson.validation_outputs.shape == (parts.validation.inputs.n_rows, 2)
    before = sum(asked)
    tried = search_students(lesson, RECIPE, transfer)
    assert sum(asked) == before
    finalists = [one for one in tried if one.students is not None]
    assert 0 < len(finalists) < len(tried) == len(list_shapes(schema, RECIPE))
    for one in tried:
        assert np.isfinite(one.loss)
        assert one.cost > 0
        assert (one.share is not None) == (one.students is not None)
        assert (one.n_rounds == len(SHARES) + 1) == (one.students is not None)
    assert [one.n_bytes for one in tried] == sorted(one.n_bytes for one in tried)


def test_few_trees_learn_the_rule() -> None:
    """Four trees of eight leaves answer as the teacher does on rows that they did not see."""
    schema, parts = make_parts()
    lesson = Lesson(parts, schema, teach)
    transfer = build_transfer_set(lesson, RECIPE, [RECIPE.transfer])
    trees = train_taught_trees(lesson, transfer, Grove(4, 8), seed=0)
    answers = answer_trees(lesson, trees).argmax(axis=1)
    expected = lesson.validation_outputs.argmax(axis=1)
    assert np.mean(answers == expected) > 0.9
