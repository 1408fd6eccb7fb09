"""The record of a sum of trees: what it takes, and that its sums are exact."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kdexport.errors import DataError
from kdexport.records import Column, Float64
from kdexport.trees import LEAF, Trees, mean_of, sum_of

RNG_SEED = 11


def make_trees(leaves: Float64, *, base: tuple[float, ...] = (0.5,), **changes: Any) -> Trees:
    """Stumps `x0 <= t` with the given leaves, **Shape** `[T, 2]`, then one tree of a leaf alone."""
    n = len(leaves)
    start = 3 * np.arange(n)
    values = np.zeros((3 * n + 1, 1))
    values[start + 1, 0], values[start + 2, 0], values[-1, 0] = leaves[:, 0], leaves[:, 1], 0.25
    fields: dict[str, Any] = {
        "feature": np.array([0, LEAF, LEAF] * n + [LEAF], np.int32),
        "threshold": np.array([0.5, 0, 0] * n + [0.0]),
        "left": np.append(np.stack([start + 1, 0 * start, 0 * start], 1), 0).astype(np.int32),
        "right": np.append(np.stack([start + 2, 0 * start, 0 * start], 1), 0).astype(np.int32),
        "missing_left": np.array([True, False, False] * n + [False]),
        "roots": np.append(start, 3 * n).astype(np.int32),
        "columns": np.zeros(n + 1, np.int32),
        "meaning": "number",
        "values": values.astype(np.float32),
        "base": np.array(base, np.float32),
    }
    return Trees(**(fields | changes))


def draw_leaves(n: int) -> Float64:
    """Leaves of sizes that float32 cannot add without rounding."""
    rng = np.random.default_rng(RNG_SEED)
    return rng.normal(size=(n, 2)) * 10.0 ** rng.uniform(-4, 1, size=(n, 1))


def test_sums_are_exact_in_any_order() -> None:
    """Leaves add up in float32 to the same bits in every order, which are the exact sum's."""
    raw = make_trees(draw_leaves(2000))
    trees = raw.rounded()
    assert (raw.sums_exactly, trees.sums_exactly) == (False, True)
    assert trees.rounded() is trees
    leaves = trees.values[trees.feature == LEAF, 0]
    rng = np.random.default_rng(0)
    picked = np.append(leaves[:-1].reshape(-1, 2)[:, 0], leaves[-1])
    exact = np.float32(picked.astype(np.float64).sum())
    assert exact != np.cumsum(draw_leaves(2000)[:, 0].astype(np.float32))[-1]
    for _ in range(20):
        assert np.cumsum(rng.permutation(picked), dtype=np.float32)[-1] == exact
    by_size = picked[np.argsort(np.abs(picked))[::-1]]
    assert np.cumsum(by_size, dtype=np.float32)[-1] == exact


def test_rounding_is_small() -> None:
    """Rounding moves a leaf by at most 2^-24 of the largest sum there can be."""
    leaves = draw_leaves(300)
    trees = make_trees(leaves).rounded()
    moved = np.abs(trees.values[trees.feature == LEAF, 0][:-1].reshape(-1, 2) - leaves)
    assert moved.max() <= (np.abs(leaves).max(axis=1).sum() + 0.25) * 2.0**-24


@pytest.mark.parametrize("largest", [1.0, 1.0 - 2.0**-26, 2.0**-20, 3e38, 0.0])
def test_rounding_at_the_edge(largest: float) -> None:
    """A sum at a power of two, just below one, huge or zero is rounded to trees that are valid."""
    raw = make_trees(np.full((2, 2), largest), columns=np.array([0, 0, 1], np.int32), base=(0, 0))
    raw = replace(
        raw, values=raw.values * np.float32([[1], [1], [1], [1 / 3], [1 / 3], [1 / 3], [1]])
    )
    trees = raw.rounded()
    assert trees.sums_exactly
    assert trees.values[1, 0] == pytest.approx(largest, rel=2.0**-23)


def test_checkpoint() -> None:
    """Arrays of a checkpoint give the same trees back, ranks and meaning included."""
    trees = make_trees(draw_leaves(5)).with_readings(np.array([[1], [0], [2]], np.float32))
    again = Trees.from_arrays(trees.to_arrays())
    for name, values in trees.to_arrays().items():
        np.testing.assert_array_equal(again.to_arrays()[name], values)
    assert again.meaning == "number"


@pytest.mark.parametrize("name", ["feature", "base", "meaning"])
def test_checkpoint_without_an_array(name: str) -> None:
    """A checkpoint that lacks an array is refused."""
    arrays = make_trees(draw_leaves(2)).to_arrays()
    del arrays[name]
    with pytest.raises(DataError, match=f"every array, however: KeyError.*{name}"):
        Trees.from_arrays(arrays)


def damage(name: str, position: int, value: float) -> dict[str, Column]:
    """Two stumps and a leaf alone with one entry changed."""
    arrays = make_trees(np.array([[1.0, 2.0], [3.0, 4.0]])).to_arrays()
    arrays[name] = arrays[name].copy()
    arrays[name][position] = value
    return arrays


@pytest.mark.parametrize(
    ("name", "position", "value", "rule"),
    [
        ("left", 0, 0, "children stand behind their parent"),
        ("right", 0, 4, "children stand behind their parent"),
        ("right", 0, 1, "every node but a root has one parent"),
        ("right", 3, 10**6, "children stand behind their parent"),
        ("feature", 0, -2, "children stand behind their parent"),
        ("feature", 1, 0, "children stand behind their parent"),
        ("feature", 0, LEAF, "every node but a root has one parent"),
        ("roots", 0, 1, "trees stand behind each other"),
        ("roots", 2, 3, "trees stand behind each other"),
        ("columns", 1, 1, "outputs that there are"),
        ("columns", 1, -1, "outputs that there are"),
        ("values", 1, np.nan, "numbers are finite"),
        ("base", 0, np.inf, "numbers are finite"),
        ("threshold", 0, np.nan, "thresholds are no NaN"),
        ("meaning", 0, 3, "every array"),
    ],
)
def test_damaged_checkpoint(name: str, position: int, value: float, rule: str) -> None:
    """Nodes that form no trees, and numbers that a file could not hold, are refused."""
    with pytest.raises(DataError, match=rule):
        Trees.from_arrays(damage(name, position, value))


def test_wrong_shapes_and_types() -> None:
    """Arrays of another length or type are refused."""
    trees = make_trees(draw_leaves(2))
    with pytest.raises(DataError, match="one entry in each array"):
        replace(trees, threshold=trees.threshold[1:])
    with pytest.raises(DataError, match="threshold is float64"):
        replace(trees, threshold=trees.threshold.astype(np.float32))


def test_counts() -> None:
    """A record says how many trees and nodes it has, and how many features it reads."""
    trees = make_trees(draw_leaves(4), feature=np.array([2, -1, -1] * 4 + [-1], np.int32))
    assert (trees.n_trees, trees.n_nodes, trees.n_outputs, trees.d_features) == (5, 13, 1, 3)


def test_scaled() -> None:
    """Scaled trees answer so many times as much, and the offset more."""
    trees = make_trees(np.array([[1.0, 2.0]])).scaled(0.5, offset=3.0)
    assert trees.values[:, 0].tolist() == [0, 0.5, 1, 0.125]
    assert trees.base.tolist() == [3.25]


def test_mean_and_sum() -> None:
    """The mean of sums holds all their trees, each counted by its share."""
    parts = [make_trees(np.array([[a, 2.0 * a]]), base=(a,)) for a in (1.0, 2.0, 6.0)]
    mean = mean_of(parts)
    assert (mean.n_trees, mean.n_nodes) == (6, 12)
    assert mean.base.tolist() == [3.0]
    np.testing.assert_allclose(mean.values[[1, 5, 9], 0], [1 / 3, 2 / 3, 2], atol=1e-6)
    assert sum_of(parts).values[[2, 6, 10], 0].tolist() == [2, 4, 12]
    assert mean.left[[0, 4, 8]].tolist() == [1, 5, 9]


def test_exact_sums_stay_exact() -> None:
    """What is made of trees that sum exactly does too, and of others keeps its leaves."""
    raw = make_trees(draw_leaves(50))
    exact = raw.rounded()
    assert exact.scaled(1 / 3).sums_exactly
    assert mean_of([exact, exact.scaled(0.7)]).sums_exactly
    assert not sum_of([exact, raw]).sums_exactly
    np.testing.assert_array_equal(raw.scaled(0.5).values, raw.values / 2)


def test_too_large() -> None:
    """Trees whose answer would not fit float32 are refused."""
    with pytest.raises(DataError, match="numbers are finite"):
        make_trees(draw_leaves(2)).scaled(1e39)


def test_sums_of_different_kinds() -> None:
    """Trees that answer different things are not added, and neither are none."""
    one = make_trees(draw_leaves(2))
    for other in (replace(one, meaning="logits"), one.with_readings(np.ones((1, 1), np.float32))):
        with pytest.raises(DataError, match="2 sums of 2 kinds"):
            sum_of([one, other])
    with pytest.raises(DataError, match="0 sums"):
        mean_of([])
