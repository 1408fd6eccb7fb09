"""report.html in a real browser."""

import os
import re
from collections.abc import Callable

import pytest

from kdexport.evidence.facts import Evidence
from tests.browser.conftest import Open
from tests.report import variants
from tests.report.variants import ROOT, clicks, shipped

pytestmark = pytest.mark.browser

PHONE = 360
IMAGES = ROOT / "docs/images"
VARIANTS: list[Callable[[], Evidence]] = [
    variants.clicks,
    variants.hostile,
    variants.regression,
    variants.with_rival,
    variants.with_slices,
    variants.with_learning,
    lambda: variants.with_learning(is_positive=False),
    variants.without_teacher,
    variants.with_histogram,
]
COLOURS = """() => {
  const page = getComputedStyle(document.documentElement).backgroundColor;
  const text = document.querySelector('.chart svg .role-axis-label text');
  const mark = document.querySelector('#batches svg .mark-symbol.role-mark path');
  return [page, getComputedStyle(text).fill, getComputedStyle(mark).fill];
}"""
MARKS = """(name) => {
  const count = (kind) => document.querySelectorAll(
    `[id="${name}"] svg .${kind}.role-mark path, [id="${name}"] svg .${kind}.role-mark line`
  ).length;
  return [count('mark-symbol'), count('mark-line'), count('mark-rule')];
}"""


@pytest.mark.parametrize("make", VARIANTS)
def test_it_opens_quietly_and_alone(make: Callable[[], Evidence], open_report: Open) -> None:
    """No console message, no error, no request but for the file itself, and no script of others."""
    opened = open_report(make())
    assert opened.said == []
    assert opened.asked == [opened.path.as_uri()]
    assert opened.ask("window.hacked") is None
    charts = opened.ask("document.querySelectorAll('.chart').length")
    assert (
        opened.ask("document.querySelectorAll('.chart > svg, .chart svg.marks').length") == charts
    )
    assert charts >= 6


def test_charts_hold_their_marks(open_report: Open) -> None:
    """Every candidate, replicate and metric is drawn: marks are counted."""
    opened = open_report(clicks())
    expected = {
        "trade-off-accuracy": (2, 0, 6),  # two files; two intervals each, control, floor
        "trade-off-log_loss": (2, 0, 6),
        "recovered": (3 + 15, 0, 3 + 2),  # means and replicates; intervals, asked and teacher
        "quality-accuracy": (3 + 10, 0, 3),
        "quality-log_loss": (3 + 10, 0, 3),
        "parity": (2 * 3, 0, 0),
        "calls-1": (0, 4, 0),
        "calls-1024": (0, 4, 0),
        "batches": (3 * 2, 3, 3 * 2),
        "rate": (2 * 2, 2, 2 * 2),
    }
    found = {name: tuple(opened.page.evaluate(MARKS, name)) for name in expected}
    assert found == expected
    drawn = opened.ask("[...document.querySelectorAll('figure')].map((f) => f.id)")
    assert sorted(drawn) == sorted(expected)


def test_training_is_drawn_where_it_was_kept(open_report: Open) -> None:
    """Every bin of confidence with its interval, and a curve with its band for each role."""
    opened = open_report(variants.with_learning())
    assert opened.page.evaluate(MARKS, "calibration") == [5, 1, 5]  # bins, diagonal, intervals
    assert opened.page.evaluate(MARKS, "training") == [0, 3, 0]
    bands = "document.querySelectorAll('[id=training] svg .mark-area.role-mark path').length"
    assert opened.ask(bands) == 3


def test_both_themes_can_be_read(open_report: Open) -> None:
    """Labels and marks stand out from the page by 4.5 and 3 to 1, in light, in dark, on paper."""
    for scheme in ("light", "dark"):
        opened = open_report(clicks(), scheme=scheme)
        page, text, mark = opened.ask(COLOURS)
        assert (luminance(page) > 0.5) == (scheme == "light")
        assert contrast(page, text) >= 4.5
        assert contrast(page, mark) >= 3
    opened.page.emulate_media(media="print", color_scheme="dark")
    page, text, mark = opened.ask(COLOURS)
    assert page == "rgb(255, 255, 255)"
    assert contrast(page, text) >= 4.5
    assert contrast(page, mark) >= 3


@pytest.mark.parametrize(
    "make", [variants.clicks, variants.hostile, variants.with_slices, variants.with_learning]
)
def test_a_phone_shows_it_without_scrolling_sideways(
    make: Callable[[], Evidence], open_report: Open
) -> None:
    """At 360 pixels the page is as wide as the screen, and no chart is cut off."""
    opened = open_report(make(), width=PHONE)
    assert opened.ask("document.documentElement.scrollWidth") == PHONE
    cut = "[...document.querySelectorAll('.chart svg *')].filter((e) => "
    cut += "e.getBoundingClientRect().right > innerWidth).map((e) => e.outerHTML.slice(0, 300))"
    assert opened.ask(cut) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(scheme: str, axe: str, open_report: Open) -> None:
    """axe-core has no serious or critical complaint, tables behind pictures open."""
    opened = open_report(clicks(), scheme=scheme)
    opened.ask("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    opened.ask(axe)
    found = opened.ask("axe.run(document).then((result) => result.violations)")
    faults = [(f["id"], f["nodes"][0]["html"][:120]) for f in found]
    assert not [f for f in found if f["impact"] in ("serious", "critical")], faults


def test_the_keyboard_reaches_everything(open_report: Open) -> None:
    """The first stop skips to the figures; the numbers behind a picture open by the keyboard."""
    opened = open_report(clicks())
    opened.page.keyboard.press("Tab")
    assert opened.ask("document.activeElement.className") == "skip"
    opened.page.keyboard.press("Enter")
    assert opened.ask("location.hash") == "#main"
    opened.page.locator("#recovered summary").focus()
    opened.page.keyboard.press("Enter")
    assert opened.ask("document.querySelector('#recovered details').open")
    assert opened.page.locator("#recovered details table").is_visible()


def test_every_picture_has_words(open_report: Open) -> None:
    """A screen reader hears what each picture shows, and finds its numbers as a table."""
    opened = open_report(clicks())
    names = opened.ask("[...document.querySelectorAll('.chart')].map((c) => c.ariaLabel)")
    assert all(len(name) > 60 for name in names)
    tables = opened.ask("document.querySelectorAll('figure details table').length")
    assert tables == len(names)


@pytest.mark.skipif("KDEXPORT_SCREENSHOTS" not in os.environ, reason="make screenshots keeps them")
def test_screenshots(open_report: Open) -> None:
    """docs/images shows the first screen in both themes, and the pictures."""
    for scheme in ("light", "dark"):
        opened = open_report(shipped(), scheme=scheme, width=1100)
        opened.page.screenshot(path=IMAGES / f"report-{scheme}.png")
    opened = open_report(shipped(), width=1100)
    opened.page.locator(".pictures").screenshot(path=IMAGES / "pictures.png")


def luminance(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)` as WCAG 2 defines it."""
    red, green, blue = (int(part) / 255 for part in re.findall(r"\d+", colour)[:3])
    parts = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (red, green, blue)
    ]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(first: str, second: str) -> float:
    """Contrast of two colours, from 1 to 21."""
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)
