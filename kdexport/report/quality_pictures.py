"""Pictures of quality: who scores what, how much of the edge is kept, at what cost, how exactly.

Takes evidence, gives `Picture`s. Draws with altair; measures nothing.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt

from kdexport.evidence.facts import Evidence
from kdexport.evidence.latency_facts import FLOOR
from kdexport.evidence.parity import find_tolerance
from kdexport.report.drawing import (
    INK,
    ROW_HEIGHT,
    SOFT,
    Picture,
    Scales,
    finish_chart,
    layer_charts,
    make_data,
)
from kdexport.report.figures import (
    style_metric,
    title_metric,
    write_bytes,
    write_interval,
    write_metric,
    write_percent,
    write_value,
)
from kdexport.report.grids import (
    MAIN_METRICS,
    Grid,
    describe_role,
    describe_tolerances,
    find_control,
    list_roles,
    make_edge_grid,
    make_parity_grid,
)

LEAST = 1e-12  # where a difference of exactly 0 is drawn on a log scale


def draw_quality(evidence: Evidence, metric: str) -> Picture:
    """One line per role: the interval, the mean, and each replicate."""
    style = style_metric(metric)
    roles = [role for role in list_roles(evidence) if metric in evidence.quality[role]]
    means, replicates, cells = [], [], []
    for role in roles:
        found = evidence.quality[role][metric]
        row = {"role": role, "value": style.scale * found.value}
        row |= {"low": style.scale * found.low, "high": style.scale * found.high}
        means.append({**row, "said": f"{role}: {write_metric(metric, found)}"})
        own = evidence.replicates.get(role, {}).get(metric, [])
        replicates += [
            {
                "role": role,
                "value": style.scale * value,
                "said": f"{role} {i + 1}: {write_value(metric, value)}",
            }
            for i, value in enumerate(own)
            if len(own) > 1
        ]
        cells.append((describe_role(evidence, role), write_metric(metric, found)))
    x = alt.X("value:Q", title=title_metric(metric), scale=alt.Scale(zero=False))
    chart = _draw_intervals(means, replicates, x, "role", roles)
    better = f" {style.better.capitalize()} is better." if style.better else ""
    return Picture(
        f"quality-{metric}",
        f"Quality: {style.title}",
        "Filled mark: mean; line: 95 % interval; hollow circles: each trained replicate. The edge "
        f"is the distance from control to teacher.{better}",
        finish_chart(chart, height=ROW_HEIGHT * len(roles)),
        Grid(style.title, ("", title_metric(metric)), tuple(cells)),
    )


def draw_recovered(evidence: Evidence) -> Picture:
    """The recovered share by metric, with its interval and each replicate's own share."""
    means: list[dict[str, Any]] = []
    replicates: list[dict[str, Any]] = []
    for metric, share in evidence.recovered.items():
        title = style_metric(metric).title
        means.append(
            {
                "metric": title,
                "value": 100 * share.value,
                "low": 100 * share.low,
                "high": 100 * share.high,
                "said": f"{title}: {write_percent(share)}",
            }
        )
        control = evidence.quality[find_control(evidence, metric)][metric].value
        edge = evidence.quality["teacher"][metric].value - control
        own = evidence.replicates.get("student", {}).get(metric, [])
        replicates += [
            {
                "metric": title,
                "value": 100 * (value - control) / edge,
                "said": f"{title}, replicate {i + 1}: {100 * (value - control) / edge:.1f} %",
            }
            for i, value in enumerate(own)
            if edge and evidence.edge[metric].value
        ]
    titles = [row["metric"] for row in means]
    asked = next(iter(evidence.recovered.values())).asked_share
    marks = {"asked": 100 * asked, "teacher": 100.0}
    if any(row["low"] < 50 for row in means):
        marks["control"] = 0.0
    rules = alt.Chart(make_data([{"at": at, "name": name} for name, at in marks.items()]))
    x = alt.X("value:Q", title="share of the edge, %", scale=alt.Scale(zero=False))
    layers = layer_charts(
        rules.mark_rule(color=SOFT, strokeDash=[3, 3]).encode(x="at:Q"),
        rules.mark_text(color=INK, dy=-8).encode(x="at:Q", y=alt.value(0), text="name:N"),
        _draw_intervals(means, replicates, x, "metric", titles, roles=["student"] * len(titles)),
    )
    return Picture(
        "recovered",
        "Recovered edge",
        "0 % is the control, 100 % the teacher. Filled mark: the student, mean over replicates; "
        "line: 95 % interval; hollow circles: each replicate by itself.",
        finish_chart(layers, height=60 + ROW_HEIGHT * len(titles)),
        make_edge_grid(evidence),
    )


def draw_trade_off(evidence: Evidence, metric: str) -> Picture | None:
    """Quality against latency, area by bytes; None where fewer than two files were timed."""
    style, points, cells = style_metric(metric), [], []
    for role in list_roles(evidence):
        file, row = evidence.files.get(f"{role}.onnx"), evidence.latency.find_row(f"{role}.onnx")
        found = evidence.quality[role].get(metric)
        if file is None or row is None or row.p50_us is None or found is None:
            continue
        said = f"{role}, {write_bytes(file.bytes)}"
        cells.append(
            (
                role,
                write_metric(metric, found),
                write_interval(row.p50_us, unit="us"),
                f"{file.bytes:,}",
            )
        )
        points.append(
            {
                "name": said,
                "role": role,
                "us": row.p50_us.value,
                "us_low": row.p50_us.low,
                "us_high": row.p50_us.high,
                "value": style.scale * found.value,
                "low": style.scale * found.low,
                "high": style.scale * found.high,
                "bytes": file.bytes,
                "said": f"{said}: {cells[-1][1]}, {cells[-1][2]}",
            }
        )
    if len(points) < 2:
        return None
    batch = min(row.batch for row in evidence.latency.rows)
    columns = ["", title_metric(metric), f"p50, batch {batch:,}", "bytes"]
    chart = _draw_trade_off(evidence, metric, points)
    control = evidence.quality[find_control(evidence, metric)].get(metric)
    if control is not None:
        cells.append(("control (no file)", write_metric(metric, control), "-", "-"))
    return Picture(
        f"trade-off-{metric}",
        f"Trade-off: {style.title} against latency",
        "Each mark is a file, its area the bytes; lines are intervals (95 % of quality, 99 % of "
        "latency). The dashed line across is the control, the dotted one upright the empty graph.",
        finish_chart(chart),
        Grid("Trade-off", tuple(columns), tuple(cells)),
    )


def _draw_trade_off(
    evidence: Evidence, metric: str, points: list[dict[str, Any]]
) -> alt.LayerChart:
    style = style_metric(metric)
    scales = Scales(*zip(*((point["name"], point["role"]) for point in points), strict=True))
    times = [point["us"] for point in points]
    floor = evidence.latency.find_row(FLOOR)
    upright = [] if floor is None or floor.p50_us is None else [{"us": floor.p50_us.value}]
    times += [row["us"] for row in upright]
    domain = [min(times) / 1.4, max(times) * 1.4]
    x = alt.X(
        "us:Q",
        title="p50 of a call at the smallest batch, us (log)",
        scale=alt.Scale(type="log", domain=domain, nice=False),
        axis=alt.Axis(tickCount=5, format="~g"),
    )
    y = alt.Y("value:Q", title=title_metric(metric), scale=alt.Scale(zero=False))
    base = alt.Chart(make_data(points))
    layers: list[alt.Chart] = [
        base.mark_rule(strokeWidth=2).encode(
            x=x, y=alt.Y("low:Q", title=title_metric(metric)), y2="high:Q", color=scales.colour()
        ),
        base.mark_rule(strokeWidth=2).encode(
            x="us_low:Q", x2="us_high:Q", y=y, color=alt.value(INK)
        ),
        base.mark_point(filled=True, opacity=0.85).encode(
            x=x,
            y=y,
            size=alt.Size("bytes:Q", legend=None, scale=alt.Scale(range=[60, 900])),
            color=scales.colour(),
            shape=scales.shape(),
            tooltip="said:N",
        ),
    ]
    control = evidence.quality[find_control(evidence, metric)].get(metric)
    if control is not None:
        data = make_data([{"value": style.scale * control.value}])
        layers.append(alt.Chart(data).mark_rule(color=SOFT, strokeDash=[6, 3]).encode(y=y))
    if upright:
        data = make_data(upright)
        layers.append(alt.Chart(data).mark_rule(color=SOFT, strokeDash=[2, 2]).encode(x=x))
    return layer_charts(*layers)


def draw_parity(evidence: Evidence) -> Picture:
    """How far each file is from its network, beside what is allowed."""
    rows: list[dict[str, Any]] = []
    relative = "prediction, max" if evidence.signature.is_regression else "logit, max"
    for name, fact in evidence.parity.items():
        tolerance = find_tolerance(evidence, name)
        found = {
            "probability, max": (fact.max_probability_difference, tolerance.probability),
            "probability, mean": (fact.mean_probability_difference, tolerance.probability),
            relative: (fact.max_relative_difference, tolerance.relative),
        }
        rows += [
            {
                "name": name,
                "of": title,
                "value": max(value, LEAST),
                "allowed": allowed,
                "said": f"{name}, {title}: {value:.1e}",
            }
            for title, (value, allowed) in found.items()
            if value is not None
        ]
    scales = Scales(tuple(evidence.parity))
    titles = list(dict.fromkeys(row["of"] for row in rows))
    lowest = min([row["value"] for row in rows], default=LEAST) / 3
    highest = 10 * max([max(row["value"], row["allowed"]) for row in rows], default=LEAST)
    scale = alt.Scale(type="log", domain=[lowest, highest], nice=False)
    axis = alt.Axis(format=".0e", tickCount=5)
    y = alt.Y("of:N", title=None, sort=titles, axis=alt.Axis(labelLimit=110))
    base = alt.Chart(make_data(rows))
    x = alt.X("value:Q", title="difference (log)", scale=scale, axis=axis)
    chart = layer_charts(
        base.mark_tick(thickness=3, size=30, color=INK).encode(
            x=alt.X("allowed:Q", title="difference (log)", scale=scale, axis=axis), y=y
        ),
        base.mark_point(filled=True, size=110, opacity=0.85).encode(
            x=x, y=y, color=scales.colour(), shape=scales.shape(), tooltip="said:N"
        ),
    )
    return Picture(
        "parity",
        "Parity: how far each file is from its network",
        "Each mark is a file; the upright bars are the tolerances. "
        f"{describe_tolerances(evidence)} "
        "A file beyond them is not written. Exactly 0 is drawn at 1e-12.",
        finish_chart(chart, height=60 + ROW_HEIGHT * len(titles)),
        make_parity_grid(evidence),
    )


def draw_quality_pictures(evidence: Evidence) -> list[Picture]:
    """Every picture of quality that the evidence has the figures for."""
    leading = list(evidence.recovered)[:MAIN_METRICS]
    trade_offs = [draw_trade_off(evidence, metric) for metric in leading]
    pictures = [picture for picture in trade_offs if picture is not None]
    pictures.append(draw_recovered(evidence))
    pictures += [draw_quality(evidence, metric) for metric in leading]
    return [*pictures, draw_parity(evidence)]


def _draw_intervals(
    means: list[dict[str, Any]],
    replicates: list[dict[str, Any]],
    x: alt.X,
    field: str,
    names: list[str],
    roles: Sequence[str] = (),
) -> alt.LayerChart:
    """Intervals, means and replicates, one line per name."""
    scales = Scales(tuple(names), tuple(roles))
    y = alt.Y(f"{field}:N", title=None, sort=names, axis=alt.Axis(labelLimit=110))
    base = alt.Chart(make_data(means))
    low = x.copy()
    low["shorthand"] = "low:Q"
    return layer_charts(
        base.mark_rule(strokeWidth=2, color=INK).encode(x=low, x2="high:Q", y=y),
        alt.Chart(make_data(replicates))
        .mark_point(filled=False, size=70, color=INK)
        .encode(x=x, y=y, tooltip="said:N"),
        base.mark_point(filled=True, size=130).encode(
            x=x,
            y=y,
            color=scales.colour(field).legend(None),
            shape=scales.shape(field).legend(None),
            tooltip="said:N",
        ),
    )
