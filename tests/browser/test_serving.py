"""docs/serving.md: its page answers in a real Chromium."""

import functools
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.commands import kdexport
from tests.test_serving import MODULES, PAGE, ask_file

pytestmark = pytest.mark.browser


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site(
    census_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, Path]]:
    """A static server with the page, the file, its columns and onnxruntime-web."""
    dist = MODULES / "onnxruntime-web" / "dist"
    if not dist.is_dir():
        pytest.skip("no onnxruntime-web: make test-node installs it")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(census_path, "models/x")
    shutil.copy("models/x/student.onnx", tmp_path)
    assert kdexport(monkeypatch, "info", "student.onnx", "--json", "columns.json") == 0
    (tmp_path / "dist").symlink_to(dist)
    (tmp_path / "index.html").write_text(PAGE)
    handler = functools.partial(QuietHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/index.html", tmp_path
        server.shutdown()


def test_page(browser: Any, site: tuple[str, Path]) -> None:
    """The page shows what the file answers for a row of missing cells, and reports no error."""
    address, folder = site
    columns = json.loads((folder / "columns.json").read_text())
    page = browser.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address)
    page.wait_for_function("document.querySelector('#answer').textContent", timeout=30_000)
    label, probabilities = page.inner_text("#answer").splitlines()
    page.close()
    expected = ask_file(columns, [dict.fromkeys(columns["numeric"] + columns["categorical"])])
    assert label == f"label: {expected['label'][0]}"
    shown = [float(value) for value in probabilities.removeprefix("probabilities: ").split()]
    np.testing.assert_allclose(shown, expected["probabilities"][0], atol=1e-6)
    assert said == []
