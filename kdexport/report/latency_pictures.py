"""Pictures of latency: how calls are spread, and what a batch costs.

Takes evidence, gives `Picture`s. Draws with altair; measures nothing.
"""

from typing import Any

import altair as alt
import numpy as np

from kdexport.evidence.facts import Evidence
from kdexport.evidence.latency_facts import (
    BIN_WIDTH,
    FLOOR,
    PERCENTILES,
    LatencyFact,
    Percentile,
    RawTimes,
    is_again,
    list_percentiles,
    name_percentile,
    unpack_times,
)
from kdexport.records import Float64
from kdexport.report.drawing import Picture, Scales, finish_chart, layer_charts, make_data
from kdexport.report.figures import Quoted, write_interval
from kdexport.report.grids import ABSENT, Grid

SHARES = (*range(1, 100), 99.5, 99.9)


def draw_latency_pictures(evidence: Evidence) -> list[Picture]:
    """The spread at the smallest and the biggest batch, and the cost of a batch."""
    batches = sorted({row.batch for row in evidence.latency.rows})
    shown = dict.fromkeys([*batches[:1], *batches[-1:]])
    pictures = [draw_distribution(evidence, batch) for batch in shown]
    if len(batches) > 1:
        pictures += [draw_batches(evidence), draw_rate(evidence)]
    return pictures


def draw_distribution(evidence: Evidence, batch: int) -> Picture:
    """For each candidate, the share of calls that were at most so long."""
    rows = [row for row in _plain_rows(evidence) if row.batch == batch]
    points: list[dict[str, Any]] = []
    for row in rows:
        bounded = zip(PERCENTILES.values(), list_percentiles(row), strict=True)
        limit = max((share for share, found in bounded if found), default=0.0)
        shares = [share for share in SHARES if share <= 100 * limit]
        times = measure_quantiles(row.raw, np.array(shares) / 100)
        points += [
            {
                "name": row.name,
                "us": round(float(us), 3),
                "share": share,
                "said": f"{row.name}: {share:g} % of calls within {us:,.1f} us",
            }
            for share, us in zip(shares, times, strict=True)
        ]
    scales = Scales(tuple(row.name for row in rows))
    chart = (
        alt.Chart(make_data(points))
        .mark_line(strokeWidth=2, interpolate="step-after")
        .encode(
            x=alt.X(
                "us:Q",
                title="time of a call, us (log)",
                scale=alt.Scale(type="log"),
                axis=alt.Axis(tickCount=5, format="~g"),
            ),
            y=alt.Y("share:Q", title="calls at most so long, %"),
            color=scales.colour(),
            strokeDash=scales.dash(),
            order="share:Q",
        )
    )
    cells = [
        (Quoted(row.name), f"{row.calls:,}", *map(_percentile, list_percentiles(row)))
        for row in rows
    ]
    heads = [f"{name_percentile(key)}, us" for key in PERCENTILES]
    return Picture(
        f"calls-{batch}",
        f"How long calls take, batch {batch:,}",
        "The further left, the faster; the steeper, the steadier. The floor is an empty graph; "
        "'again' is the same file opened a second time: what differs between the two is chance. "
        "Lines end where the calls no longer support a percentile.",
        finish_chart(chart),
        Grid("Calls", ("candidate", "calls", *heads), tuple(cells)),
    )


def draw_batches(evidence: Evidence) -> Picture:
    """Latency against batch size."""
    rows = [row for row in _plain_rows(evidence) if row.p50_us and not is_again(row.name)]
    points = [
        _batch_point(row, row.p50_us.value, row.p50_us.low, row.p50_us.high, "us")
        for row in rows
        if row.p50_us
    ]
    return Picture(
        "batches",
        "What a batch costs",
        "Median time of a call against the rows in it, with 99 % intervals (often narrower than "
        "the marks); both axes are logarithmic.",
        finish_chart(_draw_by_batch(points, rows, "p50 of a call, us (log)")),
        Grid(
            "Latency by batch",
            ("candidate", "batch", "p50, us"),
            tuple((Quoted(r.name), f"{r.batch:,}", _percentile(r.p50_us)) for r in rows),
        ),
    )


def draw_rate(evidence: Evidence) -> Picture:
    """Rows per second against batch size; an empty graph has no rows to answer."""
    rows = [
        row
        for row in _plain_rows(evidence)
        if row.p50_us and row.p50_us.low > 0 and not is_again(row.name) and row.name != FLOOR
    ]
    points, cells = [], []
    for row in rows:
        if row.p50_us is None:
            continue
        rate, low, high = (
            1e6 * row.batch / us for us in (row.p50_us.value, row.p50_us.high, row.p50_us.low)
        )
        points.append(_batch_point(row, rate, low, high, "rows/s"))
        found = write_interval(Percentile(value=rate, low=low, high=high))
        cells.append((Quoted(row.name), f"{row.batch:,}", found))
    return Picture(
        "rate",
        "Rows per second",
        "Rows in a batch over its median time, with 99 % intervals; one thread of calls; both "
        "axes are logarithmic.",
        finish_chart(_draw_by_batch(points, rows, "rows per second (log)")),
        Grid("Rows per second", ("candidate", "batch", "rows per second"), tuple(cells)),
    )


def measure_quantiles(raw: RawTimes, shares: Float64) -> Float64:
    """Return the times, in microseconds, that these shares of the calls took at most."""
    if raw.histogram is None:
        calls = unpack_times(raw.packed_ns or "", blocks=raw.blocks)
        times: Float64 = np.sort(calls.ravel()).astype(np.float64)
        counts = np.ones(len(times))
    else:
        bins = np.arange(len(raw.histogram.counts))
        times = (raw.histogram.lowest_ns * BIN_WIDTH ** (bins + 0.5)).astype(np.float64)
        counts = np.array(raw.histogram.counts, np.float64)
    reached = np.cumsum(counts) / counts.sum()
    found: Float64 = times[np.minimum(np.searchsorted(reached, shares), len(times) - 1)] / 1e3
    return found


def _draw_by_batch(
    points: list[dict[str, Any]], rows: list[LatencyFact], title: str
) -> alt.LayerChart:
    scales = Scales(tuple(dict.fromkeys(row.name for row in rows)))
    log = alt.Scale(type="log")
    batches = sorted({row.batch for row in rows})
    x = alt.X("batch:Q", title="rows in a call (log)", scale=log, axis=alt.Axis(values=batches))
    axis = alt.Axis(tickCount=5, format="~s")
    base = alt.Chart(make_data(points))
    return layer_charts(
        base.mark_line(strokeWidth=2).encode(
            x=x,
            y=alt.Y("value:Q", title=title, scale=log, axis=axis),
            color=scales.colour(),
            strokeDash=scales.dash(),
        ),
        base.mark_rule(strokeWidth=2).encode(
            x=x, y=alt.Y("low:Q", title=title, scale=log), y2="high:Q", color=scales.colour()
        ),
        base.mark_point(filled=True, size=90, opacity=1).encode(
            x=x,
            y=alt.Y("value:Q", title=title, scale=log),
            color=scales.colour(),
            shape=scales.shape(),
            tooltip="said:N",
        ),
    )


def _batch_point(
    row: LatencyFact, value: float, low: float, high: float, unit: str
) -> dict[str, Any]:
    found = write_interval(Percentile(value=value, low=low, high=high), unit=unit)
    said = f"{row.name}, batch {row.batch:,}: {found}"
    point = {"value": value, "low": low, "high": high}
    return {"name": row.name, "batch": row.batch, **point, "said": said}


def _plain_rows(evidence: Evidence) -> list[LatencyFact]:
    """Every candidate called plainly, on the fewest threads."""
    threads = min((row.threads for row in evidence.latency.rows), default=1)
    rows = [row for row in evidence.latency.rows if row.path != "io_binding"]
    return [row for row in rows if row.threads == threads]


def _percentile(found: Percentile | None) -> str:
    return ABSENT if found is None else write_interval(found)
