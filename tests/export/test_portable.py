"""A file in another form answers what it did, in versions and operators that its runtime has."""

import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest

from kdexport.contract import (
    IR_VERSION,
    ML_DOMAIN,
    ML_OPSET,
    OPSET,
    RELEASES,
    parse_model,
    serialize_model,
)
from kdexport.errors import DataError, RecipeError
from kdexport.evidence.golden import unpack_golden
from kdexport.export.portable import (
    TextCodes,
    find_release,
    lower_versions,
    split_text,
    use_core_operators,
)
from kdexport.records import Answers, Inputs
from kdexport.runtime import open_session
from tests.test_docs import ROOT

BUNDLES = ("bundle_path", "census_path", "dates_path")
FIRST = "1.8"


@pytest.fixture(params=BUNDLES)
def bundle(request: pytest.FixtureRequest) -> Path:
    """Bundles of numbers, of numbers and text, and of numbers beyond float32."""
    path: Path = request.getfixturevalue(request.param)
    return path


def read_rows(bundle: Path) -> Inputs:
    """A bundle's golden rows."""
    paths = sorted((bundle / "golden").rglob("*.pb"))
    files = {path.relative_to(bundle).as_posix(): path.read_bytes() for path in paths}
    return unpack_golden(files).inputs


def ask(model: onnx.ModelProto, rows: Inputs) -> Answers:
    """What a model answers, after the checks of the specification."""
    onnx.checker.check_model(model, full_check=True)
    return open_session(serialize_model(model)).answer(rows)


def read(path: Path) -> onnx.ModelProto:
    """A model file."""
    return parse_model(path.read_bytes(), path.name)


@pytest.mark.parametrize("version", [FIRST, "1.10", "1.11.0", "1.12", "1.14", "1.30"])
def test_older_runtimes(version: str, bundle: Path) -> None:
    """B3: IR and opsets are at most what a release reads, and the answers stay to the last bit."""
    release = find_release(version)
    model, rows = read(bundle / "student.onnx"), read_rows(bundle)
    lowered = lower_versions(model, release, "student.onnx")
    versions = {entry.domain: entry.version for entry in lowered.opset_import}
    assert versions[""] <= release.opset
    assert versions.get(ML_DOMAIN, 0) <= release.ml_opset
    assert lowered.ir_version <= release.ir_version
    before, after = ask(model, rows), ask(lowered, rows)
    np.testing.assert_array_equal(before.predictions, after.predictions)
    np.testing.assert_array_equal(before.probabilities, after.probabilities)


def test_releases_are_ordered() -> None:
    """A later release reads what an earlier one does, and the last one all that files have."""
    releases = [RELEASES[key] for key in sorted(RELEASES)]
    for earlier, later in itertools.pairwise(releases):
        assert earlier.opset <= later.opset
        assert earlier.ml_opset <= later.ml_opset
        assert earlier.ir_version <= later.ir_version
    last = releases[-1]
    assert (last.opset, last.ml_opset, last.ir_version) == (OPSET, ML_OPSET, IR_VERSION)


@pytest.mark.parametrize("version", ["1.7", "1.x", "", "14", "1.14.1.1", "newest"])
def test_unknown_releases(version: str) -> None:
    """What is no release, or one before the first that can be, is refused."""
    with pytest.raises(RecipeError, match=r"from 1\.8 on"):
        find_release(version)


@pytest.mark.parametrize(
    ("name", "operator", "cure"),
    [("teacher.onnx", "Split", "1.14"), ("rival.onnx", "TreeEnsembleRegressor", "1.12")],
)
def test_operators_of_later_versions(name: str, operator: str, cure: str) -> None:
    """An operator that is another one in the older version is refused, with what would read it."""
    with pytest.raises(DataError, match=f"{operator} .*--target-ort {cure}"):
        lower_versions(read(ROOT / "models/clicks" / name), find_release(FIRST), name)


def test_core_operators(bundle: Path) -> None:
    """Without `ai.onnx.ml` a network of numbers answers the same, missing cells included."""
    model, rows = read(bundle / "student.onnx"), read_rows(bundle)
    if rows.categorical.shape[1]:
        with pytest.raises(DataError, match="LabelEncoder; pass --split-text"):
            use_core_operators(model, "student.onnx")
        return
    core = use_core_operators(model, "student.onnx")
    assert {node.domain for node in core.graph.node} == {""}
    assert [entry.domain for entry in core.opset_import] == [""]
    before, after = ask(model, rows), ask(core, rows)
    np.testing.assert_array_equal(before.predictions, after.predictions)
    np.testing.assert_array_equal(before.probabilities, after.probabilities)


def test_trees_need_their_operator() -> None:
    """A sum of trees is refused, not approximated."""
    with pytest.raises(DataError, match="TreeEnsembleRegressor; pack a network"):
        use_core_operators(read(ROOT / "models/clicks/rival.onnx"), "rival.onnx")


def test_split_text(bundle: Path) -> None:
    """Codes in, class positions out: with the tables, the answers are those of the whole file."""
    model, rows = read(bundle / "student.onnx"), read_rows(bundle)
    split, texts = split_text(model)
    core = use_core_operators(split, "student.onnx")
    onnx.checker.check_model(core, full_check=True)
    types = {v.name: v.type.tensor_type.elem_type for v in (*core.graph.input, *core.graph.output)}
    assert onnx.TensorProto.STRING not in types.values()
    feeds = rows.feeds()
    if texts.codes is not None:
        feeds["categorical"] = texts.encode(rows.categorical)
    answers = open_session(serialize_model(core)).run(feeds)
    expected = open_session(bundle / "student.onnx").run(rows.feeds())
    for name, values in expected.items():
        found = answers[name]
        if name == "label" and texts.labels is not None:
            found = np.array(texts.labels, object)[found]
        np.testing.assert_array_equal(found, values)


def test_a_text_that_no_code_stands_for() -> None:
    """Unseen texts and missing cells without a code of their own have the code of the unknown."""
    texts = TextCodes({"pro": 2, "free": 1}, None)
    cells = np.array([["pro", ""], ["never seen", "free"]], object)
    np.testing.assert_array_equal(texts.encode(cells), [[2, 0], [0, 1]])


def test_nothing_to_split() -> None:
    """A file without text has no tables, and stays what it is."""
    model = read(ROOT / "models/clicks/student.onnx")
    split, texts = split_text(model)
    assert (texts.codes, texts.labels) == (None, None)
    assert split == model
