"""Golden rows as people write rows: column name to cell, and answers by name.

Takes a `Packable`, gives what JSON can hold. A missing cell is null; an infinite number is written
as one that is beyond float32, since JSON has no infinity: the graph moves both onto the same bound.
"""

from typing import Any

import numpy as np

from kdexport.contract import PREDICTION
from kdexport.deploy.model import Packable

BEYOND_FLOAT32 = 1e300


def write_rows(packable: Packable) -> list[dict[str, Any]]:
    """Return each golden row as column name to cell; dates stay days."""
    signature, inputs = packable.signature, packable.inputs
    names = signature.columns
    numbers = inputs.numeric.astype(np.float64).tolist()
    rows = []
    for cells, texts in zip(numbers, inputs.categorical.tolist(), strict=True):
        plain = [
            _write_cell(cell, signature.kinds.get(name))
            for name, cell in zip(signature.numeric, cells, strict=True)
        ]
        rows.append(dict(zip(names, plain + [text or None for text in texts], strict=True)))
    return rows


def write_answers(packable: Packable) -> list[dict[str, Any]]:
    """Return the answer to each golden row: a label and its probabilities, or a number."""
    answers, classes = packable.answers, packable.signature.classes
    predictions = answers.predictions.tolist()
    if packable.signature.is_regression:
        return [{PREDICTION: value} for value in predictions]
    return [
        {
            "label": label,
            "probabilities": dict(zip(name_classes(classes), shares, strict=True)),
        }
        for label, shares in zip(predictions, answers.probabilities.tolist(), strict=True)
    ]


def name_classes(classes: tuple[Any, ...]) -> list[str]:
    """Return the classes as keys of a JSON object."""
    return [str(value).lower() if isinstance(value, bool) else str(value) for value in classes]


def _write_cell(cell: float, kind: str | None) -> float | bool | None:
    if np.isnan(cell):
        return None
    if np.isinf(cell):
        return float(np.copysign(BEYOND_FLOAT32, cell))
    if kind == "boolean" and cell in (0.0, 1.0):
        return bool(cell)
    return cell
