"""Tables of odd numbers and odd sizes: each trains or is refused in one line, and claims no more
than its rows can carry.

Takes nothing, gives cases and what is wrong with what a tiny run made of them. Used by
`tests/faults` and by `benchmarks/faults.py`.
"""

import json
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from benchmarks.stops import QUICK
from kdexport import as_table, open_session, predict
from kdexport.bundle import read_bundle
from kdexport.errors import KdexportError
from kdexport.evidence.checks import check_bundle
from kdexport.evidence.facts import Evidence
from kdexport.pipeline import run
from kdexport.recipe import read_recipe

Data = Mapping[str, Any]
Draw = np.random.Generator
Ending = Literal["trained", "refused"]

N_ROWS = 200
MAX_LINE = 2000
HINT = "NaN where it is missing"  # what a report says of a column
WORDS_OF_NO_NUMBER = re.compile(r"(?<![\w-])-?(nan|inf|infinity)(?!\w)", re.IGNORECASE)
DELICATE = {"transfer.method": "gaussian_mixture"}  # what odd numbers could break


@dataclass(frozen=True)
class OddTable:
    """One table.

    Attributes:
        name: What is odd about it.
        make: Draws it; the target is `y`.
        ending: What has to become of it.
        says: What a refusal names.
        has_edge: Whether it may be said that the teacher is better than the control.
        test: Draws the test rows, where they are a table of their own.
        settings: Changes of the recipe.
    """

    name: str
    make: Callable[[Draw], Data]
    ending: Ending = "trained"
    says: str = ""
    has_edge: bool = True
    test: Callable[[Draw], Data] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of a table; no faults where all is well."""

    name: str
    found: str
    faults: tuple[str, ...]


def list_tables() -> list[OddTable]:
    """Return every odd table."""
    inf, nan = np.inf, np.nan
    some = np.arange(N_ROWS) % 20 == 0
    tables = [
        OddTable(f"{n} cells of {value}", _spoil(value, n), "refused", "column 'a'")
        for value, n in ((inf, 20), (-inf, 20), (1e39, 20), (-1e39, 200))
    ]
    tables += [
        OddTable("missing cells", _spoil(nan, 60)),
        OddTable("a column of missing cells", _with(lambda r: np.full(N_ROWS, nan))),
        OddTable("denormals of float64", _with(lambda r: r.normal(size=N_ROWS) * 1e-310)),
        OddTable("denormals of float32", _with(lambda r: r.normal(size=N_ROWS) * 1e-40)),
        OddTable("numbers of 1e37", _with(lambda r: r.normal(size=N_ROWS) * 1e37)),
        OddTable(
            "some numbers of 3e38", _with(lambda r: np.where(some, 3e38, r.normal(size=N_ROWS)))
        ),
        OddTable("constant columns alone", _constant, has_edge=False),
        OddTable("1 row", _few(1), "refused", "'y'"),
        OddTable("2 rows", _few(2), "refused", "2 rows"),
        OddTable("8 rows", _few(8), "refused", "no row is left"),
        OddTable("8 test rows", _few(40), "refused", "leaves 8"),
        OddTable("1 test row", _classes, "refused", "leaves 1", test=_few(1)),
        OddTable("10 test rows", _classes, test=_few(10), has_edge=False),
        OddTable("1 feature", lambda r: {"a": (a := r.normal(size=N_ROWS)), "y": a > 0}),
        OddTable("1,000 classes of 5 rows", _many_classes(1000, 5)),
        OddTable("1,000 classes of 1 row", _many_classes(1000, 1), "refused", "'y'"),
        OddTable("1,001 classes", _many_classes(1001, 4), "refused", "1000 classes"),
        OddTable("99.9 % of one class", _imbalanced(3), has_edge=False),
        OddTable("1 row of the other class", _imbalanced(1), has_edge=False),
        OddTable("every row 50 times", lambda r: _tile(_classes(r), 4, 50)),
        OddTable("every row the same", lambda r: _tile(_classes(r), 1, 200), "refused", "'y'"),
        OddTable("perfectly separable", _separable),
        OddTable(
            "pure noise, classes", _noise(lambda r: r.choice(["u", "v"], N_ROWS)), has_edge=False
        ),
        OddTable("pure noise, numbers", _noise(lambda r: r.normal(size=N_ROWS)), has_edge=False),
    ]
    tables += [
        OddTable(
            f"a target of {size:g}", _numbers(size), ending, "'y'" if ending == "refused" else ""
        )
        for size, ending in (
            (1e-310, "refused"),
            (1e-38, "refused"),
            (1e-25, "trained"),
            (1e14, "trained"),
            (1e20, "refused"),
            (1e300, "refused"),
        )
    ]
    return tables


def try_table(table: OddTable, folder: Path) -> Outcome:
    """Train on a table in an empty folder, and say what is wrong with what comes of it."""
    draw = np.random.default_rng(0)
    data = table.make(draw)
    test = None if table.test is None else table.test(draw)
    recipe = read_recipe(None, {**QUICK, **DELICATE, "data.target": "y", **table.settings})
    output = folder / "x"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            evidence = run(recipe, output, data=data, test=test)
    except KdexportError as error:
        return Outcome(table.name, f"refused: {error}", tuple(_judge_refusal(table, error, folder)))
    faults = [] if table.ending == "trained" else ["it was not refused"]
    faults += [f"beside the bundle: {name}" for name in os.listdir(folder) if name != "x"]
    faults += _find_no_numbers(output)
    faults += [f"{r.name}: {r.message}" for r in check_bundle(read_bundle(output)) if not r.passed]
    faults += _find_strange_answers(output, data)
    faults += _find_claims(evidence, has_edge=table.has_edge)
    verdict = next(iter(evidence.recovered.values())).verdict
    return Outcome(table.name, f"trained: {verdict}", tuple(faults))


def _judge_refusal(table: OddTable, error: KdexportError, folder: Path) -> Iterator[str]:
    if table.ending != "refused":
        yield "it was refused"
    if error.exit_code != 3:
        yield f"exit code {error.exit_code}"
    if len(str(error).splitlines()) != 1 or len(str(error)) > MAX_LINE:
        yield "more than a line"
    if table.says not in str(error):
        yield f"nothing said of {table.says}"
    yield from (f"left {name}" for name in os.listdir(folder))


def _find_no_numbers(bundle: Path) -> Iterator[str]:
    """Yield where a file holds a number that is none."""
    for name in ("report.md", "recipe.toml"):
        if found := WORDS_OF_NO_NUMBER.search((bundle / name).read_text().replace(HINT, "")):
            yield f"{name} says {found[0]}"
    constants: list[str] = []
    json.loads((bundle / "evidence.json").read_text(), parse_constant=constants.append)
    yield from (f"evidence.json says {name}" for name in constants)
    for path in bundle.glob("*.onnx"):
        graph = onnx.load(path).graph
        tensors = [
            *graph.initializer,
            *(a.t for n in graph.node for a in n.attribute if a.HasField("t")),
        ]
        for tensor in tensors:
            if tensor.data_type == TensorProto.STRING:
                continue
            if not np.isfinite(numpy_helper.to_array(tensor).astype(np.float64)).all():
                yield f"{path.name}: {tensor.name} is not finite"
    for path in bundle.glob("golden/**/output_*.pb"):
        values = numpy_helper.to_array(TensorProto.FromString(path.read_bytes()))
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            yield f"{path.relative_to(bundle)} is not finite"


def _find_strange_answers(bundle: Path, data: Data) -> Iterator[str]:
    """Yield what is wrong with answers to its own rows, to broken ones, and to none."""
    features = {name: np.asarray(values) for name, values in data.items() if name != "y"}
    session = open_session(bundle / "student.onnx")
    whole = predict(session, as_table(features))
    if any(len(v) != len(next(iter(features.values()))) for v in whole.values()):
        yield "rows are missing from its answers"
    for cell in (np.nan, np.inf, -np.inf, 1e308, 1e-320):
        broken = {n: np.full(3, cell) for n in features}
        answers = predict(session, as_table(broken))
        if not all(np.isfinite(v).all() for v in answers.values() if v.dtype.kind == "f"):
            yield f"cells of {cell} are answered with no number"
    nothing = predict(session, as_table({n: v[:0] for n, v in features.items()}))
    if {len(v) for v in nothing.values()} != {0} or set(nothing) != set(whole):
        yield "a batch of 0 rows is answered otherwise"


def _find_claims(evidence: Evidence, *, has_edge: bool) -> Iterator[str]:
    """Yield what is claimed though the rows cannot carry it."""
    for role, quality in evidence.quality.items():
        for metric in ("accuracy", "auc"):
            found = quality.get(metric)
            if found and found.low == found.high and found.value in (0.0, 1.0):
                yield f"{role}: {metric} of exactly {found.value}, beyond doubt"
    for metric in ("accuracy", "log_loss", "rmse"):
        recovered = evidence.recovered.get(metric)
        if recovered is None:
            continue
        if not has_edge and recovered.verdict in ("RECOVERED", "NOT_RECOVERED"):
            yield f"{metric}: {recovered.verdict} of an edge that is not there"
        if recovered.verdict == "RECOVERED" and recovered.low < recovered.asked_share:
            yield f"{metric}: {recovered.verdict} of {recovered.low}"


def _classes(draw: Draw, n_rows: int = N_ROWS) -> dict[str, Any]:
    a, b, noise = draw.normal(size=(3, n_rows))
    return {"a": a, "b": b, "y": np.where(a + b + noise / 2 > 0, "yes", "no")}


def _few(n_rows: int) -> Callable[[Draw], Data]:
    """Rows of both classes, in turn."""
    return lambda draw: {**_classes(draw, n_rows), "y": np.resize(["yes", "no"], n_rows)}


def _spoil(value: float, n_cells: int) -> Callable[[Draw], Data]:
    def make(draw: Draw) -> Data:
        data = _classes(draw)
        data["a"][draw.permutation(N_ROWS)[:n_cells]] = value
        return data

    return make


def _with(column: Callable[[Draw], Any]) -> Callable[[Draw], Data]:
    return lambda draw: {"x": column(draw), **_classes(draw)}


def _constant(draw: Draw) -> Data:
    return {
        "a": np.full(N_ROWS, 14.62),
        "b": np.zeros(N_ROWS),
        "y": draw.choice(["u", "v"], N_ROWS),
    }


def _many_classes(n_classes: int, n_rows: int) -> Callable[[Draw], Data]:
    def make(draw: Draw) -> Data:
        which = np.repeat(np.arange(n_classes), n_rows)
        return {"a": which + draw.normal(size=len(which)) / 10, "y": [f"c{i}" for i in which]}

    return make


def _imbalanced(n_rare: int) -> Callable[[Draw], Data]:
    def make(draw: Draw) -> Data:
        a, b = draw.normal(size=(2, 3000))
        return {"a": a, "b": b, "y": np.where(np.arange(3000) < n_rare, "rare", "usual")}

    return make


def _tile(data: Data, n_rows: int, times: int) -> Data:
    return {name: np.tile(values[:n_rows], times) for name, values in data.items()}


def _separable(draw: Draw) -> Data:
    which = np.arange(N_ROWS) % 2
    return {"a": draw.normal(size=N_ROWS) + 100 * which, "y": np.where(which, "v", "u")}


def _noise(target: Callable[[Draw], Any]) -> Callable[[Draw], Data]:
    return lambda draw: {
        **dict(zip("ab", draw.normal(size=(2, N_ROWS)), strict=True)),
        "y": target(draw),
    }


def _numbers(size: float) -> Callable[[Draw], Data]:
    def make(draw: Draw) -> Data:
        a, noise = draw.normal(size=(2, N_ROWS))
        return {"a": a, "y": (a + noise / 4) * size}

    return make
