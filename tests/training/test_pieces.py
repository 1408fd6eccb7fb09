"""Numbers read piece by piece, and the file that reads them so."""

import copy
import math

import numpy as np
import onnx
import pytest
import torch

from kdexport import open_session
from kdexport.contract import count_parameters, expose_logits, serialize_model
from kdexport.export.graph import Filling, build_model
from kdexport.export.network import build_student, export_network
from kdexport.records import Inputs, Table
from kdexport.schema import Schema
from kdexport.sections import ColumnsRecipe
from kdexport.student_section import Form
from kdexport.tables import as_table
from kdexport.training.encode import Encoder
from kdexport.training.nets import StackedMLP, compute_member_outputs, follow_terms
from kdexport.training.oblique import CEILING, N_UNITS
from kdexport.training.pieces import Pieces


def test_pieces_tile_the_range() -> None:
    """One piece from each knot on, each at least as wide as its part, and one over all of it."""
    pieces = Pieces.between(((0.0, 3.0, 4.0), (), (5.0, 7.0), (1e9, 1e9 + 1)))
    assert pieces.columns.tolist() == [0, 0, 0, 2]
    assert pieces.starts.tolist() == [0.0, 3.0, 0.0, 5.0]
    assert pieces.slopes.tolist() == [1 / 4, 1.0, 1 / 4, 1 / 2]


def make_schema(*, is_large: bool = False) -> tuple[Schema, Inputs]:
    """A skewed number with missing cells, a count, a constant and a category."""
    rng = np.random.default_rng(0)
    skewed = rng.lognormal(0, 3, 400)
    skewed[::7] = np.nan
    columns = {
        "skewed": skewed,
        "count": rng.integers(0, 4, 400) + (1.6e18 if is_large else 0.0),
        "constant": np.full(400, 14.62),
        "text": rng.choice(["x", "y"], 400).astype(object),
        "y": rng.choice(["no", "yes"], 400).astype(object),
    }
    if is_large:
        columns["stamp"] = 1.6e18 + rng.integers(0, 1000, 400) * 1e12
    table = as_table(columns)
    schema = Schema.fit(table, "y", ColumnsRecipe(), classes=("no", "yes"))
    return schema, schema.encode(table).inputs


def test_rows_by_hand() -> None:
    """What a network reads: pieces of known and missing numbers, indicator, category."""
    schema, inputs = make_schema()
    encoder = Encoder(schema, form="piecewise")
    spread = encoder(encoder.prepare(inputs)).numpy()
    assert spread.shape == (400, encoder.d_out)
    assert spread.min() == 0.0
    assert spread.max() == 1.0
    filled = np.where(np.isnan(inputs.numeric), schema.center, inputs.numeric)
    pieces = encoder.pieces
    assert pieces is not None
    assert 2 not in pieces.columns
    for i, (column, start, slope) in enumerate(
        zip(pieces.columns, pieces.starts, pieces.slopes, strict=True)
    ):
        expected = np.clip((filled[:, column] - start) * slope, 0, 1)
        np.testing.assert_allclose(spread[:, i], expected, rtol=1e-6)
    assert np.array_equal(spread[:, len(pieces)], np.isnan(inputs.numeric[:, 0]))


@pytest.mark.parametrize("form", ["piecewise", "oblique"])
@pytest.mark.parametrize("is_large", [False, True])
def test_the_file_reads_the_same_pieces(is_large: bool, form: Form) -> None:
    """Logits of the file and of torch agree to the last few bits, on rows no training ever saw."""
    schema, inputs = make_schema(is_large=is_large)
    assert schema.signature.precision == ("float64" if is_large else "float32")
    encoder = Encoder(schema, form=form)
    stack = StackedMLP(encoder, hidden=(16,), d_out=2, seeds=[0])
    stack.round_weights()
    stack.eval()
    network = export_network(build_student(stack, 0), d_features=encoder.d_compact, n_categorical=1)
    assert [node.op_type for node in network.graph.node].count("Gemm") == 3
    model = build_model(network, schema, Filling(encoder.center, encoder.limit))
    n_weights = stack.n_parameters_per_member
    n_read = (len(encoder.pieces or ()) + 2) * (encoder.d_compact + 1)  # the product that rises
    assert n_weights <= count_parameters(model) <= n_weights + n_read
    numeric = inputs.numeric.copy()
    numeric[:5] = np.array([np.inf, -np.inf, np.nan, 1e38, -1e38])[:, None]
    asked = Inputs(numeric, inputs.categorical)
    found = open_session(expose_logits(serialize_model(model))).answer(asked)
    with torch.no_grad():
        expected = stack(encoder.prepare(asked))[0].numpy()
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(found.logits, expected, rtol=0, atol=5e-7)


def test_oblique_units_by_hand() -> None:
    """Units over standardised numbers and indicators stand behind the pieces and the codes."""
    schema, inputs = make_schema()
    encoder = Encoder(schema, form="oblique")
    stack = StackedMLP(encoder, hidden=(), d_out=2, seeds=[0, 1])
    units = stack.units(1)
    assert units is not None
    filled = np.where(np.isnan(inputs.numeric), schema.center, inputs.numeric)
    standardised = (filled - schema.center) * encoder.inverse_scale
    read = np.concatenate([standardised, np.isnan(inputs.numeric[:, :1])], axis=1)
    weight, offset = units.weight.detach().numpy(), units.bias.detach().numpy()
    raw = read @ weight.T + offset
    assert (raw < 0).any()
    assert (raw > CEILING).any()
    rows = encoder.prepare(inputs)
    spread = np.concatenate([encoder(rows).numpy(), raw.clip(0, CEILING)], axis=1)
    (head,) = stack.linears(1)
    assert head.in_features == encoder.d_out + N_UNITS
    expected = spread @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    np.testing.assert_allclose(stack(rows)[1].detach().numpy(), expected, atol=1e-5)


def make_oblique_file(table: Table) -> tuple[StackedMLP, onnx.ModelProto]:
    """An untrained oblique student of two classes over columns of numbers, and its file."""
    schema = Schema.fit(table, "y", ColumnsRecipe(), classes=(0, 1))
    encoder = Encoder(schema, form="oblique")
    stack = StackedMLP(encoder, hidden=(16,), d_out=2, seeds=[0])
    stack.round_weights()
    network = export_network(build_student(stack, 0), d_features=encoder.d_compact, n_categorical=0)
    return stack, build_model(network, schema, Filling(encoder.center, encoder.limit))


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_oblique_files_store_halves(unit: float) -> None:
    """Whatever the unit of the numbers, float16 holds the weights of the file's first product."""
    rng = np.random.default_rng(0)
    columns = {f"n{i}": rng.normal(3, 1, 400) * unit for i in range(8)}
    table = as_table({**columns, "y": np.arange(400) % 2})
    stack, model = make_oblique_file(table)
    halves = [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
    assert (len(stack.encoder.pieces or ()) + N_UNITS) * 8 in [math.prod(t.dims) for t in halves]


def test_oblique_files_do_not_overflow() -> None:
    """Beside the largest float32, infinite cells are answered as torch answers them."""
    rng = np.random.default_rng(0)
    numbers = np.where(np.arange(400) % 20 == 0, 3e38, rng.normal(size=400))
    table = as_table({"a": numbers, "y": np.arange(400) % 2})
    stack, model = make_oblique_file(table)
    cells = np.array([[-np.inf], [np.inf], [-3e38], [3e38], [np.nan], [0.5]], np.float32)
    asked = Inputs(cells, np.empty((6, 0), object))
    found = open_session(expose_logits(serialize_model(model))).answer(asked)
    with torch.no_grad():
        expected = stack(stack.encoder.prepare(asked))[0].numpy()
    np.testing.assert_allclose(found.logits, expected, rtol=0, atol=5e-7)


@pytest.mark.parametrize("form", ["piecewise", "oblique"])
def test_forms_without_numbers(form: Form) -> None:
    """Where there are only categories there is nothing to bend: all forms are one."""
    table = as_table(
        {"c": np.array(list("ab") * 50, object), "y": np.arange(100) % 2, "d": ["e", "f"] * 50}
    )
    schema = Schema.fit(table, "y", ColumnsRecipe(), classes=(0, 1))
    encoder = Encoder(schema, form=form)
    stack = StackedMLP(encoder, hidden=(16,), d_out=2, seeds=[0])
    assert stack.units(0) is None
    stack.round_weights()
    network = export_network(build_student(stack, 0), d_features=0, n_categorical=2)
    model = build_model(network, schema, Filling(encoder.center, encoder.limit))
    inputs = schema.encode(table).inputs
    found = open_session(expose_logits(serialize_model(model))).answer(inputs)
    exact, _ = follow_terms(stack, 0, encoder.prepare(inputs))
    np.testing.assert_allclose(found.logits, exact, rtol=0, atol=5e-7)


@pytest.mark.parametrize("form", ["plain", "piecewise", "oblique"])
def test_terms_are_followed_wherever_the_stack_is(form: Form) -> None:
    """Rows are on the CPU, whatever the device of the encoder's buffers."""
    schema, inputs = make_schema()
    stack = StackedMLP(Encoder(schema, form=form), hidden=(16,), d_out=2, seeds=[0])
    rows = stack.encoder.prepare(inputs)
    expected, _ = follow_terms(stack, 0, rows)
    stack.encoder.to("meta")
    found, _ = follow_terms(stack, 0, rows)
    assert torch.equal(found, expected)


def test_rounding_of_oblique_units_is_a_share_of_their_terms() -> None:
    """Float32 answers are off by no more than the terms of all layers allow."""
    schema, inputs = make_schema()
    stack = StackedMLP(Encoder(schema, form="oblique"), hidden=(16,), d_out=2, seeds=[0])
    rows = stack.encoder.prepare(inputs)
    exact, sizes = follow_terms(stack, 0, rows)
    rounded = compute_member_outputs(stack, rows)[0]
    expected = compute_member_outputs(copy.deepcopy(stack).double(), rows.double())[0]
    torch.testing.assert_close(exact, expected, rtol=0, atol=1e-9)
    n_roundings = 2 * stack.weights[0].shape[1]
    assert ((rounded - exact).abs().amax(dim=1) <= n_roundings * 2.0**-24 * sizes).all()
    assert (exact.abs().amax(dim=1) <= sizes).all()


def test_all_forms_fill_alike() -> None:
    """One graph fills cells for teacher and student, whatever the forms of the two."""
    rng = np.random.default_rng(0)
    table = as_table({"a": rng.normal(0.2, 1.4, 100), "y": np.arange(100) % 2})
    schema = Schema.fit(table, "y", ColumnsRecipe(), classes=(0, 1))
    plain, oblique = Encoder(schema), Encoder(schema, form="oblique")
    assert plain.is_folded
    assert not oblique.is_folded
    numbers = np.array([[0.5], [np.nan], [np.inf], [-np.inf]], np.float32)
    assert np.array_equal(plain.fill(numbers), oblique.fill(numbers))


def test_beyond_training_nothing_moves() -> None:
    """A number beyond those of training answers as the outermost one."""
    schema, _ = make_schema()
    encoder = Encoder(schema, form="piecewise")
    ends = [schema.knots[0][0], schema.knots[0][-1]]
    numeric = np.array([[ends[0], 0, 0], [-1e9, 0, 0], [ends[1], 0, 0], [1e9, 0, 0]], np.float32)
    asked = Inputs(numeric, np.full((4, 1), "x", object))
    spread = encoder(encoder.prepare(asked))
    assert torch.equal(spread[0], spread[1])
    assert torch.equal(spread[2, : len(encoder.pieces or ())].max(), torch.tensor(1.0))
