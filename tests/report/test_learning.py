"""What a report says of calibration and of how training went."""

import json
from typing import Any

import pytest

from kdexport.report.learning_grids import make_learning_grids
from kdexport.report.learning_pictures import draw_learning_pictures
from kdexport.report.pages import render_html, render_markdown
from tests.report.variants import SHA256, clicks, regression, with_learning


def find_keys(spec: Any, key: str) -> list[Any]:
    """Every value under a key, however deep."""
    if isinstance(spec, dict):
        return [v for k, v in spec.items() if k == key] + find_keys(list(spec.values()), key)
    return [one for part in spec for one in find_keys(part, key)] if isinstance(spec, list) else []


def test_nothing_is_said_where_nothing_was_kept() -> None:
    """Evidence from before has no such table, sentence, column or picture."""
    assert make_learning_grids(clicks()) == []
    assert draw_learning_pictures(clicks()) == []
    text = render_markdown(clicks(), SHA256)
    for word in ("Calibration", "Training", "student minus control |", "Student minus control"):
        assert word not in text, word
    assert 'id="calibration"' not in render_html(clicks(), SHA256)


def test_tables() -> None:
    """Bins have counts and intervals; curves their first, lowest and last look."""
    calibration, training = make_learning_grids(with_learning())
    assert calibration.rows[0] == ("teacher", "55.0 %", "55 % [52, 58]", "900")
    assert [row[0] for row in calibration.rows] == ["teacher"] * 2 + ["student"] * 3
    student, control = training.rows[1:]
    assert student[1] == "the teacher's answers"
    assert student[3] == student[4] == "0.0987 [0.08883, 0.1086] at step 1,500"
    assert control[1:] == (
        "labels",
        "0.35 [0.315, 0.385] at step 500",
        "0.1456 [0.131, 0.1602] at step 1,000",
        "0.1678 [0.151, 0.1846] at step 1,500",
    )
    assert "Loss in nats" in training.note


def test_markdown() -> None:
    """Both tables are there, and the gain stands beside the edge it is a share of."""
    text = render_markdown(with_learning(), SHA256)
    assert "| student | 99.0 % | 98.77 % [98.69, 98.84] | 78,900 |" in text
    assert "| metric | edge | student minus control | recovered |" in text
    assert "| accuracy | 1.3 points [0.6, 1.9] | 1.2 points [0.6, 1.9] |" in text
    assert "| log loss | 0.031 nats [0.018, 0.043] | - |" in text
    assert "Training curves: at each look" in text


def test_numbers_have_their_unit() -> None:
    """Losses of a regression are variances of its target, and it has no calibration."""
    update = {"curves": with_learning().curves}
    (grid,) = make_learning_grids(regression().model_copy(update=update))
    assert "Loss in variances of the target" in grid.note


@pytest.mark.parametrize("is_positive", [True, False])
def test_pictures(is_positive: bool) -> None:
    """Every bin and every look is drawn; a loss of 0 has no logarithm and is drawn straight."""
    pictures = draw_learning_pictures(with_learning(is_positive=is_positive))
    assert [picture.name for picture in pictures] == ["calibration", "training"]
    data = [[len(rows) for rows in picture.spec["datasets"].values()] for picture in pictures]
    assert [sorted(lengths) for lengths in data] == [[2, 5], [8]]  # the diagonal and bins; looks
    assert len(pictures[1].grid.rows) == 8
    assert ("log" in json.dumps(find_keys(pictures[1].spec, "scale"))) == is_positive
