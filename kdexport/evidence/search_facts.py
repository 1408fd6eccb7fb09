"""The shape of a search in evidence.json. Imports pydantic only."""

from typing import Literal

from pydantic import Field

from kdexport.evidence.shape import Fact, Quality, Recovered

Family = Literal["network", "trees"]
Precision = Literal["float32", "float16", "int8"]


def name_int8(name: str) -> str:
    """Return what a candidate is called when its weights are int8."""
    return f"{name} int8"


class CandidateFact(Fact):
    """One student that a search tried.

    Attributes:
        name: Such as `64-32` or `8 trees of 16 leaves`.
        family: Networks, or boosted trees.
        precision: Of the weights in its file. One in int8 is another candidate's file, smaller.
        rounds: How many rounds of the search it was in; those of the last one have the rest.
        parameters: Of its file; while it has none, of the network alone.
        cost: Networks: weights times optimiser steps, replicates and controls included.
        validation_loss: Beside the teacher's answers on the validation rows, in the last round it
            was in: mean over its replicates.
        control_loss: The same of a network's controls; None before the last round.
        share: Of the way from its control to the teacher in that loss; None before the last round.
        bytes: Of its file.
        quality: Metric to the mean over its replicates, on the test rows.
        recovered: Metric to its share of the teacher's edge over its own control, on the test rows.
            In int8, its replicates stand at the loss that its file has against the other one.
        p50_us: Batch size to the median call.
        is_slower: Whether a call of one row takes longer than the usual student's, by more than 5 %
            and beyond what chance shows in that run.
        is_on_front: Whether no other one of the last round has fewer bytes and a lower validation
            loss.
    """

    name: str
    family: Family
    precision: Precision = "float32"
    rounds: int
    parameters: int
    cost: int
    validation_loss: float
    control_loss: float | None = None
    share: float | None = None
    bytes: int | None = None
    quality: Quality = Field(default_factory=dict)
    recovered: dict[str, Recovered] = Field(default_factory=dict)
    p50_us: dict[str, float] = Field(default_factory=dict)
    is_slower: bool = False
    is_on_front: bool = False


class SearchFact(Fact):
    """A search for the smallest student that is good enough.

    Attributes:
        rule: By what the student was chosen, in words. Validation rows choose, test rows report.
        chosen: Name of the student that ships.
        usual: Name of the student that ships without a search.
        teacher_rows: Rows that the teacher answered for all candidates together.
        candidates: All that were tried, the smallest first.
        advice: What the front says, in words.
    """

    rule: str
    chosen: str
    usual: str
    teacher_rows: int
    candidates: list[CandidateFact]
    advice: list[str]
