"""The table of a search: every student of its last round, as it would ship.

Takes evidence, gives `Grid`s; none where the student's shape was given.
"""

from collections.abc import Callable

from kdexport.evidence.facts import Evidence
from kdexport.evidence.front import list_batches, list_measured
from kdexport.evidence.search_facts import CandidateFact, SearchFact
from kdexport.evidence.shape import Interval
from kdexport.report.figures import write_percent
from kdexport.report.grids import ABSENT, Grid

MAX_NAMED = 30
NO_EDGE = "no edge"


def make_search_grids(evidence: Evidence) -> list[Grid]:
    """Return the table of the finalists, where there was a search."""
    fact = evidence.search
    if fact is None:
        return []
    metric = next(iter(evidence.recovered))
    measured = list_measured(fact.candidates)
    batches = list_batches(measured)
    ships = "ships" if evidence.quantized is None else "ships in int8"
    rows = tuple(
        (
            f"{one.name}{_mark(one, fact, ships)}",
            f"{one.bytes:,}",
            f"{one.parameters:,}",
            *[f"{one.p50_us[b]:,.1f}" if b in one.p50_us else ABSENT for b in batches],
            f"{one.validation_loss:.4f}",
            f"{one.share or 0.0:z.0%}",
            write_recovered(one, metric, write_percent),
        )
        for one in measured
    )
    columns = (
        "student",
        "bytes",
        "weights",
        *[f"p50 us at {int(batch):,}" for batch in batches],
        "validation loss",
        "validation share",
        f"recovered, {metric.replace('_', ' ')}",
    )
    left = [one.name for one in fact.candidates if one.bytes is None]
    note = (
        f"Chosen among {len(fact.candidates)}: {fact.rule}. The teacher answered "
        f"{fact.teacher_rows:,} rows, once for all. Validation loss is beside its answers; the "
        "share is of the way from a student's own control to the teacher in it. Validation rows "
        "choose; recovered edges, over each student's own control, are on test rows, 95 %, not "
        "corrected for their number; no edge: there the teacher is not measurably better than "
        "that control. Front: no other has fewer bytes and a lower validation loss. "
        f"{' '.join(fact.advice)}"
    )
    if left:
        more = f" and {len(left) - MAX_NAMED} more" if len(left) > MAX_NAMED else ""
        note += f" Not trained to the end: {', '.join(left[:MAX_NAMED])}{more}."
    return [Grid("The search", columns, rows, note)]


def write_recovered(one: CandidateFact, metric: str, write: Callable[[Interval], str]) -> str:
    """Return what a candidate recovers of its edge: a share of no edge is no share."""
    share = one.recovered.get(metric)
    if share is None:
        return ABSENT
    return NO_EDGE if share.verdict == "NO_EDGE" else write(share)


def _mark(one: CandidateFact, fact: SearchFact, ships: str) -> str:
    marks = {
        "front": one.is_on_front,
        ships: one.name == fact.chosen,
        "usual": one.name == fact.usual,
    }
    said = ", ".join(mark for mark, is_so in marks.items() if is_so)
    return f" ({said})" if said else ""
