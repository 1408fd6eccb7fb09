"""Markdown tables of what searches found, for README.md and docs/search.md."""

from benchmarks.show import BATCHES, make_table, read_result, show_share
from kdexport.evidence.front import Limits, choose, list_measured
from kdexport.evidence.search_facts import SearchFact

SHARE_TO_KEEP = Limits(min_recovered_lower=0.8)


def front() -> str:
    """Every measured candidate of the search on the built-in task, the smallest first."""
    fact = _search("clicks")
    usual = next(one for one in fact.candidates if one.name == fact.usual)
    titles = ["student", "weights", "bytes", "accuracy edge recovered", "on validation rows"]
    titles += [f"batch {batch}, times {fact.usual}" for batch in BATCHES]
    cells = [
        [
            one.name,
            f"{one.parameters:,}",
            f"{one.bytes:,}",
            show_share(one.recovered["accuracy"].model_dump()),
            f"{100 * (one.share or 0):.0f} %",
            *[f"{one.p50_us[str(b)] / usual.p50_us[str(b)]:.2f}" for b in BATCHES],
        ]
        for one in list_measured(fact.candidates)
    ]
    return make_table(titles, cells)


def smallest(teacher_parameters: int) -> str:
    """What a search with a share to keep finds on the built-in task, in words."""
    fact = _search("clicks")
    found, _ = choose(fact.candidates, SHARE_TO_KEEP, usual=fact.usual)
    if found is None:
        raise ValueError("no candidate keeps the share")
    networks = [one for one in fact.candidates if one.family != "trees"]
    tried = len({one.name.removesuffix(" int8") for one in networks})
    return (
        f"How small a student can be, a search says: of {tried} tried on draw 42, the "
        f"smallest that keeps {SHARE_TO_KEEP.min_recovered_lower:.0%} of the way on validation "
        f"rows is {found.name}. On the test rows its **{found.parameters:,} weights** "
        f"({teacher_parameters / found.parameters:,.0f} times fewer than the ensemble's) recover "
        f"**{show_share(found.recovered['accuracy'].model_dump())}** of the accuracy edge, in "
        f"{found.bytes:,} bytes ([docs/search.md](docs/search.md))."
    )


def found_students() -> str:
    """Real tables: the student that a search ships beside the usual one."""
    titles = ["table", "student", "bytes", "log loss", "recovered", "one row, times the usual"]
    cells = []
    for row in (row for row in read_result("search")["rows"] if row["task"] != "clicks"):
        fact = SearchFact.model_validate(row["search"])
        by_name = {one.name: one for one in fact.candidates}
        usual = by_name[fact.usual]
        for one in dict.fromkeys([fact.usual, fact.chosen]):
            shown = by_name[one]
            role = "found" if one == fact.chosen else "usual"
            metric = row["metric"]
            cells.append(
                [
                    row["task"],
                    f"{role}: {one}",
                    f"{shown.bytes:,}",
                    f"{shown.quality[metric].value:.4f}",
                    show_share(shown.recovered[metric].model_dump()),
                    f"{shown.p50_us['1'] / usual.p50_us['1']:.2f}",
                ]
            )
    return make_table(titles, cells)


def _search(task: str) -> SearchFact:
    """What a search found on one task."""
    row = next(row for row in read_result("search")["rows"] if row["task"] == task)
    return SearchFact.model_validate(row["search"])
