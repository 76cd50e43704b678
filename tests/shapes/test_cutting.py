"""Pieces fill the cells that they were cut from, and none is longer than was asked for."""

import numpy as np
import pytest

from otreg.shapes.cutting import longest_edges, pieces_of
from otreg.shapes.sizes import simplex_sizes


def simplices(kind, dimension=3):
    """Random ones, some of them thin."""
    corners = np.random.default_rng(0).normal(size=(7, kind, dimension))
    corners[0, :, 1:] *= 0.01
    return corners


def moments(middles, sizes):
    """Size, mean and second moments of points with weights."""
    return sizes.sum(), sizes @ middles, middles.T @ (sizes[:, None] * middles)


@pytest.mark.parametrize(("kind", "dimension"), [(2, 2), (2, 3), (3, 2), (3, 3), (4, 3)])
def test_pieces_have_the_moments_of_their_simplices(kind, dimension):
    corners = simplices(kind, dimension)
    size, mean, second = moments(*pieces_of(corners, longest=0.1, dimension=dimension, most=10**6))
    sizes, middles = simplex_sizes(corners), corners.mean(axis=1)
    assert size == pytest.approx(sizes.sum())
    assert mean == pytest.approx(sizes @ middles)
    # The second moments of a simplex (k corners x_i, mean m, size s): s (k k m m^T + sum x_i x_i^T) / (k (k + 1)).
    of_corners = np.einsum("m,mki,mkj->ij", sizes, corners, corners)
    exact = (kind**2 * middles.T @ (sizes[:, None] * middles) + of_corners) / (kind * (kind + 1))
    # A piece of extent 0.1 loses less than 0.1^2 / 4 of each.
    assert np.abs(second - exact).max() < 0.1**2 / 4 * size


@pytest.mark.parametrize("kind", [2, 3, 4])
def test_no_place_is_far_from_the_middle_of_a_piece(kind):
    corners = simplices(kind)
    middles, _ = pieces_of(corners, longest=0.4, dimension=3, most=10**6)
    share = np.random.default_rng(1).dirichlet(np.ones(kind), size=(len(corners), 300))
    places = np.einsum("msk,mkd->msd", share, corners).reshape(-1, 3)
    assert np.linalg.norm(places[:, None] - middles, axis=2).min(axis=1).max() < 0.4


def test_small_simplices_keep_their_middle_and_what_lies_beside_places_follows_linearly():
    corners = simplices(3)
    middles, sizes = pieces_of(corners, longest=100.0, dimension=3, most=10)
    assert middles == pytest.approx(corners.mean(axis=1))
    assert sizes == pytest.approx(simplex_sizes(corners))
    slope = np.array([2.0, -1, 0.5])
    with_value = np.concatenate([corners, corners @ slope[:, None] + 3], axis=2)
    middles, _ = pieces_of(with_value, longest=0.2, dimension=3, most=10**6)
    assert middles[:, 3] == pytest.approx(middles[:, :3] @ slope + 3)


@pytest.mark.parametrize("apex", [0, 50, 99])
def test_thin_triangles_are_cut_across_their_length(apex):
    thin = np.array([[[0, 0, 0], [100, 0, 0], [apex, 1e-3, 0]]])
    middles, _ = pieces_of(thin, longest=1.0, dimension=3, most=10**6)
    assert 100 <= len(middles) < 250
    assert np.diff(np.sort(middles[:, 0])).max() < 2


def test_a_bound_on_their_number_leaves_no_simplex_much_larger_than_the_others():
    corners = simplices(4) * np.array([1, 1, 1, 1, 1, 1, 50.0])[:, None, None]
    middles, sizes = pieces_of(corners, longest=1e-3, dimension=3, most=2000)
    assert 2000 < len(middles) < 30_000
    assert sizes.max() < 5e-3 * sizes.sum()
    assert longest_edges(corners).max() > 50


def test_a_bound_on_their_number_holds_for_strips_too():
    needles = np.zeros((300, 3, 3))
    needles[:, :, 1] = np.arange(300)[:, None]
    needles[:, 1, 0] = 100
    needles[:, 2, 1] += 1e-3
    middles, sizes = pieces_of(needles, longest=1.0, dimension=3, most=2000)
    assert 1000 < len(middles) <= 2000
    assert sizes.sum() == pytest.approx(300 * 100 * 1e-3 / 2)
    middles, _ = pieces_of(needles, longest=1.0, dimension=3, most=100)
    assert len(middles) == 300
