"""The sections of a recipe but the students': every key with its type, bounds, default and meaning.

docs/recipes.md is made of the descriptions here. Imports pydantic alone.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

MAX_THREADS = 256  # of a session, and of clients: thousands take a machine down

MAX_LOSS = 0.01  # in int8: share by which log loss or RMSE on validation rows may grow

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Widths = tuple[Count, ...]
Names = tuple[str, ...]
GoldenKind = Literal["real", "synthetic", "none"]

# Whoever gives one of these has chosen: `auto` stands for what was given then.
REGULARISATION = frozenset({"dropout", "weight_decay"})
STRENGTHS = frozenset({"swap_probability", "noise"})


class Section(BaseModel):
    """A strict, frozen part of the recipe."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    @property
    def undecided(self) -> frozenset[str]:
        """Keys that nobody gave and that an `auto` may still set."""
        return frozenset()

    def settled_to(self, values: Mapping[str, object]) -> Self:
        """Return the section with other values, which do not count as given by anybody."""
        settled = self.model_copy(update=values)
        settled.model_fields_set.difference_update(values)  # a set of its own, made by the copy
        return settled


class DataRecipe(Section):
    """Which rows, and which of them fit, choose and report."""

    task: Annotated[str, Field(description="built-in task, when no file is given")] = "clicks"
    file: Annotated[str | None, Field(description="name of the table's file")] = None
    target: Annotated[str | None, Field(description="column to predict")] = None
    test_file: Annotated[str | None, Field(description="name of a file of test rows")] = None
    unlabeled_file: Annotated[
        str | None, Field(description="name of a file of rows without labels")
    ] = None
    split_column: Annotated[
        str | None, Field(description="column that says train, validation or test")
    ] = None
    test_share: Annotated[Share, Field(description="share of the rows kept for testing")] = 0.2
    validation_share: Annotated[
        Share, Field(description="share of the rows to learn from that choose")
    ] = 0.15
    separator: Annotated[
        str, Field(min_length=1, max_length=1, description="CSV: what stands between cells")
    ] = ","
    decimal: Annotated[Literal[".", ","], Field(description="CSV: the decimal mark")] = "."
    thousands: Annotated[
        Literal["", ".", ",", " ", "'"], Field(description="CSV: the mark between thousands")
    ] = ""
    missing: Annotated[
        Names, Field(description="CSV: cells that count as missing, beside empty ones")
    ] = ()


class ColumnsRecipe(Section):
    """What columns are, where the table alone does not say it."""

    goal: Annotated[
        Literal["auto", "classification", "regression"],
        Field(description="what the target is; auto: numbers of many values are a regression"),
    ] = "auto"
    categorical: Annotated[Names, Field(description="columns to take as categories")] = ()
    numeric: Annotated[Names, Field(description="columns to take as numbers")] = ()
    drop: Annotated[Names, Field(description="columns to leave out")] = ()
    id: Annotated[Names, Field(description="columns that only name rows: left out")] = ()
    weight: Annotated[str | None, Field(description="column that says how much a row counts")] = (
        None
    )
    max_categories: Annotated[
        Count, Field(description="categories kept per column, the most frequent; others are one")
    ] = 200
    min_category_rows: Annotated[
        Count, Field(description="training rows of a category that is kept")
    ] = 5


class FitRecipe(Section):
    """How one stack of networks is trained."""

    batch_size: Annotated[Count, Field(description="rows per member and step")]
    learning_rate: Annotated[float, Field(gt=0, description="peak step size")]
    weight_decay: Annotated[float, Field(ge=0, description="AdamW's decoupled decay")]
    schedule: Annotated[
        Literal["constant", "cosine"], Field(description="learning rate over the steps")
    ]
    max_epochs: Annotated[Count, Field(description="passes over the training rows at most")]
    max_steps: Annotated[Count, Field(description="optimiser steps at most")]
    patience: Annotated[
        Count, Field(description="looks at the validation rows without progress before stopping")
    ]


class TeacherRecipe(FitRecipe):
    """The native teacher, an ensemble of networks whose logits are averaged; or your own."""

    own: Annotated[
        Names,
        Field(description="teachers of yours in place of the native one, as --teacher names them"),
    ] = ()
    weights: Annotated[
        tuple[float, ...], Field(description="one per teacher of yours; none: equal ones")
    ] = ()
    fitting: Annotated[
        Literal["given", "out_of_fold"],
        Field(description="teachers of yours as they are, or copies of them fitted out of fold"),
    ] = "given"
    probabilities_file: Annotated[
        str | None, Field(description="name of a file of your teacher's answers for the data")
    ] = None
    unlabeled_probabilities_file: Annotated[
        str | None, Field(description="the same for data.unlabeled_file")
    ] = None
    calibration: Annotated[
        Literal["none", "temperature"],
        Field(
            description="what students learn of your teacher: its probabilities as they are, or at "
            "the temperature that validation rows prefer"
        ),
    ] = "none"
    n_members: Annotated[Count, Field(description="networks in the ensemble")] = 12
    hidden: Annotated[Widths, Field(description="widths of the hidden layers")] = (256, 128, 64)
    dropout: Annotated[float, Field(ge=0, lt=1 - 2**-9, description="share of units dropped")] = 0.3
    batch_size: Count = 256
    learning_rate: Annotated[float, Field(gt=0)] = 3e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.3
    schedule: Literal["constant", "cosine"] = "cosine"
    max_epochs: Count = 100
    max_steps: Count = 4000
    patience: Count = 10
    regularisation: Annotated[
        Literal["auto", "given", "chosen"],
        Field(
            description="dropout and weight_decay: as given, or chosen on validation rows; "
            "auto: chosen on a table of yours unless you give one of them"
        ),
    ] = "auto"
    family: Annotated[
        Literal["auto", "mlp", "mixture"],
        Field(
            description="mlp: the ensemble; mixture: boosted trees beside it, with the share that "
            "validation rows choose; auto: a mixture on a table of yours"
        ),
    ] = "auto"
    n_folds: Annotated[int, Field(ge=2, description="boosted models of a mixture")] = 10

    def settle(self, *, is_own_table: bool) -> "TeacherRecipe":
        """Return the recipe with every `auto` replaced by what it stands for."""
        is_open = REGULARISATION.isdisjoint(self.model_fields_set)
        settled = {
            "regularisation": "chosen" if is_own_table and is_open else "given",
            "family": "mixture" if is_own_table else "mlp",
        }
        return self.settled_to({k: v for k, v in settled.items() if getattr(self, k) == "auto"})

    @property
    def undecided(self) -> frozenset[str]:
        is_open = self.regularisation == "auto"
        return REGULARISATION - self.model_fields_set if is_open else frozenset()


class RivalRecipe(Section):
    """One boosted model on the same rows: what would ship without any distilling."""

    model: Annotated[
        Literal["hist_gradient_boosting", "none"], Field(description="the rival, or none")
    ] = "hist_gradient_boosting"


class TransferRecipe(Section):
    """Synthetic rows that the teacher labels and the students learn from."""

    n_synthetic: Annotated[int, Field(ge=0, description="synthetic rows")] = 150_000
    method: Annotated[
        Literal["auto", "mixed", "munge", "jitter", "marginal", "gaussian_mixture"],
        Field(
            description="how synthetic rows are made. munge: cells swapped with a near row's; "
            "jitter: noise on numbers; marginal: cells swapped with any row's; mixed: by munge at "
            "three strengths, by jitter and by marginal, as many rows of each; auto: as a mixture "
            "of Gaussians on the built-in tasks, mixed on a table of yours unless you give a "
            "strength: then by munge"
        ),
    ] = "auto"
    swap_probability: Annotated[
        float, Field(gt=0, le=1, description="munge, marginal: share of cells that are swapped")
    ] = 0.5
    noise: Annotated[
        float, Field(gt=0, description="jitter: deviations of a cell, in the column's own")
    ] = 0.5
    selection: Annotated[
        Literal["given", "chosen"],
        Field(
            description="method and strength: as given, or one of them chosen on validation rows"
        ),
    ] = "given"

    def settle(self, *, is_own_table: bool) -> "TransferRecipe":
        """Return the recipe with every `auto` replaced by what it stands for."""
        if self.method != "auto":
            return self
        if not STRENGTHS.isdisjoint(self.model_fields_set):
            method = "munge"
        else:
            method = "mixed" if is_own_table else "gaussian_mixture"
        return self.settled_to({"method": method})

    @property
    def undecided(self) -> frozenset[str]:
        return STRENGTHS - self.model_fields_set if self.method == "auto" else frozenset()


class EvidenceRecipe(Section):
    """How sure the evidence has to be."""

    asked_share: Annotated[
        float, Field(gt=0, le=1, description="share of the edge that counts as recovered")
    ] = 0.9
    n_draws: Annotated[int, Field(ge=100, description="resamples behind every interval")] = 1000


class BenchRecipe(Section):
    """What the latency run times."""

    batches: Annotated[Widths, Field(min_length=1, description="rows per call")] = (1, 1024)
    seconds: Annotated[float, Field(gt=0, description="time for all of it")] = 8.0
    n_threads: Annotated[
        Count, Field(le=MAX_THREADS, description="onnxruntime's intra-op threads")
    ] = 1


class ExportRecipe(Section):
    """What a bundle carries beside its models."""

    golden: Annotated[
        GoldenKind,
        Field(description="golden rows: of the test part, drawn from column statistics, or none"),
    ] = "real"


class Budgets(Section):
    """Limits that `kdexport check` holds a bundle to; one that is not given limits nothing."""

    min_recovered_lower: Annotated[
        float | None, Field(description="lower bound of the recovered edge, leading metric")
    ] = None
    min_accuracy: Annotated[
        float | None, Field(gt=0, le=1, description="accuracy of student.onnx")
    ] = None
    max_ece: Annotated[
        float | None, Field(ge=0, description="expected calibration error of student.onnx")
    ] = None
    max_bytes: Annotated[Count | None, Field(description="bytes of student.onnx")] = None
    max_p50_us: Annotated[
        float | None, Field(gt=0, description="median call of one row, measured now")
    ] = None
    max_floor_ratio: Annotated[
        float | None, Field(gt=0, description="the same, in medians of an empty graph's calls")
    ] = None
    max_flips: Annotated[
        int | None, Field(ge=0, description="golden rows of another class than the source's")
    ] = None
    max_probability_difference: Annotated[
        float | None, Field(ge=0, description="from the source, on golden rows")
    ] = None
