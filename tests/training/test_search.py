"""Many shapes of students on one transfer set."""

import numpy as np
import pytest
import torch

from kdexport.records import Float32, Inputs, Parts, Progress, Rows
from kdexport.schema import Schema
from kdexport.sections import ColumnsRecipe
from kdexport.tables import as_table
from kdexport.training.search import SHARES, Shape, Tried, _halve, list_shapes, search_students
from kdexport.training.small_trees import Grove, answer_trees, train_taught_trees
from kdexport.training.transfer import LabelRows, Lesson, build_transfer_set
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


def make(hidden: tuple[int, ...], n_weights: int, loss: float) -> Tried:
    """A plain shape with this loss."""
    return Tried(Shape(hidden, "plain"), RECIPE, n_weights, loss=loss)


def test_the_best_of_every_size_stays() -> None:
    """One or two of each band of bytes; all above the usual shape are one band; it stays itself."""
    small, smaller, better = make((4,), 40, 0.5), make((3,), 30, 0.6), make((5,), 50, 0.4)
    middle, usual = make((16,), 400, 0.3), make((32,), 1000, 0.35)
    large, larger, largest = (
        make((64,), 2000, 0.32),
        make((128,), 4000, 0.31),
        make((256,), 9000, 0.2),
    )
    there = [usual, large, larger, largest, small, smaller, better, middle]
    stay, gone = _halve(there, usual, n_kept=2)
    assert {tried.shape for tried in gone} == {smaller.shape, large.shape}
    stay, gone = _halve(there, usual, n_kept=1)
    assert stay == [usual, largest, better, middle]
    assert gone == [large, larger, small, smaller]


def test_a_size_that_a_smaller_one_beats_has_no_finalist() -> None:
    """In the end a shape stays only if its loss is below that of every smaller one that stays."""
    small, worse, usual = make((4,), 40, 0.3), make((16,), 400, 0.3), make((32,), 1000, 0.2)
    assert _halve([usual, worse, small], usual, n_kept=2)[1] == []
    assert _halve([usual, worse, small], usual, n_kept=1) == ([usual, small], [worse])


def test_a_size_ends_at_1_3_times_its_smallest() -> None:
    """Files of 1,660 and 2,324 bytes are two sizes, each with its best; of 2,140 they are one."""
    small, usual = make((4,), 40, 0.3), make((32,), 1000, 0.1)
    for n_weights, n_stay in ((160, 2), (206, 3)):
        stay, _ = _halve([small, make((5,), n_weights, 0.2), usual], usual, n_kept=1)
        assert len(stay) == n_stay


def test_the_best_within_a_limit_stays() -> None:
    """Where files have to be small, the best that is stays, whatever better ones there are."""
    small, worse, usual = make((4,), 40, 0.3), make((16,), 400, 0.4), make((32,), 1000, 0.2)
    also = make((17,), 420, 0.5)
    asked: list[Shape] = []

    def may_ship(tried: Tried) -> bool:
        asked.append(tried.shape)
        return tried in (worse, also)

    there = [usual, small, also, worse]
    for n_kept in (1, 2):
        stay, _ = _halve(there, usual, n_kept=n_kept, may_ship=may_ship)
        assert worse in stay
    assert _halve(there, usual, n_kept=1, may_ship=may_ship)[0] == [usual, small, worse]
    assert also.shape not in asked  # each takes an export


def test_threads_move_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shapes that are trained two at a time are those that are trained one by one."""
    monkeypatch.setattr("kdexport.training.search.WIDTHS", ((), (3,), (4, 4)))
    schema, parts = make_parts()
    lesson = Lesson(parts, schema, teach)
    transfer = build_transfer_set(lesson, RECIPE, [RECIPE.transfer])
    found = [
        search_students(lesson, RECIPE, transfer, is_own_table=False, n_threads=n) for n in (1, 2)
    ]
    for one, other in zip(*found, strict=True):
        assert (one.shape, one.loss, one.share) == (other.shape, other.loss, other.share)
        if one.students is not None and other.students is not None:
            pairs = zip(
                one.students.stack.parameters(), other.students.stack.parameters(), strict=True
            )
            assert all(torch.equal(first, second) for first, second in pairs)


def test_an_interrupt_stops_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one shape raises is raised; the others stop at their next look."""
    schema, parts = make_parts()
    lesson = Lesson(parts, schema, teach)
    transfer = build_transfer_set(lesson, RECIPE, [RECIPE.transfer])
    looks: list[int] = []

    def interrupt(_: Progress) -> None:
        looks.append(1)
        raise KeyboardInterrupt

    monkeypatch.setattr("kdexport.training.search.WIDTHS", ((), (3,), (4,), (5,)))
    with pytest.raises(KeyboardInterrupt):
        search_students(
            lesson, RECIPE, transfer, is_own_table=False, n_threads=2, on_progress=interrupt
        )
    assert looks == [1]


def test_the_teacher_answers_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search asks the teacher nothing beyond its transfer set, whatever it trains on it."""
    monkeypatch.setattr("kdexport.training.search.WIDTHS", ((), (3,), (4,)))
    schema, parts = make_parts()
    asked: list[int] = []

    def counted(inputs: Inputs) -> Float32:
        asked.append(inputs.n_rows)
        return teach(inputs)

    lesson = Lesson(parts, schema, counted)
    transfer = build_transfer_set(lesson, RECIPE, [RECIPE.transfer])
    assert lesson.validation_outputs.shape == (parts.validation.inputs.n_rows, 2)
    before = sum(asked)
    tried = search_students(lesson, RECIPE, transfer, is_own_table=False)
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


def answer_grove(
    schema: Schema, parts: Parts[Rows], teacher: LabelRows
) -> tuple[torch.Tensor, torch.Tensor]:
    """What 32 taught trees, and their teacher, answer on the validation rows."""
    lesson = Lesson(parts, schema, teacher)
    transfer = build_transfer_set(lesson, RECIPE, [RECIPE.transfer])
    trees = train_taught_trees(lesson, transfer, Grove(32, 16), seed=0)
    found = answer_trees(lesson, trees)
    return torch.from_numpy(found), torch.from_numpy(lesson.validation_outputs)


def test_trees_are_as_sure_as_the_teacher() -> None:
    """Enough trees answer with its probabilities, no surer and no less sure; or its numbers."""
    schema, parts = make_parts()
    answers, expected = answer_grove(schema, parts, teach)
    assert (answers.softmax(1) - expected.softmax(1)).abs().mean() < 0.03
    numbers = np.random.default_rng(0).normal(size=240)
    table = as_table({"a": numbers, "y": 100 + 7 * numbers})
    schema = Schema.fit(table, "y", ColumnsRecipe())
    rows = (schema.encode(table.take(np.arange(start, start + 80))) for start in (0, 80, 160))
    parts = Parts(*rows)
    answers, expected = answer_grove(schema, parts, lambda inputs: 2 * inputs.numeric)
    assert (answers - expected).abs().mean() < 0.1 * expected.abs().mean()
