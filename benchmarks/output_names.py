"""What does `session.run(None, feeds)` take beside the names of the outputs in place of None?

For None, onnxruntime reads the names of all outputs at every call. One session of the student,
called both ways in one interleaved run.

Usage: python -m benchmarks.output_names
"""

import json
from functools import partial
from pathlib import Path

from kdexport.bundle import STUDENT, load_bundle
from kdexport.evidence.compare import estimate_ratio
from kdexport.evidence.golden import unpack_golden
from kdexport.evidence.latency import measure_latency
from kdexport.evidence.latency_facts import find_block_medians

import onnxruntime  # isort: skip  # after kdexport, which keeps it from reporting home
from benchmarks.record import make_claim, write_result

CLICKS = load_bundle(Path(__file__).parent.parent / "models" / "clicks")
SECONDS = 20.0


def main() -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(CLICKS.files[STUDENT], options)
    names = [output.name for output in session.get_outputs()]
    calls = {"by name": partial(session.run, names), "None": partial(session.run, None)}
    feeds = unpack_golden(CLICKS.files).inputs.feeds()
    record = measure_latency(calls, feeds, batches=[1], seconds=SECONDS)
    lanes = {row.name: row for row in record.rows if row.name in calls}
    ratio = estimate_ratio(*(find_block_medians(lanes[name].raw) for name in calls))
    rows = [{"outputs": name, "p50_us": row.p50_us.model_dump()} for name, row in lanes.items()]
    found = make_claim(
        "outputs by name over None, batch 1",
        ratio.value,
        low=ratio.low,
        high=ratio.high,
        unit="times",
        target=1.0,
        at_least=False,
    )
    command = "python -m benchmarks.output_names"
    write_result("output_names", command, rows, [found], cpu=record.machine.cpu)
    print(json.dumps([*rows, found], indent=1))


if __name__ == "__main__":
    main()
