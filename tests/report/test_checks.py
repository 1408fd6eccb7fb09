"""Check results as text."""

from xml.etree import ElementTree

from kdexport.records import CheckResult
from kdexport.report.checks import render_junit, render_line, render_summary, render_verdict

RESULTS = [
    CheckResult("bundle/hashes", True, "14 files"),
    CheckResult("student.onnx on a/b.csv/source", False, "a row differs, in <x|y> \x00 & 'z'"),
    CheckResult("bundle/seal", True, "sealed"),
]


def test_junit_is_what_ci_reads() -> None:
    """A suite per subject, and its failures in it; `test_junit` holds it to the schema."""
    root = ElementTree.fromstring(render_junit(RESULTS, "models/x"))
    suites = {suite.attrib["name"]: suite for suite in root}
    assert set(suites) == {"bundle", "student.onnx on a/b.csv"}
    assert suites["bundle"].attrib["tests"] == "2"
    failing = suites["student.onnx on a/b.csv"]
    assert failing.attrib["failures"] == "1"
    (failure,) = failing.findall("testcase/failure")
    assert "<x|y>" in failure.attrib["message"]
    assert "\x00" not in failure.attrib["message"]


def test_summary_shows_failures_first() -> None:
    """Failures stand open, what passed is folded, and no cell breaks the table."""
    text = render_summary(RESULTS, "models/x")
    assert text.index("**failed**") < text.index("<details>") < text.index("14 files")
    (line,) = [line for line in text.splitlines() if line.startswith("| **failed**")]
    assert "&lt;x\\|y&gt;" in line
    heading = render_summary(RESULTS, "models/<img src=x>").splitlines()[0]
    assert "<img" not in heading


def test_lines() -> None:
    """A line says passed or FAILED, which check, and what was found; the last one the verdict."""
    assert render_line(RESULTS[0]).split() == ["passed", "bundle/hashes", "14", "files"]
    assert render_line(RESULTS[1]).startswith("FAILED  student.onnx on a/b.csv/source")
    assert render_verdict(RESULTS) == "1 of 3 checks failed: do not ship it"
    assert render_verdict(RESULTS[:1]) == "1 check passed"


def test_names_stay_in_their_line() -> None:
    """Names come from a bundle, which may be a stranger's: one cannot write lines of a log."""
    line = render_line(CheckResult("x\n::error::y\n", True, "a\nb"))
    assert len(line.splitlines()) == 1
