"""Budgets: limits that a bundle must keep, measured now where that is possible.

Takes budgets and what was found, gives one `CheckResult` per budget that was set.
"""

from kdexport.bundle import STUDENT, Bundle
from kdexport.evidence.facts import ParityFact
from kdexport.evidence.latency import measure_latency
from kdexport.records import CheckResult, Inputs
from kdexport.runtime import open_session
from kdexport.sections import Budgets

SECONDS = 1.0
LATENCY = ("max_p50_us", "max_floor_ratio")


def check_budgets(
    budgets: Budgets, bundle: Bundle, inputs: Inputs, parity: ParityFact | None
) -> list[CheckResult]:
    """Hold a bundle to its budgets.

    Args:
        budgets: The limits.
        bundle: What is held to them.
        inputs: Rows to time the student on.
        parity: The student beside its source on the golden rows, where there are any.
    """
    limits = budgets.model_dump(exclude_none=True)
    found, absent = _find_stated(bundle, parity), _find_absent(bundle)
    if any(name in limits for name in LATENCY):
        found |= measure_student(bundle, inputs)
    return [
        _judge(name, limit, found.get(name), absent.get(name, "this bundle has no such figure"))
        for name, limit in limits.items()
    ]


def measure_student(bundle: Bundle, inputs: Inputs) -> dict[str, float]:
    """Time the student on one row now, beside an empty graph: the only use of latency here."""
    session = open_session(bundle.files[STUDENT])
    record = measure_latency({STUDENT: session}, inputs.feeds(), batches=[1], seconds=SECONDS)
    fact = record.find_row(STUDENT)
    if fact is None or fact.p50_us is None:
        return {}
    p50_us = fact.p50_us.value
    return {"max_p50_us": p50_us, "max_floor_ratio": p50_us / fact.floor_p50_us}


def _find_stated(bundle: Bundle, parity: ParityFact | None) -> dict[str, float]:
    """What a budget is compared with, for all but the times."""
    evidence = bundle.evidence
    share = evidence.recovered[_find_leading(bundle)]
    quality = evidence.quality["shipped"]
    found: dict[str, float] = {"max_bytes": len(bundle.files[STUDENT])}
    if share.verdict != "NO_EDGE":
        found["min_recovered_lower"] = share.low
    for name, metric in (("min_accuracy", "accuracy"), ("max_ece", "ece")):
        if metric in quality:
            found[name] = quality[metric].value
    if parity is not None:
        found["max_flips"] = parity.flips
        if parity.max_probability_difference is not None:
            found["max_probability_difference"] = parity.max_probability_difference
    return found


def _find_absent(bundle: Bundle) -> dict[str, str]:
    """Why a budget has nothing to be compared with.

    A share of no edge is no share: where student and teacher both fall short of the control, it
    lies close to 1, and surely so.
    """
    leading = _find_leading(bundle)
    if bundle.evidence.recovered[leading].verdict != "NO_EDGE":
        return {}
    edge = bundle.evidence.edge[leading]
    found = f"{edge.value:.4g} [{edge.low:.4g}, {edge.high:.4g}]"
    return {"min_recovered_lower": f"there was no edge in {leading} to recover: {found}"}


def _find_leading(bundle: Bundle) -> str:
    return next(iter(bundle.evidence.recovered))


def _judge(name: str, limit: float, value: float | None, absent: str) -> CheckResult:
    title = f"budget/{name}"
    side = "at least" if name.startswith("min_") else "at most"
    if value is None:
        message = f"{name} is {side} {limit:g}, however: {absent}"
        return CheckResult(title, False, message)
    passed = value >= limit if side == "at least" else value <= limit
    said = f"{value:,.6g}, asked {side} {limit:,.6g}"
    return CheckResult(title, passed, said if passed else f"{name} is kept, however: {said}")
