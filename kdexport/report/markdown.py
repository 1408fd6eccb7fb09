"""Text and code as Markdown shows them: escaped, whatever is in them."""

import re

from kdexport.errors import one_line
from kdexport.report.figures import Quoted
from kdexport.report.snippets import Snippet

SPECIAL = re.compile(r"([\\`*_|#~@]|\](?=[(\[:]))")


def write_cell(text: str) -> str:
    """Return one cell of a table, the user's own text as code."""
    if not isinstance(text, Quoted):
        return escape_markdown(text)
    shown = one_line(text)
    ticks = _ticks(shown, least=1)
    gap = " " if "`" in shown else ""
    return f"{ticks}{gap}{shown}{gap}{ticks}".replace("|", "\\|") if shown else ""


def escape_markdown(text: str) -> str:
    """Return text that Markdown shows as it is."""
    escaped = SPECIAL.sub(r"\\\1", one_line(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def fence_code(snippet: Snippet) -> str:
    """Return code between fences."""
    ticks = _ticks(snippet.code, least=3)
    return f"{ticks}{snippet.language}\n{snippet.code.rstrip()}\n{ticks}"


def _ticks(text: str, *, least: int) -> str:
    """Return a fence that is longer than any inside."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    return "`" * max(least, longest + 1)
