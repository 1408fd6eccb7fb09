"""What every piece of evidence is made of, and what is wrong with one. Imports pydantic only."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

LARGEST = 10**100
Verdict = Literal["RECOVERED", "NOT_RECOVERED", "INCONCLUSIVE", "NO_EDGE"]


class Fact(BaseModel):
    """A strict, frozen piece of evidence."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    @field_validator("*")
    @classmethod
    def _is_no_larger_than_a_float(cls, value: Any) -> Any:
        """Figures are divided by each other: whole numbers stay where floats are."""
        if isinstance(value, int) and abs(value) > LARGEST:
            raise ValueError("a whole number lies beyond 10^100")
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
    rows alone would not, and of a student in int8, where it is not known.
    """

    verdict: Verdict
    asked_share: float
    rows_to_settle: int | None


def describe_invalid(error: ValueError) -> str:
    """Return what is wrong first with a piece that was read, and where."""
    if not isinstance(error, ValidationError):
        return str(error).splitlines()[0]
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return ": ".join(filter(None, [place, first["msg"].removeprefix("Value error, ")]))
