"""Markdown for the documents: tables, and how shares, ratios and times are written in them."""

import json
from collections.abc import Iterable
from typing import Any

from benchmarks.record import RESULTS

BATCHES = (1, 1024)
NOT_MEASURED = "-"


def read_result(name: str) -> dict[str, Any]:
    """Return what a benchmark script saved."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def make_table(titles: list[str], rows: Iterable[list[str]]) -> str:
    """A table of Markdown, its columns under these titles; one of nothing measured is left out."""
    columns = zip(titles, *rows, strict=True)
    measured = [column for column in columns if set(column[1:]) != {NOT_MEASURED}]
    heads, *lines = zip(*measured, strict=True)
    head = [f" {title} " if title else " " for title in heads]
    table = [f"|{'|'.join(head)}|", "|---" * len(heads) + "|"]
    return "\n".join([*table, *[f"| {' | '.join(cells)} |" for cells in lines]])


def show_time(microseconds: float | None) -> str:
    """Return a time, or a dash where it was not measured yet."""
    return NOT_MEASURED if microseconds is None else f"{microseconds:.1f}"


def show_share(share: dict[str, Any]) -> str:
    """Return a share in per cent, with its interval."""
    low, high = (f"{100 * share[bound]:.0f}" for bound in ("low", "high"))
    return f"{100 * share['value']:.0f} % [{low}, {high}]"


def show_ratio(ratio: dict[str, Any]) -> str:
    """Return how many times, with its interval."""
    value, low, high = (f"{ratio[part]:,.0f}" for part in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"
