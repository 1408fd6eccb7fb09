"""Files that were made to do harm: one line, the right exit code, bounded memory, no secret."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future

import pytest

from benchmarks.hostile import Verdict, list_attacks, try_attacks

pytestmark = pytest.mark.faults
ATTACKS = {f"{attack.kind}: {attack.name}": attack for attack in list_attacks()}

Verdicts = Mapping[str, Future[Verdict]]


@pytest.fixture(scope="module")
def verdicts(request: pytest.FixtureRequest) -> Iterator[Verdicts]:
    """What the attacks of this session come to, each tried on a copy of a good bundle."""
    asked = {item.name.partition("[")[2][:-1] for item in request.session.items}
    names = [name for name in ATTACKS if name in asked]
    with try_attacks([ATTACKS[name] for name in names]) as tried:
        yield dict(zip(names, tried, strict=True))


@pytest.mark.parametrize("name", ATTACKS, ids=list(ATTACKS))
def test_hostile_file(name: str, verdicts: Verdicts) -> None:
    """The command ends as it should; see `benchmarks.hostile` for what that is."""
    verdict = verdicts[name].result()
    assert verdict.faults == (), verdict
