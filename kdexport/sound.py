"""What a model file may claim before anything is made of it: for files of unknown origin.

Takes a parsed model and where it lies; refuses what would read outside its folder, or would take
more memory than the file has bytes to show for. Runs nothing: knows onnx, not onnxruntime.
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from kdexport.errors import DataError

MAX_GROWN = 2**26  # elements that a node may make out of nothing: 256 MB of float32
MAX_SIZES = 64  # numbers of a tensor that may say how large another one is
MAX_DEPTH = 8  # graphs within graphs: each level can double the work
GROWING = {
    **{"ConstantOfShape": 0, "Expand": 1, "Tile": 1, "Reshape": 1},
    **{"OneHot": 1, "Pad": 1, "Resize": 3},
}
"""Node type to the input that says how large its output is; of Range all three do."""
RENAMING = {"Cast", "Identity", "Squeeze", "Unsqueeze"}
FIELDS = ("float_data", "int32_data", "int64_data", "uint64_data", "double_data", "string_data")


def check_sound(model: ModelProto, name: str) -> None:
    """Refuse a model that would take more memory than it has bytes, or never end.

    Raises:
        DataError: See its message.
    """
    graphs = _all_graphs(model)
    if any(_is_deep(graph, MAX_DEPTH) for graph in graphs):
        raise _unsound(name, f"its graphs lie in each other, more than {MAX_DEPTH} deep")
    for tensor in (tensor for graph in graphs for tensor in walk_tensors(graph)):
        check_tensor(tensor, name)
    if cyclic := _find_cycle(model):
        raise _unsound(name, f"its function {cyclic!r} calls itself")
    for graph in graphs:
        _check_growth(graph, name)


def check_confined(model: ModelProto, name: str, folder: Path | None) -> None:
    """Refuse a model whose weights lie outside its folder.

    Args:
        model: As it was parsed.
        name: What messages call it.
        folder: Where its weights may lie beside it; None where it has to have them itself.

    Raises:
        DataError: See its message.
    """
    for graph in _all_graphs(model):
        for tensor in walk_tensors(graph):
            location = location_of(tensor)
            if location is not None and (folder is None or not _lies_in(folder, location)):
                raise _unsound(name, f"a weight lies in {location[:200]!r}, outside its folder")


def check_tensor(tensor: TensorProto, name: str) -> None:
    """Refuse a tensor that is larger than its bytes; one that lies in another file says nothing.

    Raises:
        DataError: See its message.
    """
    if any(size < 0 for size in tensor.dims):
        raise _unsound(name, f"the tensor {tensor.name[:40]!r} has a size below 0")
    if location_of(tensor) is not None:
        return
    n_declared = math.prod(tensor.dims)
    if tensor.HasField("raw_data"):
        n_bits = 8 * len(tensor.raw_data)
        fits = n_declared * _n_bits(tensor.data_type) <= n_bits
    else:
        n_held = max(len(getattr(tensor, field)) for field in FIELDS)
        fits = n_declared <= 8 * n_held  # several small values may share one field
    if not fits:
        raise _unsound(
            name, f"the tensor {tensor.name[:40]!r} declares {n_declared:,} values and holds fewer"
        )


def walk_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """Yield every tensor of a graph, those in the attributes of its nodes too."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            own = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
            for sparse in (*own, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for inner in _graphs_of(attribute):
                yield from walk_tensors(inner)


def walk_nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """Yield every node of a graph, those of inner graphs too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in _graphs_of(attribute):
                yield from walk_nodes(inner)


def location_of(tensor: TensorProto) -> str | None:
    """Return the file that holds a tensor's values; None where it holds them itself."""
    if tensor.data_location != TensorProto.EXTERNAL and not tensor.external_data:
        return None
    return next((entry.value for entry in tensor.external_data if entry.key == "location"), "")


def _all_graphs(model: ModelProto) -> list[GraphProto]:
    return [model.graph, *(_as_graph(function.node) for function in model.functions)]


def _is_deep(graph: GraphProto, n_left: int) -> bool:
    inner = [g for node in graph.node for a in node.attribute for g in _graphs_of(a)]
    return bool(inner) and (n_left == 0 or any(_is_deep(each, n_left - 1) for each in inner))


def _graphs_of(attribute: AttributeProto) -> Iterator[GraphProto]:
    if attribute.HasField("g"):
        yield attribute.g
    yield from attribute.graphs


def _as_graph(nodes: "list[NodeProto]") -> GraphProto:
    return GraphProto(node=nodes)


def _lies_in(folder: Path, location: str) -> bool:
    path = Path(location)
    if not location or path.is_absolute() or ".." in path.parts:
        return False
    return (folder / path).resolve().is_relative_to(folder.resolve())


def _n_bits(data_type: int) -> int:
    """Bits of one value in a tensor's raw bytes, no more than they really are."""
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(data_type)
    except (KeyError, ValueError, TypeError):
        return 1
    return 4 if dtype.itemsize == 1 and "4" in dtype.name else 8 * dtype.itemsize


def _find_cycle(model: ModelProto) -> str | None:
    """Return a function that calls itself, by way of others or not."""
    calls = {
        (f.domain, f.name): {(n.domain, n.op_type) for n in walk_nodes(_as_graph(f.node))}
        for f in model.functions
    }
    left = {name: callees & calls.keys() for name, callees in calls.items()}
    while leaves := [name for name, callees in left.items() if not callees]:
        for leaf in leaves:
            del left[leaf]
        left = {name: callees & left.keys() for name, callees in left.items()}
    return next((name for _, name in left), None)


def _check_growth(graph: GraphProto, name: str) -> None:
    """Refuse a node that makes a huge tensor out of a few numbers of the file."""
    sizes = _find_sizes(graph)
    for node in walk_nodes(graph):
        n_made = 1.0
        if node.op_type == "Range":
            n_made = _measure_range([sizes.get(name, []) for name in node.input])
        elif (position := GROWING.get(node.op_type, len(node.input))) < len(node.input):
            n_made = math.prod(max(abs(size), 1) for size in sizes.get(node.input[position], ()))
        if n_made > MAX_GROWN:
            raise _unsound(name, f"{node.op_type} would make {n_made:,.0f} values out of nothing")


def _measure_range(given: list[list[float]]) -> float:
    """Values between start and limit; what the file does not hold counts as 0, a step as 1."""

    def known(place: int, usual: float) -> float:
        return given[place][0] if place < len(given) and given[place] else usual

    start, limit, step = known(0, 0.0), known(1, 0.0), known(2, 1.0)
    return abs(limit - start) / abs(step) if step else 1.0


def _find_sizes(graph: GraphProto) -> dict[str, list[float]]:
    """Few numbers that the file holds together, by the names that nodes know them by."""
    held = {t.name: t for t in walk_tensors(graph)}
    sizes: dict[str, list[float]] = {}
    for node in walk_nodes(graph):
        if node.op_type != "Constant" or not node.output:
            continue
        for attribute in node.attribute:
            if attribute.name == "value":
                held[node.output[0]] = attribute.t
            elif attribute.name in ("value_int", "value_ints"):
                sizes[node.output[0]] = [*attribute.ints] or [attribute.i]
            elif attribute.name in ("value_float", "value_floats"):
                sizes[node.output[0]] = [*attribute.floats] or [attribute.f]
    for name, tensor in held.items():
        with suppress(ValueError, TypeError, DecodeError):  # no sizes: onnxruntime says it itself
            if not tensor.external_data and math.prod(tensor.dims) <= MAX_SIZES:
                numbers = numpy_helper.to_array(tensor).ravel().astype(np.float64)
                sizes[name] = numbers[np.isfinite(numbers)].tolist()
    for node in walk_nodes(graph):
        if node.op_type in RENAMING and node.input and node.input[0] in sizes:
            sizes[node.output[0]] = sizes[node.input[0]]
    return sizes


def _unsound(name: str, found: str) -> DataError:
    return DataError(
        "a model file holds what it says, in its own folder",
        found=f"{name}: {found}",
        cure="do not use this file",
    )
