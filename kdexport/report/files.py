"""The report's files as bytes, or what has to be installed for them.

Takes evidence, gives named bytes; says whose files they would replace. Imports jinja2 and altair
only when it is asked.
"""

import re
from pathlib import Path

from kdexport.bundle import REPORTS
from kdexport.errors import OutputError
from kdexport.evidence.facts import Evidence
from kdexport.extras import needing

REPORT_MARKDOWN, REPORT_HTML = REPORTS
# What a report says of itself, in a place where nothing else does.
MARKS = {
    REPORT_MARKDOWN: re.compile(rb"\nMade by kdexport \S+ from evidence\.json, sha256 \S+\s*\Z"),
    REPORT_HTML: re.compile(rb'\n<meta name="generator" content="kdexport \S+">\n'),
}


def refuse_foreign_reports(folder: Path) -> None:
    """Refuse a folder to write a report into that is absent, or has somebody else's files in its
    place.

    Raises:
        OutputError: There is no such folder, or a file there is not one that kdexport made.
    """
    if not folder.is_dir():
        raise OutputError(
            "reports are written into a folder that exists",
            found=f"no folder {str(folder)!r}",
            cure="make it, or pass another -o",
        )
    for name in REPORTS:
        path = folder / name
        if path.is_file() and not MARKS[name].search(path.read_bytes()):
            raise OutputError(
                "a report replaces only one that kdexport made",
                found=f"{str(path)!r} is another file",
                cure="move it away, or pass another -o",
            )


def make_report_files(evidence: Evidence, evidence_sha256: str) -> dict[str, bytes]:
    """Return report.md and report.html.

    Args:
        evidence: What they say.
        evidence_sha256: Hash of evidence.json, which they name as their source.

    Raises:
        DependencyError: The packages of `kdexport[report]` are not installed.
    """
    with needing("report", rule=f"{REPORT_MARKDOWN} and {REPORT_HTML} need"):
        # Rooms of the report import them when they draw; whether they are there is asked here.
        import altair as _altair  # noqa: F401
        import vl_convert as _vl_convert  # noqa: F401

        from kdexport.report.pages import render_html, render_markdown
    return {
        REPORT_MARKDOWN: render_markdown(evidence, evidence_sha256).encode(),
        REPORT_HTML: render_html(evidence, evidence_sha256).encode(),
    }
