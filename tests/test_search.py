"""The search for the smallest student that is good enough."""

import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from kdexport.bundle import load_bundle
from kdexport.candidates import measure_file
from kdexport.cli import cli
from kdexport.errors import SearchError
from kdexport.evidence.checks import check_bundle
from kdexport.evidence.facts import Evidence
from kdexport.evidence.front import Limits, choose, choose_int8, describe_nearest, mark_front
from kdexport.evidence.search_facts import CandidateFact
from kdexport.prepared import Prepared
from kdexport.recipe import Recipe, read_recipe
from kdexport.report.advice import advise
from kdexport.report.pages import render_markdown
from kdexport.search import search
from kdexport.training.search import Shape
from tests.conftest import QUICK
from tests.test_docs import read_blocks


def candidate(
    name: str, n_bytes: int | None, loss: float, share: float = 0.5, us: float = 5.0, **more: Any
) -> CandidateFact:
    """A candidate as the last round leaves it."""
    given = {"family": "network", "rounds": 3, "parameters": 10, "cost": 1, **more}
    return CandidateFact(
        name=name, bytes=n_bytes, validation_loss=loss, share=share, p50_us={"1": us}, **given
    )


USUAL = candidate("64-32", 15_000, 0.10, 0.98, control_loss=0.2)
SMALL = candidate("16-16", 4000, 0.12, 0.90)
TINY = candidate("8-8", 2700, 0.15, 0.60)
WORSE = candidate("32", 5000, 0.13, 0.85)
GONE = candidate("6-6", None, 0.40)
ALL = [TINY, SMALL, WORSE, USUAL, GONE]


def test_front() -> None:
    """On the front is what no other beats in bytes and loss; what has no file is not on it."""
    marked = {one.name: one.is_on_front for one in mark_front(ALL)}
    assert marked == {"8-8": True, "16-16": True, "32": False, "64-32": True, "6-6": False}


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (Limits(), "64-32"),
        (Limits(min_recovered_lower=0.8), "16-16"),
        (Limits(max_bytes=3000), "8-8"),
        (Limits(4500, 0.5), "8-8"),
        (Limits(4500, 0.95), None),
        (Limits(max_bytes=100), None),
    ],
)
def test_chosen_by_validation(limits: Limits, name: str | None) -> None:
    """The smallest that keeps a share, or the best within the bytes; none where none does."""
    chosen, _ = choose(ALL, limits, usual="64-32")
    assert (chosen.name if chosen else None) == name


def test_as_good_and_no_slower() -> None:
    """Without limits, a smaller student has to be as good as the usual one, and as fast: a p50
    that chance may have moved does not count against it.
    """
    as_good = candidate("24-16", 6000, 0.101, 0.97, us=5.6)
    slow = candidate("16-16-16", 5000, 0.09, 0.99, us=9.0, is_slower=True)
    chosen, rule = choose([*ALL, as_good, slow], Limits(), usual="64-32")
    assert chosen == as_good
    assert "64-32" in rule


def test_trees_do_not_ship() -> None:
    """Small trees are reported beside networks, and are never chosen."""
    trees = candidate("4 trees of 8 leaves", 900, 0.05, 0.99, family="trees")
    chosen, _ = choose([*ALL, trees], Limits(min_recovered_lower=0.8), usual="64-32")
    assert chosen == SMALL
    assert any("trees are on the front" in line for line in advise(mark_front([*ALL, trees])))


def test_int8_does_not_ship() -> None:
    """A network in int8 is on the front, and is never chosen: `kdexport quantize` makes it."""
    small = candidate("64-32 int8", 3000, 0.101, 0.97, us=5.2, precision="int8")
    everything = mark_front([*ALL, small])
    assert {one.name for one in everything if one.is_on_front} == {"8-8", "64-32 int8", "64-32"}
    chosen, _ = choose(everything, Limits(max_bytes=4500), usual="64-32")
    assert chosen is not None
    assert chosen.name == "16-16"
    assert (
        "64-32 has 3,000 bytes of 15,000, and one row takes 5.2 us of 5.0" in advise(everything)[-1]
    )
    assert "No network here is worth storing in int8" in advise(ALL)[-1]


def test_int8_within_the_bytes_is_named() -> None:
    """Where int8 has more of the edge in as many bytes, it is said, and how to get it; what the
    bundle's own file becomes in int8 needs no more than `kdexport quantize`.
    """
    small = candidate("64-32 int8", 3000, 0.101, 0.97, precision="int8")
    everything, limits = [*ALL, small], Limits(max_bytes=3500)
    assert choose_int8(everything, limits, usual="64-32") == small
    said = advise(everything, chosen=TINY, small=small)[-2]
    assert "64-32 int8 would be chosen, 97% of the way in 3,000 bytes: `kdexport run`" in said
    assert "`kdexport run`" not in " ".join(advise(everything, chosen=USUAL, small=small))
    assert choose_int8(everything, Limits(max_bytes=2900), usual="64-32") is None
    worse = candidate("64-32 int8", 3000, 0.2, 0.3, precision="int8")
    assert choose_int8([*ALL, worse], limits, usual="64-32") is None


def test_nearest_is_named() -> None:
    """Where none keeps the limits, the one that misses them by least is named."""
    assert describe_nearest(ALL, Limits(4500, 0.95)).startswith("16-16 with 90%")
    assert describe_nearest(ALL, Limits(max_bytes=100)).startswith("8-8")


def quick_search(csv_path: Path, output: Path, limits: Limits, **settings: Any) -> Evidence:
    """Search among shapes that are trained for a moment."""
    shape = {"student.hidden": [64, 32], "student.max_steps": 40, "student.form": "plain"}
    given = {**QUICK, "data.target": "y", **shape, **settings}
    recipe: Recipe = read_recipe(None, given)
    return search(recipe, output, limits=limits, data=csv_path)


def test_search_makes_a_bundle(
    csv_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search ends in a bundle that passes its checks and says among how many it chose."""
    monkeypatch.setattr("kdexport.int8_candidates.MAX_LOSS", 1.0)  # hardly trained, so any loss
    sizes: dict[str, int] = {}

    def measure(prepared: Prepared) -> int:
        student = prepared.recipe.student
        name = Shape(student.hidden, student.settled_form).name
        sizes[name] = measure_file(prepared)
        return sizes[name]

    monkeypatch.setattr("kdexport.candidates.measure_file", measure)
    output = tmp_path / "found"
    n_threads = torch.get_num_threads()
    evidence = quick_search(csv_path, output, Limits(max_bytes=4000), threads=n_threads + 1)
    assert torch.get_num_threads() == n_threads
    fact = evidence.search
    assert fact is not None
    assert len(fact.candidates) >= 24
    shipped = next(one for one in fact.candidates if one.name == fact.chosen)
    assert (shipped.bytes or 0) <= 4000
    assert evidence.files["student.onnx"].parameters == shipped.parameters
    assert {one.family for one in fact.candidates if one.bytes} == {"network", "trees"}
    assert fact.teacher_rows > QUICK["transfer.n_synthetic"]
    by_name = {one.name: one for one in fact.candidates}
    known = {name: size for name, size in sizes.items() if by_name[name].bytes is not None}
    assert known == {name: by_name[name].bytes for name in known} != {}
    assert min(sizes.values()) <= 4000
    small = by_name[f"{fact.usual} int8"]
    before = by_name[fact.usual]
    assert (small.precision, before.precision) == ("int8", "float32")
    assert (small.bytes or 0) < 0.8 * (before.bytes or 0)
    assert small.p50_us.keys() == before.p50_us.keys()
    assert small.recovered.keys() == before.recovered.keys()
    assert small.validation_loss == pytest.approx(before.validation_loss, rel=0.02)
    assert [result for result in check_bundle(load_bundle(output)) if not result.passed] == []
    assert f"Chosen among {len(fact.candidates)}" in render_markdown(evidence, "0" * 64)


def test_nothing_is_written_where_none_keeps_the_limits(
    csv_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the nearest is named, the exit code is 1, and the output stays as it was. A budget of
    the recipe is a limit.
    """
    found = SimpleNamespace(usual="64-32", teacher_rows=1)
    monkeypatch.setattr("kdexport.candidates.train_candidates", lambda *_, **__: found)
    monkeypatch.setattr("kdexport.finalists.measure_finalists", lambda *_: ALL)
    with pytest.raises(SearchError, match="nearest: 8-8 with 60%"):
        quick_search(csv_path, tmp_path / "none", Limits(max_bytes=10))
    small = candidate("64-32 int8", 4400, 0.101, 0.97, precision="int8")
    monkeypatch.setattr("kdexport.finalists.measure_finalists", lambda *_: [*ALL, small])
    budget, share = {"budgets.max_bytes": 4500}, Limits(min_recovered_lower=0.95)
    with pytest.raises(SearchError, match="at most 4,500 bytes and at least 95% of the ed") as said:
        quick_search(csv_path, tmp_path / "none", share, **budget)
    assert "if int8 may ship, 64-32 int8 would be chosen" in str(said.value)
    assert SearchError.exit_code == 1
    assert not (tmp_path / "none").exists()


def test_the_guide_s_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of docs/search.md asks for a search with the limits that it names."""
    asked = []

    def note(_: Recipe, output: Path, *, limits: Limits, data: Path, **__: Any) -> None:
        asked.append((output, limits, data))
        raise SearchError("a rule", found="nothing", cure="nothing")

    monkeypatch.setattr("kdexport.search.search", note)
    commands = [code for language, code in read_blocks("search.md") if language == ""]
    for line in "\n".join(commands).splitlines():
        program, *arguments = shlex.split(line)
        assert program == "kdexport"
        with pytest.raises(SearchError):
            cli.main(arguments, standalone_mode=False)
    output, data = Path("models/x"), Path("data.csv")
    limits = (Limits(), Limits(max_bytes=4000), Limits(min_recovered_lower=0.8))
    assert asked == [(output, one, data) for one in limits]
