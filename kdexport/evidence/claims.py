"""What a bundle claims of itself: how its student stands beside the teacher, what its files are,
and the headline that is sealed into each.

Takes answers, figures and bytes, gives what evidence and metadata state. Checks nothing.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel

from kdexport.bundle import hash_bytes
from kdexport.contract import (
    count_parameters,
    onnx_opset,
    parse_model,
    serialize_model,
    set_metadata,
)
from kdexport.errors import KdexportError
from kdexport.evidence.calibration import measure_bins
from kdexport.evidence.facts import FileFact
from kdexport.evidence.golden import Golden
from kdexport.evidence.metrics import find_metrics, measure_fidelity, score_rows
from kdexport.evidence.slices import compare_slices
from kdexport.records import Answers, Rows
from kdexport.signature import Signature

SEALED = ("task", "signature", "quality", "replicates", "edge", "recovered", "fidelity")
SEALED_IF_THERE = (
    "controls",
    "rival",
    "slices",
    "gained",
    "calibration",
    "curves",
    "unlabeled",
    "copied_test_rows",
    "quantized",
)


def make_headline(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a file's metadata says of its evidence, sealed with the hash of all of it.

    Args:
        claims: The evidence under the names in `SEALED`, and those in `SEALED_IF_THERE` that it
            has.
    """
    sealed = [*SEALED, *(name for name in SEALED_IF_THERE if claims.get(name))]
    leading = next(iter(claims["recovered"]))
    quality, recovered = claims["quality"]["student"][leading], claims["recovered"][leading]
    text = json.dumps([[name, _plain(claims[name])] for name in sealed], sort_keys=True)
    return {
        leading: [round(v, 4) for v in (quality.value, quality.low, quality.high)],
        "recovered": [round(v, 3) for v in (recovered.value, recovered.low, recovered.high)],
        "verdict": recovered.verdict,
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }


def seal_file(content: bytes, headline: Mapping[str, Any], **others: str) -> bytes:
    """Write a headline into a model file's metadata, and other entries of kdexport's beside it."""
    entries = {**others, "evidence": json.dumps(headline, separators=(",", ":"))}
    model = parse_model(content)
    set_metadata(model, {f"kdexport.{key}": value for key, value in entries.items()})
    return serialize_model(model)


def score_golden(golden: Golden, answers: Answers | None = None) -> dict[str, float]:
    """Score answers (by default those of the student's source) on the rows that have a target.

    Golden rows are odd ones: what compares them with each other says nothing and is left out.
    """
    rows = golden.labelled
    if not len(rows):
        return {}
    asked = golden.answers["student"].rounded if answers is None else answers
    taken = Answers(asked.predictions[rows], asked.probabilities[rows])
    found = find_metrics(asked.probabilities.shape[1], golden.targets[rows])
    metrics = {name: metric for name, metric in found.items() if not metric.compares_rows}
    scores = score_rows(metrics, taken, golden.targets[rows], np.ones(len(rows)))
    return {name: float(metrics[name].finish(s.mean())) for name, s in scores.items()}


def compare_with_teacher(
    rows: Rows, signature: Signature, student: Answers, teacher: Answers | None
) -> dict[str, Any]:
    """Return fidelity, slices and calibration of the student that ships, by their names.

    Args:
        rows: Test rows.
        signature: What their columns are.
        student: The file's answers to them.
        teacher: The teacher's, None where it cannot be asked: only calibration is left then.
    """
    asked = {"student": student} if teacher is None else {"teacher": teacher, "student": student}
    bins = {role: measure_bins(a, rows.targets, rows.weights) for role, a in asked.items()}
    found = {"calibration": {role: one for role, one in bins.items() if one}}
    if teacher is None:
        return {**found, "fidelity": {}, "slices": None}
    return {
        **found,
        "fidelity": measure_fidelity(student, teacher, rows.weights),
        "slices": compare_slices(rows, signature, teacher=teacher, student=student),
    }


def describe_file(content: bytes, *, is_model: bool) -> FileFact:
    """Return what the evidence states of a file; of a model that cannot be parsed, its bytes."""
    fact = FileFact(sha256=hash_bytes(content), bytes=len(content))
    if not is_model:
        return fact
    try:
        model = parse_model(content)
    except KdexportError:
        return fact
    return FileFact(
        sha256=fact.sha256,
        bytes=fact.bytes,
        parameters=count_parameters(model),
        opset=onnx_opset(model),
        ir_version=model.ir_version,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
