"""The front of a search: test rows report, and choose nothing."""

from kdexport.evidence.front import Limits, choose, mark_front
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
