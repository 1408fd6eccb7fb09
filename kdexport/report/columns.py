"""What the columns of a table are taken as, for the terminal.

Takes a description, gives a rich renderable. Reads no file and decides nothing.
"""

from rich import box
from rich.console import Group
from rich.table import Table

from kdexport.kinds import Description
from kdexport.report.plain import write_plain
from kdexport.signature import listed


def render_columns(description: Description) -> Group:
    """Return the target's line and one line per column."""
    head = f"{description.source}: {description.n_rows:,} training rows; {description.target!r} "
    head += f"is a {description.goal}: {description.why}"
    if description.classes:
        head += f"; classes {listed(description.classes)}"
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("column", "kind"):
        table.add_column(name)
    for name in ("missing", "distinct"):
        table.add_column(name, justify="right")
    table.add_column("why")
    for decision in description.columns:
        table.add_row(
            write_plain(decision.name),
            decision.kind,
            f"{decision.n_missing:,}",
            f"{decision.n_distinct:,}",
            write_plain(decision.why),
        )
    return Group(write_plain(head), table)
