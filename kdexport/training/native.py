"""A user's own teacher as one calls it without a file: what its latency is measured on.

Takes an `OwnTeacher` and the arrays that a file would get, gives calls of the user's own models on
rows in their own form. Arranging the rows is not part of a call: a service has them as it has them.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from kdexport.contract import CATEGORICAL, NUMERIC
from kdexport.records import Float64, Inputs
from kdexport.runtime import Feeds
from kdexport.training.own_teacher import OwnTeacher
from kdexport.training.stored import StoredTeacher
from kdexport.training.teachers import Call


@dataclass(frozen=True)
class NativeTeacher:
    """The teachers' own calls, and their weighted mean where there are several.

    They use whatever threads they use; modules answer in evaluation mode.

    Attributes:
        own: The teachers.
    """

    own: OwnTeacher

    def __call__(self, feeds: Feeds) -> Any:
        """Answer the arrays that a file would get."""
        return self.prepare_call(feeds)()

    def prepare_call(self, feeds: Feeds) -> Call:
        """Put rows into the form that the teachers take; return the call that answers them."""
        own, n_rows = self.own, len(next(iter(feeds.values())))
        inputs = Inputs(
            feeds.get(NUMERIC, np.empty((n_rows, 0), np.float32)),
            feeds.get(CATEGORICAL, np.empty((n_rows, 0), object)),
        )
        table = own.restorer.restore(inputs)
        calls: list[Call] = []
        places = []
        classes = own.schema.signature.classes
        for teacher in own.teachers:
            prepare = getattr(teacher, "prepare_call", None)
            calls.append(prepare(table) if prepare else partial(teacher.answer, table))
            places.append([classes.index(label) for label in teacher.classes or classes] or [0])
        if len(calls) == 1:
            return calls[0]

        def answer_all() -> Float64:
            mean = np.zeros((n_rows, max(len(classes), 1)))
            for call, place, weight in zip(calls, places, own.weights, strict=True):
                mean[:, place] += weight * np.asarray(call()).reshape(n_rows, -1)
            return mean

        return answer_all


def find_native(own: OwnTeacher) -> NativeTeacher | None:
    """Return a teacher's own calls; None where only answers are left of one."""
    if any(isinstance(teacher, StoredTeacher) for teacher in own.teachers):
        return None
    return NativeTeacher(own)
