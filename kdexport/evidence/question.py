"""A question: one file, the rows it is asked, and what its source answered to them.

Takes bytes and rows, gives answers at every level of optimisation, and words for a row.
"""

import math
from dataclasses import dataclass
from functools import cached_property

from kdexport.contract import expose_logits
from kdexport.evidence.golden import SourceAnswers
from kdexport.evidence.parity import FLOAT32, Tolerance
from kdexport.records import Answers, Column, Inputs, Positions
from kdexport.runtime import Optimisation, open_session
from kdexport.signature import Signature

MAX_CELLS_SHOWN = 6


@dataclass(frozen=True)
class Question:
    """A file, the rows it is asked, and what its source answered, where that is known.

    Attributes:
        name: The file's.
        content: Its bytes.
        inputs: The rows.
        origins: Where each is from, in words. **Shape** `[n]` object.
        source: The source's answers to the same rows.
        tolerance: How far from them the file's may be.
    """

    name: str
    content: bytes
    inputs: Inputs
    origins: Column
    source: SourceAnswers | None = None
    tolerance: Tolerance = FLOAT32

    @cached_property
    def signature(self) -> Signature:
        return open_session(self.content).signature

    @cached_property
    def answers(self) -> Answers:
        """What the file that ships answers, with the logits of a copy that tells them."""
        shipped = open_session(self.content).answer(self.inputs)
        told = open_session(expose_logits(self.content)).answer(self.inputs)
        terms = None if self.source is None else self.source.rounded.terms
        return Answers(shipped.predictions, shipped.probabilities, told.logits, terms)

    def ask(self, optimisation: Optimisation) -> Answers:
        """Answer with logits, the graph rewritten as far as `optimisation` says."""
        session = open_session(expose_logits(self.content), optimisation=optimisation)
        return session.answer(self.inputs)

    def take(self, rows: Positions) -> "Question":
        """Return the question for some of its rows, without the source's answers."""
        return Question(self.name, self.content, self.inputs.take(rows), self.origins[rows])

    def describe_row(self, row: int) -> str:
        """Name a row: where it is from, and its first cells, the odd ones first."""
        columns = self.signature.columns
        cells = [*self.inputs.numeric[row].tolist(), *self.inputs.categorical[row].tolist()]
        named = list(zip(columns, cells, strict=True))
        origin = str(self.origins[row])
        named.sort(key=lambda cell: not (_is_odd(cell[1]) or origin.startswith(f"{cell[0]} ")))
        shown = ", ".join(f"{name}={_shown(value)}" for name, value in named[:MAX_CELLS_SHOWN])
        more = ", ..." if len(named) > MAX_CELLS_SHOWN else ""
        return f"row {row} ({origin}: {shown}{more})"


def _is_odd(cell: object) -> bool:
    """Say whether a cell is empty or no finite number."""
    return not math.isfinite(cell) if isinstance(cell, float) else not cell


def _shown(cell: object) -> str:
    return f"{cell:.6g}" if isinstance(cell, float) else repr(cell)
