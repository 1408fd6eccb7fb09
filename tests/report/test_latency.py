"""A latency record in the terminal."""

import io

from rich.console import Console, RenderableType

from kdexport.evidence.baseline import compare_records
from kdexport.evidence.compare import compare_rows
from kdexport.evidence.latency_facts import LatencyRecord, LoadFact
from kdexport.evidence.shape import Interval
from kdexport.report.latency import render_latency, render_slowdowns
from tests.evidence.records import make_record

BATCHES = (1, 32, 1024)
LEVELS_US = {"student.onnx": 9.0, "teacher.onnx": 90.0, "student.onnx again": 9.0, "floor": 4.5}


def print_text(part: RenderableType) -> str:
    """Return what a terminal of 80 columns shows."""
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(part)
    return console.export_text()


def make_compared() -> LatencyRecord:
    """A record of a bundle with its comparisons."""
    record = make_record(LEVELS_US, BATCHES)
    ratios = [
        ratio
        for batch in BATCHES
        for ratio in compare_rows(
            [row for row in record.rows if row.batch == batch], "student.onnx", "student.onnx again"
        )
    ]
    return record.model_copy(update={"ratios": ratios})


def test_every_batch_has_its_own_times_and_ratio() -> None:
    """E6: each batch size shows teacher and student, and its own ratio; none stands for all."""
    text = print_text(render_latency(make_compared()))
    steady, ratios = text.split("time over that of student.onnx")
    for batch in BATCHES:
        for name in ("student.onnx", "teacher.onnx"):
            assert any(line.split()[:2] == [f"{batch:,}", name] for line in steady.splitlines()), (
                text
            )
    assert sum("teacher.onnx" in line and "slower" in line for line in ratios.splitlines()) == 3
    assert ratios.count("no difference") == 3
    assert "times faster" not in text


def test_file_is_not_slower_than_itself() -> None:
    """An A/A interval that excludes 1, as one in a hundred does, is called chance."""
    record = make_compared()
    ratios = [fact.model_copy(update={"verdict": "SLOWER"}) for fact in record.ratios]
    text = print_text(render_latency(record.model_copy(update={"ratios": ratios})))
    lines = [line for line in text.splitlines() if "student.onnx again" in line]
    assert all("apart by chance" in line and "slower" not in line for line in lines)
    assert sum("slower" in line for line in text.splitlines()) == len(BATCHES)


def test_what_stands_in_the_tables_is_said() -> None:
    """Threads beside a batch, the batch of start and memory, and the loop of a load are named."""
    record = make_compared()
    assert "x2: on" not in print_text(render_latency(record))
    row = record.rows[0].model_copy(update={"threads": 2})
    load = LoadFact(
        name="a",
        batch=1,
        clients=2,
        seconds=2.0,
        calls=1,
        calls_per_second=0.5,
        p50_us=None,
        p90_us=None,
        p99_us=None,
        p999_us=None,
        calls_needed={},
    )
    update = {"rows": [row, *record.rows], "load": [load]}
    text = " ".join(print_text(render_latency(record.model_copy(update=update))).split())
    assert "x2: on 2 intra-op threads" in text
    assert "medians at batch 1; memory: added at batch 1,024" in text
    assert "on one session of 1 intra-op thread" in text
    assert "each calls again when it has its answer" in text


def test_nothing_over_the_floor_has_no_sign() -> None:
    """A file that takes what the empty graph takes is 0.0 over it, not -0.0."""
    record = make_compared()
    over = Interval(value=-0.01, low=-0.1, high=0.1)
    rows = [row.model_copy(update={"over_floor_us": over}) for row in record.rows]
    text = print_text(render_latency(record.model_copy(update={"rows": rows})))
    assert " 0.0 " in text
    assert "-0.0" not in text


def test_withheld_percentile_says_what_it_needs() -> None:
    """A percentile that 1,200 calls cannot carry is a dash, and the calls it needs are named."""
    text = print_text(render_latency(make_compared()))
    row = next(line for line in text.splitlines() if "teacher.onnx" in line)
    assert row.split()[5] == "-"
    assert "p99.9 needs 5,296 calls" in " ".join(text.split())


def test_everything_fits_80_columns() -> None:
    """No cell is cut off on a terminal of 80 columns."""
    record = make_compared()
    assert "…" not in print_text(render_latency(record))
    slowdowns = compare_records(record, record, max_slowdown=0.1)
    assert "…" not in print_text(render_slowdowns(slowdowns))


def test_long_names_give_way() -> None:
    """Files of long names are folded; their times stay whole."""
    name = f"{'a_student_of_many_words_' * 3}.onnx"
    levels = {name: 9.0, **LEVELS_US}
    text = print_text(render_latency(make_record(levels, BATCHES)))
    assert "…" not in text
    assert "1,024 a_student_of_many" in text


def test_names_are_no_markup() -> None:
    """A file's name is shown as it is: brackets are no style, control characters are escaped."""
    levels = {"m[bold].onnx": 9.0, "e\x1b[31m:x:.onnx": 9.0, **LEVELS_US}
    record = make_record(levels, BATCHES)
    text = print_text(render_latency(record))
    text += print_text(render_slowdowns(compare_records(record, record, max_slowdown=0.1)))
    assert text.count("m[bold].onnx") > len(BATCHES)
    assert r"e\x1b[31m:x:.onnx" in text
    assert "\x1b" not in text


def test_noise_is_said() -> None:
    """Notes on what disturbed the run stand in the report."""
    record = make_compared().model_copy(update={"notes": ["a neighbour: stop it"]})
    assert "noisy: a neighbour: stop it" in print_text(render_latency(record))
