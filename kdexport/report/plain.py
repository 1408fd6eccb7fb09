"""Text as a terminal shows it: nothing in it is markup, and what does not print is escaped.

Takes text, gives rich's `Text`. Names of columns, classes and files come from anywhere.
"""

from rich.text import Text

from kdexport.errors import one_line


def write_plain(text: str, *, style: str = "") -> Text:
    """Return text for a line or a cell."""
    return Text(one_line(text), style=style)
