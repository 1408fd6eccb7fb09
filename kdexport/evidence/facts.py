"""The shape of evidence.json: pydantic models, strict and frozen.

Units are in the names. Every estimate is an `Interval`.
"""

from collections.abc import Iterator, Mapping, Set
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, FiniteFloat, model_validator

from kdexport.errors import DataError
from kdexport.evidence.latency_facts import LatencyRecord
from kdexport.evidence.learning_facts import BinFact, CurveFact
from kdexport.evidence.search_facts import SearchFact
from kdexport.evidence.shape import Fact, Interval, Quality, Recovered, describe_invalid
from kdexport.sections import GoldenKind
from kdexport.signature import Classes, Signature

TaskKind = Literal["binary", "multiclass", "regression"]
ControlRole = Literal["control", "plain_control"]
ROLES = ("teacher", "control", "student")
T = TypeVar("T")
RivalVerdict = Literal["SHIP_THE_RIVAL", "SHIP_THE_STUDENT", "NO_DIFFERENCE", "MIXED"]


class PartFact(Fact):
    """How many rows a part has, and which: the hash of their ids."""

    rows: int
    ids_sha256: str


class UnlabeledFact(Fact):
    """Rows without labels that the students learned from, and how many have a test row's inputs."""

    source: str
    rows: int
    rows_in_test: int
    sha256: str


class TaskFact(Fact):
    """What was learned."""

    kind: TaskKind
    source: str
    rows: dict[str, PartFact]
    n_features: int
    target: str
    classes: Classes
    data_sha256: str


class FileFact(Fact):
    """One file of the bundle; model files have the last three."""

    sha256: str
    bytes: int
    parameters: int | None = None
    opset: int | None = None
    ir_version: int | None = None


class ParityFact(Fact):
    """How a file answers beside its source: probabilities of classes, or predicted numbers.

    What the two sides do not give is None. `max_relative_difference` is that of logits or numbers
    to their own size: it stays readable on rows whose cells are absurdly large.
    """

    rows: int
    max_probability_difference: float | None = None
    mean_probability_difference: float | None = None
    max_logit_difference: float | None = None
    mean_logit_difference: float | None = None
    max_prediction_difference: float | None = None
    max_relative_difference: float | None = None
    flips: int = 0
    ties: int = 0
    worst_row: int
    failed_rows: int = 0
    passed: bool


class QuantizedFact(Fact):
    """student.onnx with weights in int8, beside the file that it was made of.

    Attributes:
        source_sha256: Of that file.
        source_bytes: Its size.
        calibration_rows: Training rows that chose how scales are shared.
        probability_tolerance: How far a probability may be from the trained network's.
        relative_tolerance: The same of logits or numbers, as a share of their row's size.
        flips: Test rows whose class is another one than that file's; 0 of a regression.
        loss: Metric to how much worse than that file it is on the test rows: positive is worse.
            Students and their recovered edge stand at this loss, whose bounds widen theirs.
    """

    source_sha256: str
    source_bytes: int
    calibration_rows: int
    probability_tolerance: Annotated[float, Field(ge=0, le=0.1)]
    relative_tolerance: Annotated[float, Field(ge=0, le=0.1)]
    flips: int
    loss: dict[str, Interval]


class GoldenFact(Fact):
    """The golden rows of a bundle: whose they are, how many, and the student's score on them.

    `quality` counts the rows that have a target; it is empty where none has.
    """

    kind: GoldenKind
    rows: int
    quality: dict[str, float]


class RivalFact(Fact):
    """The student beside the model that one would ship instead.

    Attributes:
        name: What the rival is.
        lead: Metric to how much better the student is: positive where it is the better one. Over
            test rows and the student's replicates; the rival is one model.
        verdict: What the leads in the leading metrics say; bytes and times are in the evidence of
            the files, and `rival.compare_axes` puts them beside each other.
    """

    name: str
    lead: dict[str, Interval]
    verdict: RivalVerdict


class ClassFact(Fact):
    """The test rows of one class: how student.onnx and teacher.onnx answer them."""

    label: bool | int | str
    rows: int
    teacher_recall: float
    student_recall: float
    teacher_log_loss: float
    student_log_loss: float


class SliceFact(Fact):
    """Test rows that share a value of one column, and how the two files answer them.

    Attributes:
        shortfall: How much worse the student is than the teacher: positive where it is worse. Its
            interval holds for all slices that were looked at together.
    """

    column: str
    value: str
    rows: int
    teacher: float
    student: float
    shortfall: Interval


class SlicesFact(Fact):
    """Where student.onnx falls short of teacher.onnx the most.

    Attributes:
        n_slices: How many were looked at, in each metric.
        n_left_out: How many more there were.
        n_worse: Metric to how many of them show a shortfall beyond chance.
        worst: Metric to the slices of the largest shortfall, the largest first.
        classes: The classes of the largest shortfall in log loss; none of a regression.
    """

    n_slices: int
    n_left_out: int
    n_worse: dict[str, int]
    worst: dict[str, list[SliceFact]]
    classes: list[ClassFact]


class Evidence(Fact):
    """Everything measured about a bundle.

    Attributes:
        controls: Metric to the control that counts in it, where there were two: the better one.
            The rows that score them choose between them, which favours the control: the edge can
            only come out smaller, and so can the share of a student below its teacher.
        rival: None where no rival was trained.
        gained: Metric to how much better the student is than the control that counts: of the
            recovered share the numerator, as the edge is the denominator.
        calibration: Teacher and student.onnx to the test rows in bins of equal width by
            confidence, those that hold any; empty of a regression.
        curves: Role to how its training went; a teacher of the user's has none.
        absent: Model file to why the bundle has none.
        unlabeled: None where the students learned from no such rows.
        copied_test_rows: Test rows with the inputs of a row that was learned from.
        search: None where the student's shape was given.
        quantized: None where the student's weights are as they were trained.
    """

    format_version: Literal[1] = 1
    kdexport_version: str
    task: TaskFact
    signature: Signature
    recipe: dict[str, Any]
    environment: dict[str, str]
    files: dict[str, FileFact]
    shipped_replicate: int
    quality: dict[str, Quality]
    replicates: dict[str, dict[str, list[float]]]
    edge: dict[str, Interval]
    recovered: dict[str, Recovered]
    fidelity: dict[str, FiniteFloat]
    parity: dict[str, ParityFact]
    golden: GoldenFact
    latency: LatencyRecord
    training: dict[str, Any]
    controls: dict[str, ControlRole] = Field(default_factory=dict)
    rival: RivalFact | None = None
    slices: SlicesFact | None = None
    gained: dict[str, Interval] = Field(default_factory=dict)
    calibration: dict[str, Annotated[list[BinFact], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    curves: dict[str, CurveFact] = Field(default_factory=dict)
    absent: dict[str, str] = Field(default_factory=dict)
    unlabeled: UnlabeledFact | None = None
    copied_test_rows: int = 0
    search: SearchFact | None = None
    quantized: QuantizedFact | None = None

    @model_validator(mode="after")
    def _has_what_it_speaks_of(self) -> "Evidence":
        """Refuse evidence in which a figure rests on one that is not there."""
        tested = self.task.rows.get("test")
        if not self.recovered or tested is None or tested.rows < 1:
            raise ValueError("no metric was recovered, or no row tested")
        if self.slices is not None and not self.slices.worst:
            raise ValueError("slices.worst has no metric")
        empty = sorted(name for name, fact in self.files.items() if not fact.bytes)
        if empty:
            raise ValueError(f"files has {empty[0]!r} without bytes")
        for name, there, asked in self._list_references():
            absent = sorted(asked - there.keys())
            if absent:
                raise ValueError(f"{name} has no {absent[0]!r}")
        n_students = min(map(len, self.replicates["student"].values()))
        if not 0 <= self.shipped_replicate < n_students:
            raise ValueError(f"shipped_replicate is {self.shipped_replicate}, of {n_students}")
        return self

    def to_json(self) -> bytes:
        """Return evidence.json."""
        return self.model_dump_json(indent=1).encode()

    def _list_references(self) -> Iterator[tuple[str, Mapping[str, Any], Set[str]]]:
        """Yield a mapping's name, the mapping, and the keys under which others rest on it."""
        metrics, leading = self.recovered.keys(), next(iter(self.recovered))
        yield "files", self.files, {"student.onnx"}
        yield "edge", self.edge, metrics
        yield "replicates of 'student'", self.replicates.get("student", {}), {leading}
        controls = {"control", "plain_control"} if self.controls else set()
        for role in sorted({*ROLES, "shipped", *controls, *self.replicates}):
            asked = {*metrics, *self.replicates.get(role, ())}
            yield f"quality of {role!r}", self.quality.get(role, {}), asked
        if self.rival is not None:
            for role in ("student", "rival"):
                asked = {*metrics, *self.rival.lead}
                yield f"quality of {role!r}", self.quality.get(role, {}), asked
        if self.slices is not None:
            yield "slices.n_worse", self.slices.n_worse, self.slices.worst.keys()
        if self.quantized is not None:
            yield "quantized.loss", self.quantized.loss, {leading}

    def read_setting(self, section: str, key: str, default: T) -> T:
        """Return the recipe's `section.key`; the default where it is none of the same type."""
        found = self.recipe.get(section)
        value = found.get(key) if isinstance(found, dict) else None
        return value if isinstance(value, type(default)) else default


def parse_evidence(content: bytes, name: str) -> Evidence:
    """Read evidence.json.

    Raises:
        DataError: It is damaged, or of another format.
    """
    try:
        return Evidence.model_validate_json(content)
    except ValueError as error:
        raise DataError(
            "evidence.json is what kdexport wrote",
            found=f"{name}: {describe_invalid(error)}",
            cure="make the bundle again with kdexport run --recipe",
        ) from error
