"""Finalists of a search with their weights in int8: candidates of their own, reported beside them.

Takes a finalist's file and what was measured of it, gives the smaller file and its facts. What may
be stored so, and what it may lose, is what `quantize` says; a file that loses more is none.
"""

from dataclasses import dataclass

import numpy as np
import onnx

from kdexport.contract import parse_model, serialize_model
from kdexport.errors import DataError, ParityError
from kdexport.evidence.cost import lower_quality, lower_share, measure_loss
from kdexport.evidence.edge import EdgeResult
from kdexport.evidence.search_facts import CandidateFact, Precision, name_int8
from kdexport.export.quantize import MAX_ROWS, is_quantized, quantize_model
from kdexport.prepared import Prepared
from kdexport.quantize import Pair, ask_both, refuse_loss
from kdexport.records import Answers, Float32, spread_rows
from kdexport.schema import Schema
from kdexport.sections import MAX_LOSS
from kdexport.training.transfer import Lesson


@dataclass(frozen=True)
class Int8File:
    """A finalist's file and the same in int8.

    Attributes:
        before: The file.
        after: The same in int8.
        validation: What both answer to the validation rows, which judged them.
    """

    before: bytes
    after: bytes
    validation: Pair


def make_int8_file(content: bytes, prepared: Prepared) -> Int8File | None:
    """Return a finalist's file in int8; None where it is not smaller or loses too much.

    Rows to learn from calibrate it, validation rows judge what it loses.
    """
    train = prepared.rows.train.inputs
    rows = train.take(spread_rows(train.n_rows, MAX_ROWS))
    try:
        small = serialize_model(quantize_model(parse_model(content), rows.feeds()))
        validation = ask_both(prepared.rows.validation, content, small)
        refuse_loss(validation, MAX_LOSS)
    except (DataError, ParityError):
        return None
    return Int8File(content, small, validation)


def describe_int8_file(
    fact: CandidateFact,
    file: Int8File,
    edge: EdgeResult,
    prepared: Prepared,
    lesson: Lesson,
    *,
    alone: float,
) -> CandidateFact:
    """Return what a finalist is in int8, but for its size and its calls.

    One file is quantized, that of the replicate that would ship. The others, and so quality and
    recovered edge, stand at the loss that was measured on it: on validation rows for the share,
    on test rows for what is reported.

    Args:
        fact: The finalist.
        file: Both files.
        edge: What the test rows say of the finalist.
        prepared: The task.
        lesson: Judges validation rows.
        alone: Loss of the finalist's controls on them.
    """
    schema, evidence = prepared.schema, prepared.recipe.evidence
    before, after = (
        float(lesson.judge_arrays(outputs_of(answers, schema))[0])
        for answers in (file.validation.before, file.validation.after)
    )
    taught = fact.validation_loss + after - before
    test = ask_both(prepared.rows.test, file.before, file.after)
    measured = measure_loss(
        test.rows,
        test.before,
        test.after,
        n_draws=evidence.n_draws,
        seed=prepared.recipe.seed,
    )
    loss = {name: cost for name, cost in measured.items() if name in edge.recovered}
    return fact.model_copy(
        update={
            "name": name_int8(fact.name),
            "validation_loss": taught,
            "share": lesson.find_share(taught=taught, alone=alone),
            "quality": lower_quality(edge.quality["student"], loss),
            "recovered": {
                name: lower_share(edge.recovered[name], cost, edge.edge[name])
                for name, cost in loss.items()
            },
        }
    )


def find_precision(content: bytes) -> Precision:
    """Return what a file's weights are stored as."""
    model = parse_model(content)
    if is_quantized(model):
        return "int8"
    types = {tensor.data_type for tensor in model.graph.initializer}
    return "float16" if onnx.TensorProto.FLOAT16 in types else "float32"


def outputs_of(answers: Answers, schema: Schema) -> Float32:
    """Answers as outputs in the networks' unit, **Shape** `[1, n, K]` float32."""
    if answers.logits is not None:
        return answers.logits[None]
    exact = np.asarray(answers.predictions, np.float64)[:, None]
    return schema.standardise(exact).astype(np.float32)[None]
