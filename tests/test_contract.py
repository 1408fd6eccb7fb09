"""docs/contract.md: real files keep every sentence of it."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from kdexport import contract
from tests.test_docs import ROOT, read_blocks

TEXT = (ROOT / "docs/contract.md").read_text(encoding="utf-8")
FILES = ("student.onnx", "teacher.onnx", "rival.onnx")
KEYS = ("schema", "classes", "version", "data_sha256", "recipe", "evidence")
FAR = {
    "numeric": (np.nan, np.inf, -np.inf, 3e38),
    "categorical": ("", "never seen", "\0", "a" * 999),
}


@pytest.fixture(params=["census_path", "dates_path"])
def bundle(request: pytest.FixtureRequest) -> Path:
    """A bundle of classes over float32 and text, and one of numbers over float64."""
    path: Path = request.getfixturevalue(request.param)
    return path


def open_files(bundle: Path) -> Iterator[tuple[str, onnxruntime.InferenceSession]]:
    """Open each model file of a bundle as a service would."""
    for name in FILES:
        yield name, onnxruntime.InferenceSession(bundle / name)


def read_schema(session: onnxruntime.InferenceSession) -> tuple[dict, list]:
    """What a file's metadata says of its columns and classes."""
    metadata = session.get_modelmeta().custom_metadata_map
    return json.loads(metadata["kdexport.schema"]), json.loads(metadata["kdexport.classes"])


def make_feeds(session: onnxruntime.InferenceSession, n_rows: int = 9) -> dict[str, np.ndarray]:
    """Rows as a file takes them: drawn numbers, texts that it knows and some that it does not."""
    schema, _ = read_schema(session)
    rng = np.random.default_rng(0)
    dtype = schema.get("precision", "float32")
    feeds = {"numeric": rng.normal(size=(n_rows, len(schema["numeric"]))).astype(dtype)}
    if texts := schema.get("categorical"):
        words = np.array(["Private", "Bachelors", "", "never seen"], object)
        feeds["categorical"] = rng.choice(words, (n_rows, len(texts)))
    return feeds


def test_inputs(bundle: Path) -> None:
    """Inputs have the names, types and widths of the contract, the same in every file."""
    taken = []
    for _, session in open_files(bundle):
        schema, _ = read_schema(session)
        types = {"numeric": {"float32": "tensor(float)", "float64": "tensor(double)"}}
        expected = [
            (
                "numeric",
                types["numeric"][schema.get("precision", "float32")],
                ["batch", len(schema["numeric"])],
            )
        ]
        if "categorical" in schema:
            expected.append(
                ("categorical", "tensor(string)", ["batch", len(schema["categorical"])])
            )
        assert [(i.name, i.type, i.shape) for i in session.get_inputs()] == expected
        taken.append(schema)
    assert taken[0] == taken[1] == taken[2]


def test_columns_in_the_tables_order(census_path: Path, dates_path: Path) -> None:
    """Columns stand in the table's order; flags and dates are named as such."""
    census, classes = read_schema(onnxruntime.InferenceSession(census_path / "student.onnx"))
    assert census["numeric"][:2] == ["age", "fnlwgt"]
    assert census["categorical"][:2] == ["workclass", "education"]
    assert set(census) == {"numeric", "categorical", "target"}
    assert classes == ["<=50K", ">50K"]
    dates, none = read_schema(onnxruntime.InferenceSession(dates_path / "student.onnx"))
    assert dates["kinds"] == {"flag": "boolean", "since": "date"}
    assert dates["precision"] == "float64"
    assert none == []


def test_outputs(bundle: Path) -> None:
    """Outputs have the names, types, shapes and order of the contract, for 0 to 9 rows."""
    for name, session in open_files(bundle):
        _, classes = read_schema(session)
        names = [output.name for output in session.get_outputs()]
        assert names == (["label", "probabilities"] if classes else ["prediction"]), name
        for n_rows in (0, 1, 9):
            answers = session.run(None, make_feeds(session, n_rows))
            if not classes:
                assert answers[0].shape == (n_rows,)
                assert answers[0].dtype == np.float32
                continue
            label, probabilities = answers
            assert label.shape == (n_rows,)
            assert probabilities.shape == (n_rows, len(classes))
            assert probabilities.dtype == np.float32
            np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
            assert label.tolist() == [classes[i] for i in probabilities.argmax(axis=1)]


def test_odd_cells(bundle: Path) -> None:
    """A missing, infinite, absurd or unseen cell is answered, and changes no other row."""
    for name, session in open_files(bundle):
        feeds = make_feeds(session)
        before = session.run(None, feeds)
        for key, values in feeds.items():
            for column in range(values.shape[1]):
                for cell in FAR[key]:
                    changed = values.copy()
                    changed[4, column] = cell
                    after = session.run(None, {**feeds, key: changed})
                    assert np.isfinite(after[-1]).all(), (name, key, column, cell)
                    for old, new in zip(before, after, strict=True):
                        np.testing.assert_array_equal(np.delete(old, 4, 0), np.delete(new, 4, 0))


def test_constant_column(dates_path: Path) -> None:
    """A column that was constant in training moves nothing, whatever it holds."""
    for _, session in open_files(dates_path):
        schema, _ = read_schema(session)
        feeds = make_feeds(session)
        (before,) = session.run(None, feeds)
        feeds["numeric"][:, schema["numeric"].index("same")] = [14.63, 1e6, np.nan] * 3
        np.testing.assert_array_equal(session.run(None, feeds)[0], before)


def test_metadata(bundle: Path) -> None:
    """Every key is there, JSON where the document says so, and the document names each."""
    for _, session in open_files(bundle):
        metadata = session.get_modelmeta().custom_metadata_map
        assert sorted(metadata) == sorted(f"kdexport.{key}" for key in KEYS)
        for key in ("schema", "classes", "recipe", "evidence"):
            json.loads(metadata[f"kdexport.{key}"])
        evidence = json.loads(metadata["kdexport.evidence"])
        assert {"recovered", "verdict", "sha256"} < set(evidence)
    for key in KEYS:
        assert f"| `kdexport.{key}` |" in TEXT


def test_versions_and_tidiness(bundle: Path) -> None:
    """Versions are those that the document states; one file, one batch axis, no leftovers."""
    stated = (contract.OPSET, contract.ML_OPSET, contract.IR_VERSION)
    assert "opset {}, those of `ai.onnx.ml` of version {}, IR version {}".format(*stated) in TEXT
    for name in FILES:
        content = (bundle / name).read_bytes()
        model = onnx.load_from_string(content)
        opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
        assert opsets.pop("ai.onnx") == contract.OPSET
        assert opsets in ({}, {"ai.onnx.ml": contract.ML_OPSET})
        assert model.ir_version == contract.IR_VERSION
        assert not any(tensor.external_data for tensor in model.graph.initializer)
        values = [*model.graph.input, *model.graph.output]
        assert {v.type.tensor_type.shape.dim[0].dim_param for v in values} == {"batch"}
        assert not any(node.name or node.doc_string for node in model.graph.node)
        assert str(bundle).encode() not in content
        has_logits = any("logits" in node.output for node in model.graph.node)
        assert has_logits == (len(model.graph.output) == 2)


def test_same_bits(bundle: Path) -> None:
    """The same rows give the same bits twice."""
    for _, session in open_files(bundle):
        feeds = make_feeds(session)
        for one, two in zip(session.run(None, feeds), session.run(None, feeds), strict=True):
            np.testing.assert_array_equal(one, two)


def test_python(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its Python reads the columns and classes of a file from the file alone."""
    monkeypatch.chdir(ROOT)
    ((language, code),) = read_blocks("contract.md")
    assert language == "python"
    exec(compile(code, "contract.md", "exec"), {})
    columns, classes = capsys.readouterr().out.splitlines()
    assert columns.startswith("['x0', 'x1'")
    assert columns.endswith("[] float32")
    assert classes == "[0, 1]"
