"""Check results as text: lines for a terminal, Markdown for a job's summary, JUnit for CI.

Takes results, gives text. Reads no file and checks nothing.
"""

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from kdexport.errors import one_line
from kdexport.records import CheckResult
from kdexport.report.markdown import escape_markdown

NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
WIDTH = 30


def render_line(result: CheckResult) -> str:
    """Return one result as one line."""
    verdict = "passed" if result.passed else "FAILED"
    return f"{verdict}  {one_line(result.name):{WIDTH}}  {one_line(result.message)}"


def render_verdict(results: Sequence[CheckResult]) -> str:
    """Return how it went, in one line."""
    n_failed = sum(not result.passed for result in results)
    if n_failed:
        return f"{n_failed} of {len(results)} checks failed: do not ship it"
    return f"{len(results)} check{'s' * (len(results) != 1)} passed"


def render_summary(results: Sequence[CheckResult], subject: str) -> str:
    """Return Markdown: the verdict, then failures, then the rest folded away."""
    failed = [result for result in results if not result.passed]
    passed = [result for result in results if result.passed]
    parts = [f"### kdexport check {escape_markdown(subject)}", f"**{render_verdict(results)}**"]
    if failed:
        parts.append(_render_table(failed))
    parts.append(f"<details><summary>{len(passed)} passed</summary>\n\n{_render_table(passed)}\n")
    return "\n\n".join(parts) + "\n</details>\n"


def render_junit(results: Sequence[CheckResult], subject: str) -> str:
    """Return JUnit XML: a suite per subject of the checks, a case per check."""
    total = {"name": _clean(f"kdexport check {subject}"), **_count(results)}
    root = ElementTree.Element("testsuites", total)
    suites: dict[str, list[CheckResult]] = {}
    for result in results:
        suites.setdefault(_clean(result.subject), []).append(result)
    for suite_name, cases in suites.items():
        counted = {"name": suite_name, **_count(cases), "skipped": "0"}
        suite = ElementTree.SubElement(root, "testsuite", counted)
        for case in cases:
            element = ElementTree.SubElement(
                suite,
                "testcase",
                classname=f"kdexport.{suite_name}",
                name=_clean(case.rule),
                time="0",
            )
            if not case.passed:
                failure = ElementTree.SubElement(
                    element, "failure", message=_clean(case.message), type="CheckFailed"
                )
                failure.text = _clean(case.message)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"


def _count(results: Sequence[CheckResult]) -> dict[str, str]:
    n_failed = sum(not result.passed for result in results)
    return {"tests": str(len(results)), "failures": str(n_failed), "errors": "0", "time": "0"}


def _render_table(results: Sequence[CheckResult]) -> str:
    lines = ["| | check | found |", "|---|---|---|"]
    for result in results:
        mark = "passed" if result.passed else "**failed**"
        lines.append(
            f"| {mark} | {escape_markdown(result.name)} | {escape_markdown(result.message)} |"
        )
    return "\n".join(lines)


def _clean(text: str) -> str:
    """Return text without what XML 1.0 cannot hold."""
    return NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
