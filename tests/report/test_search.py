"""A search in the terminal, the Markdown and the HTML page."""

import json

import altair as alt
from rich.console import Console

from kdexport.evidence.facts import Evidence
from kdexport.evidence.front import mark_front
from kdexport.evidence.search_facts import SearchFact
from kdexport.evidence.shape import Recovered
from kdexport.report.front import render_search
from kdexport.report.pages import render_markdown
from kdexport.report.search_grids import make_search_grids
from kdexport.report.search_pictures import draw_search_pictures
from tests.evidence.test_front import CANDIDATES
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


def test_terminal() -> None:
    """The table marks what ships, the plot has a bar for each student on the front."""
    console = Console(width=140, color_system=None)
    with console.capture() as capture:
        console.print(render_search(make_search()))
    said = capture.get()
    assert "16-16 is chosen among 7 students" in said
    assert "16-16 * <- ships" in said
    assert "64-32 * (usual)" in said
    assert ADVICE in said
    assert said.count("bytes |") == sum(one.is_on_front for one in mark_front(CANDIDATES))
