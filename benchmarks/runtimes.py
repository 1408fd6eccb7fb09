"""The same rows in every runtime that packs are for: differences, flips, p50 of a single row.

Usage: python -m benchmarks.runtimes     after make test-deploy, which installs the runtimes
"""

import contextlib
import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bundles import make_bundle
from benchmarks.record import make_claim, write_result
from benchmarks.servers import (
    CLIENTS,
    ENVIRONMENTS,
    MODULES,
    ROOT,
    answers_of_rows,
    answers_of_tensors,
    find_port,
    prepare,
)
from kdexport.deploy.model import Form, Packable
from kdexport.deploy.packs import TARGETS
from kdexport.records import Answers

TOLERANCE = 1e-6
SECONDS_TO_START = 60
PLAIN, OLDER, CODES = Form(), Form("1.14"), Form(has_codes=True)

# Name, client, environment, form of the file.
FILE_RUNTIMES = (
    ("onnxruntime", "onnxruntime", "runtimes", PLAIN),
    ("onnxruntime, oldest, --target-ort 1.14", "onnxruntime", "oldest", OLDER),
    ("reference evaluator", "reference", "runtimes", PLAIN),
    ("onnxruntime, --split-text", "onnxruntime", "runtimes", CODES),
    ("OpenVINO, --split-text", "openvino", "runtimes", CODES),
    ("Polygraphy, --split-text", "polygraphy", "runtimes", CODES),
)
Said = dict[str, Any]


def main() -> int:
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundles = {
            "clicks": ROOT / "models/clicks",
            "mixed": make_bundle("mixed", 0, folder / "mixed"),
        }
        for title, bundle in bundles.items():
            rows += measure_bundle(title, bundle, folder)
    claims = []
    for title in bundles:
        takes = [row for row in rows if row["bundle"] == title]
        worst = max(row["max_probability_difference"] for row in takes)
        claims.append(
            make_claim(
                f"{title}: largest difference of a probability in any runtime",
                worst,
                unit="",
                target=TOLERANCE,
                at_least=False,
            )
        )
    flips = float(sum(row["flips"] for row in rows))
    claims.append(make_claim("flips in any runtime", flips, unit="", target=0, at_least=False))
    print(write_result("runtimes", "python -m benchmarks.runtimes", rows, claims))
    return 0


def measure_bundle(title: str, bundle: Path, folder: Path) -> list[Said]:
    """Ask every runtime the golden rows of one bundle."""
    prepared = {form: prepare(bundle, form) for form in (PLAIN, OLDER, CODES)}
    packable, rows = prepared[PLAIN], []

    def add(name: str, version: str, p50_us: float, answers: Answers, **more: Any) -> None:
        row = {"bundle": title, "runtime": name, "version": version, "p50_us": p50_us, **more}
        row |= compare(packable, answers)
        print(json.dumps(row))
        rows.append(row)

    for name, client, environment, form in FILE_RUNTIMES:
        said, answers = ask_file(prepared[form], client, environment, folder)
        add(name, said["version"], said["p50_us"], answers)
    for name, ask in (("Node", ask_node), ("browser", ask_browser), ("service", ask_service)):
        said = ask(packable, folder / f"{title}.{name}")
        answers = answers_of_rows(packable, said.pop("answers"))
        add(name, said.pop("version"), said.pop("p50_us"), answers, **said)
    return rows


def compare(packable: Packable, answers: Answers) -> Said:
    """Differences from the trained model's answers."""
    source = packable.answers
    apart = np.abs(source.probabilities.astype(np.float64) - answers.probabilities)
    flips = int((source.predictions != answers.predictions).sum())
    return {
        "rows": source.n_rows,
        "max_probability_difference": float(apart.max()),
        "flips": flips,
    }


def ask_file(
    packable: Packable, client: str, environment: str, folder: Path
) -> tuple[Said, Answers]:
    """Ask a runtime that opens the file itself."""
    (folder / "model.onnx").write_bytes(packable.content)
    feeds = {k: v.astype(np.str_) if v.dtype == object else v for k, v in packable.feeds.items()}
    np.savez(folder / "rows.npz", **feeds)
    files = [str(folder / name) for name in ("model.onnx", "rows.npz", "answers.npz")]
    said = run(python_of(environment), str(CLIENTS / f"{client}_client.py"), *files)
    with np.load(folder / "answers.npz") as stored:
        found = {name: stored[name] for name in stored.files}
    return said, answers_of_tensors(packable, found)


def ask_node(packable: Packable, folder: Path) -> Said:
    """Ask the pack for Node."""
    write_pack(packable, "node", folder)
    return run(shutil.which("node"), str(CLIENTS / "node_client.mjs"), str(folder))


def ask_browser(packable: Packable, folder: Path) -> Said:
    """Ask the page, in a Chromium."""
    from playwright.sync_api import sync_playwright

    write_pack(packable, "web", folder)
    with serve_folder(folder) as address, sync_playwright() as driver:
        path = shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{address}/index.html")
        page.wait_for_selector("body[data-ready]", timeout=1000 * SECONDS_TO_START)
        p50_us = float(page.inner_text("#latency").split()[0])
        answers = page.evaluate("import('./page.mjs').then((page) => page.answers)")
        version = f"{web_version(folder)}, Chromium {browser.version}"
        browser.close()
    return {"version": version, "p50_us": p50_us, "answers": answers}


def ask_service(packable: Packable, folder: Path) -> Said:
    """Ask the service over HTTP, on loopback, one row at a time."""
    write_pack(packable, "python", folder)
    port, python = find_port(), python_of("servers")
    command = [python, "-m", "uvicorn", "service:app", "--port", str(port), "--log-level", "error"]
    process = subprocess.Popen(command, cwd=folder, env=without_path())
    try:
        wait_for(f"http://127.0.0.1:{port}/health")
        return run(python, str(CLIENTS / "service_client.py"), str(port), str(folder))
    finally:
        process.terminate()
        process.wait(timeout=SECONDS_TO_START)


def write_pack(packable: Packable, target: Any, folder: Path) -> None:
    """Write a pack, with npm's packages beside it."""
    for path, content in TARGETS[target](packable).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    (folder / "node_modules").symlink_to(MODULES)


def web_version(folder: Path) -> str:
    package = folder / "node_modules/onnxruntime-web/package.json"
    return str(json.loads(package.read_text())["version"])


def run(*command: str | None) -> Said:
    """Run a client; return the JSON that it prints."""
    done = subprocess.run(
        [word or "" for word in command], env=without_path(), capture_output=True, text=True
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise SystemExit(f"{command}: {done.stderr[-1000:]}")
    said: Said = json.loads(lines[-1])
    return said


def python_of(environment: str) -> str:
    path = ENVIRONMENTS / environment / "bin" / "python"
    if not path.exists():
        raise SystemExit(f"{path} is absent: make test-deploy installs it")
    return str(path)


def without_path() -> dict[str, str]:
    """The environment of a process that finds no kdexport."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


def wait_for(address: str) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


@contextlib.contextmanager
def serve_folder(folder: Path) -> Iterator[str]:
    """Serve a folder's files on loopback."""
    handler: Callable[..., Any] = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: Any) -> None:
        pass


if __name__ == "__main__":
    sys.exit(main())
