"""From trained stacks to a bundle's files: export both, then measure what was exported.

Takes checkpoints, gives the evidence and every file as bytes. Parity, latency and the quality of
whatever has a file are measured on it, through onnxruntime; of controls and of students as
replicates, quality is that of the networks.
"""

import json
from collections.abc import Container, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from kdexport.bundle import EVIDENCE, RECIPE, RIVAL, STUDENT, TEACHER
from kdexport.contract import expose_logits, serialize_model
from kdexport.describe import (
    count_copies,
    describe_environment,
    describe_task,
    describe_teacher,
    describe_unlabeled,
    trace_curves,
)
from kdexport.errors import ParityError
from kdexport.evidence.blocks import Timed
from kdexport.evidence.claims import (
    compare_with_teacher,
    describe_file,
    make_headline,
    score_golden,
    seal_file,
)
from kdexport.evidence.edge import EdgeResult, measure_edge
from kdexport.evidence.facts import Evidence, GoldenFact, ParityFact
from kdexport.evidence.few_rows import count_others, count_rarest
from kdexport.evidence.golden import Golden, pack_golden
from kdexport.evidence.golden_rows import choose_real, draw_synthetic
from kdexport.evidence.latency import add_apart, run_bench
from kdexport.evidence.latency_facts import NATIVE, LatencyRecord
from kdexport.evidence.metrics import find_metrics, measure_quality, score_rows
from kdexport.evidence.parity import compare_answers
from kdexport.evidence.rival import judge_rival
from kdexport.evidence.search_facts import SearchFact
from kdexport.evidence.stress import make_stress_inputs
from kdexport.export.graph import Filling, build_model
from kdexport.export.network import build_student, build_teacher, export_network
from kdexport.prepared import Prepared, Trained
from kdexport.records import Answers, Float64, Progress, ProgressSink
from kdexport.runtime import open_session
from kdexport.schema import Schema
from kdexport.sources import Sources
from kdexport.training.encode import Encoder
from kdexport.training.own_teacher import OwnTeacher
from kdexport.training.steps import TORCH_VERSION
from kdexport.training.threads import use_threads
from kdexport.trees import Trees

if TYPE_CHECKING:
    from torch import nn

MAX_STRESSED = 5000  # test rows that are altered in four ways each for the parity check
RIVAL_NAME = "scikit-learn's histogram gradient boosting"
STEPS = ("export", "quality", "parity", "latency")


def assemble_bundle(
    prepared: Prepared,
    teacher: Trained | OwnTeacher,
    students: Trained,
    rival: Trained | None,
    on_progress: ProgressSink,
    search: SearchFact | None = None,
) -> tuple[Evidence, dict[str, bytes]]:
    """Export, measure, and return the evidence with every file of the bundle.

    Args:
        prepared: The task.
        teacher: What the students learned from.
        students: They, and the controls.
        rival: One boosted model, or None.
        on_progress: Told how it goes.
        search: Among which candidates the student was chosen, if it was.

    Raises:
        ParityError: A file does not answer as its source does; nothing ships.
    """
    with use_threads(prepared.recipe.threads) as n_threads:
        sources = Sources(prepared, teacher, students, rival)
        test = prepared.rows.test.inputs
        _tell(on_progress, 0)
        files = _export(sources)
        _tell(on_progress, 1)
        by_file = {name: open_session(content).answer(test) for name, content in files.items()}
        claims = _make_claims(by_file, sources, prepared)
        claims |= {"curves": trace_curves(prepared, teacher, students), "search": search}
        headline = make_headline(claims)
        files = {name: stamp(content, prepared, headline) for name, content in files.items()}
        _tell(on_progress, 2)
        parity = _check_parity(files, sources, prepared)
        _tell(on_progress, 3)
        latency = _measure_latency(files, sources, prepared)
        _tell(on_progress, 4)
        golden = _choose_golden(prepared, sources, by_file[STUDENT])
    models = dict(files)
    files |= pack_golden(golden) if golden else {}
    files[RECIPE] = prepared.recipe.to_toml().encode()
    evidence = Evidence(
        kdexport_version=version("kdexport"),
        recipe=prepared.recipe.model_dump(mode="json", exclude_none=True),
        environment=describe_environment(n_threads, TORCH_VERSION),
        files={
            name: describe_file(content, is_model=name in models) for name, content in files.items()
        },
        shipped_replicate=sources.shipped,
        parity=parity,
        golden=GoldenFact(
            kind=prepared.recipe.export.golden,
            rows=golden.inputs.n_rows if golden else 0,
            quality=score_golden(golden) if golden else {},
        ),
        latency=latency,
        absent={} if TEACHER in models else {TEACHER: sources.why_absent},
        training={
            **describe_teacher(teacher),
            "student_steps": students.n_steps,
            **students.settings,
        },
        **claims,
    )
    files[EVIDENCE] = evidence.to_json()
    return evidence, files


def _make_claims(
    by_file: Mapping[str, Answers], sources: Sources, prepared: Prepared
) -> dict[str, Any]:
    """Return what the test rows say of every role, and what there is to know of the rows.

    Args:
        by_file: What every file answers to the test rows.
        sources: The networks and trees that files were made of.
        prepared: The task.
    """
    rows, signature = prepared.rows.test, prepared.schema.signature
    taught = by_file[TEACHER] if TEACHER in by_file else sources.ask_teacher(rows.inputs)
    groups = {"teacher": [taught], **sources.ask_students(rows.inputs)}
    if RIVAL in by_file:
        groups["rival"] = [by_file[RIVAL]]
    edge, replicates = measure_groups(prepared, groups)
    shipped = measure_quality(by_file[STUDENT], rows.targets, rows.weights)
    return {
        "task": describe_task(prepared),
        "signature": signature,
        "quality": {**edge.quality, "shipped": shipped},
        "replicates": replicates,
        "controls": edge.controls if "plain_control" in groups else {},
        "rival": judge_rival(RIVAL_NAME, edge.lead) if "rival" in groups else None,
        "edge": edge.edge,
        "recovered": edge.recovered,
        "gained": edge.gained,
        **compare_with_teacher(rows, signature, by_file[STUDENT], taught),
        "unlabeled": describe_unlabeled(prepared),
        "copied_test_rows": count_copies(prepared),
    }


def _export(sources: Sources) -> dict[str, bytes]:
    files = {STUDENT: export_student(sources)}
    for name, mixture in sources.mixtures().items():
        network = build_teacher(mixture.stack) if mixture.stack is not None else None
        files[name] = export_model(network, mixture.trees, sources.encoder, mixture.schema)
    return files


def export_student(sources: Sources) -> bytes:
    """Return the file of the student that ships, without its evidence."""
    return export_model(build_student(sources.stack, sources.shipped), None, sources.encoder)


def export_model(
    network: "nn.Module | None", trees: Trees | None, encoder: Encoder, schema: Schema | None = None
) -> bytes:
    """Return the file of a network, of trees, or of the sum of both.

    Args:
        network: Reads what the encoder makes of a row.
        trees: Read numbers, and what they know of categories.
        encoder: Of the networks.
        schema: Where trees alone know other categories than the encoder: theirs.
    """
    exported, schema = None, schema or encoder.schema
    if network is not None:
        exported = export_network(
            network, d_features=encoder.d_compact, n_categorical=len(schema.categories)
        )
    filling = Filling(encoder.center, encoder.limit)
    return serialize_model(build_model(exported, schema, filling, trees))


def measure_groups(
    prepared: Prepared,
    groups: Mapping[str, Sequence[Answers]],
    *,
    only: Container[str] | None = None,
) -> tuple[EdgeResult, dict[str, dict[str, list[float]]]]:
    """Return quality, edge and recovered edge, and each replicate's own metrics.

    Args:
        prepared: The task.
        groups: Role to its replicates' answers to the test rows.
        only: Names of metrics, or None for all that the rows have.
    """
    rows = prepared.rows.test
    metrics = find_metrics(len(prepared.schema.signature.classes), rows.targets)
    if only is not None:
        metrics = {name: metric for name, metric in metrics.items() if name in only}
    scores: dict[str, dict[str, Float64]] = {}
    replicates: dict[str, dict[str, list[float]]] = {}
    for role, answers in groups.items():
        scored = [score_rows(metrics, a, rows.targets, rows.weights) for a in answers]
        scores[role] = {name: np.stack([s[name] for s in scored]) for name in metrics}
        replicates[role] = {
            name: metric.finish(
                np.average(scores[role][name], axis=1, weights=rows.weights)
            ).tolist()
            for name, metric in metrics.items()
        }
    settings = prepared.recipe.evidence
    edge = measure_edge(
        scores,
        metrics,
        asked_share=settings.asked_share,
        n_draws=settings.n_draws,
        seed=prepared.recipe.seed,
        n_rarest=count_rarest(rows.targets, rows.weights),
        n_others=count_others(rows.targets),
        weights=rows.weights,
    )
    return edge, replicates


def stamp(content: bytes, prepared: Prepared, headline: Mapping[str, Any]) -> bytes:
    """Write version, data, recipe and headline evidence into a file's metadata."""
    return seal_file(
        content,
        headline,
        version=version("kdexport"),
        data_sha256=prepared.data_sha256,
        recipe=json.dumps(prepared.recipe.changes(), separators=(",", ":")),
    )


def _check_parity(
    files: dict[str, bytes], sources: Sources, prepared: Prepared
) -> dict[str, ParityFact]:
    """Compare every file with its source on all test rows and on altered ones."""
    test = prepared.rows.test.inputs
    asked = test.joined_with(make_stress_inputs(test, max_rows=MAX_STRESSED))
    parity = {}
    for name, source in sources.ask_files(asked).items():
        fact = compare_answers(source, open_session(expose_logits(files[name])).answer(asked))
        if not fact.passed:
            raise ParityError(
                f"{name} answers as the trained network does",
                found=_describe_difference(fact, test.n_rows),
                cure="please report this with the recipe: nothing was written",
            )
        parity[name] = fact
    return parity


def _measure_latency(
    files: Mapping[str, bytes], sources: Sources, prepared: Prepared
) -> LatencyRecord:
    """Time every file; and apart, beside the student, a user's own teacher as it is."""
    bench, feeds = prepared.recipe.bench, prepared.rows.test.inputs.feeds()
    sessions: dict[str, Timed] = {name: open_session(c) for name, c in files.items()}
    record = run_bench(sessions, feeds, bench)
    native = sources.native
    if native is None:
        return record
    both = {STUDENT: sessions[STUDENT], NATIVE: native}
    return add_apart(record, run_bench(both, feeds, bench), NATIVE)


def _choose_golden(prepared: Prepared, sources: Sources, student: Answers) -> Golden | None:
    kind, schema = prepared.recipe.export.golden, prepared.schema
    if kind == "none":
        return None
    if kind == "synthetic":
        return sources.ask_golden(draw_synthetic(schema, seed=prepared.recipe.seed))
    return sources.ask_golden(choose_real(prepared.rows.test, student, schema))


def _describe_difference(fact: ParityFact, n_test: int) -> str:
    found = {
        "probabilities differ by up to": fact.max_probability_difference,
        "logits or numbers, relative to their size, by up to": fact.max_relative_difference,
    }
    parts = [f"{name} {value:.2g}" for name, value in found.items() if value is not None]
    where = "test row" if fact.worst_row < n_test else "altered copy"
    number = fact.worst_row if fact.worst_row < n_test else fact.worst_row - n_test
    return f"{', '.join(parts)}, {fact.flips} flips; {where} {number} is the worst"


def _tell(on_progress: ProgressSink, n_done: int) -> None:
    on_progress(Progress("export and measure", n_done, len(STEPS)))
