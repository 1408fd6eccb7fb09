"""Trees that ask whether a category is one of a set, as trees over numbers.

A node of a file compares a number with a threshold. So every set that nodes ask for becomes a
column of 0 and 1 behind a model's own ones, and a table says what each of the user's texts holds
there. Takes fitted models as their libraries write them, gives trees over a file's columns.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from kdexport.columns import texts_of
from kdexport.errors import DataError
from kdexport.records import Float32, Table
from kdexport.restore import Restorer
from kdexport.schema import MISSING, OTHER, Category, Schema
from kdexport.trees import LEAF, Int32, Trees

MAX_CELLS = 20_000_000  # of the table of texts and sets: 40 MB in the file
BETWEEN = 0.5  # the threshold of a column of 0 and 1

Codes = Mapping[object, int]
"""Category to its code; none at all where cells are the codes themselves."""


@dataclass(frozen=True)
class CategorySet:
    """What a node asks of a category: whether it is one of these.

    Attributes:
        column: Position among the model's columns.
        codes: Codes of the categories that belong to it.
        has_missing: Whether a missing cell does.
        has_unknown: Whether a category does that the model has no code for.
    """

    column: int
    codes: frozenset[int]
    has_missing: bool
    has_unknown: bool


def number_cells(cells: Iterable[object]) -> Codes:
    """Return the codes of categories that a model knows in this order; a gap is none of them."""
    return {cell: code for code, cell in enumerate(cells) if not is_gap(cell)}


def is_gap(cell: object) -> bool:
    """Say whether a model's category stands for missing cells: None or NaN."""
    return cell is None or cell != cell


class SetColumns:
    """Numbers the sets that a model asks for, behind its own columns."""

    def __init__(self, n_columns: int) -> None:
        self.n_columns = n_columns
        self._positions: dict[CategorySet, int] = {}

    @property
    def sets(self) -> tuple[CategorySet, ...]:
        return tuple(self._positions)

    def find(self, asked: CategorySet) -> int:
        """Return the feature that is 1 where the column's category is one of the set."""
        return self.n_columns + self._positions.setdefault(asked, len(self._positions))

    def find_codes(self, column: int, codes: Iterable[int], *, has_missing: bool) -> int:
        """The same for a model that takes what it has no code for as a missing cell."""
        known = frozenset(map(int, codes))
        return self.find(CategorySet(int(column), known, has_missing, has_missing))


@dataclass(frozen=True)
class FittedTrees:
    """A fitted model as trees.

    Attributes:
        trees: Over its columns, then over one column of 0 and 1 per set.
        n_columns: How many of its own there are.
        sets: Those that nodes ask for.
        codes: Column to the codes of its categories.
    """

    trees: Trees
    n_columns: int
    sets: tuple[CategorySet, ...] = ()
    codes: Mapping[int, Codes] = field(default_factory=dict)


@dataclass(frozen=True)
class Reader:
    """A fitted model beside a table.

    Attributes:
        name: What messages call it.
        model: Its trees.
        columns: What its columns are called in the table, in its order.
    """

    name: str
    model: FittedTrees
    columns: Sequence[str]


@dataclass(frozen=True)
class Placed:
    """Where a file has what models read.

    Attributes:
        parts: Their trees, over the file's columns.
        schema: The file's, its categories those that the models know.
    """

    parts: list[Trees]
    schema: Schema


def place(readers: Sequence[Reader], schema: Schema, restorer: Restorer) -> Placed:
    """Put trees over a file's columns: its numbers, then what they read of each category.

    Args:
        readers: The models.
        schema: The table's; its own categories are those that a student tells apart.
        restorer: Knows how the table's cells are spelled.

    Raises:
        DataError: One reads a column in another way than the file does; `found` says which.
    """
    asked = _Asked(schema.signature.categorical)
    places = [asked.add(reader, _spell_columns(reader, restorer)) for reader in readers]
    categories, readings = asked.tabulate() if any(places) else _read_codes(schema)
    n_numeric = len(schema.signature.numeric)
    parts = [
        _move(reader, n_numeric + asked.find_columns(there), schema, readings)
        for reader, there in zip(readers, places, strict=True)
    ]
    return Placed(parts, schema.model_copy(update={"categories": categories}))


class _Asked:
    """The sets that models ask for, column by column of a file, all columns as wide as the widest.

    Args:
        names: The categorical columns, in the file's order.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._sets: dict[str, list[tuple[CategorySet, Mapping[str, int]]]] = {n: [] for n in names}

    @property
    def _width(self) -> int:
        return max([1, *map(len, self._sets.values())])

    def add(self, reader: Reader, spelled: Mapping[int, Mapping[str, int]]) -> list["_Place"]:
        """Add a model's sets, and say where each one is.

        Args:
            reader: The model.
            spelled: Its column to the codes that it has for texts.
        """
        there = []
        for one in reader.model.sets:
            name = reader.columns[one.column]
            there.append(_Place(name, len(self._sets[name])))
            self._sets[name].append((one, spelled[one.column]))
        return there

    def find_columns(self, places: Sequence["_Place"]) -> Int32:
        """Return the columns of 0 and 1 of sets, once all models have been added."""
        starts = {name: i * self._width for i, name in enumerate(self._sets)}
        return np.array([starts[one.name] + one.position for one in places], np.int32)

    def tabulate(self) -> tuple[tuple[Category, ...], Float32]:
        """Return the texts of every column, and what they read, **Shape** `[codes, width]`."""
        asked = self._sets.values()
        n_texts = sum(len({text for _, codes in sets for text in codes}) for sets in asked)
        if n_texts * self._width > MAX_CELLS:
            raise _refuse(
                f"its models ask {self._width:,} sets of a column, of {n_texts:,} texts in all"
            )
        tables = [_tabulate(sets, self._width) for sets in asked]
        return tuple(one for one, _ in tables), np.concatenate([table for _, table in tables])


class _Place(NamedTuple):
    """Where a set is: the name of its column, its position among those asked of it."""

    name: str
    position: int


def _read_codes(schema: Schema) -> tuple[tuple[Category, ...], Float32]:
    """The schema's own categories, of which models read nothing."""
    return schema.categories, np.zeros((schema.n_codes, 1), np.float32)


def _spell_columns(reader: Reader, restorer: Restorer) -> dict[int, Mapping[str, int]]:
    """Each column that a model asks sets of: texts to the codes that it has for them."""
    asked: dict[int, set[int]] = {}
    for one in reader.model.sets:
        asked.setdefault(one.column, set()).update(one.codes)
    spelled: dict[int, Mapping[str, int]] = {}
    for column, codes in asked.items():
        name = reader.columns[column]
        if name not in restorer.spelled:
            raise _refuse(
                f"{reader.name} takes {name!r} for categories, which the file takes for a "
                f"number (--categorical {name})"
            )
        if named := reader.model.codes.get(column):
            spelled[column] = _spell(name, named)
        else:
            cells = restorer.spelled[name].items()
            known = {text: int(cell) for text, cell in cells if _is_code(cell)}
            spelled[column] = {str(code): code for code in codes} | known
    return spelled


def _spell(name: str, codes: Codes) -> dict[str, int]:
    """Texts of named categories to their codes."""
    cells_in_order = np.empty(len(codes), object)
    cells_in_order[:] = list(codes)
    table = Table({name: cells_in_order}, np.arange(len(codes)), name)
    spelled = dict(zip(texts_of(table, name).tolist(), codes.values(), strict=True))
    return {text: code for text, code in spelled.items() if text != MISSING}


def _is_code(cell: object) -> bool:
    return isinstance(cell, int | float) and float(cell).is_integer()


def _tabulate(
    asked: Sequence[tuple[CategorySet, Mapping[str, int]]], width: int
) -> tuple[Category, Float32]:
    """The texts that models know of a column, and what they read of each.

    **Shape** returns a table `[1 + texts, width]` float32 of 0 and 1, all others in its first row.
    """
    texts = sorted({MISSING, *(text for _, codes in asked for text in codes)})
    table = np.zeros((1 + len(texts), width), np.float32)
    for i, (one, codes) in enumerate(asked):
        table[OTHER, i] = one.has_unknown
        for row, text in enumerate(texts, start=OTHER + 1):
            code = codes.get(text)
            strange = one.has_missing if text == MISSING else one.has_unknown
            table[row, i] = strange if code is None else code in one.codes
    share = 1 / len(texts)
    return Category(kept=tuple(texts), shares=(share,) * len(texts), has_other=True), table


def _move(reader: Reader, features: Int32, schema: Schema, readings: Float32) -> Trees:
    """Trees whose numbers stand where the file has them, and whose sets are these features."""
    model, names, numeric = reader.model, reader.columns, schema.signature.numeric
    trees = model.trees
    asks = trees.feature != LEAF
    used = np.unique(trees.feature[asks & (trees.feature < model.n_columns)])
    others = [names[i] for i in used if names[i] not in numeric]
    if others:
        raise _refuse(f"{reader.name} reads {others[0]!r}, which the file does not take as numbers")
    positions = np.zeros(model.n_columns + len(features), np.int32)
    positions[used] = [numeric.index(names[i]) for i in used]
    positions[model.n_columns :] = features
    moved = np.where(asks, positions[trees.feature], LEAF).astype(np.int32)
    return replace(trees, feature=moved, readings=readings)


def _refuse(why: str) -> DataError:
    return DataError(
        "trees read a file's columns as it has them", found=why, cure="pass another model"
    )
