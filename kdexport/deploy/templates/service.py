"""Answers rows over HTTP: model.onnx behind FastAPI. Start: `uvicorn service:app`."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import onnxruntime
from fastapi import FastAPI
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


TIME = r"\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)?"
ISO_DATE = re.compile(rf"\d{{4}}-\d\d-\d\d([ T]{TIME})?", re.ASCII)


def to_days(cell):
    """Return an ISO date as days since 1970; UTC where it names no zone."""
    if not isinstance(cell, str):
        return cell
    if not ISO_DATE.fullmatch(cell):
        raise ValueError(f"dates are such as 2026-01-31: {cell[:40]!r}")
    moment = datetime.fromisoformat(cell)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() / 86400


NUMBER, DATE = float | None, Annotated[float | None, BeforeValidator(to_days)]
types = {name: DATE if COLUMNS["kinds"].get(name) == "date" else NUMBER for name in NUMERIC}
types |= dict.fromkeys(CATEGORICAL, str | None)
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


@app.post("/row")
async def answer_row(row: Row):
    return JSONResponse(answer([row])[0])


@app.post("/rows")
async def answer_rows(rows: list[Row]):
    return JSONResponse(answer(rows))


@app.get("/health")
async def say_ready():
    return {"ready": True}
