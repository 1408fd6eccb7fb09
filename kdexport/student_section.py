"""The students' section of a recipe, and the schedules that suit students by size and table.

docs/recipes.md is made of the descriptions here, as of those in `sections`. Imports pydantic and
`sections` only.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field

from kdexport.sections import Count, FitRecipe, Widths

Form = Literal["plain", "piecewise", "oblique"]
"""How students read numbers, see `student.form`."""

# How students are trained that have no layer wider than TINY: a step costs them little whatever its
# batch, and softened answers say more than they can hold.
TINY = 16
TINY_SCHEDULE: Mapping[str, object] = MappingProxyType(
    {"temperature": 1.0, "batch_size": 1024, "learning_rate": 3e-2, "max_epochs": 60}
)

# The same on a table of one's own for all others: teachers are rougher there. Labels alone, with
# their noise, ask for smaller steps than a teacher's answers.
TABLE_SCHEDULE: Mapping[str, object] = MappingProxyType(
    {"learning_rate": 3e-2, "control_rate": 1 / 3, "max_epochs": 20, "max_steps": 12_000}
)


class StudentRecipe(FitRecipe):
    """The students and, with the same budget, the controls."""

    plain_control: Annotated[
        Literal["trained", "none"],
        Field(
            description="a second control: Adam at 1e-3 on batches of 64 rows for 30 epochs, at "
            "most max_steps"
        ),
    ] = "trained"

    control_rate: Annotated[
        float, Field(gt=0, le=1, description="the controls' share of the learning rate")
    ] = 1.0
    form: Annotated[
        Literal[Form, "auto", "chosen"],
        Field(
            description="how numbers are read. plain: standardised; piecewise: as pieces between "
            "splits of trees and quantiles, a larger file; oblique: pieces and, beside them, units "
            "over all numbers that are trained, a larger file still; chosen: what validation rows "
            "prefer; auto: chosen on a table of yours"
        ),
    ] = "auto"
    hidden: Annotated[Widths, Field(description="widths of the hidden layers")] = (64, 32)
    n_replicates: Annotated[
        int, Field(ge=2, description="students, and as many controls, trained side by side")
    ] = 5
    temperature: Annotated[float, Field(gt=0, description="softens teacher and student")] = 2.0
    alpha: Annotated[
        float, Field(ge=0, le=1, description="the teacher's share of the loss on labelled rows")
    ] = 1.0
    batch_size: Count = 256
    learning_rate: Annotated[float, Field(gt=0)] = 1e-2
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    schedule: Literal["constant", "cosine"] = "cosine"
    max_epochs: Count = 12
    max_steps: Count = 8000
    patience: Count = 30
    sizing: Annotated[
        Literal["auto", "given"],
        Field(
            description="temperature, batch_size, learning_rate and max_epochs: as given; auto: "
            "unless you give one of them, those that suit tiny students where no layer is wider "
            f"than {TINY}, and on a table of yours elsewhere a learning rate of "
            f"{TABLE_SCHEDULE['learning_rate']:g} (a third of it for controls), "
            f"{TABLE_SCHEDULE['max_epochs']} epochs and, unless you give them, "
            f"{TABLE_SCHEDULE['max_steps']} steps"
        ),
    ] = "auto"

    @property
    def settled_form(self) -> Form:
        """How numbers are read: plain where validation rows have yet to choose."""
        return "plain" if self.form == "auto" or self.form == "chosen" else self.form

    def shaped(self, hidden: Widths, form: Form, *, is_own_table: bool) -> "StudentRecipe":
        """Return the recipe of students of another shape, with the schedule that suits it.

        It is the one of a run that is asked for this shape: what nobody gave is decided anew.
        """
        base = self
        if "sizing" not in self.model_fields_set:
            default = StudentRecipe()
            base = self.settled_to(
                {key: getattr(default, key) for key in {"sizing", *self._not_given}}
            )
        shaped = base.model_copy(update={"hidden": hidden, "form": form})
        return shaped.settle(is_own_table=is_own_table)

    def settle(self, *, is_own_table: bool) -> "StudentRecipe":
        """Return the recipe with every `auto` replaced by what it stands for."""
        settled: dict[str, object] = {}
        if self.form == "auto":
            settled["form"] = "chosen" if is_own_table else "plain"
        if self.sizing == "auto":
            settled["sizing"] = "given"
            if TINY_SCHEDULE.keys() <= self._not_given:
                if max(self.hidden, default=0) <= TINY:
                    settled |= TINY_SCHEDULE
                elif is_own_table:
                    settled |= {k: v for k, v in TABLE_SCHEDULE.items() if k in self._not_given}
        return self.settled_to(settled)

    @property
    def undecided(self) -> frozenset[str]:
        return self._not_given if self.sizing == "auto" else frozenset()

    @property
    def _not_given(self) -> frozenset[str]:
        """Keys of the schedules that nobody gave."""
        return frozenset({*TINY_SCHEDULE, *TABLE_SCHEDULE}) - self.model_fields_set
