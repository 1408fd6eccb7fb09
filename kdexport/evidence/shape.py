"""What every piece of evidence is made of. Imports pydantic only."""

from pydantic import BaseModel, ConfigDict


class Fact(BaseModel):
    """A strict, frozen piece of evidence."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Interval(Fact):
    """An estimate with its interval: 95 %, unless the name of the fact says otherwise."""

    value: float
    low: float
    high: float
