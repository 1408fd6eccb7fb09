"""A picture of where the student falls short of the teacher, slice by slice.

Takes evidence, gives `Picture`s. Draws with altair; measures nothing.
"""

from typing import Any

import altair as alt

from kdexport.evidence.facts import Evidence, SliceFact
from kdexport.report.comparison_grids import make_comparison_grids
from kdexport.report.drawing import INK, SOFT, Picture, finish_chart, layer_charts, make_data
from kdexport.report.figures import style_metric, write_difference

ROW_HEIGHT = 28
BESIDE_ROWS = 60
MAX_SLICES = 12


def draw_slice_pictures(evidence: Evidence) -> list[Picture]:
    """Return the worst slices in the leading metric; nothing where none were looked at."""
    if evidence.slices is None:
        return []
    metric, worst = next(iter(evidence.slices.worst.items()), ("", []))
    if not worst:
        return []
    title = f"Worst slices: {style_metric(metric).title}"
    (grid,) = [grid for grid in make_comparison_grids(evidence) if grid.title == title]
    return [
        Picture(
            "slices",
            title,
            "How much worse the student is than the teacher on rows that share a value. Lines are "
            "95 % intervals for all slices together: right of 0 it is worse beyond chance.",
            _draw_slices(metric, worst[:MAX_SLICES]),
            grid,
        )
    ]


def _draw_slices(metric: str, worst: list[SliceFact]) -> dict[str, Any]:
    style = style_metric(metric)
    rows = [
        {
            "slice": f"{part.column} {part.value}",
            "value": style.scale * part.shortfall.value,
            "low": style.scale * part.shortfall.low,
            "high": style.scale * part.shortfall.high,
            "said": f"{part.column} {part.value}: {write_difference(metric, part.shortfall)}",
        }
        for part in worst
    ]
    unit = f", {style.difference_unit}" if style.difference_unit else ""
    title = f"worse by{unit}"
    names = list(dict.fromkeys(str(row["slice"]) for row in rows))
    y = alt.Y("slice:N", title=None, sort=names, axis=alt.Axis(labelLimit=110))
    base = alt.Chart(make_data(rows))
    chart = layer_charts(
        alt.Chart(make_data([{"at": 0}])).mark_rule(color=SOFT, strokeDash=[3, 3]).encode(x="at:Q"),
        base.mark_rule(strokeWidth=2, color=INK).encode(
            x=alt.X("low:Q", title=title), x2="high:Q", y=y
        ),
        base.mark_point(filled=True, size=90, color="var(--student)", opacity=1).encode(
            x=alt.X("value:Q", title=title), y=y, tooltip="said:N"
        ),
    )
    return finish_chart(chart, height=BESIDE_ROWS + ROW_HEIGHT * len(rows))
