"""The sentence that a report opens with."""

import pytest

from kdexport.evidence.shape import Interval, Verdict
from kdexport.report.figures import write_difference
from kdexport.report.headline import compare_sizes, write_headline
from tests.report.variants import clicks, with_slices, with_verdict, without_teacher


def test_recovered_in_one_sentence() -> None:
    """It holds size, share with interval, latency beside the floor, and both ratios."""
    headline = write_headline(clicks())
    assert headline.title == "RECOVERED"
    assert headline.sentence == (
        "A 15 kB file keeps 97 % [92, 101] of the ensemble's accuracy edge and answers a row in "
        "7.83 us (an empty graph takes 5.09): 11.0 times faster [10.8, 11.1], 145 times smaller."
    )
    assert headline.others.startswith("log loss: RECOVERED (97 % [94, 98])")


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("NO_EDGE", "On 100,000 test rows the ensemble is not measurably better than the same"),
        ("INCONCLUSIVE", "100,000 test rows cannot tell whether a 15 kB file keeps the 90 %"),
        ("NOT_RECOVERED", "A 15 kB file keeps only 97 % [92, 101] of the ensemble's accuracy edge"),
    ],
)
def test_other_verdicts_are_said_as_plainly(verdict: Verdict, said: str) -> None:
    """NO EDGE, INCONCLUSIVE and NOT RECOVERED open the sentence, each with a mark of its own."""
    headline = write_headline(with_verdict(verdict))
    assert headline.title == verdict.replace("_", " ")
    assert headline.sentence.startswith(said)
    assert headline.mark != write_headline(clicks()).mark
    assert "times faster" in headline.sentence


def test_no_share_of_no_edge() -> None:
    """Of a metric without an edge the edge is shown, not a share of about nothing."""
    evidence = clicks()
    share = evidence.recovered["log_loss"].model_copy(update={"verdict": "NO_EDGE"})
    recovered = {**evidence.recovered, "log_loss": share}
    others = write_headline(evidence.model_copy(update={"recovered": recovered})).others
    edge = write_difference("log_loss", evidence.edge["log_loss"])
    assert others.startswith(f"log loss: NO EDGE (edge {edge})")


def test_a_teacher_that_is_worse_is_said_to_be() -> None:
    """Where the whole interval of the edge is below 0, the teacher is worse, not about as good."""
    evidence = with_verdict("NO_EDGE")
    edge = {**evidence.edge, "accuracy": Interval(value=-0.065, low=-0.067, high=-0.063)}
    sentence = write_headline(evidence.model_copy(update={"edge": edge})).sentence
    assert "the ensemble is worse than the same small network trained without it" in sentence


def test_inconclusive_says_what_would_settle_it() -> None:
    """The rows that would decide are named, or that rows alone would not."""
    assert "about 2,400 would" in write_headline(with_verdict("INCONCLUSIVE", 2301)).sentence
    assert "more replicates" in write_headline(with_verdict("INCONCLUSIVE")).sentence


def test_a_rival_is_on_the_first_screen() -> None:
    """Where a rival was trained, which of the two to ship stands beside the verdicts."""
    others = write_headline(with_slices()).others
    assert "beside the rival, boosted trees: ship the rival" in others


def test_no_teacher_file_no_comparison() -> None:
    """Where there is no teacher.onnx, nothing is said to be faster or smaller."""
    sentence = write_headline(without_teacher()).sentence
    assert "times" not in sentence
    assert sentence.endswith("(an empty graph takes 5.09).")


@pytest.mark.parametrize(
    ("theirs", "ours", "said"),
    [
        (2_244_553, 15_479, "145 times smaller"),
        (3_000, 1_976, "1.5 times smaller"),
        (1_375, 1_976, "1.4 times larger"),
        (1_000, 12_000, "12 times larger"),
        (1_000, 1_010, "about the same size"),
    ],
)
def test_sizes(theirs: int, ours: int, said: str) -> None:
    """A file that is larger than the teacher's is said to be."""
    assert compare_sizes(theirs, ours) == said


@pytest.mark.parametrize(
    ("n_bytes", "said"),
    [(8_100, "An 8.1 kB"), (11_200, "An 11 kB"), (12_000, "A 12 kB"), (110_000, "A 110 kB")],
)
def test_article(n_bytes: int, said: str) -> None:
    """The sentence is English whatever the size."""
    evidence = clicks()
    student = evidence.files["student.onnx"].model_copy(update={"bytes": n_bytes})
    files = {**evidence.files, "student.onnx": student}
    assert write_headline(evidence.model_copy(update={"files": files})).sentence.startswith(said)
