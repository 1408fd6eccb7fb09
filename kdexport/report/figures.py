"""Figures as text: rounded to what their interval supports, always with their unit.

Takes numbers, gives text. A metric that is not listed here is shown under its own name.
"""

import math
from dataclasses import dataclass
from typing import Literal

from kdexport.evidence.latency_facts import RatioFact
from kdexport.evidence.shape import Interval

Better = Literal["higher", "lower", ""]
MOST_EXTRA_DECIMALS = 3
NO_INTERVAL_DIGITS = 4
MOST_DECIMALS = 8  # what needs more is written with a power of ten
LARGEST = 1e10  # so is what is as large: five columns of 80 characters hold no more digits


class Quoted(str):
    """Text of the user (a column, a class, a file name): pages show it as code, never as markup."""

    __slots__ = ()


@dataclass(frozen=True)
class MetricStyle:
    """How a metric is written.

    Attributes:
        title: Its name in a sentence.
        unit: Behind its values; empty where it has none.
        difference_unit: Behind a difference of two values.
        scale: Factor from the evidence's value to the one shown.
        better: Which way it grows with quality; empty where that is not known.
    """

    title: str
    unit: str = ""
    difference_unit: str = ""
    scale: float = 1.0
    better: Better = ""


METRICS: dict[str, MetricStyle] = {
    "accuracy": MetricStyle("accuracy", "%", "points", 100.0, "higher"),
    "log_loss": MetricStyle("log loss", "nats", "nats", better="lower"),
    "brier": MetricStyle("Brier score", better="lower"),
    "ece": MetricStyle("calibration error", "%", "points", 100.0, "lower"),
    "auc": MetricStyle("AUC", better="higher"),
    "rmse": MetricStyle("RMSE", better="lower"),
    "mae": MetricStyle("MAE", better="lower"),
    "r2": MetricStyle("R2", better="higher"),
}


def style_metric(name: str) -> MetricStyle:
    """Return how a metric is written."""
    return METRICS.get(name, MetricStyle(name.replace("_", " ")))


def title_metric(name: str) -> str:
    """Return a metric's name with its unit, as a column's head."""
    style = style_metric(name)
    return f"{style.title}, {style.unit}" if style.unit else style.title


def write_interval(
    interval: Interval, *, scale: float = 1.0, unit: str = "", max_digits: int | None = None
) -> str:
    """Return `97 % [92, 101]`, with the digits that the interval supports.

    Args:
        interval: The figure.
        scale: Factor to what is shown.
        unit: Behind the value.
        max_digits: Of the value, for a sentence; a table shows all that are supported.
    """
    value, low, high = round_interval(interval, scale=scale, max_digits=max_digits)
    return f"{value} {unit}".rstrip() + f" [{low}, {high}]"


def round_interval(
    interval: Interval, *, scale: float = 1.0, max_digits: int | None = None
) -> tuple[str, str, str]:
    """Return value, lower and upper bound as `write_interval` shows them, for where they stand
    apart.
    """
    value, low, high = (scale * bound for bound in (interval.value, interval.low, interval.high))
    decimals = find_decimals(low, high)
    if decimals is None:
        return write_number(value), write_number(low), write_number(high)
    if max_digits is not None and value:
        decimals = min(decimals, max_digits - 1 - math.floor(math.log10(abs(value))))
    decimals = _keep_off_zero(value, (low, high), decimals)
    return (
        write_rounded(value, decimals),
        write_rounded(low, decimals),
        write_rounded(high, decimals),
    )


def write_metric(name: str, interval: Interval) -> str:
    """Return a metric's value with its interval and unit."""
    style = style_metric(name)
    return write_interval(interval, scale=style.scale, unit=style.unit)


def write_value(name: str, value: float) -> str:
    """Return a metric's value that has no interval, with its unit."""
    style = style_metric(name)
    return f"{write_number(style.scale * value)} {style.unit}".rstrip()


def write_difference(name: str, interval: Interval) -> str:
    """Return a difference of two values of a metric, such as an edge."""
    style = style_metric(name)
    return write_interval(interval, scale=style.scale, unit=style.difference_unit)


def name_difference(fact: RatioFact) -> str:
    """Return what a comparison of times found; a file is neither faster nor slower than itself.

    One in a hundred intervals of 99 % excludes 1 by chance, of a file beside itself too.
    """
    if fact.noise is None and fact.verdict != "NO_DIFFERENCE":
        return "apart by chance"
    return fact.verdict.lower().replace("_", " ")


def write_percent(interval: Interval) -> str:
    """Return a share as a percentage with its interval."""
    return write_interval(interval, scale=100.0, unit="%")


def find_decimals(low: float, high: float) -> int | None:
    """Return how many decimals an interval supports (below 0: tens, hundreds); None for a point.

    The last digit shown is the first one of half the interval, or the one behind it where that
    first one is a 1: so that rounding moves no bound by more than a quarter of the half.
    """
    half = abs(high - low) / 2
    if not math.isfinite(half) or half == 0.0:
        return None
    place = math.floor(math.log10(half))
    return 1 - place if half < 2 * 10.0**place else -place


def _keep_off_zero(value: float, bounds: tuple[float, float], decimals: int) -> int:
    """Return as many decimals as it takes that no bound reads as 0 that is not.

    Which side of 0 a bound lies on is what a verdict rests on. A value may read as 0 among
    decimals, where its interval says so, and not among hundreds.
    """

    def keeps_off(n: int) -> bool:
        hidden = any(bound and not round(bound, n) for bound in bounds)
        return not hidden and not (n < 0 and value and not round(value, n))

    enough = range(decimals, decimals + MOST_EXTRA_DECIMALS + 1)
    return next(filter(keeps_off, enough), decimals)


def write_rounded(value: float, decimals: int) -> str:
    """Return a number with so many decimals, thousands marked; where they would be a row of zeros,
    as of what float64's rounding leaves of a difference of 0, or the number a long row of digits,
    with its power of ten.
    """
    rounded = round(value, decimals) + 0.0  # no minus zero
    if decimals > MOST_DECIMALS or abs(rounded) >= LARGEST:
        digits = decimals + math.floor(math.log10(abs(rounded))) if rounded else 0
        return f"{rounded:.{max(0, digits)}e}" if rounded else "0"
    return f"{rounded:,.{max(0, decimals)}f}"


def write_number(value: float) -> str:
    """Return a number that has no interval, with four digits."""
    if value == 0 or not math.isfinite(value):
        return f"{value + 0.0:g}"  # no minus zero
    decimals = NO_INTERVAL_DIGITS - 1 - math.floor(math.log10(abs(value)))
    if decimals > MOST_DECIMALS:
        return f"{value:.1e}"
    if abs(value) >= LARGEST:
        return f"{value:.{NO_INTERVAL_DIGITS - 1}e}"
    text = f"{round(value, decimals):,.{max(0, decimals)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def write_roughly(number: int) -> str:
    """Return a count that is an estimate: two digits, rounded up."""
    return f"{number + -number % 10 ** max(0, len(str(number)) - 2):,}"


def write_bytes(n_bytes: int) -> str:
    """Return a size in bytes, kB or MB (powers of ten)."""
    for unit, size in (("MB", 1e6), ("kB", 1e3)):
        if abs(n_bytes) >= size:  # a process can give memory back
            scaled = n_bytes / size
            return f"{scaled:,.1f} {unit}" if abs(scaled) < 10 else f"{scaled:,.0f} {unit}"
    return f"{n_bytes} bytes"
