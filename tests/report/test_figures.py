"""Figures as text."""

import pytest

from kdexport.evidence.shape import Interval
from kdexport.report.figures import (
    write_bytes,
    write_difference,
    write_interval,
    write_metric,
    write_number,
)


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (97.38, 92.49, 101.27, "97 [92, 101]"),
        (7.832, 7.812, 7.849, "7.832 [7.812, 7.849]"),
        (11427.3, 11312.0, 11551.0, "11,430 [11,310, 11,550]"),
        (0.1144, 0.1019, 0.1276, "0.114 [0.102, 0.128]"),
        (100.0, -300.0, 800.0, "100 [-300, 800]"),
        (-0.001, -0.2, 0.3, "0.0 [-0.2, 0.3]"),
        (-0.03, -0.0631, -0.0025, "-0.030 [-0.063, -0.003]"),
        (160.0, -8432.0, 10109.97, "200 [-8,400, 10,100]"),
        (0.5, 1e-9, 1.0, "0.5 [0.0, 1.0]"),
        (0.0, -0.0, 0.0, "0 [0, 0]"),
        (3.14159, 3.14159, 3.14159, "3.142 [3.142, 3.142]"),
        (0.0, -4.441e-16, 4.441e-16, "0 [-4e-16, 4e-16]"),
        (1.1e-16, -4.441e-16, 1.2e-15, "1e-16 [-4e-16, 1.2e-15]"),
        (3.14159e-10, 3.1e-10, 3.2e-10, "3.14e-10 [3.10e-10, 3.20e-10]"),
        (1e30, 1e29, 2e30, "1.0e+30 [1e+29, 2.0e+30]"),
        (9.87e9, 9.8e9, 9.9e9, "9,870,000,000 [9,800,000,000, 9,900,000,000]"),
        (4.14e14, 1.8e14, 5.8e14, "4e+14 [2e+14, 6e+14]"),
        (-3.2e20, -4e20, -1e20, "-3.2e+20 [-4.0e+20, -1.0e+20]"),
        (0.00000123, 0.00000119, 0.00000127, "0.00000123 [0.00000119, 0.00000127]"),
    ],
)
def test_digits_are_those_that_the_interval_supports(
    value: float, low: float, high: float, text: str
) -> None:
    """The last digit shown is the first of half the interval, or the next where that is a 1."""
    assert write_interval(Interval(value=value, low=low, high=high)) == text


def test_units_stand_behind_values() -> None:
    """A metric has its unit, a difference of two percentages is in points."""
    interval = Interval(value=0.0126, low=0.0062, high=0.0192)
    assert write_difference("accuracy", interval) == "1.3 points [0.6, 1.9]"
    assert write_metric("accuracy", interval) == "1.3 % [0.6, 1.9]"
    assert write_metric("a_new_metric", interval) == "0.013 [0.006, 0.019]"


def test_sentences_may_have_fewer_digits() -> None:
    """A sentence caps the digits; nothing adds any that the interval does not support."""
    ratio = Interval(value=10.9787, low=10.8108, high=11.1491)
    assert write_interval(ratio, max_digits=3) == "11.0 [10.8, 11.1]"
    wide = Interval(value=10.9787, low=5.0, high=16.0)
    assert write_interval(wide, max_digits=3) == write_interval(wide) == "11 [5, 16]"


def test_sizes_and_lone_numbers() -> None:
    """Bytes are bytes, kB or MB; a number without interval has four digits."""
    assert [write_bytes(n) for n in (-1_234_567, 999, 1_500, 15_479, 2_244_553)] == [
        "-1.2 MB",
        "999 bytes",
        "1.5 kB",
        "15 kB",
        "2.2 MB",
    ]
    assert [write_number(n) for n in (0.0, 12345.6, 0.5, -1.5e20, float("nan"))] == [
        "0",
        "12,350",
        "0.5",
        "-1.500e+20",
        "nan",
    ]
