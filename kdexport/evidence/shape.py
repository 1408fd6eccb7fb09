"""What every piece of evidence is made of. Imports pydantic only."""

import sys
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator

Verdict = Literal["RECOVERED", "NOT_RECOVERED", "INCONCLUSIVE", "NO_EDGE"]


class Fact(BaseModel):
    """A strict, frozen piece of evidence."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    @field_validator("*")
    @classmethod
    def _fits_a_float(cls, value: Any) -> Any:
        """A whole number that no float can hold is no count."""
        if isinstance(value, int) and abs(value) > sys.float_info.max:
            raise ValueError("a whole number lies beyond what a float can hold")
        return value


class Interval(Fact):
    """An estimate with its interval: 95 %, unless the name of the fact says otherwise."""

    model_config = ConfigDict(allow_inf_nan=False)

    value: float
    low: float
    high: float


Quality = dict[str, Interval]


class Recovered(Interval):
    """The recovered share of the edge, and what may be said about it.

    `rows_to_settle` is how many test rows would decide an INCONCLUSIVE verdict, None where more
    rows alone would not.
    """

    verdict: Verdict
    asked_share: float
    rows_to_settle: int | None
