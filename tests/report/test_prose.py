"""What a report says in sentences."""

import pytest

from kdexport.report.prose import list_methods
from tests.report.variants import clicks


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
