"""What is timed: files, bundles and callables, the rows they are called on, and the empty graph.

Takes paths and sessions, gives sessions by name and feeds (input name to rows). Knows the runtime
only through `runtime`; times nothing.
"""

import itertools
from collections.abc import Container, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from kdexport.bundle import RIVAL, STUDENT, TEACHER, load_bundle
from kdexport.contract import BATCH, IR_VERSION, OPSET
from kdexport.errors import DataError
from kdexport.evidence.golden import unpack_golden
from kdexport.evidence.latency_facts import FLOOR
from kdexport.records import Column
from kdexport.runtime import Feeds, InputSpec, Session, open_session

N_DRAWN_ROWS = 1024
N_CHUNKS, MAX_CHUNK_ROWS = 32, 16_384  # prepared batches that take turns, and their rows in all


def load_timed(paths: Sequence[Path]) -> tuple[dict[str, Session], dict[str, Column]]:
    """Open what is to be timed, and find rows to time it on.

    Args:
        paths: Bundles (their student and teacher) and ONNX files with numeric or text inputs.

    Returns:
        Sessions by name, and feeds: a bundle's golden rows, else rows drawn to fit the inputs.

    Raises:
        DataError: A path is neither, or the candidates want different rows.
    """
    timed: dict[str, Session] = {}
    feeds: dict[str, Column] = {}
    for path in paths:
        if path.is_dir():
            bundle = load_bundle(path)
            if not feeds and bundle.evidence.golden.rows:
                feeds = unpack_golden(bundle.files).inputs.feeds()
            for name in (STUDENT, TEACHER, RIVAL):
                if name in bundle.files:
                    label = name if len(paths) == 1 else f"{path.name}/{name}"
                    timed[_tell_apart(label, timed)] = open_session(bundle.files[name])
        else:
            timed[_tell_apart(path.name, timed)] = open_session(path)
    drawn = draw_feeds(list(timed.values()))
    return timed, {name: feeds.get(name, rows) for name, rows in drawn.items()}


def draw_feeds(sessions: Sequence[Session], *, seed: int = 0) -> dict[str, Column]:
    """Make rows that fit the inputs of all sessions.

    Normal numbers, zeros and ones for whole numbers and booleans, short words for text; a size
    that every file leaves open, other than the first, is 1.

    Raises:
        DataError: Two sessions have inputs of one name and different types or sizes.
    """
    specs: dict[str, InputSpec] = {}
    for session in sessions:
        for spec in session.inputs:
            known = specs.get(spec.name, spec)
            shape = _join_shapes(known.shape, spec.shape)
            if shape is None or known.dtype != spec.dtype:
                raise DataError(
                    "files that are timed together take the same rows",
                    found=f"input {spec.name!r} is {_describe(known)} and {_describe(spec)}",
                    cure="time them one by one",
                )
            specs[spec.name] = replace(spec, shape=shape)
    rng = np.random.default_rng(seed)
    return {name: _draw_rows(spec, rng) for name, spec in specs.items()}


def select_feeds(session: Session, feeds: Feeds) -> dict[str, Column]:
    """Return the rows of the inputs that the session has, in its own types.

    Raises:
        DataError: There are no rows for one of its inputs.
    """
    absent = [spec.name for spec in session.inputs if spec.name not in feeds]
    if absent:
        raise DataError(
            "there are rows for every input of a candidate",
            found=f"none for {absent[0]!r} of {session.name}",
            cure=f"the rows are for {', '.join(feeds)}",
        )
    return {spec.name: feeds[spec.name].astype(spec.dtype) for spec in session.inputs}


def take_chunks(
    feeds: Feeds, batch: int, n_chunks: int, rng: np.random.Generator
) -> list[dict[str, Column]]:
    """Draw `n_chunks` times `batch` rows, with replacement: calls take turns on them."""
    n_rows = min(len(rows) for rows in feeds.values())
    picks = [rng.integers(n_rows, size=batch) for _ in range(n_chunks)]
    return [{name: rows[pick] for name, rows in feeds.items()} for pick in picks]


def count_chunks(batch: int) -> int:
    """Return how many batches of so many rows are prepared: two at least."""
    return max(2, min(N_CHUNKS, MAX_CHUNK_ROWS // batch))


def check_batches(session: Session, batches: Sequence[int]) -> None:
    """Refuse a batch size that a file cannot take, before anything is timed.

    Raises:
        DataError: The file fixes its number of rows.
    """
    fixed = {spec.shape[0] for spec in session.inputs if spec.shape and spec.shape[0] is not None}
    unfit = [batch for batch in batches if fixed - {batch}]
    if unfit:
        sizes = ", ".join(str(size) for size in sorted(filter(None, fixed)))
        raise DataError(
            "a file takes every batch size that is timed",
            found=f"{session.name} takes {sizes} rows, not {unfit[0]}",
            cure=f"--batch {sizes}",
        )


def check_feeds(feeds: Feeds) -> None:
    """Refuse to time calls on nothing.

    Raises:
        DataError: There is no input, or one without rows.
    """
    empty = [name for name, rows in feeds.items() if not len(rows)]
    if empty or not feeds:
        raise DataError(
            "what is timed is called on rows",
            found=f"none of {empty[0]!r}" if empty else "no inputs",
            cure="time a file that has inputs, on one row or more of each",
        )


def try_batches(session: Session, feeds: Feeds, batches: Sequence[int]) -> None:
    """Let a file of its own answer each batch size once, before anything is timed.

    Raises:
        DataError: It cannot: it wants sizes that it leaves open, or only says that it takes any
            number of rows.
    """
    own = select_feeds(session, feeds)
    apart = session.reopen(n_threads=1)  # its buffers go with it
    for batch in batches:
        (chunk,) = take_chunks(own, batch, 1, np.random.default_rng(0))
        try:
            apart.run(chunk)
        except DataError as error:
            raise DataError(
                "a file answers the rows that it is timed on",
                found=f"{session.name} on {error.found}",
                cure="let it say its sizes, other than the number of rows; in Python, "
                "measure_latency times it on rows of yours (docs/latency.md)",
            ) from error


def build_floor(feeds: Feeds) -> bytes:
    """An Identity graph with the same inputs: what a call costs that does nothing."""
    nodes, inputs, outputs = [], [], []
    for i, (name, rows) in enumerate(feeds.items()):
        kind = onnx.TensorProto.STRING
        if rows.dtype.kind not in "OSU":
            kind = onnx.helper.np_dtype_to_tensor_dtype(rows.dtype)
        shape = (BATCH, *rows.shape[1:])
        nodes.append(onnx.helper.make_node("Identity", [name], [f"output_{i}"]))
        inputs.append(onnx.helper.make_tensor_value_info(name, kind, shape))
        outputs.append(onnx.helper.make_tensor_value_info(f"output_{i}", kind, shape))
    model = onnx.helper.make_model(
        onnx.helper.make_graph(nodes, FLOOR, inputs, outputs),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    return bytes(model.SerializeToString())


def _join_shapes(
    one: Sequence[int | None], other: Sequence[int | None]
) -> tuple[int | None, ...] | None:
    """Sizes that both take, behind the number of rows; None where there are none."""
    if len(one) != len(other):
        return None
    pairs = list(zip(one[1:], other[1:], strict=True))
    if any(None not in pair and len(set(pair)) > 1 for pair in pairs):
        return None
    return (*one[:1], *(b if a is None else a for a, b in pairs))


def _tell_apart(label: str, taken: Container[str]) -> str:
    labels = (label if i == 1 else f"{label} ({i})" for i in itertools.count(1))
    return next(name for name in labels if name not in taken)


def _draw_rows(spec: InputSpec, rng: np.random.Generator) -> Column:
    shape = (N_DRAWN_ROWS, *(1 if size is None else size for size in spec.shape[1:]))
    if spec.dtype.kind == "f":
        return rng.standard_normal(shape).astype(spec.dtype)
    digits = rng.integers(2, size=shape)
    if spec.dtype.kind == "O":
        return np.array(["a", "b"], dtype=object)[digits]
    return digits.astype(spec.dtype)


def _describe(spec: InputSpec) -> str:
    sizes = ", ".join("n" if size is None else str(size) for size in spec.shape)
    return f"{'text' if spec.dtype.kind == 'O' else spec.dtype} [{sizes}]"
