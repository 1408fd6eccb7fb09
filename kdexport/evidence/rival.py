"""The student or the rival: which one to ship, and on which axes.

Takes what was measured, gives a verdict and the axes it rests on. Trains and times nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from kdexport.bundle import RIVAL, STUDENT
from kdexport.evidence.facts import Evidence, RivalFact, RivalVerdict
from kdexport.evidence.latency_facts import Difference, LatencyRecord
from kdexport.evidence.metrics import LEADING
from kdexport.evidence.shape import Interval

NATIVE_RIVAL = "rival"
Winner = Literal["student", "rival", "neither"]
FASTER: dict[Difference, Winner] = {
    "SLOWER": "student",
    "FASTER": "rival",
    "NO_DIFFERENCE": "neither",
}
"""What the verdict on the rival's time over the student's makes of the two."""


@dataclass(frozen=True)
class Axis:
    """One thing that the two are compared in.

    Attributes:
        name: A metric, `bytes`, or `p50 us, batch N`.
        student: The student's figure.
        rival: The rival's figure.
        winner: The better one, `neither` where chance explains the difference.
        is_native: The rival was timed in its own library, for want of an ONNX file.
    """

    name: str
    student: float
    rival: float
    winner: Winner
    is_native: bool = False


def judge_rival(name: str, lead: Mapping[str, Interval]) -> RivalFact:
    """State the student's lead over a rival, and what it says.

    Args:
        name: What the rival is.
        lead: Metric to the student's lead, from `measure_edge`.
    """
    return RivalFact(name=name, lead=dict(lead), verdict=decide_rival(lead))


def decide_rival(lead: Mapping[str, Interval]) -> RivalVerdict:
    """Say what the leads in the leading metrics allow to say, chance apart.

    SHIP_THE_RIVAL where it is the better one in a leading metric and the student in none; MIXED
    where each is better in one.
    """
    winners = {_find_winner(interval) for metric, interval in lead.items() if metric in LEADING}
    if {"student", "rival"} <= winners:
        return "MIXED"
    if "rival" in winners:
        return "SHIP_THE_RIVAL"
    return "SHIP_THE_STUDENT" if "student" in winners else "NO_DIFFERENCE"


def compare_axes(evidence: Evidence) -> list[Axis]:
    """Return quality, bytes and latency of the two, as far as they were measured."""
    if evidence.rival is None:
        return []
    quality = evidence.quality
    axes = [
        Axis(
            metric,
            quality["student"][metric].value,
            quality["rival"][metric].value,
            _find_winner(interval),
        )
        for metric, interval in evidence.rival.lead.items()
    ]
    if RIVAL in evidence.files:
        student, rival = (evidence.files[name].bytes for name in (STUDENT, RIVAL))
        axes.append(Axis("bytes", student, rival, _find_smaller(student, rival)))
    return axes + _compare_times(evidence.latency)


def _compare_times(latency: LatencyRecord) -> list[Axis]:
    """Compare calls by the ratio of paired blocks: of two openings of one file, neither wins.

    A rival that was timed apart has its ratio from the run that it and the student were both in.
    Without a ratio nothing is known beyond chance.
    """
    verdicts = {
        (ratio.name, ratio.path, ratio.batch, ratio.threads): ratio.verdict
        for ratio in latency.ratios
        if ratio.reference == STUDENT
    }
    axes = []
    for batch in sorted({row.batch for row in latency.rows}):
        student = latency.find_row(STUDENT, batch=batch)
        native = latency.find_row(NATIVE_RIVAL, path="call", batch=batch)
        rival = latency.find_row(RIVAL, batch=batch) or native
        if student is None or rival is None or student.p50_us is None or rival.p50_us is None:
            continue
        key = (rival.name, rival.path, batch, student.threads)
        winner = FASTER[verdicts.get(key, "NO_DIFFERENCE")]
        name = f"p50 us, batch {batch:,}"
        ours, theirs = student.p50_us.value, rival.p50_us.value
        axes.append(Axis(name, ours, theirs, winner, rival is native))
    return axes


def _find_winner(lead: Interval) -> Winner:
    if lead.low > 0:
        return "student"
    return "rival" if lead.high < 0 else "neither"


def _find_smaller(student: float, rival: float) -> Winner:
    if student == rival:
        return "neither"
    return "student" if student < rival else "rival"
