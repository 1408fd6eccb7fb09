"""What a report says in sentences."""

import json

import pytest

from kdexport.evidence.facts import Evidence, QuantizedFact
from kdexport.evidence.shape import Interval
from kdexport.report.grids import make_edge_grid, make_fidelity_grid, make_parity_grid
from kdexport.report.headline import write_headline
from kdexport.report.prose import list_limits, list_methods
from kdexport.report.quality_pictures import draw_parity
from kdexport.report.quantized import describe_quantized
from tests.report.test_terminal import show
from tests.report.variants import clicks, regression, with_slices, with_verdict


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("student_piecewise", "a layer in front of their hidden ones that is not trained"),
        ("student_oblique", "units over all of them that are trained"),
        (None, None),
    ],
)
def test_the_layer_that_a_form_adds_is_said(setting: str | None, said: str | None) -> None:
    """A student of a form has one layer more than its hidden widths say, and a reader is told."""
    evidence = clicks()
    training = {**evidence.training, **({setting: 1.0} if setting else {"student_oblique": 0.0})}
    methods = list_methods(evidence.model_copy(update={"training": training}))
    found = [sentence for sentence in methods if "in front of their hidden ones" in sentence]
    assert len(found) == (1 if said else 0)
    if said:
        assert said in found[0]
    is_there = ["resampled as the edge is" in sentence for sentence in methods]
    if any(is_there):
        assert methods[is_there.index(True) - 1].startswith("95 % intervals")


@pytest.mark.parametrize(("rate", "said"), [(1.0, False), (1 / 3, True)])
def test_controls_of_a_lower_rate_are_said_to_be(rate: float, said: bool) -> None:
    """On a table of one's own controls take smaller steps than students."""
    evidence = clicks()
    student = {**evidence.recipe["student"], "control_rate": rate}
    recipe = {**evidence.recipe, "student": student}
    text = " ".join(list_methods(evidence.model_copy(update={"recipe": recipe})))
    assert ("without the teacher, at 0.33 of the learning rate" in text) == said
    assert "without the teacher" in text


def test_what_has_no_interval_is_what_there_is() -> None:
    """A regression has no KL, classes have no RMSE between student and teacher."""
    for evidence, said in ((clicks(), "fidelity's KL,"), (regression(), "fidelity's RMSE,")):
        assert said in list_limits(evidence)[-1]


def test_percentiles_are_named_as_in_the_tables() -> None:
    """What p99.9 needs is said of p99.9, not of the key that it has in the evidence."""
    (said,) = [line for line in list_limits(clicks()) if line.startswith("Percentiles")]
    assert said.endswith("they need: p99.9 5,296.")


@pytest.mark.parametrize(
    ("columns", "has_interval"), [(None, True), ({"weight": "w"}, False), (3, True)]
)
def test_agreement_of_weighted_rows_has_no_interval(columns: object, has_interval: bool) -> None:
    """Wilson's interval counts rows; a recipe whose columns are none says nothing of weights."""
    evidence = clicks()
    evidence = evidence.model_copy(update={"recipe": {**evidence.recipe, "columns": columns}})
    said = dict(make_fidelity_grid(evidence).rows)["rows with the same class"]
    assert ("no interval" not in said) == has_interval


def with_int8() -> Evidence:
    """A bundle whose student is in int8, 5e-3 from the file that it was made of."""
    fact = QuantizedFact(
        source_sha256="0" * 64,
        source_bytes=15_479,
        calibration_rows=2048,
        probability_tolerance=0.02,
        relative_tolerance=0.05,
        flips=12,
        loss={"accuracy": Interval(value=1e-4, low=0.0, high=2e-4)},
    )
    evidence = clicks()
    student = evidence.parity["student.onnx"].model_copy(
        update={"max_probability_difference": 5e-3, "max_relative_difference": 1e-2}
    )
    parity = {**evidence.parity, "student.onnx": student}
    return evidence.model_copy(update={"quantized": fact, "parity": parity})


def test_int8_is_held_to_its_own_tolerance() -> None:
    """Table, picture and methods say what a file in int8 was held to, and beside what."""
    evidence = with_int8()
    assert "in int8, stands beside the float32 file" in make_parity_grid(evidence).note
    assert "0.02 and 5%" in make_parity_grid(evidence).note
    assert "int8" not in make_parity_grid(clicks()).note
    spec = draw_parity(evidence).spec
    assert "0.02" in json.dumps(spec)
    assert any("asked beside the float32 file" in text for text in list_methods(evidence))
    assert any("12 test rows have another class" in text for text in list_limits(evidence))


def test_what_would_settle_int8_is_not_known() -> None:
    """Page and terminal do not say that more rows would not do, where nobody knows."""
    recovered = with_verdict("INCONCLUSIVE").recovered
    evidence = with_int8().model_copy(update={"recovered": recovered})
    settled = [row[-1] for row in make_edge_grid(evidence).rows]
    assert settled == ["not known of int8", "-", "-"]
    said = write_headline(evidence).sentence + show(evidence)
    assert "not known of int8" in said
    assert "replicates are needed" not in said


def test_int8_of_numbers_changes_no_class() -> None:
    """A regression has no class that int8 could change."""
    evidence = with_int8()
    signature = evidence.signature.model_copy(update={"classes": ()})
    numbers = evidence.model_copy(update={"signature": signature})
    said = " ".join([*list_limits(numbers), *describe_quantized(numbers)])
    assert "class" not in said.split("int8", 1)[1]


@pytest.mark.parametrize("n_rows", [9, 10])
def test_an_auc_of_few_rows_is_said_to_be_rough(n_rows: int) -> None:
    """A class of fewer than 10 test rows is named among the limits where there is an AUC."""
    evidence = with_slices()
    assert evidence.slices is not None
    classes = [fact.model_copy(update={"rows": n_rows}) for fact in evidence.slices.classes]
    slices = evidence.slices.model_copy(update={"classes": classes})
    recovered = {**evidence.recovered, "auc": evidence.recovered["accuracy"]}
    update = {"slices": slices, "recovered": recovered}
    said = list_limits(evidence.model_copy(update=update))
    assert any("one has 9 test rows" in text for text in said) == (n_rows == 9)
