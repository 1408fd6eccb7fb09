"""int8 in several forms: models/clicks/student.onnx, by kdexport and by onnxruntime's own tool.

Each is calibrated on the same training rows, asked the same 100,000 test rows and timed in turns.
The tool stops at the file as it is, so it is told to leave biases alone and what to call floats.

Usage: python -m benchmarks.quantize [--seconds 60]
"""

import argparse
import json
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from benchmarks.record import make_claim, write_result
from kdexport.contract import parse_model, serialize_model
from kdexport.evidence.latency import measure_latency
from kdexport.evidence.metrics import measure_quality
from kdexport.export.quantize import quantize_model
from kdexport.prepare import prepare
from kdexport.prepared import Prepared
from kdexport.recipe import read_recipe
from kdexport.records import Inputs
from kdexport.runtime import open_session

CLICKS = Path(__file__).parent.parent / "models/clicks"
FLOAT, OURS = "float32", "kdexport quantize"
MAX_BYTES, MAX_LOSS = 6000, 0.05
CALIBRATION_BATCH = 500


class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Rows in batches, as the tool asks for them."""

    def __init__(self, inputs: Inputs) -> None:
        starts = range(0, inputs.n_rows, CALIBRATION_BATCH)
        self._batches: Iterator[Any] = iter(
            [inputs.take(slice(i, i + CALIBRATION_BATCH)).feeds() for i in starts]
        )

    def get_next(self) -> Any:
        """Return the next batch, None where there is none."""
        return next(self._batches, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    prepared = prepare(read_recipe(CLICKS / "recipe.toml", {}))
    files = make_files(prepared.rows.train.inputs)
    rows = measure_files(files, prepared, options.seconds)
    by_form = {row["form"]: row for row in rows}
    edge = json.loads((CLICKS / "evidence.json").read_text())["edge"]["accuracy"]["value"]
    lost = (by_form[FLOAT]["accuracy"] - by_form[OURS]["accuracy"]) / edge
    claims = [
        make_claim(
            "bytes of the 64-32 student in int8",
            by_form[OURS]["bytes"],
            unit="bytes",
            target=MAX_BYTES,
            at_least=False,
        ),
        make_claim(
            "share of the accuracy edge that int8 costs",
            lost,
            unit="of the edge",
            target=MAX_LOSS,
            at_least=False,
        ),
    ]
    write_result("quantize", "python -m benchmarks.quantize", rows, claims)
    print(json.dumps([*rows, *claims], indent=1))


def make_files(calibration: Inputs) -> dict[str, bytes]:
    """Return the student in every form."""
    source = CLICKS / "student.onnx"
    content = source.read_bytes()
    ours = quantize_model(parse_model(content), calibration.feeds())
    files = {FLOAT: content, OURS: serialize_model(ours)}
    static = {"weight_type": QuantType.QInt8, "quant_format": QuantFormat.QDQ}
    static["extra_options"] = {"QuantizeBias": False}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "small.onnx"
        for name, per_channel in (("one scale a tensor", False), ("per channel", True)):
            reader = Reader(calibration)
            quantize_static(source, target, reader, per_channel=per_channel, **static)
            files[f"onnxruntime, static, {name}"] = target.read_bytes()
        floats = {"DefaultTensorType": onnx.TensorProto.FLOAT}
        quantize_dynamic(source, target, extra_options=floats)
        files["onnxruntime, dynamic"] = target.read_bytes()
    return files


def measure_files(
    files: dict[str, bytes], prepared: Prepared, seconds: float
) -> list[dict[str, Any]]:
    """Return bytes, times, quality on the test rows and distance from float32 of every form."""
    test = prepared.rows.test
    sessions = {name: open_session(content) for name, content in files.items()}
    feeds = test.inputs.feeds()
    record = measure_latency(dict(sessions), feeds, batches=(1, 1024), seconds=seconds)
    p50 = {(r.name, r.batch): r.p50_us for r in record.rows if r.path == "run"}
    source, rows = sessions[FLOAT].answer(test.inputs), []
    for name, session in sessions.items():
        answers = session.answer(test.inputs)
        alone = answer_alone(session, test.inputs)
        quality = measure_quality(answers, test.targets, test.weights)
        moved = np.abs(answers.probabilities[: len(alone)] - alone).max()
        rows.append(
            {
                "form": name,
                "bytes": len(files[name]),
                **{f"p50_us_batch_{b}": one.value if (one := p50[name, b]) else None
                   for b in (1, 1024)},
                **{m: quality[m].value for m in ("accuracy", "log_loss")},
                "agreement": float((answers.predictions == source.predictions).mean()),
                "max_probability_difference": float(
                    np.abs(answers.probabilities - source.probabilities).max()
                ),
                "moved_by_its_batch": float(moved),
            }
        )  # fmt: skip
    return rows


def answer_alone(session: Any, inputs: Inputs, n_rows: int = 200) -> Any:
    """Probabilities of the first rows, each asked in a batch of its own."""
    ones = [session.answer(inputs.take(slice(i, i + 1))).probabilities for i in range(n_rows)]
    return np.concatenate(ones)


if __name__ == "__main__":
    main()
