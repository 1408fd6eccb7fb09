"""One model file of a bundle as it is packed, with its golden rows as that file takes them.

Takes a bundle and what the target's runtime asks for, gives a `Packable`: the only thing that the
targets are written from. Asks the file through `runtime`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from kdexport.bundle import Bundle, hash_bytes
from kdexport.contract import (
    CATEGORICAL,
    LABEL,
    PREDICTION,
    PROBABILITIES,
    Release,
    parse_model,
    read_metadata,
    serialize_model,
)
from kdexport.errors import DataError, ParityError
from kdexport.evidence.file_checks import find_external
from kdexport.evidence.golden import unpack_golden
from kdexport.evidence.parity import Tolerance, compare_answers, describe_parity, find_tolerance
from kdexport.export.portable import (
    TextCodes,
    find_release,
    lower_versions,
    split_text,
    use_core_operators,
)
from kdexport.records import Answers, Column, Inputs
from kdexport.runtime import open_session
from kdexport.signature import Signature

THREADS = 1  # what the latency runs found best for files as small (docs/latency.md)


@dataclass(frozen=True)
class Form:
    """What the runtime that a pack is for asks of the file.

    Attributes:
        target_ort: Release of onnxruntime that reads it; None for what the file has.
        has_core_operators: Whether it must do without `ai.onnx.ml`.
        has_codes: Whether text stays outside, as whole numbers.
    """

    target_ort: str | None = None
    has_core_operators: bool = False
    has_codes: bool = False

    @property
    def release(self) -> Release | None:
        """What that release reads.

        Raises:
            RecipeError: There is no such release.
        """
        return None if self.target_ort is None else find_release(self.target_ort)


@dataclass(frozen=True)
class Packable:
    """What every target is written from.

    Attributes:
        name: What servers call the model.
        file: The bundle's file that it is.
        content: The file as it is packed.
        signature: Its columns and classes.
        texts: The text part, where it stays outside.
        inputs: Golden rows.
        answers: What the file's source answered to them.
        tolerance: How far the file may be from them.
        golden: Whose rows they are: `real` or `synthetic`.
        form: What was asked of the file.
        source_sha256: Hash of the bundle's file.
        passed_check: Whether the bundle passed its check.
    """

    name: str
    file: str
    content: bytes
    signature: Signature
    texts: TextCodes
    inputs: Inputs
    answers: Answers
    tolerance: Tolerance
    golden: str
    form: Form
    source_sha256: str
    passed_check: bool

    @property
    def model(self) -> onnx.ModelProto:
        return parse_model(self.content, self.file)

    @property
    def feeds(self) -> dict[str, Column]:
        """The golden rows by input, as the packed file takes them."""
        return feed_codes(self.inputs, self.texts)

    @property
    def outputs(self) -> dict[str, Column]:
        """The golden answers by output, as the packed file gives them."""
        if self.signature.is_regression:
            return {PREDICTION: self.answers.predictions}
        labels = self.answers.predictions
        if self.texts.labels is not None:
            positions = {label: i for i, label in enumerate(self.texts.labels)}
            labels = np.array([positions[label] for label in labels.tolist()], np.int64)
        return {LABEL: labels, PROBABILITIES: self.answers.probabilities}


def prepare_model(
    bundle: Bundle, file: str, form: Form, *, name: str, passed_check: bool
) -> Packable:
    """Bring one file of a bundle into the form that a runtime asks for.

    Args:
        bundle: Of which nothing is assumed.
        file: The bundle's file to pack.
        form: What the runtime asks of it.
        name: What servers call it.
        passed_check: Whether the bundle passed its check, which the pack says.

    Raises:
        DataError: The bundle lacks the file or golden rows, or the file cannot have that form.
        ParityError: In that form it answers otherwise.
    """
    if file not in bundle.files:
        raise DataError(
            "a pack is made of a file that the bundle has",
            found=f"{str(bundle.path)!r} has no {file}",
            cure=f"it has {', '.join(sorted(n for n in bundle.files if n.endswith('.onnx')))}",
        )
    golden = unpack_golden(bundle.files)
    source = golden.answers.get(file.removesuffix(".onnx"))
    if source is None:
        raise DataError(
            "the source of a packed file answered the golden rows",
            found=f"no answers of {file}'s",
            cure="make the bundle again with kdexport run --recipe",
        )
    content = bundle.files[file]
    model = parse_model(content, file)
    outside = next(find_external(model), None)
    if outside is not None:
        raise DataError(
            "what is packed has its weights inside",
            found=f"{file}: {outside}",
            cure="save it whole",
        )
    signature = Signature.from_metadata(read_metadata(model))
    model, texts = _change_form(model, form, file)
    packed = content if form == Form() else serialize_model(model)
    if packed != content:
        onnx.checker.check_model(model, full_check=True)
        _compare_forms(content, packed, golden.inputs, texts, file)
    return Packable(
        name=name,
        file=file,
        content=packed,
        signature=signature,
        texts=texts,
        inputs=golden.inputs,
        answers=source.rounded,
        tolerance=find_tolerance(bundle.evidence, file),
        golden=bundle.evidence.golden.kind,
        form=form,
        source_sha256=hash_bytes(content),
        passed_check=passed_check,
    )


def feed_codes(inputs: Inputs, texts: TextCodes) -> dict[str, Column]:
    """Return inputs by name, texts as codes where the file takes codes."""
    feeds = inputs.feeds()
    if texts.codes is not None:
        feeds[CATEGORICAL] = texts.encode(inputs.categorical)
    return feeds


def read_outputs(outputs: Mapping[str, Column], texts: TextCodes) -> Answers:
    """Return a file's outputs as answers, class positions as the texts they stand for."""
    if PREDICTION in outputs:
        return Answers.of_numbers(outputs[PREDICTION])
    labels = outputs[LABEL]
    if texts.labels is not None:
        labels = np.array(texts.labels, object)[labels]
    return Answers(labels, outputs[PROBABILITIES])


def _change_form(
    model: onnx.ModelProto, form: Form, file: str
) -> tuple[onnx.ModelProto, TextCodes]:
    texts = TextCodes(None, None)
    if form.has_codes:
        model, texts = split_text(model)
    if form.has_core_operators or form.has_codes:
        model = use_core_operators(model, file)
    if form.release is not None:  # last: nothing raises versions again
        model = lower_versions(model, form.release, file)
    return model, texts


def _compare_forms(
    content: bytes, packed: bytes, inputs: Inputs, texts: TextCodes, file: str
) -> None:
    """Ask both forms the golden rows."""
    before = open_session(content).answer(inputs)
    after = read_outputs(open_session(packed).run(feed_codes(inputs, texts)), texts)
    fact = compare_answers(before, after)
    if not fact.passed:
        raise ParityError(
            f"{file} answers the same in another form",
            found=describe_parity(fact),
            cure="please report this with the bundle: nothing was written",
        )
