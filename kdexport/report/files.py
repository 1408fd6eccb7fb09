"""The report's files as bytes, or what has to be installed for them.

Takes evidence, gives named bytes. Imports jinja2 and altair only when it is asked.
"""

from kdexport.bundle import REPORTS
from kdexport.evidence.facts import Evidence
from kdexport.extras import needing

REPORT_MARKDOWN, REPORT_HTML = REPORTS


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
