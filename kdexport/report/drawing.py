"""What every picture shares: how it is finished, its colours, and the numbers behind it.

Takes altair charts, gives `Picture`s. Colours are the page's own variables, so that one drawing
follows the reader's theme and the printer without being drawn again. Data stand in the
specification; text of the user enters as data only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from kdexport.evidence.latency_facts import FLOOR, is_again
from kdexport.report.grids import Grid

INK, SOFT, RULE = "var(--ink)", "var(--soft)", "var(--rule)"
HEIGHT = 260
ROW_HEIGHT = 44
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 4], [1, 3])
N_SPARE = 4
MAX_BESIDE = 16  # letters of names that stand beside each other above a chart on a phone
LABEL_PIXELS = {1: 200, 2: 100}
OWN_COLOURS = {
    "teacher": "var(--teacher)",
    "student": "var(--student)",
    "control": "var(--control)",
    "rival": "var(--rival)",
    FLOOR: "var(--floor)",
}
FONT = "system-ui, sans-serif"
CONFIG: dict[str, Any] = {
    "aria": False,  # the page names each picture and gives its numbers as a table
    "background": "transparent",
    "font": FONT,
    "view": {"stroke": "transparent"},
    "axis": {
        "labelColor": SOFT,
        "titleColor": INK,
        "gridColor": RULE,
        "domainColor": SOFT,
        "tickColor": SOFT,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "legend": {
        "labelColor": INK,
        "titleColor": INK,
        "labelFontSize": 12,
        "orient": "top",
        "symbolSize": 90,
    },
}


@dataclass(frozen=True)
class Picture:
    """A chart of the HTML page.

    Attributes:
        name: Its anchor.
        title: What it shows.
        text: What a reader sees in it, in words; also what a screen reader says.
        spec: A Vega-Lite specification.
        grid: The numbers behind it.
    """

    name: str
    title: str
    text: str
    spec: Mapping[str, Any]
    grid: Grid


@dataclass(frozen=True)
class Scales:
    """Colour, shape and dash of candidates or roles, the same in every picture.

    Attributes:
        names: As the data and the legend have them.
        roles: Whose colours they take, where that is not their own name.
    """

    names: tuple[str, ...]
    roles: tuple[str, ...] = ()

    def colour(self, field: str = "name") -> alt.Color:
        colours = [find_colour(name, i) for i, name in enumerate(self.roles or self.names)]
        n_columns = 2 if all(len(name) <= MAX_BESIDE for name in self.names) else 1
        legend = alt.Legend(columns=n_columns, labelLimit=LABEL_PIXELS[n_columns])
        scale = self._scale(colours)
        return alt.Color(field=field, type="nominal", title=None, scale=scale, legend=legend)

    def shape(self, field: str = "name") -> alt.Shape:
        shapes = [SHAPES[i % len(SHAPES)] for i in range(len(self.names))]
        return alt.Shape(field=field, type="nominal", title=None, scale=self._scale(shapes))

    def dash(self, field: str = "name") -> alt.StrokeDash:
        dashes = [DASHES[i % len(DASHES)] for i in range(len(self.names))]
        return alt.StrokeDash(field=field, type="nominal", title=None, scale=self._scale(dashes))

    def _scale(self, values: Sequence[Any]) -> alt.Scale:
        return alt.Scale(domain=list(self.names), range=list(values))


def find_colour(name: str, position: int) -> str:
    """Return the colour of a role or of its file; others take turns."""
    if is_again(name):
        return "var(--again)"
    return OWN_COLOURS.get(name.removesuffix(".onnx"), f"var(--spare-{position % N_SPARE})")


def make_data(rows: Sequence[Mapping[str, Any]]) -> alt.InlineData:
    """Return rows as data that stand inside the specification."""
    return alt.InlineData(values=[dict(row) for row in rows])


def layer_charts(*charts: alt.Chart | alt.LayerChart) -> alt.LayerChart:
    """Return charts drawn over one another, the first one at the bottom."""
    return alt.LayerChart(layer=list(charts))


def finish_chart(chart: alt.Chart | alt.LayerChart, *, height: int = HEIGHT) -> dict[str, Any]:
    """Return a chart's specification: as wide as the page lets it be, in the page's colours."""
    sized = chart.properties(width="container", height=height)
    spec: dict[str, Any] = sized.to_dict(validate=False)
    spec["config"] = CONFIG
    spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    return spec
