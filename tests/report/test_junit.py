"""JUnit XML is what CI servers read, whatever the text of a check."""

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from kdexport.bundle import read_bundle
from kdexport.evidence.checks import check_bundle
from kdexport.records import CheckResult
from kdexport.report.checks import render_junit
from kdexport.sections import Budgets

SCHEMA = etree.XMLSchema(etree.parse(str(Path(__file__).with_name("junit.xsd"))))
HOSTILE = (
    "]]> <x y='\"'> & &amp; <!-- -- --> <?pi?> \x00\x07\x1b[31m \ud800 \ufffe \U0001f600 é\r\n\t"
)


def validate(results: list[CheckResult], subject: str = "models/x") -> etree._Element:
    """Render, parse the bytes that a file would hold, and hold them to the schema."""
    content = render_junit(results, subject).encode("utf-8")
    root = etree.fromstring(content, etree.XMLParser(resolve_entities=False))
    SCHEMA.assertValid(root)
    suites = root.findall("testsuite")
    for suite in suites:
        assert int(suite.get("tests")) == len(suite.findall("testcase"))
        assert int(suite.get("failures")) == len(suite.findall("testcase/failure"))
    for name in ("tests", "failures"):
        assert int(root.get(name)) == sum(int(suite.get(name)) for suite in suites)
    assert int(root.get("tests")) == len(results)
    assert int(root.get("failures")) == sum(not result.passed for result in results)
    return root


@pytest.mark.parametrize("limit", [10**6, 1])
def test_bundle(bundle_path: Path, limit: int) -> None:
    """The checks of a bundle are valid, passed and failed, a suite per file and one of budgets."""
    results = check_bundle(read_bundle(bundle_path), budgets=Budgets(max_bytes=limit))
    root = validate(results, str(bundle_path))
    assert len(root.findall("testsuite/testcase/failure")) == (limit == 1)
    names = [suite.get("name") for suite in root]
    assert set(names) == {"bundle", "student.onnx", "teacher.onnx", "budget"}


def test_no_checks() -> None:
    """No check at all is a valid file with no suite."""
    assert len(validate([])) == 0


@pytest.mark.parametrize("passed", [True, False])
def test_hostile_text(passed: bool) -> None:
    """Markup, control characters and halves of characters neither break the file nor get lost."""
    result = CheckResult(f"{HOSTILE} on a/b.csv/source", passed, HOSTILE)
    root = validate([result, CheckResult("bundle/hashes", True, "fine")], HOSTILE)
    assert "]]> <x y='\"'> & &amp;" in root.get("name")
    if not passed:
        (failure,) = root.findall("testsuite/testcase/failure")
        assert "<!-- -- -->" in failure.get("message")
        assert "<!-- -- -->" in failure.text


TEXT = st.text(st.characters(max_codepoint=sys.maxunicode, exclude_categories=()), max_size=30)


@given(st.lists(st.tuples(TEXT, TEXT, st.booleans(), TEXT), max_size=6), TEXT)
@settings(max_examples=100, deadline=None)
def test_any_text(parts: list[tuple[str, str, bool, str]], subject: str) -> None:
    """Whatever names and messages hold, the file is valid."""
    validate([CheckResult(f"a{a}/{b}c", passed, said) for a, b, passed, said in parts], subject)


@pytest.mark.parametrize(
    "text",
    [
        "<testsuite/>",
        "<testsuites><testcase name='a' classname='b' time='0'/></testsuites>",
        "<testsuites><testsuite name='a' tests='-1' failures='0' errors='0' time='0'/>"
        "</testsuites>",
    ],
)
def test_schema_refuses(text: str) -> None:
    """The schema is no rubber stamp."""
    assert not SCHEMA.validate(etree.fromstring(text))
