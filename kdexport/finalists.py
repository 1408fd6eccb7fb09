"""The finalists of a search, measured as they would ship.

Takes what `candidates` trained, gives it with bytes, latency, quality and recovered
edge. `search` tells the story.
"""

from collections.abc import Container, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from kdexport.assemble import export_model, export_student, measure_groups, stamp
from kdexport.candidates import Found, TriedGrove, stand_in
from kdexport.evidence.blocks import Timed
from kdexport.evidence.claims import describe_file
from kdexport.evidence.edge import EdgeResult
from kdexport.evidence.front import mark_front
from kdexport.evidence.latency import run_bench
from kdexport.evidence.metrics import LEADING
from kdexport.evidence.search_facts import CandidateFact, name_int8
from kdexport.int8_candidates import (
    Int8File,
    describe_int8_file,
    find_precision,
    make_int8_file,
)
from kdexport.prepared import Prepared, Trained
from kdexport.records import Answers, Progress, ProgressSink
from kdexport.runtime import open_session
from kdexport.sources import Sources
from kdexport.training.mixture import stand_alone
from kdexport.training.own_teacher import OwnTeacher
from kdexport.training.search import Tried
from kdexport.training.threads import use_threads
from kdexport.trees import Trees

N_GROVES = 2  # that are measured
SLOWER = 1.05  # times the usual student's call of one row: less does not decide what ships


def measure_finalists(
    found: Found, prepared: Prepared, teacher: Trained | OwnTeacher, on_progress: ProgressSink
) -> list[CandidateFact]:
    """Export every finalist, time all of them in one run, and score them on the test rows.

    A network is measured in int8 too, where that is smaller and loses no more than it may.

    Returns:
        Facts of all candidates, the smallest first.
    """
    with use_threads(prepared.recipe.threads) as n_threads:
        files: dict[str, bytes] = {}
        small: dict[str, Int8File] = {}
        networks = {
            one.shape.name: Sources(
                replace(prepared, recipe=one.recipe),
                teacher,
                found.students_of(one.shape.name),
                None,
            )
            for one in found.finalists
        }
        groves = sorted(found.groves, key=lambda grove: grove.loss)[:N_GROVES]
        for position, tried in enumerate(found.finalists):
            on_progress(Progress("files", position, len(networks)))
            name = tried.shape.name
            asked_for = replace(prepared, recipe=tried.recipe)
            files[name] = stamp(export_student(networks[name]), asked_for, stand_in(prepared))
            if (file := make_int8_file(files[name], prepared)) is not None:
                small[name] = file
        for grove in groves:
            trees = stand_alone(grove.taught[0], prepared.schema).trees
            content = export_model(None, trees, networks[found.usual].encoder)
            files[grove.grove.name] = stamp(content, prepared, stand_in(prepared))
        asked = files | {name_int8(name): file.after for name, file in small.items()}
        times, slower = _time(asked, prepared, usual=found.usual)
        edges = _measure_edges(
            networks, groves, prepared, networks[found.usual], n_threads, on_progress
        )
        facts = [*map(_describe, found.tried), *map(_describe_grove, found.groves)]
        measured = [_add_edge(fact, edges) for fact in facts]
        for tried, fact in zip(found.tried, tuple(measured), strict=False):
            if fact.name in small and tried.alone is not None:
                file, edge = small[fact.name], edges[fact.name]
                measured.append(
                    describe_int8_file(fact, file, edge, prepared, found.lesson, alone=tried.alone)
                )
        measured = [_add_file(fact, asked, times, slower) for fact in measured]
        return mark_front(sorted(measured, key=lambda fact: fact.bytes or 4 * fact.parameters))


def _measure_edges(
    networks: Mapping[str, Sources],
    groves: Sequence[TriedGrove],
    prepared: Prepared,
    usual: Sources,
    n_threads: int,
    on_progress: ProgressSink,
) -> dict[str, EdgeResult]:
    """Score every finalist on the test rows, several at a time: its name to its edges."""
    test = prepared.rows.test.inputs
    taught = usual.ask_teacher(test)

    def ask_trees(several: Sequence[Trees]) -> list[Answers]:
        return [usual.ask_mixture(stand_alone(trees, prepared.schema), test) for trees in several]

    def measure(finalist: Sources | TriedGrove) -> EdgeResult:
        if isinstance(finalist, Sources):
            groups = finalist.ask_students(test)
        else:
            groups = {
                "student": ask_trees(finalist.taught),
                "control": ask_trees(finalist.untaught),
            }
        return measure_groups(prepared, {"teacher": [taught], **groups}, only=LEADING)[0]

    finalists = {**networks, **{grove.grove.name: grove for grove in groves}}
    edges: dict[str, EdgeResult] = {}
    with ThreadPoolExecutor(n_threads) as pool:
        for name, edge in zip(finalists, pool.map(measure, finalists.values()), strict=True):
            edges[name] = edge
            on_progress(Progress("finalists", len(edges), len(finalists)))
    return edges


def _time(
    files: Mapping[str, bytes], prepared: Prepared, *, usual: str
) -> tuple[dict[str, dict[str, float]], set[str]]:
    """Time every file, all in one run.

    Returns:
        File to batch to the microseconds of its median call, and the files that take longer for
        one row than the usual one's, by `SLOWER` and beyond chance.
    """
    in_order = sorted(files, key=lambda name: name != usual)  # the first is what others are to
    sessions: dict[str, Timed] = {name: open_session(files[name]) for name in in_order}
    bench = prepared.recipe.bench
    record = run_bench(sessions, prepared.rows.test.inputs.feeds(), bench)
    times = {
        name: {
            str(batch): row.p50_us.value
            for batch in bench.batches
            if (row := record.find_row(name, batch=batch)) and row.p50_us
        }
        for name in files
    }
    slower = {
        ratio.name
        for ratio in record.ratios
        if ratio.batch == 1
        and ratio.path == "run"
        and ratio.verdict == "SLOWER"
        and ratio.ratio.low > SLOWER
    }
    return times, slower


def _describe(tried: Tried) -> CandidateFact:
    return CandidateFact(
        name=tried.shape.name,
        family="network",
        rounds=tried.n_rounds,
        parameters=tried.n_weights,
        cost=tried.cost,
        validation_loss=tried.loss,
        control_loss=tried.alone,
        share=tried.share,
    )


def _describe_grove(tried: TriedGrove) -> CandidateFact:
    return CandidateFact(
        name=tried.grove.name,
        family="trees",
        rounds=1,
        parameters=tried.taught[0].n_nodes,
        cost=0,
        validation_loss=tried.loss,
        share=tried.share,
    )


def _add_edge(fact: CandidateFact, edges: Mapping[str, EdgeResult]) -> CandidateFact:
    """Add what the test rows say of a candidate, if it is a finalist."""
    if fact.name not in edges:
        return fact
    edge = edges[fact.name]
    return fact.model_copy(update={"quality": edge.quality["student"], "recovered": edge.recovered})


def _add_file(
    fact: CandidateFact,
    files: Mapping[str, bytes],
    times: Mapping[str, Mapping[str, float]],
    slower: Container[str],
) -> CandidateFact:
    """Add what a candidate's file shows, if it has one."""
    if fact.name not in files:
        return fact
    file = describe_file(files[fact.name], is_model=True)
    return fact.model_copy(
        update={
            "precision": find_precision(files[fact.name]),
            "bytes": file.bytes,
            "parameters": file.parameters or fact.parameters,
            "p50_us": dict(times[fact.name]),
            "is_slower": fact.name in slower,
        }
    )
