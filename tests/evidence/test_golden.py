"""Golden rows: which they are, how they are kept."""

from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnxruntime
import pytest

from kdexport import load_bundle, read_recipe, run
from kdexport.errors import DataError
from kdexport.evidence.checks import check_parity
from kdexport.evidence.golden import REPLAYED, pack_golden, unpack_golden
from kdexport.evidence.golden_rows import choose_real, draw_synthetic
from kdexport.evidence.parity import PROBABILITY_TOLERANCE, ROUNDING
from kdexport.evidence.stress import UNSEEN
from kdexport.records import Answers, Inputs, Rows
from kdexport.schema import Category, Schema
from kdexport.signature import Signature
from tests.commands import kdexport
from tests.conftest import QUICK

N_ROWS = 300


def make_schema(n_numeric: int = 2, n_categories: int = 3) -> Schema:
    """Numbers, a text column, two classes."""
    kept = tuple(f"c{i}" for i in range(n_categories))
    category = Category(kept=kept, shares=(1 / n_categories,) * n_categories, has_other=True)
    names = tuple(f"x{i}" for i in range(n_numeric))
    return Schema(
        signature=Signature(numeric=names, categorical=("t",), classes=("a", "b"), target="y"),
        center=(0.0,) * n_numeric,
        scale=(1.0,) * n_numeric,
        categories=(category,),
    )


def make_test_rows(n_numeric: int = 2) -> tuple[Rows, Answers]:
    """Test rows, and a student's answers of which row 17 is the closest call."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(N_ROWS, n_numeric)).astype(np.float32)
    inputs = Inputs(numbers, np.full((N_ROWS, 1), "c0", object))
    chance = rng.uniform(0.6, 0.9, N_ROWS).astype(np.float32)
    chance[17] = 0.5001
    probabilities = np.stack([chance, 1 - chance], axis=1)
    rows = Rows(inputs, np.zeros(N_ROWS, np.int64), np.ones(N_ROWS), np.arange(N_ROWS))
    return rows, Answers(np.full(N_ROWS, "a", object), probabilities)


def test_edges_of_every_column() -> None:
    """Every column is missing, smallest, largest, huge and infinite once, every category there."""
    rows, answers = make_test_rows()
    chosen = choose_real(rows, answers, make_schema())
    numbers, texts = chosen.inputs.numeric, chosen.inputs.categorical
    for i in range(2):
        assert np.isnan(numbers[:, i]).any()
        for value in (np.inf, -np.inf, np.float32(1e30), -np.float32(1e30)):
            assert (numbers[:, i] == value).any()
        for value in (rows.inputs.numeric[:, i].min(), rows.inputs.numeric[:, i].max()):
            assert (numbers[:, i] == value).any()
    assert {"", "c0", "c1", "c2"} < set(texts[:, 0])
    origins = chosen.origins.tolist()
    assert "x1 missing" in origins
    assert "t unseen" in origins
    assert "test row 17, near a tie" in origins


@pytest.mark.parametrize("width", [36, 60, 5000])
def test_edges_of_a_wide_table(width: int) -> None:
    """However wide a table is, every column is at every edge in some row (D4), and rows that
    columns share say so.
    """
    rows, answers = make_test_rows(width)
    chosen = choose_real(rows, answers, make_schema(width))
    numbers, texts = chosen.inputs.numeric, chosen.inputs.categorical
    known = rows.inputs.numeric
    assert np.isnan(numbers).any(axis=0).all()
    for value in (np.inf, -np.inf, np.float32(1e30), -np.float32(1e30)):
        assert (numbers == value).any(axis=0).all()
    for ends in (known.min(axis=0), known.max(axis=0)):
        assert (numbers == ends).any(axis=0).all()
    assert {"", UNSEEN} < set(texts[:, 0])
    shared = [what for what in chosen.origins if what.startswith("x0 missing")]
    assert any(what.endswith("columns more") for what in shared) == (width > 36)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_within_every_piece(precision: Literal["float32", "float64"]) -> None:
    """Some row lies strictly within each piece of each number, so that none goes unasked."""
    schema = make_schema()
    schema = schema.model_copy(
        update={
            "signature": schema.signature.model_copy(update={"precision": precision}),
            "knots": ((-1.0, 0.0, 2.0, 8.0), ()),
            "center": (1000.0, 0.0) if precision == "float64" else (0.0, 0.0),
        }
    )
    rows, answers = make_test_rows()
    chosen = choose_real(rows, answers, schema)
    is_between = np.char.startswith(chosen.origins.astype(str), "piece")
    numbers = chosen.inputs.numeric[is_between].astype(np.float64) - schema.center
    np.testing.assert_array_equal(numbers[:, 0], [-0.5, 1.0, 5.0])
    assert np.isin(numbers[:, 1], rows.inputs.numeric[:, 1]).all()


def test_altered_rows_have_no_label() -> None:
    """Only real rows have a target: a copy with another cell may deserve another label."""
    rows, answers = make_test_rows()
    chosen = choose_real(rows, answers, make_schema())
    known = np.char.startswith(chosen.origins.astype(str), "test row")
    np.testing.assert_array_equal(known, chosen.targets >= 0)


def test_bounded() -> None:
    """A wide table has fewer golden rows: a bundle stays small."""
    rows, answers = make_test_rows(5000)
    chosen = choose_real(rows, answers, make_schema(5000))
    assert 50 < chosen.inputs.n_rows < 120
    rows, answers = make_test_rows(40)
    many = choose_real(rows, answers, make_schema(40, n_categories=200))
    assert many.inputs.n_rows <= 64 + 32 + 256 + 200


def test_synthetic_rows_are_nobodys() -> None:
    """Synthetic rows come from the schema alone, the same for the same seed, without labels."""
    first, second = (draw_synthetic(make_schema(), seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.inputs.numeric, second.inputs.numeric)
    assert (first.targets == -1).all()
    assert np.isnan(first.inputs.numeric).any()


def test_terms_of_real_rows(bundle_path: Path) -> None:
    """Rows with an absurd cell are known less closely; that excuses nothing on ordinary rows."""
    golden = unpack_golden(load_bundle(bundle_path).files)
    real = np.char.startswith(golden.origins.astype(str), "test row")
    for answers in golden.answers.values():
        assert answers.rounded.terms is not None
        assert (ROUNDING * answers.rounded.terms[real] < 2 * PROBABILITY_TOLERANCE).all()


def test_kept_as_given(bundle_path: Path) -> None:
    """Rows, origins, targets and answers come back from the files as they were."""
    files = load_bundle(bundle_path).files
    golden = unpack_golden(files)
    again = {name: content for name, content in files.items() if name.startswith("golden/")}
    assert pack_golden(golden) == again
    assert set(golden.answers) == {"student", "teacher"}
    assert golden.answers["student"].exact.dtype == np.float64


def test_replayed_by_others(bundle_path: Path) -> None:
    """Any ONNX tool can replay the student's set: inputs and outputs in the file's order."""
    session = onnxruntime.InferenceSession(str(bundle_path / "student.onnx"))
    folder = bundle_path / REPLAYED
    sides = {}
    for side in ("input", "output"):
        paths = sorted(folder.glob(f"{side}_*.pb"))
        tensors = [onnx.TensorProto.FromString(path.read_bytes()) for path in paths]
        sides[side] = [(t.name, onnx.numpy_helper.to_array(t)) for t in tensors]
    feeds = {name: values.astype(np.float32) for name, values in sides["input"]}
    for found, (name, values) in zip(session.run(None, feeds), sides["output"], strict=True):
        assert name in ("label", "probabilities")
        if name == "probabilities":
            np.testing.assert_allclose(found, values, atol=1e-6)


def test_said_plainly(
    work_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`export --golden` decides, and `info` says from the file alone whose rows a bundle holds."""
    arguments = ("export", work_path, "--golden", "none", "-o", tmp_path / "b")
    assert kdexport(monkeypatch, *arguments) == 0
    capsys.readouterr()
    assert kdexport(monkeypatch, "info", tmp_path / "b" / "student.onnx") == 0
    assert "the bundle holds no rows" in capsys.readouterr().out
    assert kdexport(monkeypatch, "check", tmp_path / "b") == 1
    assert "exported without golden rows" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["synthetic", "none"])
def test_without_users_rows(kind: str, csv_path: Path, tmp_path: Path) -> None:
    """No test row is in a bundle made with export.golden synthetic or none."""
    changes = {"data.target": "y", "export.golden": kind}
    evidence = run(read_recipe(None, {**QUICK, **changes}), tmp_path / "b", data=csv_path)
    assert evidence.golden.quality == {}
    bundle = load_bundle(tmp_path / "b")
    if kind == "none":
        assert not any(name.startswith("golden/") for name in bundle.files)
        with pytest.raises(DataError, match="golden rows"):
            check_parity(bundle)
        return
    assert check_parity(bundle).passed
    table = np.loadtxt(csv_path, delimiter=",", skiprows=1, usecols=range(4)).astype(np.float32)
    rows = {row.tobytes() for row in table}
    assert not any(row.tobytes() in rows for row in unpack_golden(bundle.files).inputs.numeric)
