"""A search for the terminal: its candidates as a table, and the front as bars.

Takes the facts of a search, gives a rich renderable. Reads no file and measures nothing.
"""

from functools import partial

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from kdexport.evidence.front import list_batches, list_measured
from kdexport.evidence.search_facts import CandidateFact, SearchFact
from kdexport.report.figures import write_interval
from kdexport.report.search_grids import write_recovered

FULL = 40  # characters of a bar that stands for the whole edge


def render_search(fact: SearchFact) -> Group:
    """Return the candidates of a search, the front, and what they say."""
    measured = list_measured(fact.candidates)
    head = (
        f"{fact.chosen} is chosen among {len(fact.candidates)} students: {fact.rule}. Validation "
        "rows choose; recovered edges are on test rows."
    )
    return Group(
        Text(head, style="bold"),
        _table(measured, fact),
        *_plot(measured),
        *[Text(line) for line in fact.advice],
    )


def _table(measured: list[CandidateFact], fact: SearchFact) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("student")
    batches = list_batches(measured)
    metric = next(iter(measured[0].recovered), "")
    heads = ["bytes", "weights", *[f"us at {int(b):,}" for b in batches], "validation share"]
    for head in (*heads, f"recovered, {metric.replace('_', ' ')}, %"):
        table.add_column(head, justify="right")
    for one in measured:
        marks = [
            mark
            for mark, is_so in (
                ("*", one.is_on_front),
                ("<- ships", one.name == fact.chosen),
                ("(usual)", one.name == fact.usual and one.name != fact.chosen),
            )
            if is_so
        ]
        table.add_row(
            " ".join([one.name, *marks]),
            f"{one.bytes:,}",
            f"{one.parameters:,}",
            *[f"{one.p50_us[b]:,.1f}" if b in one.p50_us else "-" for b in batches],
            f"{one.share:z.0%}" if one.share is not None else "-",
            write_recovered(one, metric, partial(write_interval, scale=100.0)),
        )
    return table


def _plot(measured: list[CandidateFact]) -> list[Text]:
    """The front: share of the way from control to teacher by bytes, on validation rows."""
    front = [one for one in measured if one.is_on_front]
    lines = [Text("* the front, no other has fewer bytes and a lower validation loss:")]
    for one in front:
        share = one.share or 0.0
        bar = "#" * round(FULL * min(max(share, 0.0), 1.0))
        lines.append(Text(f"{one.bytes:>9,} bytes |{bar:<{FULL}}| {share:z.0%}  {one.name}"))
    return lines
