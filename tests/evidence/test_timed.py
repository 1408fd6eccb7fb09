"""What can be timed: any file with numbers or text, on rows that fit."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from kdexport.errors import DataError
from kdexport.evidence.latency import measure_latency
from kdexport.evidence.timed import (
    build_floor,
    check_batches,
    check_feeds,
    draw_feeds,
    load_timed,
    select_feeds,
    take_chunks,
    try_batches,
)
from kdexport.runtime import open_session
from tests.evidence.models import build_file, build_gemm, build_mixed


def test_rows_fit_any_inputs() -> None:
    """Rows are made for float, integer and text inputs, and the floor takes the same."""
    session = open_session(build_mixed())
    feeds = draw_feeds([session])
    assert {name: rows.shape[1:] for name, rows in feeds.items()} == {"d": (2,), "i": (), "s": (3,)}
    floor = open_session(build_floor(feeds))
    (chunk,) = take_chunks(feeds, 5, 1, np.random.default_rng(0))
    for name, values in floor.run(chunk).items():
        np.testing.assert_array_equal(values, chunk["dis"[int(name[-1])]])
    assert session.run(chunk).keys() == {"d_out", "i_out", "s_out"}


@pytest.mark.parametrize("kind", ["FLOAT16", "UINT8", "INT8", "UINT64", "BOOL"])
def test_numbers_of_every_size_are_timed(kind: str) -> None:
    """Half floats and bytes, as quantised files take them, are numbers too."""
    shape = ("n", 2)
    tensor = getattr(TensorProto, kind)
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    session = open_session(build_file(nodes, [("x", tensor, shape)], [("y", tensor, shape)]))
    feeds = draw_feeds([session])
    assert helper.np_dtype_to_tensor_dtype(feeds["x"].dtype) == tensor
    record = measure_latency({"file": session}, feeds, batches=[2], seconds=0.05)
    assert {row.path for row in record.rows} == {"run", "io_binding"}


def test_text_is_timed_the_plain_way() -> None:
    """A file with text inputs is timed; bound calls, which its inputs do not allow, are absent."""
    session = open_session(build_mixed())
    record = measure_latency({"file": session}, draw_feeds([session]), batches=[2], seconds=0.05)
    assert {row.path for row in record.rows} == {"run"}


def test_a_file_gets_its_own_inputs_in_its_own_types() -> None:
    """A session is given the inputs that it has, as it wants them, and no others."""
    feeds = {"numeric": np.ones((4, 3)), "categorical": np.array([["a"]] * 4, object)}
    own = select_feeds(open_session(build_gemm()), feeds)
    assert own.keys() == {"numeric"}
    assert own["numeric"].dtype == np.float32
    with pytest.raises(DataError, match="'numeric'"):
        select_feeds(open_session(build_gemm()), {"categorical": feeds["categorical"]})


def test_same_name_twice_is_told_apart(tmp_path: Path) -> None:
    """The same file given twice is two candidates, each with a name of its own."""
    path = tmp_path / "a.onnx"
    path.write_bytes(build_gemm())
    timed, feeds = load_timed([path, path])
    assert list(timed) == ["a.onnx", "a.onnx (2)"]
    assert feeds.keys() == {"numeric"}


def test_other_rows_are_refused(tmp_path: Path) -> None:
    """Files that want an input of one name and different sizes cannot be timed together."""
    sessions = [open_session(build_gemm()), open_session(build_floor({"numeric": np.ones((1, 4))}))]
    with pytest.raises(DataError, match="'numeric'"):
        draw_feeds(sessions)


def test_fixed_batch_is_refused_before_the_run() -> None:
    """A file that takes two rows only is not timed with another number; the message says two."""
    session = open_session(build_gemm(batch=2))
    check_batches(session, [2])
    with pytest.raises(DataError, match="--batch 2"):
        check_batches(session, [1, 2])


def test_file_that_cannot_answer_is_refused_before_the_run() -> None:
    """A file that leaves its width open, as converters write them, is drawn rows of width 1: where
    those do not fit it is refused in one line, by name, and told what would help.
    """
    session = open_session(build_gemm(width="m"))
    feeds = draw_feeds([session])
    assert feeds["numeric"].shape[1:] == (1,)
    with pytest.raises(DataError, match=r"the model on numeric \(2, 1\).*say its sizes"):
        measure_latency({"open": session}, feeds, batches=[2], seconds=0.1)
    try_batches(session, {"numeric": np.ones((4, 3))}, [1, 2])


def test_open_sizes_are_those_of_the_other_file() -> None:
    """Beside a file that says its width, one that leaves it open gets rows of that width."""
    sessions = [open_session(build_gemm(width=width)) for width in ("m", 3, "k")]
    assert draw_feeds(sessions)["numeric"].shape[1:] == (3,)


@pytest.mark.parametrize("feeds", [{}, {"x": np.zeros((0, 3))}])
def test_nothing_to_call_on_is_refused(feeds: dict[str, np.ndarray]) -> None:
    """No inputs, and inputs without rows, are an error of the caller's, and say so."""
    with pytest.raises(DataError, match="called on rows"):
        check_feeds(feeds)
    with pytest.raises(DataError, match="called on rows"):
        measure_latency({"f": len}, feeds, batches=[1], seconds=0.1)
