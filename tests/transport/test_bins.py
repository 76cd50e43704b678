"""Cubes in feature space: numbers that sort points by cube and code, on grids that get coarser."""

from __future__ import annotations

import numpy as np
import pytest

from otreg.transport.bins import Bins


def features_of(n: int, *, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (n, width))


@pytest.mark.parametrize("width", [1, 3, 9])
@pytest.mark.parametrize("halvings", [0, 1, 4])
def test_points_share_a_number_where_they_share_cube_and_code(width, halvings):
    features, codes = features_of(2000, width=width, seed=1), np.arange(2000) % 7
    numbers = Bins.of(features, 0.3).joined(codes, halvings=halvings)
    cubes = np.floor((features - features.min(0)) / 0.3).astype(int) >> halvings
    pairs = [(*cube, code) for cube, code in zip(cubes.tolist(), codes.tolist(), strict=True)]
    assert len(set(zip(pairs, numbers.tolist(), strict=True))) == len(set(pairs)) == len(set(numbers.tolist()))


@pytest.mark.parametrize("largest", [10, 2**40, 2**60 - 1])
def test_numbers_ascend_with_the_cube_and_then_with_the_code(largest):
    rng = np.random.default_rng(2)
    codes = rng.integers(0, largest, 50, endpoint=True)[rng.integers(0, 50, 3000)]
    features = features_of(3000, width=2, seed=3)
    numbers = Bins.of(features, 0.05).joined(codes, halvings=0)
    assert numbers.min() >= 0
    corners = np.floor((features - features.min(0)) / 0.05)
    expected = np.lexsort((codes, corners[:, 1], corners[:, 0]))
    assert np.array_equal(np.argsort(numbers, kind="stable"), expected)


def test_some_of_the_points_stay_in_their_cubes():
    features, codes = features_of(500, width=3, seed=4), np.zeros(500, dtype=np.int64)
    bins, some = Bins.of(features, 0.2), np.arange(499, 0, -3)
    assert np.array_equal(bins.take(some).joined(codes[some], halvings=1), bins.joined(codes, halvings=1)[some])
