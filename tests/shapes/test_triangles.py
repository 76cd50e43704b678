"""Faces become triangles that cover them, and normals point away from closed shapes."""

import numpy as np
import pytest

from otreg.errors import InputError
from otreg.shapes import CellBlock, Shape, triangles_of, vertex_normals

CUBE = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=np.float64)
SIDES = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])


def test_polygons_become_fans_in_file_order() -> None:
    polygons = CellBlock("polygon", np.array([0, 1, 2, 3, 4, 7, 6, 3, 2, 1, 5]), np.array([0, 5, 7, 10, 11]))
    shape = Shape(CUBE, (CellBlock("line", np.array([[0, 1]])), polygons, CellBlock("quad", SIDES[:1])))
    assert triangles_of(shape).tolist() == [[0, 1, 2], [0, 2, 3], [0, 3, 4], [3, 2, 1], [0, 1, 3], [0, 3, 2]]
    assert triangles_of(Shape(CUBE)).shape == (0, 3)


@pytest.mark.parametrize("scale", [1e-90, 1.0, 1e90])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_normals_of_a_cube_point_outwards_at_any_scale(scale: float, offset: float) -> None:
    flat = CellBlock("polygon", SIDES.reshape(-1), np.arange(7) * 4)
    normals = vertex_normals(Shape((CUBE + offset) * scale, (flat,)))
    assert np.abs(np.linalg.norm(normals, axis=1) - 1).max() < 1e-12
    assert ((normals > 0) == (CUBE > 0.5)).all()


def test_points_without_faces_have_no_normal_and_clouds_are_refused() -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5]], dtype=np.float64)
    normals = vertex_normals(Shape(points, (CellBlock("triangle", np.array([[0, 1, 2]])),)))
    assert normals.tolist() == [[0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 0]]
    with pytest.raises(InputError, match="normals need faces"):
        vertex_normals(Shape(points))
