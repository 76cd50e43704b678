"""The nearest point of a shape is found exactly: on triangles, segments and points, in the plane and in space."""

import numpy as np
import pytest
from scipy.optimize import minimize

from otreg.quality import NearestPoint, Pieces, pieces_of, samples_of
from otreg.shapes import CellBlock, Shape


def pieces(points, corners):
    return Pieces(points, corners, np.ones(len(corners)))


def by_hand(point, corners):
    """Distance to one simplex by minimising over its barycentric coordinates."""
    k = len(corners)
    answer = minimize(
        lambda share: np.sum((share @ corners - point) ** 2),
        np.full(k, 1 / k),
        jac=lambda share: 2 * corners @ (share @ corners - point),
        bounds=[(0, 1)] * k,
        constraints={"type": "eq", "fun": lambda share: share.sum() - 1, "jac": lambda share: np.ones(k)},
        tol=1e-14,
    )
    return np.sqrt(answer.fun)


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_one_simplex_is_as_far_as_a_minimiser_says(k, d):
    random = np.random.default_rng(10 * k + d)
    for _ in range(10):
        corners, point = random.standard_normal((k, d)), 2 * random.standard_normal(d)
        found = NearestPoint(pieces(corners, np.arange(k)[None]))(point[None])[0]
        assert found == pytest.approx(by_hand(point, corners), abs=1e-6)


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("m", [1, 7, 8, 9, 500])
def test_the_tree_finds_the_nearest_of_all(k, m):
    random = np.random.default_rng(m + k)
    points = random.standard_normal((k * m, 3))
    corners = random.permutation(k * m).reshape(m, k)
    asked = np.concatenate([2 * random.standard_normal((40, 3)), points[:3]])
    alone = np.stack([NearestPoint(pieces(points, corners[i : i + 1]))(asked) for i in range(m)])
    assert np.abs(NearestPoint(pieces(points, corners))(asked) - alone.min(axis=0)).max() < 1e-12


def test_the_middle_of_a_face_is_nearer_than_its_corners():
    square = np.array([[0.0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]])
    shape = Shape(points=square, cells=(CellBlock("quad", np.array([[0, 1, 2, 3]])),))
    assert NearestPoint(pieces_of(shape))(np.array([[1.0, 1, 0.25]])) == pytest.approx(0.25, abs=1e-15)


def test_far_origins_and_tiny_units_keep_their_digits():
    random = np.random.default_rng(3)
    points = random.random((300, 3))
    corners = random.integers(0, 300, (200, 3))
    asked = random.random((50, 3))
    truth = NearestPoint(pieces(points, corners))(asked)
    for scale, shift in ((1e-160, 0.0), (1e150, 0.0), (1.0, 5e6)):
        found = NearestPoint(pieces(points * scale + shift, corners))(asked * scale + shift)
        # A coordinate of 5e6 is known to 1e-9.
        assert np.abs(found / scale - truth).max() < 1e-8


def test_slivers_and_collapsed_triangles_have_no_holes():
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0.5, 1e-12, 0], [0, 0, 0]])
    asked = np.array([[0.5, 0.3, 0.4], [-3.0, 4, 0]])
    for corners in ([0, 1, 2], [0, 1, 1], [0, 1, 3]):
        found = NearestPoint(pieces(points, np.array([corners])))(asked)
        assert found == pytest.approx([0.5, 5.0], abs=1e-9)


def test_a_volume_is_measured_by_its_boundary():
    corner = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])
    shape = Shape(points=corner, cells=(CellBlock("tetra", np.array([[0, 1, 2, 3], [4, 1, 2, 3]])),))
    found = pieces_of(shape)
    # Two tetrahedra with a face in common have six others.
    assert (found.kind, len(found.corners)) == ("surface", 6)
    assert not {(1, 2, 3)} & {tuple(sorted(face)) for face in found.corners.tolist()}
    inside = np.array([[0.1, 0.1, 0.1]])
    assert NearestPoint(found)(inside) == pytest.approx(0.1, abs=1e-12)


def test_samples_lie_on_the_shape_and_are_spread_by_area():
    # A large and a small triangle, nine to one.
    points = np.array([[0.0, 0, 0], [3, 0, 0], [0, 3, 0], [5, 0, 0], [6, 0, 0], [5, 1, 0]])
    shape = Shape(points=points, cells=(CellBlock("triangle", np.array([[0, 1, 2], [3, 4, 5]])),))
    drawn = samples_of(pieces_of(shape), 1000)
    assert drawn.shape == (1000, 3)
    assert NearestPoint(pieces_of(shape))(drawn).max() < 1e-12
    assert abs((drawn[:, 0] < 4).sum() - 900) <= 1
    # Uniform on a triangle: the mean of the samples is its centroid, within four standard errors.
    assert np.abs(drawn[drawn[:, 0] < 4].mean(axis=0) - [1, 1, 0]).max() < 4 * np.sqrt(0.5 / 900)


def test_clouds_give_all_their_points_and_large_ones_a_sample_of_them():
    cloud = pieces_of(Shape(points=np.random.default_rng(0).random((50, 2))))
    assert cloud.kind == "points"
    assert (samples_of(cloud, 50) == cloud.points).all()
    some = samples_of(cloud, 20)
    assert len(np.unique(some, axis=0)) == 20
    assert NearestPoint(cloud)(some).max() == 0
