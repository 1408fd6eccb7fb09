"""Pictures of training: how sure the answers are beside how often they are right, and the losses.

Takes evidence, gives `Picture`s; none where the evidence does not have the figures. Draws with
altair; measures nothing.
"""

from typing import Any

import altair as alt

from kdexport.evidence.facts import Evidence
from kdexport.report.drawing import SOFT, Picture, Scales, finish_chart, layer_charts, make_data
from kdexport.report.figures import write_number, write_percent
from kdexport.report.learning_grids import (
    describe_loss,
    list_bins,
    make_calibration_grid,
    make_look_grid,
)

JUDGES = {"labels": "labels", "teacher": "the teacher", "both": "labels and teacher"}


def draw_learning_pictures(evidence: Evidence) -> list[Picture]:
    """Return calibration and training curves, as far as there are figures."""
    pictures = []
    if evidence.calibration:
        pictures.append(draw_calibration(evidence))
    if evidence.curves:
        pictures.append(draw_curves(evidence))
    return pictures


def draw_calibration(evidence: Evidence) -> Picture:
    """Accuracy against confidence, bin by bin: on the diagonal a model is calibrated."""
    rows: list[dict[str, Any]] = [
        {
            "name": role,
            "confidence": 100 * one.confidence,
            "accuracy": 100 * one.accuracy.value,
            "low": 100 * one.accuracy.low,
            "high": 100 * one.accuracy.high,
            "rows": one.rows,
            "said": f"{role}, confidence {100 * one.confidence:.1f} %: right in "
            f"{write_percent(one.accuracy)} of {one.rows:,} rows",
        }
        for role, one in list_bins(evidence)
    ]
    scales = Scales(tuple(evidence.calibration))
    lowest = min(min(row["confidence"], row["low"]) for row in rows)
    scale = alt.Scale(domain=[max(0.0, lowest - 2), 100], nice=False, zero=False)
    x = alt.X("confidence:Q", title="confidence, %", scale=scale)
    y = alt.Y("accuracy:Q", title="accuracy, %", scale=scale)
    base = alt.Chart(make_data(rows))
    diagonal = [{"confidence": at, "accuracy": at} for at in (max(0.0, lowest - 2), 100.0)]
    chart = layer_charts(
        alt.Chart(make_data(diagonal)).mark_line(color=SOFT, strokeDash=[3, 3]).encode(x=x, y=y),
        base.mark_rule(strokeWidth=2).encode(
            x=x,
            y=alt.Y("low:Q", title="accuracy, %", scale=scale),
            y2="high:Q",
            color=scales.colour(),
        ),
        base.mark_point(filled=True, opacity=0.85).encode(
            x=x,
            y=y,
            size=alt.Size("rows:Q", legend=None, scale=alt.Scale(range=[40, 400])),
            color=scales.colour(),
            shape=scales.shape(),
            tooltip="said:N",
        ),
    )
    return Picture(
        "calibration",
        "Calibration of teacher and student",
        "Each mark is a bin of test rows that are answered about equally surely, its area how many "
        "they are; lines are 95 % intervals. On the dashed line a model is right as often as it is "
        "sure; below it, it is too sure.",
        finish_chart(chart),
        make_calibration_grid(evidence),
    )


def draw_curves(evidence: Evidence) -> Picture:
    """The validation loss of each role, step by step, with the range over its networks."""
    unit = describe_loss(evidence)
    names = {role: f"{role}, by {JUDGES[c.judged_by]}" for role, c in evidence.curves.items()}
    rows: list[dict[str, Any]] = [
        {
            "name": names[role],
            "step": step,
            "mean": curve.mean[i],
            "low": curve.low[i],
            "high": curve.high[i],
            "said": f"{names[role]}, {step:,} steps: {write_number(curve.mean[i])}",
        }
        for role, curve in evidence.curves.items()
        for i, step in enumerate(curve.steps)
    ]
    scales = Scales(tuple(names.values()), tuple(names))
    x = alt.X("step:Q", title="optimiser steps", axis=alt.Axis(tickCount=5, format="~s"))
    is_positive = all(row["low"] > 0 for row in rows)
    title = f"validation loss, {unit}{' (log)' if is_positive else ''}"
    scale = alt.Scale(type="log", nice=False) if is_positive else alt.Scale(zero=False)
    y = alt.Y("mean:Q", title=title, scale=scale, axis=alt.Axis(tickCount=5, format="~g"))
    base = alt.Chart(make_data(rows))
    chart = layer_charts(
        base.mark_area(fillOpacity=0.15).encode(
            x=x,
            y=alt.Y("low:Q", title=title, scale=scale),
            y2="high:Q",
            color=scales.colour(),
        ),
        base.mark_line(strokeWidth=2).encode(
            x=x, y=y, color=scales.colour(), strokeDash=scales.dash(), tooltip="said:N"
        ),
    )
    return Picture(
        "training",
        "Training curves",
        "Lines: loss on the validation rows while the networks train, mean over those of a role, "
        "compared with the labels or with what the teacher answers; bands: from the best to the "
        "worst of them. Each keeps the weights of its lowest loss. "
        "Roles that are compared with other things cannot be compared with each other.",
        finish_chart(chart),
        make_look_grid(evidence),
    )
