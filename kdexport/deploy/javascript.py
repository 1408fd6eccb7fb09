"""Packs for JavaScript: a static page with onnxruntime-web, a module for Node.

Takes a `Packable`, gives named bytes. The runtime itself comes from npm, by the pack's own
package.json.
"""

from kdexport.deploy.common import MODEL, finish_pack, read_template, write_golden_rows, write_json
from kdexport.deploy.model import Packable

RUNTIME = "1.30.0"  # of onnxruntime-web and onnxruntime-node
INSTALL = "npm install --ignore-scripts --no-audit --no-fund"
WEB = """
The page lies at http://localhost:8000 then. Any static server does: put this folder on it, with
`node_modules/onnxruntime-web/dist`. It asks its own server only, and nothing at all once it is
open: rows are answered in the browser. It replays the golden rows when it opens, and shows how long
an answer takes there.
"""
NODE = """
It prints the answers to the rows of a JSON file. In a program,

```js
import { answer } from './answer.mjs';
```

takes a list of objects, column name to cell, a missing cell null. `--ignore-scripts` leaves out a
download of CUDA that the package would start.
"""


def build_web(packable: Packable) -> dict[str, bytes]:
    """Return the files of a page."""
    pages = {name: read_template(name) for name in ("index.html", "page.mjs", "rows.mjs")}
    start = f"{INSTALL} && python3 -m http.server 8000 --bind 127.0.0.1"
    files = {
        MODEL: packable.content,
        **pages,
        "package.json": _describe_package(packable, "onnxruntime-web", start),
        **write_golden_rows(packable),
    }
    return finish_pack(packable, "web", files, command="npm start", text=WEB)


def build_node(packable: Packable) -> dict[str, bytes]:
    """Return the files of a module for Node."""
    start = f"{INSTALL} && node answer.mjs golden/rows.json"
    files = {
        MODEL: packable.content,
        "answer.mjs": read_template("answer.mjs"),
        "rows.mjs": read_template("rows.mjs"),
        "package.json": _describe_package(packable, "onnxruntime-node", start),
        **write_golden_rows(packable),
    }
    return finish_pack(packable, "node", files, command="npm start", text=NODE)


def _describe_package(packable: Packable, runtime: str, start: str) -> bytes:
    package = {
        "name": "student",
        "description": f"answers of {packable.name}",
        "private": True,
        "type": "module",
        "scripts": {"start": start},
        "dependencies": {runtime: RUNTIME},
    }
    return write_json(package)
