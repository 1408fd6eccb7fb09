"""A search in the terminal, the Markdown and the HTML page."""

import json
import re

import altair as alt

from kdexport.evidence.facts import Evidence, QuantizedFact
from kdexport.evidence.front import mark_front
from kdexport.evidence.search_facts import SearchFact
from kdexport.evidence.shape import Interval, Recovered
from kdexport.report.front import render_search
from kdexport.report.pages import render_markdown
from kdexport.report.search_grids import make_search_grids
from kdexport.report.search_pictures import draw_search_pictures
from tests.evidence.test_front import CANDIDATES
from tests.report.test_terminal import show
from tests.report.variants import SHA256, clicks

CHOSEN, USUAL, ADVICE = "16-16", "64-32", "Closest to the teacher: 64-32."


def make_search() -> SearchFact:
    """A search among candidates of made-up figures, 16-16 chosen."""
    share = Recovered(
        value=0.81, low=0.74, high=0.9, verdict="INCONCLUSIVE", asked_share=0.9, rows_to_settle=None
    )
    measured = [
        one if one.bytes is None else one.model_copy(update={"recovered": {"accuracy": share}})
        for one in mark_front(CANDIDATES)
    ]
    return SearchFact(
        rule="the smallest that keeps 80 %",
        chosen=CHOSEN,
        usual=USUAL,
        teacher_rows=120_000,
        candidates=measured,
        advice=[ADVICE],
    )


def with_search() -> Evidence:
    """A bundle whose student a search chose."""
    return clicks().model_copy(update={"search": make_search()})


def test_a_bundle_without_a_search_says_nothing_of_one() -> None:
    """No grid, no picture, no word."""
    assert make_search_grids(clicks()) == []
    assert draw_search_pictures(clicks()) == []
    assert "The search" not in render_markdown(clicks(), SHA256)


def test_pages_have_the_front() -> None:
    """The table has every finalist and how many were tried, the picture a mark for each."""
    (grid,) = make_search_grids(with_search())
    names = [row[0] for row in grid.rows]
    assert "16-16 (front, ships)" in names
    assert "64-32 (front, usual)" in names
    assert all(len(row) == len(grid.columns) for row in grid.rows)
    assert "Chosen among 7" in grid.note
    assert "Not trained to the end: 24-16." in grid.note
    markdown = render_markdown(with_search(), SHA256)
    assert "The search" in markdown
    assert ADVICE in markdown
    (picture,) = draw_search_pictures(with_search())
    alt.Chart.from_dict(dict(picture.spec))
    drawn = json.dumps(picture.spec)
    assert all(one.name in drawn for one in CANDIDATES if one.bytes is not None)


def test_no_share_is_minus_nothing() -> None:
    """A share just below 0 that rounds to 0 has no sign."""
    share = Interval(value=-0.0001, low=-0.04, high=0.001)
    fact = make_search()
    one = fact.candidates[0]
    recovered = {"accuracy": one.recovered["accuracy"].model_copy(update=share.model_dump())}
    edited = one.model_copy(update={"share": -0.001, "recovered": recovered})
    said = show(render_search(fact.model_copy(update={"candidates": [edited]})), 140)
    assert "0.0 [-4.0, 0.1]" in " ".join(said.split())
    assert " 0%" in said
    assert not re.search(r"-0(\.0)?[ %,\]]", said)


def test_terminal() -> None:
    """The table marks what ships, the plot has a bar for each student on the front."""
    said = show(render_search(make_search()), 140)
    assert "16-16 is chosen among 7 students" in said
    assert "16-16 * <- ships" in said
    assert "64-32 * (usual)" in said
    assert "81 [74, 90]" in said
    assert ADVICE in said
    assert said.count("bytes |") == sum(one.is_on_front for one in mark_front(CANDIDATES))


def test_a_share_of_no_edge_is_none() -> None:
    """Where the teacher is no better than a student's control, no page has a share of it: it would
    lie close to 1, and surely so, where both fall short of the control.
    """
    fact = make_search()
    first, second, *others = fact.candidates
    share = first.recovered["accuracy"].model_copy(update={"verdict": "NO_EDGE"})
    one = first.model_copy(update={"recovered": {"accuracy": share}})
    some = fact.model_copy(update={"candidates": [one, second, *others]})
    evidence = clicks().model_copy(update={"search": some})
    (grid,) = make_search_grids(evidence)
    assert [row[-1] for row in grid.rows[:2]] == ["no edge", "81 % [74, 90]"]
    (picture,) = draw_search_pictures(evidence)
    drawn = json.dumps(picture.spec)
    assert f"{first.name}, " not in drawn
    assert f"{second.name}, " in drawn
    alone = fact.model_copy(update={"candidates": [one]})
    assert "no edge" in show(render_search(alone), 140)
    assert draw_search_pictures(clicks().model_copy(update={"search": alone})) == []


def test_what_ships_in_int8() -> None:
    """In a bundle of `kdexport quantize`, what ships is the int8 of the one that was chosen."""
    fact = QuantizedFact.model_construct()
    (grid,) = make_search_grids(with_search().model_copy(update={"quantized": fact}))
    assert [row[0] for row in grid.rows if "ships" in row[0]] == ["16-16 (front, ships in int8)"]
