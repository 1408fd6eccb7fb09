"""A bundle with its student in int8, and evidence of its own.

Takes a bundle and the rows that it was made from, gives another bundle; the one it came from is
never touched. Whatever can be measured on the test rows is measured anew. The other students and
the controls are in no bundle: they stand as the evidence has them, students at the loss that was
measured on the one that ships. Trains nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kdexport.bundle import (
    EVIDENCE,
    RECIPE,
    RIVAL,
    STUDENT,
    TEACHER,
    Bundle,
    claim_output,
    load_bundle,
)
from kdexport.contract import expose_logits, parse_model, serialize_model
from kdexport.errors import DataError, OutputError, ParityError
from kdexport.evidence.answer_checks import check_answers
from kdexport.evidence.claim_checks import check_claims
from kdexport.evidence.claims import (
    SEALED,
    SEALED_IF_THERE,
    compare_with_teacher,
    describe_file,
    make_headline,
    score_golden,
    seal_file,
)
from kdexport.evidence.cost import lower_claims, measure_loss
from kdexport.evidence.facts import Evidence, ParityFact, QuantizedFact
from kdexport.evidence.golden import unpack_golden
from kdexport.evidence.latency import run_bench
from kdexport.evidence.latency_facts import FLOAT_STUDENT, LatencyRecord
from kdexport.evidence.metrics import measure_quality
from kdexport.evidence.parity import compare_answers, find_tolerance
from kdexport.evidence.question import Question
from kdexport.evidence.stress import HUGE, make_stress_inputs
from kdexport.export.quantize import MAX_ROWS, quantize_model
from kdexport.pipeline import write_files
from kdexport.prepare import Source, prepare
from kdexport.prepared import Prepared
from kdexport.recipe import read_recipe
from kdexport.records import Answers, Inputs, Rows, spread_rows
from kdexport.runtime import describe_runtime, open_session
from kdexport.sections import MAX_LOSS

MIN_AGREEMENT = 0.98  # of validation rows: the class stays
PROBABILITY_TOLERANCE, RELATIVE_TOLERANCE = 0.1, 0.1
MAX_ASKED = 2000  # test rows, and as many altered ones of each kind, that are asked in every way
SAME = 1e-4


@dataclass(frozen=True)
class Pair:
    """What both files answer to the same rows."""

    rows: Rows
    before: Answers
    after: Answers


def quantize_bundle(
    path: Path,
    output: Path,
    *,
    data: Source = None,
    test: Source = None,
    max_loss: float = MAX_LOSS,
    force: bool = False,
) -> Evidence:
    """Write a bundle beside another one, its student's weights stored as int8.

    Args:
        path: The bundle.
        output: The new bundle's folder.
        data: Rows that it was made from, or None for a built-in task.
        test: Its test rows, if they had a file of their own.
        max_loss: Share by which log loss (of numbers: RMSE) on validation rows may grow.
        force: Replace an output that exists.

    Returns:
        The new evidence.

    Raises:
        DataError: There is nothing to quantize, the rows are not those of the bundle, or its
            claims do not hold.
        ParityError: int8 loses more than it may: nothing was written.
        OutputError: The output cannot be written.
    """
    if path.resolve() == output.resolve():
        raise OutputError(
            "the bundle that is quantized stays as it is",
            found=f"-o {str(output)!r} is the same folder",
            cure="pass another -o",
        )
    with claim_output(output, force=force) as claimed:
        bundle = load_bundle(path)
        _refuse_false_claims(bundle)
        source = bundle.files[STUDENT]
        prepared = _read_rows(bundle, data, test)
        train = prepared.rows.train.inputs
        asked = train.take(spread_rows(train.n_rows, MAX_ROWS))
        content = serialize_model(quantize_model(parse_model(source, STUDENT), asked.feeds()))
        refuse_loss(ask_both(prepared.rows.validation, source, content), max_loss)
        evidence, files = _measure(bundle, prepared, content, asked.n_rows)
        write_files(claimed, evidence, files)
    return evidence


def _refuse_false_claims(bundle: Bundle) -> None:
    """Refuse evidence that does not hold: the new bundle takes some of its figures, and seals them.

    Raises:
        DataError: A claim fails.
    """
    failed = [result for result in check_claims(bundle) if not result.passed]
    if failed:
        raise DataError(
            "a bundle whose claims hold is quantized",
            found=f"{failed[0].name} fails: {failed[0].message}",
            cure="kdexport check says all that is wrong with it",
        )


def _read_rows(bundle: Bundle, data: Source, test: Source) -> Prepared:
    """Read, split and encode the rows of a bundle again; refuse other ones."""
    recipe, evidence = read_recipe(bundle.path / RECIPE, {}), bundle.evidence
    for flag, name, given in (
        ("--data", recipe.data.file, data),
        ("--test", recipe.data.test_file, test),
    ):
        if name is not None and given is None:
            raise DataError(
                "int8 is calibrated and measured on the rows that a bundle was made from",
                found=f"no {flag}; the recipe names {name!r}",
                cure=f"pass {flag} {name}",
            )
    without = recipe.data.model_copy(update={"unlabeled_file": None})
    prepared = prepare(recipe.model_copy(update={"data": without}), data=data, test=test)
    if prepared.data_sha256 != evidence.task.data_sha256:
        raise _other_rows("other rows to learn from")
    rows = prepared.rows.test
    quality = measure_quality(_ask(bundle.files[STUDENT], rows.inputs), rows.targets, rows.weights)
    for metric, stated in evidence.quality["shipped"].items():
        if metric not in quality:
            raise _other_rows(f"no {metric!r} of its student on the test rows")
        found = quality[metric].value
        if abs(found - stated.value) > SAME * max(1.0, abs(stated.value)):
            raise _other_rows(f"{metric} of its student {found:.6g} on the test rows")
    return prepared


def _other_rows(found: str) -> DataError:
    return DataError(
        "the rows are those that the bundle was made from",
        found=found,
        cure="pass the --data and --test of the run that made it",
    )


def _ask(content: bytes, inputs: Inputs) -> Answers:
    return open_session(expose_logits(content)).answer(inputs)


def ask_both(rows: Rows, before: bytes, after: bytes) -> Pair:
    """Return what both files answer to rows."""
    return Pair(rows, _ask(before, rows.inputs), _ask(after, rows.inputs))


def refuse_loss(pair: Pair, max_loss: float) -> None:
    """Hold the file to its budget on validation rows: test rows choose nothing."""
    metric = "log_loss" if pair.before.probabilities.shape[1] else "rmse"
    before, after = (
        measure_quality(answers, pair.rows.targets, pair.rows.weights)[metric].value
        for answers in (pair.before, pair.after)
    )
    same = pair.before.predictions == pair.after.predictions
    agreement = float(np.average(same, weights=pair.rows.weights))
    is_other = metric == "log_loss" and agreement < MIN_AGREEMENT
    if is_other or not after - before <= max_loss * before:
        raise ParityError(
            f"int8 keeps {MIN_AGREEMENT:.0%} of the classes, and {metric} within {max_loss:.2%}",
            found=f"{metric} from {before:.4g} to {after:.4g} on {pair.rows.n_rows:,} validation "
            f"rows{f', {agreement:.2%} of the classes' if metric == 'log_loss' else ''}",
            cure="ship the float32 file, or pass a larger --max-loss",
        )


def _measure(
    bundle: Bundle, prepared: Prepared, content: bytes, n_asked: int
) -> tuple[Evidence, dict[str, bytes]]:
    old, test = bundle.evidence, prepared.rows.test
    pair = ask_both(test, bundle.files[STUDENT], content)
    loss = measure_loss(
        test,
        pair.before,
        pair.after,
        n_draws=prepared.recipe.evidence.n_draws,
        seed=prepared.recipe.seed,
    )
    is_class = not prepared.schema.signature.is_regression
    quantized = QuantizedFact(
        source_sha256=old.files[STUDENT].sha256,
        source_bytes=old.files[STUDENT].bytes,
        calibration_rows=n_asked,
        probability_tolerance=PROBABILITY_TOLERANCE,
        relative_tolerance=RELATIVE_TOLERANCE,
        flips=int((pair.before.predictions != pair.after.predictions).sum()) if is_class else 0,
        loss=dict(loss),
    )
    claims: dict[str, Any] = {name: getattr(old, name) for name in SEALED + SEALED_IF_THERE}
    claims |= {"quantized": quantized} | lower_claims(old, loss)
    claims["quality"]["shipped"] = measure_quality(pair.after, test.targets, test.weights)
    has_teacher = TEACHER in bundle.files  # without it there is nobody to ask
    taught = _ask(bundle.files[TEACHER], test.inputs) if has_teacher else None
    claims |= compare_with_teacher(test, prepared.schema.signature, pair.after, taught)
    updated, headline = old.model_copy(update=claims), make_headline(claims)
    models = {
        name: seal_file(content if name == STUDENT else bundle.files[name], headline)
        for name in old.files
        if name.endswith(".onnx")
    }
    parity = _check_parity(updated, models[STUDENT], bundle.files[STUDENT], test)
    files = {**bundle.files, **models}
    golden = old.golden
    if golden.rows:
        rows = unpack_golden(bundle.files)
        quality = score_golden(rows, _ask(models[STUDENT], rows.inputs))
        golden = golden.model_copy(update={"quality": quality})
    evidence = updated.model_copy(
        update={
            "files": {
                name: describe_file(one, is_model=name in models) for name, one in files.items()
            },
            "environment": {**old.environment, **describe_runtime()},
            "parity": {**old.parity, STUDENT: parity},
            "golden": golden,
            "latency": _measure_latency(bundle, models, prepared),
        }
    )
    files[EVIDENCE] = evidence.to_json()
    return evidence, files


def _check_parity(evidence: Evidence, content: bytes, source: bytes, test: Rows) -> ParityFact:
    """Ask the file in every way there is, and compare it with its source on every test row."""
    some = test.inputs.take(spread_rows(test.n_rows, MAX_ASKED))
    asked = some.joined_with(make_stress_inputs(some, max_rows=MAX_ASKED))
    question = Question(STUDENT, content, asked, np.full(asked.n_rows, "test row", object))
    failed = [result for result in check_answers(question) if not result.passed]
    if failed:
        raise _refused(failed[0].message)
    cells = np.nan_to_num(asked.numeric.astype(np.float64), nan=0.0)
    usual = np.flatnonzero((np.abs(cells) < HUGE / 2).all(axis=1))  # others have to be finite
    asked = test.inputs.joined_with(asked.take(usual))
    tolerance = find_tolerance(evidence, STUDENT)
    fact = compare_answers(_ask(source, asked), _ask(content, asked), tolerance)
    if not fact.passed:
        raise _refused(f"{fact.failed_rows:,} of {fact.rows:,} test and altered rows do not")
    return fact


def _refused(found: str) -> ParityError:
    return ParityError(
        f"a file in int8 answers as float32 does, probabilities within {PROBABILITY_TOLERANCE:g} "
        f"and logits or numbers within {RELATIVE_TOLERANCE:.0%}",
        found=found,
        cure="ship the float32 file: nothing was written",
    )


def _measure_latency(
    bundle: Bundle, models: Mapping[str, bytes], prepared: Prepared
) -> LatencyRecord:
    """Time every file, and the student as it was; a teacher's own code is not at hand."""
    contents = {STUDENT: models[STUDENT], FLOAT_STUDENT: bundle.files[STUDENT]}
    contents |= {name: models[name] for name in (TEACHER, RIVAL) if name in models}
    sessions = {name: open_session(content) for name, content in contents.items()}
    return run_bench(sessions, prepared.rows.test.inputs.feeds(), prepared.recipe.bench)
