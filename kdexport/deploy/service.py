"""A service of its own: FastAPI, onnxruntime and numpy; no torch, no kdexport.

Takes a `Packable`, gives named bytes.
"""

import re

from kdexport.deploy.common import MODEL, finish_pack, read_template, write_golden_rows
from kdexport.deploy.model import Packable

COMMAND = "pip install -r requirements.txt && uvicorn service:app --port 8000"
TEXT = """
Or `docker build -t NAME . && docker run -p 8000:8000 NAME`. `POST /row` answers one row, an object
of column name to cell; `POST /rows` a list of them; `GET /health` says that it is ready; `/docs`
has the columns. A missing cell is null, a date ISO text (UTC where it names no zone). A cell that
its column cannot hold, or a column that is absent, gets status 422 and the column's name.
"""


def build_service(packable: Packable) -> dict[str, bytes]:
    """Return the files of a service."""
    files = {
        MODEL: packable.content,
        "service.py": read_template("service.py"),
        "requirements.txt": read_template("requirements-service.txt"),
        "Dockerfile": read_template("Dockerfile"),
        **write_golden_rows(packable),
    }
    tag = re.sub(r"[^a-z0-9]+", "-", packable.name.lower()).strip("-")  # what docker takes
    text = TEXT.replace("NAME", tag)
    return finish_pack(packable, "python", files, command=COMMAND, text=text)
