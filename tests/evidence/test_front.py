"""The front of a search: test rows report, and choose nothing."""

import pytest

from kdexport.evidence.front import Limits, choose, describe_nearest, mark_front
from kdexport.evidence.search_facts import CandidateFact
from kdexport.evidence.shape import Recovered

USUAL = "64-32"


def make(
    name: str,
    n_bytes: int | None,
    loss: float,
    share: float | None = 0.5,
    *,
    p50_us: float = 8.0,
    is_tree: bool = False,
) -> CandidateFact:
    """A candidate with these figures."""
    return CandidateFact(
        name=name,
        family="trees" if is_tree else "network",
        rounds=1 if n_bytes is None else 3,
        parameters=100,
        cost=1000,
        validation_loss=loss,
        share=share,
        bytes=n_bytes,
        p50_us={} if n_bytes is None else {"1": p50_us},
    )


CANDIDATES = [
    make("linear", 1_000, 0.40, 0.10),
    make("8-8", 2_000, 0.30, 0.60),
    make("16", 2_500, 0.32, 0.50),
    make("16-16", 4_000, 0.20, 0.85),
    make(USUAL, 15_000, 0.10, 0.97),
    make("24-16", None, 0.25, None),
    make("8 trees of 8 leaves", 1_500, 0.35, 0.95, is_tree=True),
]


def test_the_choice_is_blind_to_test_rows() -> None:
    """A student that the test rows praise above all others is chosen no sooner for it."""
    praise = Recovered(
        value=1.0, low=0.99, high=1.0, verdict="RECOVERED", asked_share=0.9, rows_to_settle=None
    )
    praised = [
        one.model_copy(update={"recovered": {"accuracy": praise}}) if one.name == "linear" else one
        for one in CANDIDATES
    ]
    for limits in (Limits(), Limits(max_bytes=2_600), Limits(min_recovered_lower=0.8)):
        chosen = [choose(some, limits, usual=USUAL)[0] for some in (CANDIDATES, praised)]
        assert all(chosen)
        assert len({one.name for one in chosen if one}) == 1


def test_equals_are_both_on_the_front() -> None:
    """Of two candidates that are alike in both, neither beats the other."""
    pair = [make("one", 1_000, 0.2), make("other", 1_000, 0.2), make("worse", 1_000, 0.3)]
    assert [one.is_on_front for one in mark_front(pair)] == [True, True, False]


@pytest.mark.parametrize(
    ("limits", "name"),
    [(Limits(max_bytes=4_000), "16-16"), (Limits(min_recovered_lower=0.85), "16-16")],
)
def test_a_limit_that_is_met_to_the_last_bit_is_kept(limits: Limits, name: str) -> None:
    """At most and at least: the bound itself is within."""
    chosen, _ = choose(CANDIDATES, limits, usual=USUAL)
    assert chosen is not None
    assert chosen.name == name


@pytest.mark.parametrize(("loss", "is_chosen"), [(0.1059, True), (0.1061, False)])
def test_two_percent_may_be_lost(loss: float, is_chosen: bool) -> None:
    """Without limits a smaller student may lose 2 % of what the usual one gains on its control, of
    0.1 to 0.4, and no more: not even where it gained more on a worse control of its own.
    """
    usual = next(one for one in CANDIDATES if one.name == USUAL)
    usual = usual.model_copy(update={"control_loss": 0.4})
    small = make("24-12", 5_000, loss, 0.99)
    chosen, _ = choose([usual, small], Limits(), usual=USUAL)
    assert chosen == (small if is_chosen else usual)


def test_as_much_for_fewer_bytes_is_in_front() -> None:
    """Of two with one loss, the smaller one alone is on the front; the nearest has most share."""
    pair = [make("small", 1_000, 0.2, 0.5), make("large", 2_000, 0.2, 0.9)]
    assert [one.is_on_front for one in mark_front(pair)] == [True, False]
    assert describe_nearest(pair, Limits(min_recovered_lower=0.95)).startswith("large")
