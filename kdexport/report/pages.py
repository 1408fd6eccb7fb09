"""The report as one HTML page and as Markdown: evidence in, text out.

Needs jinja2, and the HTML page altair: the packages of `kdexport[report]`. The same evidence gives
the same text: no dates, no random names. Text of the user is escaped by every road: HTML by
autoescape, scripts by `escape_script`, Markdown as code.
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from kdexport.errors import one_line
from kdexport.evidence.facts import Evidence
from kdexport.report.comparison_grids import make_comparison_grids
from kdexport.report.detail_grids import (
    make_answer_grid,
    make_data_grid,
    make_environment_grid,
    make_file_grid,
    make_latency_grid,
    make_load_grid,
    make_ratio_grid,
    make_recipe_grid,
    make_schema_grid,
    make_start_grid,
)
from kdexport.report.figures import Quoted
from kdexport.report.grids import (
    make_edge_grid,
    make_fidelity_grid,
    make_main_grid,
    make_parity_grid,
    make_quality_grid,
)
from kdexport.report.headline import write_headline
from kdexport.report.learning_grids import make_learning_grids
from kdexport.report.markdown import escape_markdown, fence_code, write_cell
from kdexport.report.prose import describe_task, list_limits, list_methods
from kdexport.report.search_grids import make_search_grids
from kdexport.report.snippets import write_snippets


def render_markdown(evidence: Evidence, evidence_sha256: str) -> str:
    """Return report.md: a pull request's comment and a model card."""
    environment = _make_environment()
    environment.filters |= {"cell": write_cell, "plain": escape_markdown, "fence": fence_code}
    template = environment.get_template("report.md.j2")
    return template.render(**_collect(evidence, evidence_sha256))


def render_html(evidence: Evidence, evidence_sha256: str) -> str:
    """Return report.html: one page that needs nothing but itself."""
    from altair.utils.schemapi import debug_mode

    from kdexport.report.latency_pictures import draw_latency_pictures
    from kdexport.report.learning_pictures import draw_learning_pictures
    from kdexport.report.quality_pictures import draw_quality_pictures
    from kdexport.report.search_pictures import draw_search_pictures
    from kdexport.report.slice_pictures import draw_slice_pictures

    environment = _make_environment(autoescape=True)
    environment.filters["inside_script"] = escape_script
    environment.tests["quoted"] = lambda cell: isinstance(cell, Quoted)
    with debug_mode(False):  # nothing is held to Vega-Lite's schema here: tests do that
        pictures = [
            *draw_quality_pictures(evidence),
            *draw_search_pictures(evidence),
            *draw_slice_pictures(evidence),
            *draw_learning_pictures(evidence),
            *draw_latency_pictures(evidence),
        ]
    return environment.get_template("report.html.j2").render(
        **_collect(evidence, evidence_sha256),
        pictures=pictures,
        style=_read_asset("report.css"),
        script=_read_asset("report.js"),
        library=_bundle_library(),
    )


def escape_script(value: Any) -> Markup:
    r"""Return JSON that may stand inside `<script>`: `<`, `>` and `&` are written `\u003c` ..."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # nothing in it can end the script any more


def _collect(evidence: Evidence, evidence_sha256: str) -> dict[str, Any]:
    """Everything that both pages say."""
    load = make_load_grid(evidence)
    return {
        "evidence": evidence,
        "evidence_sha256": evidence_sha256,
        "source": Quoted(one_line(evidence.task.source)),
        "target": Quoted(one_line(evidence.task.target)),
        "headline": write_headline(evidence),
        "task": describe_task(evidence),
        "main": make_main_grid(evidence),
        "figures": [
            make_edge_grid(evidence),
            *make_search_grids(evidence),
            *make_comparison_grids(evidence),
            make_quality_grid(evidence),
            make_fidelity_grid(evidence),
            *make_learning_grids(evidence),
            make_parity_grid(evidence),
            make_latency_grid(evidence),
            make_ratio_grid(evidence),
            make_start_grid(evidence),
            *([load] if load.rows else []),
        ],
        "contract": [make_schema_grid(evidence), make_answer_grid(evidence)],
        "snippets": write_snippets(evidence.signature),
        "methods": list_methods(evidence),
        "limits": list_limits(evidence),
        "origins": [
            make_file_grid(evidence, evidence_sha256),
            make_data_grid(evidence),
            make_environment_grid(evidence),
            make_recipe_grid(evidence),
        ],
    }


def _make_environment(*, autoescape: bool = False) -> Environment:
    return Environment(
        loader=PackageLoader("kdexport.report"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        finalize=_show_plainly,
        keep_trailing_newline=True,
    )


def _show_plainly(value: Any) -> Any:
    """Show what does not print (and what turns text around) as its escape."""
    if isinstance(value, Markup) or not isinstance(value, str) or value.isprintable():
        return value
    return "\n".join(one_line(line) for line in value.split("\n"))


def _read_asset(name: str) -> Markup:
    """Read a file that is part of the page as it is: no text of the user is in it."""
    return Markup((files("kdexport.report") / "templates" / name).read_text(encoding="utf-8"))


@cache
def _bundle_library() -> Markup:
    """Vega, Vega-Lite and Vega-Embed as one script, with nothing that ends it early."""
    import vl_convert

    code: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return Markup(code.replace("</script", "<\\/script").replace("<!--", "<\\!--"))
