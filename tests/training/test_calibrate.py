"""The temperature of a user's own teacher."""

from dataclasses import replace

import numpy as np
import pandas as pd

from kdexport import DistilledClassifier
from kdexport.records import Rows
from kdexport.report.prose import list_limits
from kdexport.tables import as_table
from kdexport.training.calibrate import calibrate
from tests.test_distilled import SMALL
from tests.training.test_teachers import mix

RNG = np.random.default_rng(5)
FRAME = pd.DataFrame({"a": RNG.normal(size=1500), "b": RNG.normal(size=1500)})
SHARE = 1 / (1 + np.exp(-2 * FRAME["a"]))
LABELS = np.where(RNG.random(1500) < SHARE, "yes", "no")


def too_sure(frame: pd.DataFrame) -> np.ndarray:
    """Logits three times too large."""
    yes = 1 / (1 + np.exp(-6 * frame["a"]))
    return np.stack([1 - yes, yes], axis=1)


def test_students_learn_the_calibrated_answers() -> None:
    """A teacher that is three times too sure is divided by three for the students; its own scores
    stay its own, and the evidence and the report say so.
    """
    recipe = {**SMALL, "teacher.calibration": "temperature"}
    model = DistilledClassifier(too_sure, recipe=recipe).fit(FRAME, LABELS)
    teacher, prepared = model._learned.teacher, model._learned.prepared
    assert 2 < teacher.temperature < 4.5
    inputs = prepared.rows.test.inputs
    asked = teacher.restorer.restore(inputs)
    frame = pd.DataFrame({name: asked.columns[name] for name in "ab"})
    exact = too_sure(frame)
    assert np.allclose(teacher.make_answers(inputs).probabilities, exact, atol=1e-6)
    logits = np.log(np.clip(exact, 1e-6, None))
    taught = np.exp(logits / teacher.temperature)
    taught /= taught.sum(axis=1, keepdims=True)
    assert np.allclose(np.exp(teacher.compute_outputs(inputs)), taught, atol=1e-5)
    own = np.abs(model.predict_proba(frame) - taught).mean()
    assert own < np.abs(model.predict_proba(frame) - exact).mean()
    evidence = model.evidence_
    assert evidence.training["teacher_temperature"] == teacher.temperature
    assert (
        evidence.quality["student"]["log_loss"].value
        < evidence.quality["teacher"]["log_loss"].value
    )
    assert any("at the temperature" in limit for limit in list_limits(evidence))


def test_answers_out_of_fold_are_cooled_too() -> None:
    """What stands for the teacher on the training rows has the temperature of its other answers."""
    teacher = mix(too_sure, FRAME, LABELS)
    inputs = teacher.schema.signature.take_inputs(as_table(FRAME))
    rows = Rows(inputs, (LABELS == "yes").astype(np.int64), np.ones(1500), np.arange(1500))
    own = teacher.compute_outputs(inputs).astype(np.float64)
    cooled = calibrate(replace(teacher, own_outputs=own), rows)
    assert 2 < cooled.temperature < 4.5
    assert cooled.own_outputs is not None
    np.testing.assert_allclose(cooled.own_outputs, cooled.compute_outputs(inputs), atol=1e-5)


def test_none_is_the_default() -> None:
    """Without the setting, students learn the answers as they are, and nothing is said."""
    model = DistilledClassifier(too_sure, recipe=SMALL).fit(FRAME[:400], LABELS[:400])
    assert model._learned.teacher.temperature == 1.0
