"""Running a model file: the only room that knows onnxruntime.

Takes ONNX bytes or a path, gives a `Session` that answers. One thread, no spinning: what a small
model needs, and what leaves the other cores to the service around it.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

# From 1.29 on, onnxruntime reports to its makers unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

from kdexport.contract import LABEL, LOGITS, PREDICTION, PROBABILITIES, parse_model
from kdexport.errors import DataError
from kdexport.reading import MAX_MODEL_BYTES, name_of, read_file
from kdexport.records import Answers, Column, Inputs
from kdexport.signature import Signature
from kdexport.sound import check_confined, check_sound
from kdexport.stops import unstoppable

ROWS_AT_ONCE = 16_384  # few enough that a wide teacher's layers take some 100 MB, not all memory
MAX_SAID = 500  # characters of onnxruntime's own message
SILENT = 4  # what goes wrong is raised, and said once

Optimisation = Literal["disabled", "basic", "extended", "all"]
LEVELS = {
    "disabled": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
Feeds = Mapping[str, Column]

# The names that onnxruntime has for the element types that numpy has too.
DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(bool)": np.dtype(np.bool_),
    "tensor(string)": np.dtype(object),
    **{
        f"tensor({name})": np.dtype(name)
        for name in ("float16", *(f"{kind}int{n}" for kind in ("", "u") for n in (8, 16, 32, 64)))
    },
}


@dataclass(frozen=True)
class InputSpec:
    """What a file says of one input; `shape` has None where any size goes."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]


class Session:
    """A model file, loaded: its names, its metadata, and its answers."""

    def __init__(self, session: ort.InferenceSession, source: Path | bytes, name: str) -> None:
        self._session = session
        self._source = source
        self.name = name

    @cached_property
    def metadata(self) -> dict[str, str]:
        """The file's metadata_props."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    @cached_property
    def signature(self) -> Signature:
        """Columns and classes, read from the file alone."""
        return Signature.from_metadata(self.metadata)

    @property
    def input_names(self) -> list[str]:
        return [node.name for node in self._session.get_inputs()]

    @cached_property
    def inputs(self) -> tuple[InputSpec, ...]:
        """The file's inputs.

        Raises:
            DataError: One is neither numbers nor text.
        """
        specs = []
        for node in self._session.get_inputs():
            if node.type not in DTYPES:
                raise DataError(
                    "the inputs of a file are numbers or text",
                    found=f"{self.name}: {node.name!r} is {node.type}",
                    cure="pass another file",
                )
            shape = tuple(size if isinstance(size, int) else None for size in node.shape)
            specs.append(InputSpec(node.name, DTYPES[node.type], shape))
        return tuple(specs)

    @cached_property
    def output_names(self) -> list[str]:
        return [node.name for node in self._session.get_outputs()]

    def run(self, feeds: Feeds) -> dict[str, Column]:
        """Answer one batch: every output by name.

        Raises:
            DataError: The file does not take these inputs.
        """
        try:
            with sheltered(feeds):
                values = self._session.run(self.output_names, dict(feeds))
        except Exception as error:  # onnxruntime's own kinds share no base but Exception
            shapes = ", ".join(f"{name} {values.shape}" for name, values in feeds.items())
            raise DataError(
                f"{self.name} answers batches of its columns",
                found=f"{shapes}: {_one_sentence(error)}",
                cure="pass what `kdexport info` says it takes",
            ) from error
        return dict(zip(self.output_names, values, strict=True))

    def prepare_call(self, feeds: Feeds) -> Callable[[], Any]:
        """Return a call that only runs the file, for timing; it is made `sheltered`.

        Outputs are asked for by name: for None, onnxruntime reads the names anew at every call.
        """
        return partial(self._session.run, self.output_names, dict(feeds))

    def bind_calls(self, chunks: Sequence[Feeds]) -> list[Callable[[], Any]] | None:
        """Return one call per chunk of equal size through IO binding, for timing.

        Inputs and outputs keep their buffers. None where an input or output is text or no array:
        onnxruntime's Python interface binds no text inputs, and reading text outputs crashed it.
        """
        outputs = self.run(chunks[0])
        values = (*chunks[0].values(), *outputs.values())
        if not all(isinstance(v, np.ndarray) and v.dtype.kind not in "OSU" for v in values):
            return None
        calls: list[Callable[[], Any]] = []
        for chunk in chunks:
            binding = self._session.io_binding()
            for name, array in chunk.items():
                binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
            for name, array in outputs.items():
                binding.bind_ortvalue_output(name, ort.OrtValue.ortvalue_from_numpy(array))
            calls.append(partial(self._session.run_with_iobinding, binding))
        return calls

    def reopen(self, *, n_threads: int) -> "Session":
        """Load the same file again."""
        return _open(self._source, self.name, n_threads, "all")

    def answer(self, inputs: Inputs) -> Answers:
        """Answer for many rows, in chunks.

        Returns:
            Predictions, probabilities of a classification, and logits where the file gives them.
        """
        starts = range(0, max(inputs.n_rows, 1), ROWS_AT_ONCE)
        chunks = [
            self.run(inputs.take(slice(start, start + ROWS_AT_ONCE)).feeds()) for start in starts
        ]
        outputs = {name: np.concatenate([c[name] for c in chunks]) for name in chunks[0]}
        if PREDICTION in outputs:
            return Answers.of_numbers(outputs[PREDICTION])
        return Answers(outputs[LABEL], outputs[PROBABILITIES], outputs.get(LOGITS))


def sheltered(feeds: Feeds) -> AbstractContextManager[None]:
    """Put stops off where a file reads text: one that arrives meanwhile crashes onnxruntime.

    It reads every text by a function of Python's, PyObject_Str, that lets signals be handled, and
    goes on with the null pointer that an interrupt makes of the answer.
    """
    has_text = any(values.dtype.kind == "O" for values in feeds.values())
    return unstoppable() if has_text else nullcontext()


def open_session(
    model: str | Path | bytes, *, n_threads: int = 1, optimisation: Optimisation = "all"
) -> Session:
    """Load a model file.

    Args:
        model: A path (weights may lie in files beside it), or the file's bytes.
        n_threads: Intra-op threads.
        optimisation: How far onnxruntime may rewrite the graph.

    Raises:
        DataError: There is no such file, or it is no model that onnxruntime can load.
    """
    model = Path(model) if isinstance(model, str) else model
    name = "the model" if isinstance(model, bytes) else model.name
    content = model if isinstance(model, bytes) else read_model(model)
    folder = None if isinstance(model, bytes) else model.resolve().parent
    parsed = parse_model(content, name)
    check_sound(parsed, name)
    check_confined(parsed, name, folder)
    return _open(model, name, n_threads, optimisation)


def _name_for_runtime(path: Path) -> str | bytes:
    """Return a file's name, or its content where the name is not text that onnxruntime reads."""
    try:
        return name_of(path)
    except UnicodeDecodeError:
        return path.read_bytes()


def _open(model: Path | bytes, name: str, n_threads: int, optimisation: Optimisation) -> Session:
    """Load a model that is known to be sound."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = SILENT
    options.graph_optimization_level = LEVELS[optimisation]
    loaded = model if isinstance(model, bytes) else _name_for_runtime(model)
    try:
        session = ort.InferenceSession(loaded, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own kinds share no base but Exception
        raise DataError(
            "a model is an ONNX file that onnxruntime can load",
            found=f"{name}: {_one_sentence(error)}",
            cure="pass a file that kdexport wrote, and check that it is complete",
        ) from error
    return Session(session, model, name)


def read_model(path: Path) -> bytes:
    """Return the bytes of a model file.

    Raises:
        DataError: It cannot be read.
    """
    try:
        return read_file(path, MAX_MODEL_BYTES)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(
        "a model is a file that can be read",
        found=f"{str(path)!r}: {error.strerror}",
        cure="pass the student.onnx of a bundle",
    )


def _one_sentence(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:MAX_SAID]


def predict(session: Session, table: Any) -> dict[str, Column]:
    """Answer for a table, columns found by name.

    Args:
        session: The file, from `open_session`.
        table: A `Table`, or data in memory that `as_table` takes.

    Returns:
        `label` and one `probability_CLASS` per class, or `prediction`; **Shape** each `[n]`, rows
        in order.

    Raises:
        DataError: The table lacks a column that the file takes, or one holds something else.
    """
    from kdexport.tables import as_table  # a server that feeds arrays needs no polars

    table, signature = as_table(table), session.signature
    answers = session.answer(signature.take_inputs(table))
    if signature.is_regression:
        return {PREDICTION: answers.predictions}
    columns = {LABEL: answers.predictions}
    for i, value in enumerate(signature.classes):
        columns[f"probability_{value}"] = answers.probabilities[:, i]
    return columns


def describe_runtime() -> dict[str, str]:
    """Return what answers: onnxruntime's version and provider."""
    return {"onnxruntime": ort.__version__, "provider": "CPUExecutionProvider"}
