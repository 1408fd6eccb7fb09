"""The report as a page and as Markdown."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from importlib.resources import files

import altair as alt
import pytest

from kdexport.evidence.facts import Evidence
from kdexport.report.files import make_report_files
from kdexport.report.pages import escape_script, render_html, render_markdown
from tests.report import variants
from tests.report.variants import HOSTILE, SHA256, clicks

MAX_BYTES = 2_000_000
SPECIFICATION = r'<script type="application/json"[^>]*>(.*?)</script>'
VARIANTS: list[Callable[[], Evidence]] = [
    variants.clicks,
    variants.without_teacher,
    variants.with_rival,
    variants.with_slices,
    variants.with_learning,
    variants.regression,
    variants.hostile,
    variants.with_histogram,
    lambda: variants.with_verdict("NO_EDGE"),
    lambda: variants.with_verdict("INCONCLUSIVE"),
]


class Page(HTMLParser):
    """Elements by name, text, and what is inside scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.mark.parametrize("make", VARIANTS)
def test_every_kind_of_bundle_has_a_report(make: Callable[[], Evidence]) -> None:
    """Whatever roles, metrics and files the evidence holds: two files under 2 MB, no empty ones."""
    made = make_report_files(make(), SHA256)
    assert set(made) == {"report.md", "report.html"}
    for content in made.values():
        assert 5_000 < len(content) < MAX_BYTES
        shown = content.split(b"<script")[0]
        assert b"None" not in shown


def test_same_evidence_same_bytes() -> None:
    """Another process with another hash seed writes the same bytes."""
    code = (
        "import hashlib; from tests.report.variants import clicks, SHA256;"
        "from kdexport.report.files import make_report_files as m;"
        "print([hashlib.sha256(v).hexdigest() for v in m(clicks(), SHA256).values()])"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(variants.ROOT)},
            cwd=variants.ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


def test_page_refers_to_nothing_outside() -> None:
    """No element loads anything: no source, no style sheet, no address but an anchor or data."""
    page = Page(render_html(clicks(), SHA256))
    for tag, attributes in page.elements:
        for name in ("src", "srcset", "action", "poster", "data"):
            assert name not in attributes, (tag, attributes)
        href = attributes.get("href") or "#"
        assert href.startswith(("#", "data:")), (tag, href)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_library_is_embedded_once() -> None:
    """Vega stands in the page once, the specifications beside their pictures."""
    page = Page(render_html(clicks(), SHA256))
    scripts = [attributes for tag, attributes in page.elements if tag == "script"]
    specs = [attributes for attributes in scripts if attributes.get("type") == "application/json"]
    assert len(scripts) - len(specs) == 2
    assert len(specs) == len([a for t, a in page.elements if a.get("class") == "chart"]) >= 9


@pytest.mark.parametrize("make", [variants.shipped, variants.regression, variants.hostile])
def test_pictures_are_vega_lite(make: Callable[[], Evidence]) -> None:
    """Every specification keeps Vega-Lite's schema, to which a report that is made is not held."""
    specs = re.findall(SPECIFICATION, render_html(make(), SHA256))
    assert len(specs) >= 7
    for spec in specs:
        alt.Chart.from_dict(json.loads(spec))


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node to run the page's script in")
def test_a_picture_that_fails_stops_no_other() -> None:
    """A specification that is no JSON (NaN of edited evidence) is said in its own place alone."""
    script = (files("kdexport.report") / "templates/report.js").read_text(encoding="utf-8")
    page = """
        const specs = ['{"a": 1}', '{"a": NaN}', '{"a": 3}'];
        const charts = specs.map((_, i) => ({ dataset: { spec: i }, textContent: "" }));
        let drawn = 0;
        global.window = { vegaEmbed: async () => { drawn += 1; } };
        global.document = {
          querySelectorAll: () => charts,
          getElementById: (i) => ({ textContent: specs[i] }),
          documentElement: { dataset: {} },
        };
    """
    told = "window.drawn.catch(() => console.log(drawn, charts.map((c) => c.textContent.length)));"
    command = ["node", "-e", page + script + told]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"2 \[ 0, [1-9]\d*, 0 \]\n", said)


def test_hostile_text_is_text() -> None:
    """Names of columns, classes, files and machines are shown and never become markup."""
    text = render_html(variants.hostile(), SHA256)
    page = Page(text)
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert "<script>window.hacked" not in text
    assert HOSTILE[1] in "".join(page.text)
    assert not [name for _, attributes in page.elements for name in attributes if name == "onerror"]
    assert "{{7*7}}" in "".join(page.text)
    specs = re.findall(SPECIFICATION, text)
    assert any(HOSTILE[0] in json.dumps(json.loads(spec)) for spec in specs)


def test_hostile_text_in_markdown() -> None:
    """There it stands as code, in tables that keep their columns and fences that hold."""
    hostile = (variants.hostile(), variants.with_slices())
    text = "\n".join(render_markdown(evidence, SHA256) for evidence in hostile)
    assert "\u202e" not in text
    outside = re.sub(r"^(`{3,})\w+\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    plain = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", outside)
    assert "<script>" not in plain
    assert "<img" not in plain
    assert not re.search(r"(?<!\\)\]\(", plain)
    for table in re.findall(r"(?:^\|.*\n)+", outside, flags=re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1, table


def test_json_cannot_end_its_script() -> None:
    """`<`, `>` and `&` are escaped inside scripts, and the JSON stays what it was."""
    value = {"</script>": "<!-- & \u2028"}
    escaped = escape_script(value)
    assert not re.search("[<>&\u2028]", escaped)
    assert json.loads(escaped) == value


def test_every_role_and_metric_of_the_evidence_is_there() -> None:
    """A rival and a metric that this report was not written for have their row."""
    text = render_markdown(variants.with_rival(), SHA256)
    assert re.search(r"^\| rival \| 97.85", text, flags=re.MULTILINE)
    assert re.search(r"^\| AUC .*0.9932 \[0.9921, 0.9943\]", text, flags=re.MULTILINE)
    assert "0.9932" in render_html(variants.with_rival(), SHA256)


def test_comparisons_are_there_where_they_were_made() -> None:
    """A rival's verdict, the control that counts, and the worst slices; else not a word of them."""
    text = render_markdown(variants.with_slices(), SHA256)
    assert "Student or rival: SHIP THE RIVAL" in text
    assert "of two, the better one counts; accuracy: control" in text
    assert "Worst slices: accuracy" in text
    assert "the better one beyond chance" in text
    plain = render_markdown(clicks(), SHA256)
    assert "rival" not in plain
    assert "slices" not in plain


def test_figures_have_intervals_or_say_why_not() -> None:
    """The table at a glance has an interval in every cell of a measured figure."""
    text = render_markdown(clicks(), SHA256)
    (line,) = re.findall(r"^\| student, mean of 5 .*$", text, flags=re.MULTILINE)
    cells = [cell.strip() for cell in line.strip("|").split("|")][1:]
    assert [cell.count("[") for cell in cells] == [1, 1, 0, 0, 1, 1]  # bytes and parameters count
    assert "no interval" in text
    assert re.search(r"needs [\d,]+ calls", text)
