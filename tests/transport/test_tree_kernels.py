"""The tree over points: every box holds what it should, and nothing nearer is missed, in any dimension."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otreg.transport.tree_kernels import LEAF, leaves_for, nearest_points, point_boxes, tree_order


def found(asked, points, count):
    leaves = leaves_for(len(points))
    order = tree_order(points, leaves)
    sorted_points = points[order]
    return nearest_points(asked, sorted_points, order, point_boxes(sorted_points, leaves), count)


def by_hand(asked, points, count):
    """All squared distances, sorted; the sort is stable, so the smallest numbers come first among equals."""
    return np.argsort(np.square(asked[:, None] - points[None]).sum(axis=2), axis=1, kind="stable")[:, :count]


@pytest.mark.parametrize("n", [1, LEAF, LEAF + 1, 100, 1000])
def test_each_half_of_a_box_lies_on_its_side(n):
    points = np.random.default_rng(n).normal(size=(n, 3)) * [1.0, 4.0, 0.1]
    leaves = leaves_for(n)
    order = tree_order(points, leaves)
    assert np.array_equal(np.sort(order), np.arange(n))
    box = point_boxes(points[order], leaves)
    sizes = np.diff(np.arange(leaves + 1) * n // leaves)
    assert sizes.max() <= LEAF and sizes.min() >= 1
    for i in range(1, leaves):
        axis = np.argmax(box[i, 3:] - box[i, :3])
        assert box[2 * i, 3 + axis] <= box[2 * i + 1, axis]
    assert np.array_equal(box[1], np.concatenate([points.min(axis=0), points.max(axis=0)]))


@settings(max_examples=40)
@given(
    n=st.integers(1, 300),
    dimension=st.integers(1, 5),
    grid=st.integers(1, 50),
    seed=st.integers(0, 10**6),
    count=st.integers(1, 12),
)
def test_the_nearest_are_those_of_all_pairs_ties_included(n, dimension, grid, seed, count):
    random = np.random.default_rng(seed)
    # Points of a coarse grid are equally far, and several at one place.
    points = random.integers(0, grid, (n, dimension)).astype(float)
    asked = np.concatenate([points[:5], random.integers(-grid, 2 * grid, (20, dimension)) / 2])
    count = min(count, n)
    assert np.array_equal(found(asked, points, count), by_hand(asked, points, count))


@pytest.mark.parametrize("name", ["sorted", "organ pipe", "equal"])
def test_orders_that_are_bad_for_sorting_are_no_problem(name):
    n = 20_000
    x = {"sorted": np.arange(n), "organ pipe": np.minimum(np.arange(n), n - np.arange(n)), "equal": np.zeros(n)}[name]
    points = np.stack([x.astype(float), np.zeros(n)], axis=1)
    assert np.array_equal(found(points[::999], points, 2), by_hand(points[::999], points, 2))
