"""The shape of calibration and training curves in evidence.json. Imports pydantic only."""

from typing import Literal

from pydantic import model_validator

from kdexport.evidence.shape import Fact, Interval

JudgedBy = Literal["labels", "teacher", "both"]


class BinFact(Fact):
    """Test rows of whose answers a model is about equally sure.

    Attributes:
        rows: How many.
        share: Their share of the weight of all test rows.
        confidence: Mean probability of the class that was found the most probable.
        accuracy: How often that class is the label; a 95 % interval over the rows.
    """

    rows: int
    share: float
    confidence: float
    accuracy: Interval


class CurveFact(Fact):
    """How training went: the loss on the validation rows, in nats of classes, in variances of the
    training target of numbers.

    Attributes:
        judged_by: What the loss compares with: the labels, what the teacher answers for the same
            rows, or the mixture that the loss is trained on.
        steps: Optimiser steps at which the rows were looked at.
        mean: Over the networks of the role, each at its best temperature of that look.
        low: Of the best of them.
        high: Of the worst of them.
    """

    judged_by: JudgedBy
    steps: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]

    @model_validator(mode="after")
    def _has_a_loss_for_each_step(self) -> "CurveFact":
        if not self.steps or {*map(len, (self.mean, self.low, self.high))} != {len(self.steps)}:
            raise ValueError("a curve has one loss for each step, and a step")
        return self
