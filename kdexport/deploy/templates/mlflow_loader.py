"""How MLflow asks model.onnx: a table in, a table of answers out."""

import json
import re
from datetime import UTC, datetime
from numbers import Real
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd

DIGITS = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
TIME = r"\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)?"
ISO_DATE = re.compile(rf"(?!0000)\d{{4}}-\d\d-\d\d([ T]{TIME})?", re.ASCII)
FLAGS = {"true": True, "false": False}


class Model:
    """Answers frames whose columns are those that the file was learned from."""

    def __init__(self, folder):
        self.columns = json.loads((folder / "columns.json").read_text(encoding="utf-8"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.columns["threads"]
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(folder / "model.onnx", options)
        self.outputs = [output.name for output in self.session.get_outputs()]

    def predict(self, table, params=None):
        feeds, columns = {}, self.columns
        if names := columns["numeric"]:
            numbers = [to_numbers(table[name], columns["kinds"].get(name)) for name in names]
            with np.errstate(over="ignore"):  # beyond float32 is infinite, which the graph bounds
                feeds["numeric"] = np.stack(numbers, axis=1).astype(columns["precision"])
        if names := columns["categorical"]:
            texts = np.stack([to_texts(table[name]) for name in names], axis=1)
            if (codes := columns["codes"]) is not None:
                found = [codes.get(text, columns["unknown"]) for text in texts.ravel().tolist()]
                texts = np.array(found, np.int64).reshape(texts.shape)
            feeds["categorical"] = texts
        values = self.session.run(self.outputs, feeds)
        if len(values) == 1:
            return pd.DataFrame({"prediction": values[0]})
        labels = values[0]
        if columns["labels"] is not None:
            labels = np.array(columns["labels"], object)[labels]
        names = [f"probability_{value}" for value in columns["classes"]]
        shares = dict(zip(names, values[1].T, strict=True))
        return pd.DataFrame({"label": labels, **shares})


def to_numbers(cells, kind):
    """Return a column as numbers; dates as days since 1970, UTC where they name no zone."""
    if kind == "date" and cells.dtype.kind == "M":
        since = pd.to_datetime(cells, utc=True).dt.floor("us") - pd.Timestamp(0, tz="UTC")
        return (since / pd.Timedelta(days=1)).to_numpy("float64")
    if pd.api.types.is_numeric_dtype(cells):
        return cells.to_numpy("float64", na_value=np.nan)
    read = READERS[kind]
    try:
        known = cells.astype("object").where(cells.notna(), np.nan)
        return np.array([read(cell) for cell in known], "float64")
    except (TypeError, ValueError) as error:
        raise ValueError(f"column {cells.name!r} takes {kind or 'number'}s: {error}") from error


def to_number(cell):
    """Return the number that a text spells, blanks around it aside; blanks alone are no cell."""
    if not isinstance(cell, str):
        return cell
    text = cell.strip()
    if text and not DIGITS.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is none")
    return float(text) if text else None


def to_flag(cell):
    """Return a flag, or the text of one, as it counts."""
    return to_number(FLAGS.get(cell.strip().lower(), cell) if isinstance(cell, str) else cell)


def to_days(cell):
    """Return a date, or the text of one, as days; a number is that many."""
    text = "" if isinstance(cell, Real) else str(cell).strip()
    if not text:
        return to_number(cell)
    if not ISO_DATE.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not such as 2026-01-31")
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() / 86400


READERS = {None: to_number, "boolean": to_flag, "date": to_days}


def to_texts(cells):
    """Return a column as texts; a missing cell is the empty one."""
    cells = cells.astype("object")
    texts = cells.where(cells.notna(), "").tolist()
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(f"column {cells.name!r} takes texts: {text!r} is none")
    return np.array(texts, object)


def _load_pyfunc(path):
    return Model(Path(path))
