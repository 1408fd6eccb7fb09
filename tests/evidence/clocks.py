"""A clock that tests set themselves, and files whose calls take what the test says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kdexport.evidence.timing import Clocks
from kdexport.runtime import Feeds, InputSpec


@dataclass
class FakeClock:
    """Time that passes only where something says how long it took."""

    wall_ns: int = 0
    cpu_ns: int = 0

    def spend(self, wall_ns: float, cpu_share: float = 1.0) -> None:
        self.wall_ns += int(wall_ns)
        self.cpu_ns += int(wall_ns * cpu_share)

    @property
    def clocks(self) -> Clocks:
        return Clocks(lambda: self.wall_ns, lambda: self.cpu_ns)


@dataclass
class FakeSession:
    """A file that takes a known time to open, to answer first, and to answer."""

    clock: FakeClock
    open_us: float = 800.0
    first_us: float = 300.0
    call_us: Callable[[], float] = lambda: 6.0
    bound_us: float = 4.0
    cpu_share: float = 1.0
    n_opened: list[int] = field(default_factory=list)
    name: str = "fake"
    inputs: Sequence[InputSpec] = (InputSpec("numeric", np.dtype(np.float32), (None, 3)),)

    def reopen(self, *, n_threads: int) -> "FakeSession":
        self.clock.spend(self.open_us * 1e3)
        self.n_opened.append(n_threads)
        return FakeSession(**{**vars(self)})

    def run(self, feeds: Feeds) -> dict[str, Any]:
        return {}

    def prepare_call(self, feeds: Feeds) -> Callable[[], Any]:
        def call() -> None:
            us, self.first_us = self.first_us, 0.0
            self.clock.spend(1e3 * (us or self.call_us()), self.cpu_share)

        return call

    def bind_calls(self, chunks: Sequence[Feeds]) -> list[Callable[[], Any]] | None:
        return [lambda: self.clock.spend(1e3 * self.bound_us, self.cpu_share) for _ in chunks]
