"""The front of a search: which student is the smallest that is good enough.

Takes candidates as they were measured, gives which of them no other one beats, and which to ship.
Validation rows and sizes decide; nothing here looks at test rows.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from kdexport.evidence.search_facts import CandidateFact
from kdexport.sections import Budgets

SLACK = 0.02  # of what the usual student gains on its own control


@dataclass(frozen=True)
class Limits:
    """What a student has to keep.

    Attributes:
        max_bytes: Of its file.
        min_recovered_lower: Share of the edge: on validation rows of the way from control to
            teacher, and then, as a budget, the lower bound on test rows.
    """

    max_bytes: int | None = None
    min_recovered_lower: float | None = None

    def within(self, budgets: Budgets) -> "Limits":
        """Return them, those that are open taken from a recipe's budgets of the same names."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return Limits(**{name: getattr(budgets, name) for name in asdict(self)} | given)

    def describe(self) -> str:
        """Return them in words."""
        parts = []
        if self.max_bytes is not None:
            parts.append(f"at most {self.max_bytes:,} bytes")
        if self.min_recovered_lower is not None:
            parts.append(f"at least {self.min_recovered_lower:.0%} of the edge")
        return " and ".join(parts) or "what the usual student has"


def list_measured(candidates: Sequence[CandidateFact]) -> list[CandidateFact]:
    """Return the candidates that have a file."""
    return [one for one in candidates if one.bytes is not None]


def list_batches(candidates: Sequence[CandidateFact]) -> list[str]:
    """Return the batch sizes that candidates were timed at."""
    return list(dict.fromkeys(batch for one in candidates for batch in one.p50_us))


def mark_front(candidates: Sequence[CandidateFact]) -> list[CandidateFact]:
    """Mark those that no other one beats in bytes and validation loss together."""
    measured = list_measured(candidates)

    def place(one: CandidateFact) -> tuple[int, float]:
        return one.bytes or 0, one.validation_loss

    def is_beaten(one: CandidateFact) -> bool:
        size, loss = place(one)
        return any(
            place(other) != (size, loss) and place(other)[0] <= size and place(other)[1] <= loss
            for other in measured
        )

    return [
        one.model_copy(update={"is_on_front": one.bytes is not None and not is_beaten(one)})
        for one in candidates
    ]


def choose(
    candidates: Sequence[CandidateFact], limits: Limits, *, usual: str
) -> tuple[CandidateFact | None, str]:
    """Choose the network that ships.

    With a share to keep: the smallest one that keeps it. With bytes alone: the best one within
    them. Without limits: the smallest one that is, on validation rows, as good as the usual
    student, and no slower. There all are held to one loss: a share of the way from a student's own
    control would favour one whose control is worse.

    Returns:
        The chosen one, or None where none keeps the limits; and the rule in words.
    """
    networks = _list_networks(candidates)
    (standard,) = (c for c in networks if c.name == usual)
    return _choose(networks, limits, standard)


def choose_int8(
    candidates: Sequence[CandidateFact], limits: Limits, *, usual: str
) -> CandidateFact | None:
    """Return the network in int8 that the rule would choose if such might ship, if it would."""
    networks = _list_networks(candidates)
    small = [one for one in list_measured(candidates) if one.precision == "int8"]
    (standard,) = (c for c in networks if c.name == usual)
    chosen, _ = _choose([*networks, *small], limits, standard)
    return chosen if chosen in small else None


def _choose(
    networks: Sequence[CandidateFact], limits: Limits, standard: CandidateFact
) -> tuple[CandidateFact | None, str]:
    small = _keep_small(networks, limits)
    if limits.min_recovered_lower is not None:
        kept = [c for c in small if (c.share or 0.0) >= limits.min_recovered_lower]
        rule = f"the smallest that keeps {limits.describe()} on validation rows"
        return min(kept, key=_size, default=None), rule
    if limits.max_bytes is not None:
        rule = f"the lowest validation loss within {limits.max_bytes:,} bytes"
        return min(small, key=lambda c: c.validation_loss, default=None), rule
    gained = max((standard.control_loss or 0.0) - standard.validation_loss, 0.0)
    most = standard.validation_loss + SLACK * gained
    kept = [c for c in small if c.validation_loss <= most and not c.is_slower]
    rule = f"the smallest as good on validation rows as {standard.name}, and no slower"
    return min(kept, key=_size), rule


def describe_nearest(candidates: Sequence[CandidateFact], limits: Limits) -> str:
    """Return the candidate that misses the limits by least, in words."""
    networks = _list_networks(candidates)
    small = _keep_small(networks, limits)
    best = max(small, key=lambda c: c.share or 0.0) if small else min(networks, key=_size)
    return f"{best.name} with {best.share or 0.0:z.0%} on validation rows in {_size(best):,} bytes"


def _list_networks(candidates: Sequence[CandidateFact]) -> list[CandidateFact]:
    """Return the networks that may ship.

    A search's bundle is that of a network as it was trained: int8 is `kdexport quantize`'s.
    """
    return [
        one
        for one in list_measured(candidates)
        if one.family == "network" and one.precision != "int8"
    ]


def _keep_small(networks: Sequence[CandidateFact], limits: Limits) -> list[CandidateFact]:
    """Return those that are small enough."""
    most = limits.max_bytes
    return [one for one in networks if most is None or _size(one) <= most]


def _size(candidate: CandidateFact) -> int:
    return candidate.bytes or 0
