"""Jacobian determinants and flipped faces of maps whose folds are known."""

import numpy as np
import pytest

from otreg.models.chain import transform_of_matrix
from otreg.models.point_map import PointMap
from otreg.quality import Pieces, folding_of, pieces_of

from .test_distances import grid


class Written(PointMap):
    """A map given by two functions."""

    def __init__(self, dimension, move, derive):
        self._dimension, self._move, self._derive = dimension, move, derive
        self.provenance, self.direction, self.space = {}, "source_to_target", ""

    @property
    def dimension(self):
        return self._dimension

    def moved(self, points):
        return self._move(points), 0.0

    def jacobian(self, points):
        return self._derive(points)

    def matrix(self):
        return None

    def to_dict(self):
        return {}


def fold_in_x(d):
    """x becomes x^2 / 2, which folds space at x = 0; the rest stays."""

    def move(points):
        return np.c_[points[:, 0] ** 2 / 2, points[:, 1:]]

    def derive(points):
        jacobian = np.tile(np.eye(d), (len(points), 1, 1))
        jacobian[:, 0, 0] = points[:, 0]
        return jacobian

    return Written(d, move, derive)


def folding(point_map, source, *, most):
    return folding_of(point_map, source, moved=point_map(source.points), most=most)


def centred(shape, shift):
    return pieces_of(shape.with_points(shape.points - shift))


def test_an_affine_map_has_one_determinant_and_no_flips():
    matrix = np.diag([2.0, 3.0, 0.5, 1.0])
    found = folding(transform_of_matrix(matrix), pieces_of(grid(1.0, 4)), most=100)
    assert (found.smallest, found.largest) == (pytest.approx(3.0), pytest.approx(3.0))
    assert (found.flipped_faces, found.faces) == (0, 32)


def test_a_reflection_folds_nothing():
    found = folding(transform_of_matrix(np.diag([-1.0, 1, 1, 1])), pieces_of(grid(1.0, 4)), most=100)
    assert found.smallest == pytest.approx(-1.0)
    assert found.flipped_faces == 0


@pytest.mark.parametrize("d", [2, 3])
def test_a_fold_flips_the_faces_behind_it(d):
    shape = grid(1.0, 8)
    # A quarter of the square, x in [-0.25, 0.75], lies behind the fold at x = 0: two columns of eight.
    points = (shape.points - [0.25, 0, 0])[:, :d]
    corners = pieces_of(shape).corners
    found = folding(fold_in_x(d), Pieces(points, corners, np.ones(len(corners))), most=1000)
    behind = points[corners][:, :, 0].mean(axis=1) < 0
    assert found.flipped_faces == behind.sum() > 0
    assert found.smallest == pytest.approx(-0.25)
    assert found.largest == pytest.approx(0.75)


def test_large_shapes_are_checked_in_part_and_say_so():
    found = folding(fold_in_x(3), centred(grid(1.0, 50), [0.25, 0, 0]), most=500)
    assert found.faces <= 500 < 5000
    assert found.points <= 1000
    assert found.flipped_faces / found.faces == pytest.approx(0.25, abs=0.06)


def test_clouds_have_no_faces():
    found = folding(fold_in_x(2), Pieces(np.array([[1.0, 2], [3, 4]]), np.array([[0], [1]]), np.ones(2)), most=10)
    assert (found.smallest, found.largest) == (pytest.approx(1.0), pytest.approx(3.0))
    assert found.flipped_faces is None
