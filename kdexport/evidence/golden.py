"""Golden rows: what a file was asked at export, and what its source answered, in files.

Takes rows with answers, gives ONNX tensors in the test_data_set layout that onnx tools can replay,
and reads them back. Needs no torch. Which rows they are: `golden_rows`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from kdexport.contract import CATEGORICAL, LABEL, LOGITS, NUMERIC, PREDICTION, PROBABILITIES
from kdexport.errors import DataError
from kdexport.records import Answers, Column, Float64, Inputs, Int64
from kdexport.sound import check_tensor

GOLDEN = "golden/"
REPLAYED = f"{GOLDEN}test_data_set_0/"  # inputs and outputs of the student, as onnx tools name them
SOURCE = f"{GOLDEN}source/"  # what the ONNX layout has no place for
STUDENT_STEM = "student"
ORIGINS, TARGETS, EXACT, TERMS = "origins", "targets", "exact", "terms"
UNKNOWN_CLASS = -1


@dataclass(frozen=True)
class SourceAnswers:
    """What the source of one file answered.

    Attributes:
        rounded: Its own float32 answers, logits included.
        exact: Its logits (a forest's probabilities), or the numbers of a regression, computed in
            float64. **Shape** `[n, K]`.
    """

    rounded: Answers
    exact: Float64


@dataclass(frozen=True)
class Golden:
    """Rows with the answers of every source.

    Attributes:
        inputs: What the files take.
        origins: Where each row is from, in words. **Shape** `[n]` object.
        targets: Class positions, -1 where unknown, or numbers, NaN where unknown. **Shape** `[n]`.
        answers: Stem of a file (`student`, `teacher`) to its source's answers.
    """

    inputs: Inputs
    origins: Column
    targets: Column
    answers: Mapping[str, SourceAnswers]

    @property
    def labelled(self) -> Int64:
        """Positions of the rows that have a target."""
        is_number = self.targets.dtype.kind == "f"
        known = ~np.isnan(self.targets) if is_number else self.targets != UNKNOWN_CLASS
        return np.flatnonzero(known)


def pack_golden(golden: Golden) -> dict[str, bytes]:
    """Return golden rows as files."""
    arrays: dict[str, Column] = {f"{SOURCE}{ORIGINS}": golden.origins}
    arrays[f"{SOURCE}{TARGETS}"] = golden.targets
    files = {}
    for stem, source in golden.answers.items():
        outputs = _outputs(source.rounded)
        if stem == STUDENT_STEM:
            for side, named in (("input", golden.inputs.feeds()), ("output", outputs)):
                for i, (name, values) in enumerate(named.items()):
                    files[f"{REPLAYED}{side}_{i}.pb"] = _pack(values, name)
            outputs = {}
        hidden: dict[str, Column] = {EXACT: source.exact}
        if source.rounded.logits is not None:
            hidden[LOGITS] = source.rounded.logits
        if source.rounded.terms is not None:
            hidden[TERMS] = source.rounded.terms
        for name, values in {**outputs, **hidden}.items():
            arrays[f"{SOURCE}{stem}.{name}"] = values
    for path, values in arrays.items():
        files[f"{path}.pb"] = _pack(values, PurePosixPath(path).name)
    return files


def unpack_golden(files: Mapping[str, bytes]) -> Golden:
    """Read golden rows back.

    Raises:
        DataError: They are absent or damaged.
    """
    try:
        replayed = dict(_unpack(files, REPLAYED))
        source = dict(_unpack(files, SOURCE))
        outputs = {name: replayed[name] for name in replayed if name not in (NUMERIC, CATEGORICAL)}
        source |= {f"{STUDENT_STEM}.{name}": values for name, values in outputs.items()}
        origins = source[ORIGINS]
        inputs = Inputs(
            replayed.get(NUMERIC, np.empty((len(origins), 0), np.float32)),
            replayed.get(CATEGORICAL, np.empty((len(origins), 0), object)),
        )
        stems = sorted({name.split(".")[0] for name in source if "." in name})
        answers = {stem: _read_answers(source, stem) for stem in stems}
        golden = Golden(inputs, origins, source[TARGETS], answers)
        lengths = {inputs.n_rows, len(origins), len(golden.targets)}
        lengths |= {len(a.exact) for a in answers.values()}
        lengths |= {a.rounded.n_rows for a in answers.values()}
        if len(lengths) != 1 or STUDENT_STEM not in answers:
            raise ValueError(f"parts of {sorted(lengths)} rows")
    except (KeyError, DecodeError, ValueError, TypeError, DataError) as error:
        raise DataError(
            "a bundle carries golden rows with its sources' answers",
            found=f"those in {GOLDEN} are absent or damaged ({error})",
            cure="make the bundle again, with export.golden real or synthetic",
        ) from error
    return golden


def _outputs(answers: Answers) -> dict[str, Column]:
    if not answers.probabilities.shape[1]:
        return {PREDICTION: answers.predictions}
    return {LABEL: answers.predictions, PROBABILITIES: answers.probabilities}


def _read_answers(source: Mapping[str, Column], stem: str) -> SourceAnswers:
    exact, terms = source[f"{stem}.{EXACT}"], source.get(f"{stem}.{TERMS}")
    if f"{stem}.{PREDICTION}" in source:
        return SourceAnswers(Answers.of_numbers(source[f"{stem}.{PREDICTION}"], terms), exact)
    label, probabilities = (source[f"{stem}.{name}"] for name in (LABEL, PROBABILITIES))
    logits = source.get(f"{stem}.{LOGITS}")  # a forest has none
    return SourceAnswers(Answers(label, probabilities, logits, terms), exact)


def _pack(values: Column, name: str) -> bytes:
    return bytes(onnx.numpy_helper.from_array(values, name).SerializeToString())


def _unpack(files: Mapping[str, bytes], folder: str) -> dict[str, Column]:
    """Read every tensor of a folder, by the name it carries."""
    values = {}
    for path in sorted(path for path in files if path.startswith(folder)):
        tensor = onnx.TensorProto()
        tensor.ParseFromString(files[path])
        if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise ValueError(f"{path} lies in another file")
        check_tensor(tensor, path)
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype.kind in "OSU":
            array = np.array([_as_text(v) for v in array.ravel().tolist()], dtype=object)
            array = array.reshape(list(tensor.dims))
        values[tensor.name] = array
    return values


def _as_text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
