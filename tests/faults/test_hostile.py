"""Files that were made to do harm: one line, the right exit code, bounded memory, no secret."""

from collections.abc import Callable, Iterator

import pytest

from benchmarks.hostile import Attack, Verdict, list_attacks, open_range

pytestmark = pytest.mark.faults
ATTACKS = {f"{attack.kind}: {attack.name}": attack for attack in list_attacks()}


@pytest.fixture(scope="module")
def attempt() -> Iterator[Callable[[Attack], Verdict]]:
    """A function that tries an attack on a copy of a good bundle."""
    with open_range() as opened:
        yield opened


@pytest.mark.parametrize("name", ATTACKS)
def test_hostile_file(name: str, attempt: Callable[[Attack], Verdict]) -> None:
    """The command ends as it should; see `benchmarks.hostile` for what that is."""
    verdict = attempt(ATTACKS[name])
    assert verdict.faults == (), verdict
