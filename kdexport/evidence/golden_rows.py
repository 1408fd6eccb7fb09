"""Which rows are golden: real ones, those that are hardest to decide, and those at the edges.

Takes test rows with the student's answers (or, for synthetic rows, a schema), gives rows and where
each is from. Bounded in number, so that a bundle stays small.
"""

from dataclasses import dataclass

import numpy as np

from kdexport.evidence.golden import UNKNOWN_CLASS
from kdexport.evidence.stress import HUGE, UNSEEN
from kdexport.records import Answers, Column, Float64, Inputs, Int64, Rows, spread_rows
from kdexport.schema import MISSING, Schema

N_REAL, N_CLOSE, N_EDGES, N_CATEGORY_ROWS = 64, 32, 256, 256
MAX_CELLS = 400_000  # wide tables have fewer golden rows
MIN_ROWS = 32
SYNTHETIC_REACH = 4.0  # deviations: where synthetic rows have their smallest and largest numbers
N_SHARED = 4  # rows for each kind of edge, shared by all columns where there are many
MISSING_SHARE = 0.1  # of the cells of synthetic columns that had missing ones in training


@dataclass(frozen=True)
class Edge:
    """What is altered in one row.

    Attributes:
        cells: Side (0: numbers, 1: texts), column and new value of each altered cell.
        what: The same in words.
    """

    cells: tuple[tuple[int, int, object], ...]
    what: str


@dataclass(frozen=True)
class Chosen:
    """Golden rows before anyone answered them; attributes as in `Golden`."""

    inputs: Inputs
    origins: Column
    targets: Column


def choose_real(test: Rows, answers: Answers, schema: Schema) -> Chosen:
    """Choose test rows, evenly spread and closest to a change of class, and alter some.

    The altered ones have one cell missing, unseen, smallest, largest, huge or infinite, or numbers
    within each piece that a student may read them by, and every category that it knows.

    Args:
        test: Test rows.
        answers: The student's, for the same rows.
        schema: Its categories.
    """
    room = _find_room(schema)
    spread = spread_rows(test.n_rows, min(N_REAL, room // 4))
    close = _closest(answers, min(N_CLOSE, room // 8))
    close = close[~np.isin(close, spread)]
    kept = np.concatenate([spread, close])
    origins = [f"test row {i}" for i in spread] + [f"test row {i}, near a tie" for i in close]
    numeric = test.inputs.numeric.astype(np.float64)
    finite = np.isfinite(numeric)
    lowest = np.where(finite, numeric, np.inf).min(axis=0)
    highest = np.where(finite, numeric, -np.inf).max(axis=0)
    real = test.inputs.take(kept)
    return _with_edges(real, origins, test.targets[kept], lowest, highest, schema)


def draw_synthetic(schema: Schema, *, seed: int) -> Chosen:
    """Draw rows column by column from means, deviations and shares: none is anybody's row."""
    rng = np.random.default_rng(seed)
    signature = schema.signature
    n = min(N_REAL + N_CLOSE, _find_room(schema) // 4)
    center, scale = np.array(schema.center), np.array(schema.scale)
    numeric = center + scale * rng.standard_normal((n, len(center)))
    for i, name in enumerate(signature.numeric):
        if signature.kinds.get(name) == "boolean":
            numeric[:, i] = rng.random(n) < center[i]
        if i in schema.indicators:
            numeric[rng.random(n) < MISSING_SHARE, i] = np.nan
    texts = np.full((n, len(schema.categories)), MISSING, object)
    for i, category in enumerate(schema.categories):
        if category.kept:
            texts[:, i] = rng.choice(np.array(category.kept, object), n, p=category.shares)
    targets = np.full(n, np.nan) if signature.is_regression else np.full(n, UNKNOWN_CLASS)
    drawn = Inputs(numeric.astype(signature.precision), texts)
    reach = SYNTHETIC_REACH * scale
    origins = [f"synthetic row {i}" for i in range(n)]
    return _with_edges(drawn, origins, targets, center - reach, center + reach, schema)


def _find_room(schema: Schema) -> int:
    """How many golden rows a table of this width may have."""
    return max(MIN_ROWS, MAX_CELLS // len(schema.signature.columns))


def _closest(answers: Answers, n_rows: int) -> Int64:
    """Positions of the rows whose two best classes are closest; none for a regression."""
    if answers.probabilities.shape[1] < 2:
        return np.empty(0, np.int64)
    best_two = np.sort(answers.probabilities, axis=1)[:, -2:]
    order = np.argsort(best_two[:, 1] - best_two[:, 0], kind="stable")
    return order[:n_rows].astype(np.int64)


def _with_edges(
    real: Inputs,
    origins: list[str],
    targets: Column,
    lowest: Float64,
    highest: Float64,
    schema: Schema,
) -> Chosen:
    """Append altered copies of the rows; their targets are unknown."""
    edges = _choose_edges(schema, lowest, highest)
    middles = _find_middles(schema)
    n_piece_rows = max((len(column) for column in middles), default=0)
    n_category_rows = min(max((len(c.kept) for c in schema.categories), default=0), N_CATEGORY_ROWS)
    n_altered = len(edges) + n_piece_rows + n_category_rows
    altered = real.take(np.arange(n_altered) % real.n_rows)
    numeric, texts = altered.numeric.copy(), altered.categorical.copy()
    both: tuple[Column, Column] = (numeric, texts)
    for row, edge in enumerate(edges):
        for side, column, value in edge.cells:
            both[side][row, column] = value
    first = len(edges)
    for i in range(n_piece_rows):
        for column, values in enumerate(middles):
            if len(values):
                numeric[first + i, column] = values[i % len(values)]
    first += n_piece_rows
    for i in range(n_category_rows):
        for column, category in enumerate(schema.categories):
            if category.kept:
                texts[first + i, column] = category.kept[i % len(category.kept)]
    said = [edge.what for edge in edges]
    said += [f"piece {i + 1} of every number" for i in range(n_piece_rows)]
    said += [f"category {i + 1} of every text column" for i in range(n_category_rows)]
    unknown = np.full(n_altered, UNKNOWN_CLASS if targets.dtype.kind == "i" else np.nan)
    return Chosen(
        real.joined_with(Inputs(numeric, texts)),
        np.array(origins + said, dtype=object),
        np.concatenate([targets, unknown.astype(targets.dtype)]),
    )


def _choose_edges(schema: Schema, lowest: Float64, highest: Float64) -> list[Edge]:
    """Return the edges of every column, one to a row, or as many as there is room for.

    Where there is not enough, columns share some of the rows, so that every imputed constant and
    every bound is seen, however wide the table is.
    """
    numbers, texts = schema.signature.numeric, schema.signature.categorical
    fixed = {"missing": np.nan, "huge": HUGE, "-huge": -HUGE, "infinite": np.inf, "-inf": -np.inf}
    values = {what: np.full(len(numbers), value) for what, value in fixed.items()}
    values |= {"smallest": lowest, "largest": highest}
    of_numbers = [
        [Edge(((0, i, column[i]),), f"{name} {what}") for i, name in enumerate(numbers)]
        for what, column in values.items()
    ]
    of_texts = [
        [Edge(((1, i, value),), f"{name} {what}") for i, name in enumerate(texts)]
        for what, value in {"missing": MISSING, "unseen": UNSEEN}.items()
    ]
    alone = [
        edge
        for side in (of_numbers, of_texts)
        for column in zip(*side, strict=True)
        for edge in column
    ]
    n_edges = min(N_EDGES, _find_room(schema) // 2)
    if len(alone) <= n_edges:
        return alone
    kinds = [kind for kind in of_numbers + of_texts if kind]
    n_shared = min(N_SHARED, n_edges // (2 * len(kinds)) or 1)
    shared = [
        _join_edges(kind[start::n_shared])
        for kind in kinds
        for start in range(min(n_shared, len(kind)))
    ]
    kept = spread_rows(len(alone), n_edges - len(shared))
    return [*(alone[i] for i in kept), *shared]


def _join_edges(edges: list[Edge]) -> Edge:
    """Put the edges of several columns into one row."""
    others = f", and {len(edges) - 1} columns more" if len(edges) > 1 else ""
    return Edge(tuple(cell for edge in edges for cell in edge.cells), f"{edges[0].what}{others}")


def _find_middles(schema: Schema) -> list[Float64]:
    """Return the middle of each piece of each number that may be read by pieces."""
    is_centred = schema.signature.precision == "float64"
    middles = []
    for center, knots in zip(schema.center, schema.knots, strict=False):  # no knots: no pieces
        ends = np.array(knots) + (center if is_centred else 0.0)
        middles.append((ends[1:] + ends[:-1]) / 2)
    return middles
