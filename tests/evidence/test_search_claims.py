"""A search leads to the student in the bundle."""

from pathlib import Path
from typing import Any

import pytest

from kdexport.bundle import STUDENT, read_bundle
from kdexport.evidence.facts import Evidence
from kdexport.evidence.front import Limits, choose, mark_front
from kdexport.evidence.search_claims import find_wrong_search
from kdexport.evidence.search_facts import SearchFact
from tests.evidence.test_front import CANDIDATES, USUAL

LIMITS = [Limits(), Limits(max_bytes=5_000), Limits(min_recovered_lower=0.8), Limits(16_000, 0.6)]


def with_search(evidence: Evidence, limits: Limits) -> Evidence:
    """Evidence whose student a search chose by these limits, which its recipe holds."""
    chosen, rule = choose(CANDIDATES, limits, usual=USUAL)
    assert chosen is not None
    own = {"parameters": evidence.files[STUDENT].parameters, "quality": evidence.quality["student"]}
    candidates = [
        one.model_copy(update=own if one.name == chosen.name else {})
        for one in mark_front(CANDIDATES)
    ]
    search = SearchFact(
        rule=rule,
        chosen=chosen.name,
        usual=USUAL,
        teacher_rows=900,
        candidates=candidates,
        advice=[],
    )
    asked = {k: v for k, v in vars(limits).items() if v is not None}
    recipe = {**evidence.recipe, "budgets": asked}
    return evidence.model_copy(update={"search": search, "recipe": recipe})


@pytest.fixture
def evidence(bundle_path: Path) -> Evidence:
    """Evidence of a bundle without a search."""
    return read_bundle(bundle_path).evidence


@pytest.mark.parametrize("limits", LIMITS)
def test_searches_as_they_are_written(evidence: Evidence, limits: Limits) -> None:
    """Whatever limits it had, its rule chooses the same student again."""
    assert find_wrong_search(evidence) == []
    found = with_search(evidence, limits)
    assert find_wrong_search(found) == []
    recipe = {**found.recipe, "budgets": {"max_bytes": 1}}
    if limits != Limits():
        assert (
            "its rule does not choose"
            in find_wrong_search(found.model_copy(update={"recipe": recipe}))[0]
        )


def edit(evidence: Evidence, name: str, **changes: Any) -> list[str]:
    """What is said where one candidate, or the search itself, has other fields."""
    search = evidence.search
    assert search is not None
    if not name:
        search = search.model_copy(update=changes)
    candidates = [
        one.model_copy(update=changes if one.name == name else {}) for one in search.candidates
    ]
    search = search.model_copy(update={"candidates": candidates})
    return find_wrong_search(evidence.model_copy(update={"search": search}))


def test_edited_searches(evidence: Evidence) -> None:
    """A candidate that was made better, or another choice, is named."""
    found = with_search(evidence, Limits(min_recovered_lower=0.8))
    assert edit(found, "") == []
    assert edit(found, "", chosen="8-8")[0] == "its rule does not choose 8-8"
    assert edit(found, "", chosen="9-9") == ["the search has 0 students called '9-9'"]
    assert edit(found, "", rule="the best")[0] == "its rule does not choose 16-16"
    assert edit(found, "8-8", share=0.9)[0] == "its rule does not choose 16-16"
    assert edit(found, "16", is_on_front=True)[0] == "16 is not on the front of the search"
    assert edit(found, "8-8", validation_loss=0.5)[0] == "8-8 is not on the front of the search"
    assert edit(found, "16-16", parameters=1)[0].startswith("16-16 has 1 parameters")
    better = {m: v.model_copy(update={"value": 0.01}) for m, v in found.quality["student"].items()}
    assert "of 16-16 is 0.01, its students have" in edit(found, "16-16", quality=better)[0]
    usual = with_search(evidence, Limits())
    assert edit(usual, USUAL, bytes=None)[-1].startswith("its rule does not choose")
