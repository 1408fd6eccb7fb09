"""Evidence in the terminal."""

import re
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from kdexport.bundle import load_bundle
from kdexport.evidence.facts import Evidence, SliceFact, SlicesFact
from kdexport.evidence.shape import Interval
from kdexport.kinds import Decision, Description
from kdexport.report.columns import render_columns
from kdexport.report.figures import round_interval, style_metric, write_difference, write_percent
from kdexport.report.pages import render_markdown
from kdexport.report.terminal import render_evidence
from tests.evidence.records import add_plain_control, add_rival, make_interval
from tests.report.variants import with_slices

WIDTH = 80


def show(shown: Evidence | RenderableType, width: int = WIDTH) -> str:
    """Return what a terminal shows."""
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(render_evidence(shown) if isinstance(shown, Evidence) else shown)
    return capture.get()


def test_no_rival(bundle_path: Path) -> None:
    """Nothing is said of a rival or a second control that was not trained."""
    said = show(load_bundle(bundle_path).evidence)
    assert "rival" not in said
    assert "plain recipe" not in said
    assert "worst of" not in said


def test_worst_slice(bundle_path: Path) -> None:
    """The slice of the largest shortfall is named with its rows and its interval."""
    part = SliceFact(
        column="town",
        value="= 'B'",
        rows=77,
        teacher=0.2,
        student=0.3,
        shortfall=make_interval(0.05, 0.15),
    )
    slices = SlicesFact(
        n_slices=9, n_left_out=0, n_worse={"log_loss": 1}, worst={"log_loss": [part]}, classes=[]
    )
    evidence = load_bundle(bundle_path).evidence.model_copy(update={"slices": slices})
    text = " ".join(show(evidence).split())
    assert "worst of 9 slices beside the teacher: town = 'B', log loss 0.3 nats for" in text
    assert "0.2 nats on 77 rows: worse by 0.10 nats [0.05, 0.15]; worse beyond chance on 1" in text


def test_names_move_no_cursor() -> None:
    """A table or column named by an attacker cannot clear the screen or write lines of its own."""
    evidence = with_slices()
    source = "\x1b[2Jnone\nRECOVERED: all of it"
    task = evidence.task.model_copy(update={"source": source})
    said = show(evidence.model_copy(update={"task": task}))
    assert "\x1b" not in said
    assert said.startswith(r"\x1b[2Jnone\nRECOVERED")


def test_columns_are_shown_as_they_are_named() -> None:
    """Neither are brackets markup, nor do control characters reach the terminal."""
    name = "\x1b[2J[bold]a\nb"
    decision = Decision(name=name, kind="number", why=name, n_missing=0, n_distinct=1)
    description = Description(
        source=name,
        n_rows=1,
        target="y",
        goal="regression",
        why="numbers",
        classes=(),
        columns=[decision],
    )
    said = show(render_columns(description))
    assert said.count(r"\x1b[2J[bold]a\nb") == 3
    assert "\x1b" not in said


def test_figures_are_those_of_the_report(bundle_path: Path) -> None:
    """Quality, recovered edge and times are rounded as the report rounds them."""
    evidence = load_bundle(bundle_path).evidence
    text = " ".join(show(evidence).split())
    report = render_markdown(evidence, "0" * 64)
    for metric in ("accuracy", "log_loss"):
        for said in (
            write_percent(evidence.recovered[metric]),
            write_difference(metric, evidence.edge[metric]),
        ):
            assert said in text
            assert said in report
        scale = style_metric(metric).scale
        value, low, high = round_interval(evidence.quality["teacher"][metric], scale=scale)
        assert f" {value} " in text
        assert f" {low} " in text
        assert f" {high} " in text
        assert f"{value} [{low}, {high}]" in report


@pytest.mark.parametrize("is_native", [False, True])
def test_rival(bundle_path: Path, is_native: bool) -> None:
    """The verdict names the rival, and says what each of the two wins."""
    said = show(add_rival(load_bundle(bundle_path).evidence, is_native=is_native))
    text = " ".join(said.split())
    assert "rival, boosted trees: SHIP THE RIVAL" in text
    assert "the rival wins accuracy" in text
    assert ("the student wins bytes" in text) != is_native
    assert "p50 us, batch 1 (" in text
    assert ("in its own library" in text) == is_native
    assert "…" not in said


def test_no_figure_is_cut(bundle_path: Path) -> None:
    """Figures of many digits are whole in 80 columns, and folded in fewer; each bound is a number
    of its own, so that no minus is taken for a dash.
    """
    evidence = add_rival(load_bundle(bundle_path).evidence)
    wide = Interval(value=123456789.0, low=123456788.54, high=123456789.44)
    below = Interval(value=-0.05, low=-0.138, high=-0.027)
    quality = {
        role: {**facts, "accuracy": below, "log_loss": wide}
        for role, facts in evidence.quality.items()
    }
    evidence = evidence.model_copy(update={"quality": quality})
    said = show(evidence)
    assert re.search(r"95 % from( +-14){4}", said)
    assert re.search(r"to( +-3){4}", said)
    assert re.search(r"95 % from( +123,456,788.5){4}", said)
    assert re.search(r"to( +123,456,789.4){4}", said)
    for width in (WIDTH, WIDTH // 2):
        said = show(evidence, width)
        assert "…" not in said
        assert max(map(len, said.splitlines())) <= width


def test_second_control(bundle_path: Path) -> None:
    """Of two controls it is said which counts, and what the other has."""
    text = " ".join(show(add_plain_control(load_bundle(bundle_path).evidence)).split())
    assert "control in accuracy: the student's own recipe, the better one" in text
    assert "on the test rows; the plain recipe: " in text
