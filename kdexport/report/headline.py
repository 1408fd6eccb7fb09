"""The one sentence that a report opens with, and its verdict.

Takes evidence, gives text. It says what is not there as plainly as what is.
"""

import re
from dataclasses import dataclass

from kdexport.bundle import STUDENT, TEACHER
from kdexport.evidence.facts import Evidence, RivalVerdict
from kdexport.evidence.latency_facts import FLOOR, NATIVE, LatencyFact
from kdexport.evidence.shape import Interval, Recovered, Verdict
from kdexport.report.figures import (
    style_metric,
    write_bytes,
    write_difference,
    write_interval,
    write_percent,
    write_roughly,
)

SPOKEN_WITH_VOWEL = re.compile(r"8|1[18]\b")  # eight, eleven, eighteen
SAME_SIZE = 1.1  # a ratio below it is not worth a figure
MARKS: dict[Verdict, str] = {
    "RECOVERED": "\N{CHECK MARK}",
    "NOT_RECOVERED": "\N{MULTIPLICATION X}",
    "INCONCLUSIVE": "?",
    "NO_EDGE": "\N{EN DASH}",
}

RIVAL_REASONS: dict[RivalVerdict, str] = {
    "SHIP_THE_RIVAL": "it is the better one beyond chance",
    "SHIP_THE_STUDENT": "it is the better one beyond chance",
    "NO_DIFFERENCE": "chance explains what lies between them in quality",
    "MIXED": "each is the better one in one metric",
}


@dataclass(frozen=True)
class Headline:
    """The verdict on the leading metric and its sentence.

    Attributes:
        verdict: As in the evidence.
        title: The verdict in words.
        mark: A sign for it, so that colour is never alone.
        sentence: What it rests on.
        others: Verdicts on the other metrics and on a rival, one line; empty where there are none.
    """

    verdict: Verdict
    title: str
    mark: str
    sentence: str
    others: str


def write_headline(evidence: Evidence) -> Headline:
    """Say in one sentence what the evidence says."""
    leading = next(iter(evidence.recovered))
    share = evidence.recovered[leading]
    opening = {
        "RECOVERED": _say_recovered,
        "NOT_RECOVERED": _say_fallen_short,
        "INCONCLUSIVE": _say_inconclusive,
        "NO_EDGE": _say_no_edge,
    }[share.verdict](evidence, leading, share)
    verdicts = [
        f"{style_metric(metric).title}: {title_verdict(other.verdict)} "
        f"({_show_share(evidence, metric, other)})"
        for metric, other in evidence.recovered.items()
        if metric != leading
    ]
    if evidence.rival is not None:
        said = describe_rival(evidence.rival.verdict)
        verdicts.append(f"beside the rival, {evidence.rival.name}: {said}")
    return Headline(
        verdict=share.verdict,
        title=title_verdict(share.verdict),
        mark=MARKS[share.verdict],
        sentence=opening,
        others="; ".join(verdicts),
    )


def _show_share(evidence: Evidence, metric: str, share: Recovered) -> str:
    """The share; where there is no edge to speak of, and so no share of it, the edge."""
    if share.verdict == "NO_EDGE":
        return f"edge {write_difference(metric, evidence.edge[metric])}"
    return write_percent(share)


def title_verdict(verdict: Verdict | RivalVerdict) -> str:
    """Return a verdict in words."""
    return verdict.replace("_", " ")


def describe_rival(verdict: RivalVerdict) -> str:
    """Say which of the two to ship and why, or why neither is to be preferred."""
    reason = RIVAL_REASONS[verdict]
    advice = f"{title_verdict(verdict).lower()}: "
    return f"{advice}{reason}" if verdict.startswith("SHIP") else reason


def name_teacher(evidence: Evidence) -> str:
    """Return `ensemble` where the teacher has several members, else `teacher`."""
    if "teachers" in evidence.training:  # of the user's own
        return "teacher"
    return "ensemble" if evidence.read_setting("teacher", "n_members", 1) > 1 else "teacher"


def find_call(evidence: Evidence, role: str, batch: int) -> LatencyFact | None:
    """Return the latency of a role's file; where it has none, that of its own code."""
    latency = evidence.latency
    return latency.find_row(f"{role}.onnx", batch=batch) or latency.find_row(
        role, path="call", batch=batch
    )


def teacher_lanes(evidence: Evidence) -> list[tuple[str, str]]:
    """Return name and path of what stands for the teacher in a latency run: its file, if it has
    one, else its own code.
    """
    return [(TEACHER, "run")] if TEACHER in evidence.files else [(NATIVE, "call")]


def _say_recovered(evidence: Evidence, metric: str, share: Recovered) -> str:
    teacher, title = name_teacher(evidence), style_metric(metric).title
    return (
        f"{_subject(evidence)} keeps {write_percent(share)} of the {teacher}'s {title} edge "
        f"and {_speed(evidence)}."
    )


def _say_fallen_short(evidence: Evidence, metric: str, share: Recovered) -> str:
    teacher, title = name_teacher(evidence), style_metric(metric).title
    return (
        f"{_subject(evidence)} keeps only {write_percent(share)} of the {teacher}'s {title} edge, "
        f"less than the {100 * share.asked_share:g} % asked for; it {_speed(evidence)}."
    )


def _say_inconclusive(evidence: Evidence, metric: str, share: Recovered) -> str:
    teacher, title = name_teacher(evidence), style_metric(metric).title
    n_rows = evidence.task.rows["test"].rows
    subject = _subject(evidence)
    subject = subject[0].lower() + subject[1:]
    settle = "more of them alone would not: more replicates are needed"
    if share.rows_to_settle:
        settle = f"about {write_roughly(share.rows_to_settle)} would"
    elif evidence.quantized is not None:
        settle = "how many would is not known of int8"
    return (
        f"{n_rows:,} test rows cannot tell whether {subject} keeps the "
        f"{100 * share.asked_share:g} % asked for of the {teacher}'s {title} edge "
        f"({write_percent(share)}), {settle}; it {_speed(evidence)}."
    )


def _say_no_edge(evidence: Evidence, metric: str, _: Recovered) -> str:
    teacher, title = name_teacher(evidence), style_metric(metric).title
    n_rows, edge = evidence.task.rows["test"].rows, evidence.edge[metric]
    how = "worse" if edge.high < 0 else "not measurably better"
    return (
        f"On {n_rows:,} test rows the {teacher} is {how} than the same small "
        f"network trained without it (edge in {title} "
        f"{write_difference(metric, edge)}): do not distill for this. "
        f"{_subject(evidence)} {_speed(evidence)}."
    )


def _subject(evidence: Evidence) -> str:
    size = write_bytes(evidence.files[STUDENT].bytes)
    return f"{'An' if SPOKEN_WITH_VOWEL.match(size) else 'A'} {size} file"


def _speed(evidence: Evidence) -> str:
    """How fast, beside what an empty graph takes, and how much less than the teacher."""
    row = evidence.latency.find_row(STUDENT)
    if row is None or row.p50_us is None:
        return "was called too few times to say how fast it answers"
    asked = "a row" if row.batch == 1 else f"{row.batch:,} rows"
    said = f"answers {asked} in {_short(row.p50_us)} us"
    floor = evidence.latency.find_row(FLOOR, batch=row.batch)
    if floor is not None and floor.p50_us is not None:
        said += f" (an empty graph takes {_short(floor.p50_us)})"
    compared = [*_compare_speed(evidence, row), *_compare_size(evidence)]
    return f"{said}: {', '.join(compared)}" if compared else said


def _compare_speed(evidence: Evidence, row: LatencyFact) -> list[str]:
    for fact in evidence.latency.ratios:
        key = (fact.name, fact.reference, fact.path, fact.batch, fact.threads)
        if key not in [
            (name, STUDENT, path, row.batch, row.threads) for name, path in teacher_lanes(evidence)
        ]:
            continue
        if fact.verdict == "NO_DIFFERENCE":
            return [f"no measurable difference from the {name_teacher(evidence)}"]
        if fact.verdict == "SLOWER":
            than = " than the teacher's own code" if fact.name == NATIVE else ""
            return [f"{_times(fact.ratio, 'faster')}{than}"]
        inverse = fact.ratio.model_copy(
            update={
                "value": 1 / fact.ratio.value,
                "low": 1 / fact.ratio.high,
                "high": 1 / fact.ratio.low,
            }
        )
        return [_times(inverse, "slower")]
    return []


def _compare_size(evidence: Evidence) -> list[str]:
    files = evidence.files
    if TEACHER not in files:
        return []
    return [compare_sizes(files[TEACHER].bytes, files[STUDENT].bytes)]


def compare_sizes(theirs: int, ours: int) -> str:
    """Say how much smaller, or larger, ours is."""
    times = theirs / ours
    if 1 / SAME_SIZE < times < SAME_SIZE:
        return "about the same size"
    which, times = ("larger", 1 / times) if times < 1 else ("smaller", times)
    return f"{times:,.0f} times {which}" if times >= 10 else f"{times:.1f} times {which}"


def _times(ratio: Interval, which: str) -> str:
    value, interval = write_interval(ratio, max_digits=3).split(" ", 1)
    return f"{value} times {which} {interval}"


def _short(interval: Interval) -> str:
    """The value alone: its interval stands in the table below the sentence."""
    return write_interval(interval, max_digits=3).split(" ", 1)[0]
