"""A user's own teacher in the latency run: its own call, on rows in its own form."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from kdexport import DistilledClassifier
from kdexport.evidence.latency_facts import NATIVE
from kdexport.report.headline import write_headline
from kdexport.report.prose import list_limits
from kdexport.report.terminal import render_evidence
from kdexport.tables import as_table
from kdexport.training.native import NativeTeacher
from tests.test_distilled import FRAME, LABELS, SMALL
from tests.training.test_teachers import make_schema, mix

NUMBERS = FRAME[["a", "b"]]


class Watched(LogisticRegression):
    """Keeps what it was asked."""

    def predict_proba(self, rows: Any) -> np.ndarray:
        self.asked = [*getattr(self, "asked", []), rows]
        return super().predict_proba(rows)


def feeds_of(frame: Any) -> dict[str, np.ndarray]:
    """What a file of the frame's task would get."""
    return make_schema(NUMBERS, LABELS).signature.take_inputs(as_table(frame)).feeds()


def test_rows_are_arranged_before_the_clock_starts() -> None:
    """A prepared call hands the model one frame, the same in every call."""
    model = Watched().fit(NUMBERS, LABELS)
    native = NativeTeacher(mix(model, NUMBERS, LABELS))
    call = native.prepare_call(feeds_of(NUMBERS[:1]))
    first, second = call(), call()
    assert np.array_equal(first, second)
    assert len(model.asked) == 2
    assert model.asked[0] is model.asked[1]
    assert list(model.asked[0].columns) == ["a", "b"]


@pytest.mark.parametrize("kind", ["model", "module", "function", "several"])
def test_it_answers_as_the_teacher_that_labels(kind: str) -> None:
    """What is timed is what the students learned from, of every kind of teacher."""
    linear, turned = (LogisticRegression().fit(NUMBERS, LABELS) for _ in range(2))
    turned.classes_ = turned.classes_[::-1]  # another order than the task's
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.5)).train()
    things = {
        "model": linear,
        "module": module,
        "function": lambda frame: np.tile([0.25, 0.75], (len(frame), 1)),
        "several": [turned, linear, module],
    }
    own = mix(things[kind], NUMBERS, LABELS)
    inputs = make_schema(NUMBERS, LABELS).signature.take_inputs(as_table(NUMBERS))
    expected = own.answer(own.restorer.restore(inputs))
    assert np.abs(NativeTeacher(own)(inputs.feeds()) - expected).max() < 1e-6
    assert module.training


def test_the_evidence_states_the_speed_up_over_it() -> None:
    """Where there is no teacher.onnx its own code is in the record, with a ratio and an interval,
    in the headline and the tables.
    """
    linear = LogisticRegression().fit(NUMBERS[:100], LABELS[:100])
    evidence = DistilledClassifier(linear, recipe=SMALL).fit(NUMBERS, LABELS).evidence_
    rows = {(row.name, row.path) for row in evidence.latency.rows}
    assert (NATIVE, "call") in rows
    (ratio,) = (r for r in evidence.latency.ratios if r.name == NATIVE and r.path == "call")
    assert ratio.reference == "student.onnx"
    assert 1 < ratio.ratio.low <= ratio.ratio.value <= ratio.ratio.high
    assert "faster" in write_headline(evidence).sentence
    assert "than the teacher's own code" in write_headline(evidence).sentence
    assert any("own code is timed in its place" in limit for limit in list_limits(evidence))
    assert render_evidence(evidence)
    assert [start.open_us for start in evidence.latency.starts if start.name == NATIVE] == [[]]
