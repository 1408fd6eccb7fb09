"""Answers rows over HTTP: model.onnx behind FastAPI. Start: `uvicorn service:app`."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import onnxruntime
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BeforeValidator, Field, create_model

HERE = Path(__file__).parent
COLUMNS = json.loads((HERE / "columns.json").read_text(encoding="utf-8"))
NUMERIC, CATEGORICAL, CODES = COLUMNS["numeric"], COLUMNS["categorical"], COLUMNS["codes"]
KEYS = [str(c).lower() if isinstance(c, bool) else str(c) for c in COLUMNS["classes"]]

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = COLUMNS["threads"]
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = onnxruntime.InferenceSession(HERE / "model.onnx", options)
OUTPUTS = [output.name for output in session.get_outputs()]


DIGITS = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
TIME = r"\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)?"
ISO_DATE = re.compile(rf"\d{{4}}-\d\d-\d\d([ T]{TIME})?", re.ASCII)
FLAGS = {"true": True, "false": False}


def to_number(cell):
    """Return the number that a text spells, blanks around it aside; blanks alone are no cell."""
    if not isinstance(cell, str):
        return cell
    text = cell.strip()
    if text and not DIGITS.fullmatch(text):
        raise ValueError(f"numbers are such as 1.5: {text[:40]!r}")
    return float(text) if text else None


def to_flag(cell):
    """Return a flag, or the text of one, as it counts."""
    return to_number(FLAGS.get(cell.strip().lower(), cell) if isinstance(cell, str) else cell)


def to_days(cell):
    """Return an ISO date as days since 1970; UTC where it names no zone."""
    text = cell.strip() if isinstance(cell, str) else ""
    if not text:
        return to_number(cell)
    if not ISO_DATE.fullmatch(text):
        raise ValueError(f"dates are such as 2026-01-31: {text[:40]!r}")
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() / 86400


def to_text(cell):
    """Return a text as it is: one that is cut within a character, no UTF-8 holds."""
    if isinstance(cell, str):
        cell.encode()
    return cell


READERS = {None: to_number, "boolean": to_flag, "date": to_days}
readers = {name: READERS[COLUMNS["kinds"].get(name)] for name in NUMERIC}
types = {name: Annotated[float | None, BeforeValidator(r)] for name, r in readers.items()}
types |= dict.fromkeys(CATEGORICAL, Annotated[str | None, BeforeValidator(to_text)])
Row = create_model("Row", **{f"c{i}": (types[n], Field(alias=n)) for i, n in enumerate(types)})


def answer(rows):
    """Answer rows: what the file gives, by name."""
    feeds, cells = {}, [list(vars(row).values()) for row in rows]
    if n := len(NUMERIC):
        with np.errstate(over="ignore"):  # beyond float32 is infinite, which the graph bounds
            numbers = np.array([row[:n] for row in cells], COLUMNS["precision"])
        feeds["numeric"] = numbers.reshape(-1, n)
    if CATEGORICAL:
        texts = [[text or "" for text in row[n:]] for row in cells]
        if CODES is not None:
            texts = [[CODES.get(text, COLUMNS["unknown"]) for text in row] for row in texts]
        kind = object if CODES is None else np.int64
        feeds["categorical"] = np.array(texts, kind).reshape(-1, len(CATEGORICAL))
    values = [output.tolist() for output in session.run(OUTPUTS, feeds)]
    if len(values) == 1:
        return [{"prediction": number} for number in values[0]]
    labels = [COLUMNS["labels"][i] for i in values[0]] if COLUMNS["labels"] else values[0]
    shares = [dict(zip(KEYS, row, strict=True)) for row in values[1]]
    pairs = zip(labels, shares, strict=True)
    return [{"label": label, "probabilities": by_class} for label, by_class in pairs]


answer([Row.model_validate(dict.fromkeys(types))])  # the first call is slow: made before ready
app = FastAPI(title=COLUMNS["model"])


@app.exception_handler(RequestValidationError)
async def refuse(_, error):
    """Say what is wrong and where, without the cells: JSON may not hold them, such as NaN."""
    said = [{key: one[key] for key in ("type", "loc", "msg")} for one in error.errors()]
    return JSONResponse({"detail": said}, 422)


@app.post("/row")
async def answer_row(row: Row):
    return JSONResponse(answer([row])[0])


@app.post("/rows")
async def answer_rows(rows: list[Row]):
    return JSONResponse(answer(rows))


@app.get("/health")
async def say_ready():
    return {"ready": True}
