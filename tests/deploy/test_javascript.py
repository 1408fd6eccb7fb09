"""The packs of `--node` and `--web`: onnxruntime-node, and onnxruntime-web in a real Chromium."""

import functools
import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import answers_of_rows
from kdexport.deploy.javascript import RUNTIME
from tests.deploy.conftest import (
    ABSENT,
    Packs,
    assert_golden,
    find_modules,
    find_program,
    read_json,
)

pytestmark = pytest.mark.deploy
MS_TO_OPEN = 60_000


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: Any) -> None:
        pass


def link_modules(folder: Path, name: str) -> None:
    """Give a pack the package that its package.json asks for, as npm would."""
    modules = find_modules(name)
    installed = read_json(modules / name / "package.json")["version"]
    assert read_json(folder / "package.json")["dependencies"] == {name: RUNTIME}
    assert installed == RUNTIME
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(modules)


def run_node(folder: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run Node in a pack."""
    command = [find_program("node"), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_node(packs: Packs) -> None:
    """The command of the README answers the golden rows, texts and missing cells among them."""
    folder = packs.folder("node")
    link_modules(folder, "onnxruntime-node")
    start = read_json(folder / "package.json")["scripts"]["start"]
    install, ask = start.split(" && ")
    assert install.startswith("npm install --ignore-scripts")
    done = run_node(folder, *ask.split()[1:])
    assert done.returncode == 0, done.stderr
    assert_golden(packs.packable, answers_of_rows(packs.packable, json.loads(done.stdout)))


def test_node_names_columns(packs: Packs) -> None:
    """A column that is absent, or a cell that its column cannot hold, is an error that names it."""
    folder = packs.folder("node")
    link_modules(folder, "onnxruntime-node")
    row = read_json(folder / "golden/rows.json")[0]
    name = packs.packable.signature.numeric[0]
    for wrong in ({k: v for k, v in row.items() if k != name}, {**row, name: "many"}):
        (folder.parent / "wrong.json").write_text(json.dumps([wrong]))
        done = run_node(folder, "answer.mjs", "../wrong.json")
        assert done.returncode != 0
        assert json.dumps(name) in done.stderr


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's Chromium, driven by playwright; a failure where either is absent."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        pytest.fail(ABSENT.format("playwright"))
    path = find_program("chromium")
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def site(packs: Packs) -> Iterator[str]:
    """A static server of the page, on loopback."""
    folder = packs.folder("web")
    link_modules(folder, "onnxruntime-web")
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_web(packs: Packs, chromium: Any, site: str) -> None:
    """The page replays the golden rows, answers offline, says how long and what is wrong."""
    said: list[str] = []
    asked: list[str] = []
    context = chromium.new_context()
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(site + "index.html")
    page.wait_for_selector("body[data-ready]", timeout=MS_TO_OPEN)
    assert all(address.startswith((site, "data:")) for address in asked)
    replayed = page.evaluate("({ ...document.querySelector('#golden').dataset })")
    assert int(replayed["rows"]) == packs.packable.inputs.n_rows
    assert int(replayed["flips"]) == 0
    assert float(replayed["difference"]) <= (
        1e-5 if packs.packable.signature.is_regression else 1e-6
    )
    assert float(page.inner_text("#latency").split()[0]) > 0
    context.set_offline(True)
    n_asked = len(asked)
    expected = packs.packable.answers.predictions.tolist()[0]
    name = "prediction" if packs.packable.signature.is_regression else "label"
    page.fill("#row input >> nth=0", "")
    page.click("button")
    page.wait_for_function("document.querySelector('#answer').textContent.startsWith('{')")
    without = page.inner_text("#answer")
    page.fill("#row input >> nth=0", "many")
    page.click("button")
    page.wait_for_function("document.querySelector('#answer').textContent.startsWith('error')")
    page.fill("#row input >> nth=0", "  ")  # a gap, as in a CSV; JavaScript's own number of it is 0
    page.click("button")
    page.wait_for_function("document.querySelector('#answer').textContent.startsWith('{')")
    assert page.inner_text("#answer") == without
    page.fill("#row input >> nth=0", "0x10")  # no number, in a CSV
    page.click("button")
    page.wait_for_function("document.querySelector('#answer').textContent.startsWith('error')")
    assert packs.packable.signature.numeric[0] in page.inner_text("#answer")
    cell = read_json(packs.folder("web") / "golden/rows.json")[0][
        packs.packable.signature.numeric[0]
    ]
    page.fill("#row input >> nth=0", "" if cell is None else json.dumps(cell))
    page.click("button")
    page.wait_for_function("document.querySelector('#answer').textContent.startsWith('{')")
    answer = json.loads(page.inner_text("#answer"))
    context.close()
    assert answer[name] == (pytest.approx(expected) if name == "prediction" else expected)
    assert len(asked) == n_asked
    assert said == []
