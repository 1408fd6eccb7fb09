"""A headless Chromium, and pages of reports opened in it."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kdexport.evidence.facts import Evidence
from kdexport.report.pages import render_html
from tests.report.variants import ROOT, SHA256

NAMES = ("chromium", "chromium-browser", "google-chrome")
AXE = ROOT / "build/browser/node_modules/axe-core/axe.min.js"


@dataclass
class Opened:
    """A page that was opened, and what the browser said and asked for meanwhile."""

    page: Any
    path: Path
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def ask(self, script: str) -> Any:
        """Return what a piece of JavaScript gives."""
        return self.page.evaluate(script)


Open = Callable[..., Opened]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by playwright; skipped with a reason where either is absent."""
    reason = "make test-browser installs it"
    playwright = pytest.importorskip("playwright.sync_api", reason=f"no playwright: {reason}")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no Chromium, and it could not be installed: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    if not AXE.exists():
        pytest.skip("no axe-core, and it could not be installed: make test-browser, with npm")
    return AXE.read_text(encoding="utf-8")


@pytest.fixture
def open_report(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Open the report of some evidence from a file, without a network, and wait for its charts."""
    contexts = []

    def open_one(evidence: Evidence, *, scheme: str = "light", width: int = 1280) -> Opened:
        path = tmp_path / "report.html"
        path.write_text(render_html(evidence, SHA256), encoding="utf-8")
        context = browser.new_context(
            color_scheme=scheme, viewport={"width": width, "height": 800}, offline=True
        )
        contexts.append(context)
        opened = Opened(context.new_page(), path)
        opened.page.on("console", lambda message: opened.said.append(message.text))
        opened.page.on("pageerror", lambda error: opened.said.append(str(error)))
        opened.page.on("request", lambda request: opened.asked.append(request.url))
        opened.page.goto(path.as_uri())
        opened.page.wait_for_selector("html[data-drawn]", timeout=30_000)
        return opened

    yield open_one
    for context in contexts:
        context.close()
