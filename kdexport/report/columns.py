"""What the columns of a table are taken as, for the terminal.

Takes a description, gives a rich renderable. Reads no file and decides nothing.
"""

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from kdexport.kinds import Description
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
            Text(decision.name),
            decision.kind,
            f"{decision.n_missing:,}",
            f"{decision.n_distinct:,}",
            Text(decision.why),
        )
    return Group(Text(head), table)
