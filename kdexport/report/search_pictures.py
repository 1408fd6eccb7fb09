"""The picture of a search: recovered edge against bytes, the front drawn through it.

Takes evidence, gives `Picture`s; none where the student's shape was given, or where no student has
an edge to recover. Draws with altair.
"""

from typing import Any

import altair as alt

from kdexport.evidence.facts import Evidence
from kdexport.evidence.front import list_measured
from kdexport.report.drawing import SOFT, Picture, Scales, finish_chart, layer_charts, make_data
from kdexport.report.figures import write_percent
from kdexport.report.search_grids import make_search_grids

FAMILIES = {"network": "networks", "trees": "small trees"}


def draw_search_pictures(evidence: Evidence) -> list[Picture]:
    """Return the front of a search, where there was one."""
    if evidence.search is None:
        return []
    metric = next(iter(evidence.recovered))
    points: list[dict[str, Any]] = [
        {
            "name": FAMILIES[one.family],
            "bytes": one.bytes,
            "value": 100 * share.value,
            "low": 100 * share.low,
            "high": 100 * share.high,
            "on_front": one.is_on_front,
            "said": f"{one.name}, {one.bytes:,} bytes: {write_percent(share)}",
        }
        for one in list_measured(evidence.search.candidates)
        if (share := one.recovered.get(metric)) is not None and share.verdict != "NO_EDGE"
    ]
    if not points:
        return []
    sizes = [point["bytes"] for point in points]
    x = alt.X(
        "bytes:Q",
        title="bytes of the file (log)",
        scale=alt.Scale(type="log", domain=[min(sizes) / 1.3, max(sizes) * 1.3], nice=False),
        axis=alt.Axis(tickCount=5, format="~s"),
    )
    title = f"recovered edge, {metric.replace('_', ' ')}, %"
    lowest = min(-10.0, max(-100.0, min(point["value"] for point in points)))
    scale = alt.Scale(domain=[lowest, 120.0], clamp=True, nice=False)
    y = alt.Y("value:Q", title=title, scale=scale)
    scales = Scales(tuple(FAMILIES.values()), ("student", "rival"))
    base = alt.Chart(make_data(points))
    front = make_data([point for point in points if point["on_front"]])
    chart = layer_charts(
        alt.Chart(front).mark_line(color=SOFT, strokeDash=[3, 3]).encode(x=x, y=y),
        base.mark_rule(strokeWidth=2).encode(
            x=x, y=alt.Y("low:Q", title=title, scale=scale), y2="high:Q", color=scales.colour()
        ),
        base.mark_point(filled=True, opacity=0.85, size=90).encode(
            x=x, y=y, color=scales.colour(), shape=scales.shape(), tooltip="said:N"
        ),
    )
    return [
        Picture(
            "search",
            "The search: recovered edge against bytes",
            "Each mark is a student as it would ship, with its 95 % interval on the test rows "
            "(cut at the picture's edge), where there is an edge; the dashed line joins those on "
            "the front, which validation rows chose.",
            finish_chart(chart),
            make_search_grids(evidence)[0],
        )
    ]
