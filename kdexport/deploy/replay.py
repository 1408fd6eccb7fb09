"""A pack's golden rows, asked again of the file in it.

Takes a pack's folder, gives one `CheckResult`. Reads each target's own requests and answers, so
that what is compared is what the pack shows; of nothing in it anything is assumed.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kdexport.contract import NUMERIC, PREDICTION, PROBABILITIES
from kdexport.deploy.common import COLUMNS
from kdexport.deploy.model import feed_codes, read_outputs
from kdexport.deploy.tensors import read_json_tensors
from kdexport.errors import KdexportError, one_line
from kdexport.evidence.parity import MOST_ROUNDING, Tolerance, compare_answers, describe_parity
from kdexport.evidence.stress import HUGE
from kdexport.export.portable import TextCodes
from kdexport.reading import MAX_TEXT_BYTES, describe_refusal, read_file
from kdexport.records import Answers, CheckResult, Column, Inputs
from kdexport.runtime import open_session

RULE = "the file answers the golden rows as the trained model did"


def replay_golden(folder: Path, content: bytes, stated: Mapping[str, Any]) -> CheckResult:
    """Ask a packed file its golden rows.

    Args:
        folder: The pack.
        content: Its model file.
        stated: What pack.json says of the golden rows, their tolerance among it.
    """
    try:
        columns = _read(next(iter(sorted(folder.rglob(COLUMNS))), folder / COLUMNS))
        labels = columns["labels"]
        texts = TextCodes(
            columns["codes"], None if labels is None else tuple(labels), columns["unknown"]
        )
        feeds, source = _read_golden(folder / "golden", columns, texts)
        answers = read_outputs(open_session(content).run(feeds), texts)
        passed, message = _compare(feeds, source, answers, stated)
    except OSError as error:
        passed, message = False, f"they cannot be asked: {describe_refusal(error)}"
    except (KdexportError, ValueError, LookupError, TypeError, AttributeError) as error:
        passed, message = False, f"they cannot be asked: {error}"
    message = message if passed else f"{RULE}, however: {message}"
    return CheckResult("pack/golden", passed, one_line(message))


def _compare(
    feeds: Mapping[str, Column], source: Answers, answers: Answers, stated: Mapping[str, Any]
) -> tuple[bool, str]:
    """Compare as the bundle's check does, without the terms that say how a row is rounded: a
    probability may be off by all that they could allow, and a row with an absurd cell by anything.
    """
    if not source.n_rows:
        return True, "no golden row that JSON can hold"
    cells = np.nan_to_num(feeds.get(NUMERIC, np.zeros((source.n_rows, 1))), nan=0.0)
    usual = np.flatnonzero((np.abs(cells) < HUGE / 2).all(axis=1))
    probability, relative = (float(stated[f"{of}_tolerance"]) for of in ("probability", "relative"))
    tolerance = Tolerance(max(probability, MOST_ROUNDING), relative)
    fact = compare_answers(source.take(usual), answers.take(usual), tolerance)
    return fact.passed, f"{fact.rows} golden rows: {describe_parity(fact)}"


def _read_golden(
    folder: Path, columns: Mapping[str, Any], texts: TextCodes
) -> tuple[dict[str, Column], Answers]:
    """Return what the file takes and what its source answered: as tensors, or row by row."""
    if (folder / "response.json").is_file():
        feeds, outputs = (
            read_json_tensors(_read(folder / f"{name}.json")[key])
            for name, key in (("request", "inputs"), ("response", "outputs"))
        )
        flat = {n: v if n == PROBABILITIES else v.ravel() for n, v in outputs.items()}
        return feeds, read_outputs(flat, texts)  # Triton has a column of labels
    if (folder / "rows.json").is_file():
        rows = _read(folder / "rows.json")
    else:  # of MLflow
        table = _read(folder / "request.json")["dataframe_split"]
        rows = [dict(zip(table["columns"], cells, strict=True)) for cells in table["data"]]
    numbers = [[np.nan if (v := row[c]) is None else v for c in columns["numeric"]] for row in rows]
    cells = [[row[name] or "" for name in columns["categorical"]] for row in rows]
    numeric = np.array(numbers, np.float64)
    with np.errstate(over="ignore"):  # 1e300 stands for what is infinite
        rounded = numeric if columns["precision"] == "float64" else numeric.astype(np.float32)
    inputs = Inputs(rounded, np.array(cells, object))
    return feed_codes(inputs, texts), _read_answers(_read(folder / "answers.json"))


def _read_answers(answers: list[dict[str, Any]]) -> Answers:
    if PREDICTION in answers[0]:
        numbers = np.array([answer[PREDICTION] for answer in answers], np.float32)
        return Answers(numbers, np.empty((len(numbers), 0), np.float32))
    shares = [[*answer["probabilities"].values()] for answer in answers]
    labels = np.array([answer["label"] for answer in answers])
    return Answers(labels, np.array(shares, np.float32))


def _read(path: Path) -> Any:
    try:
        return json.loads(read_file(path, MAX_TEXT_BYTES))
    except RecursionError as error:
        raise ValueError(f"{path.name} is nested too deeply") from error
