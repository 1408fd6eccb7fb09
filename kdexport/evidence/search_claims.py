"""Does the search in a bundle's evidence lead to the student that is in the bundle?

Takes evidence, says where candidates contradict the front, the choice, or the file that ships. How
the others did, the evidence alone says.
"""

from itertools import product

from kdexport.bundle import STUDENT
from kdexport.evidence.facts import Evidence
from kdexport.evidence.front import Limits, choose, mark_front
from kdexport.evidence.search_facts import CandidateFact, SearchFact

RELATIVE = 1e-5


def find_wrong_search(evidence: Evidence) -> list[str]:
    """Say what in a search does not follow from its candidates, or is not the file's."""
    search = evidence.search
    if search is None:
        return []
    names = [one.name for one in search.candidates]
    problems = [
        f"the search has {names.count(name)} students called {name!r}"
        for name in dict.fromkeys((search.chosen, search.usual))
        if names.count(name) != 1
    ]
    if problems:
        return problems
    marked = zip(search.candidates, mark_front(search.candidates), strict=True)
    problems = [
        f"{one.name} {'is not' if one.is_on_front else 'is'} on the front of the search"
        for one, again in marked
        if one.is_on_front != again.is_on_front
    ]
    if not any(_is_chosen(search, limits) for limits in _list_limits(evidence)):
        problems.append(f"its rule does not choose {search.chosen}")
    chosen = next(one for one in search.candidates if one.name == search.chosen)
    return problems + _find_other_file(chosen, evidence)


def _is_chosen(search: SearchFact, limits: Limits) -> bool:
    """Whether the rule of these limits is the search's, and chooses the same student again."""
    try:
        found, rule = choose(search.candidates, limits, usual=search.usual)
    except ValueError:  # the usual student has no file
        return False
    return found is not None and (found.name, rule) == (search.chosen, search.rule)


def _list_limits(evidence: Evidence) -> list[Limits]:
    """Return the limits that a search may have had: of the recipe's budgets all, some or none."""
    most = evidence.read_setting("budgets", "max_bytes", -1)
    share = evidence.read_setting("budgets", "min_recovered_lower", -1.0)
    return [Limits(*pair) for pair in product((None, most), (None, share))]


def _find_other_file(chosen: CandidateFact, evidence: Evidence) -> list[str]:
    """Say where the chosen student is another one than the bundle's."""
    if evidence.quantized is not None:  # it was made of that file
        return []
    problems, parameters = [], evidence.files[STUDENT].parameters
    if chosen.parameters != parameters:
        problems.append(f"{chosen.name} has {chosen.parameters} parameters, {STUDENT} {parameters}")
    for metric, found in chosen.quality.items():
        stated = evidence.quality["student"].get(metric)
        apart = abs(found.value - stated.value) if stated is not None else 0.0
        if stated is not None and apart > RELATIVE * abs(stated.value):
            said = f"{found.value:.6g}, its students have {stated.value:.6g}"
            problems.append(f"the {metric} of {chosen.name} is {said}")
    return problems
