"""A mesh whose vertices cannot stand for its surface is named, with what to do, and what is advised helps."""

import numpy as np
import pytest

from otreg.config import RegisterConfig
from otreg.io import read_shape, write_shape
from otreg.jobs import Outputs, register_files
from otreg.jobs.coarseness import cell_spread, coarse_mesh
from otreg.shapes import CellBlock, Shape

# A wedge whose corners are all different: six vertices and eight large triangles.
CORNERS = np.array([[0, 0, 0], [4, 0, 0], [0.5, 2, 0], [0, 0, 1], [3, 0.3, 1.4], [0.2, 1, 0.8]], dtype=float)
FACES = np.array([[0, 2, 1], [3, 4, 5], [0, 1, 4], [0, 4, 3], [1, 2, 5], [1, 5, 4], [2, 0, 3], [2, 3, 5]])
WEDGE = Shape(CORNERS, (CellBlock("triangle", FACES),))
DIAGONAL = float(np.linalg.norm(np.ptp(CORNERS, axis=0)))


def surface(count):
    """Points drawn evenly from the surface of the wedge."""
    rng = np.random.default_rng(0)
    a, b, c = (CORNERS[FACES[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    face = rng.choice(len(FACES), count, p=area / area.sum())
    share = rng.dirichlet([1, 1, 1], count)
    return Shape(share[:, :1] * a[face] + share[:, 1:2] * b[face] + share[:, 2:] * c[face])


def test_the_corners_of_a_triangle_are_a_circumradius_from_its_middle():
    angles = 2 * np.pi * np.arange(3) / 3
    one = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert cell_spread(Shape(7 * one + 1e3, (CellBlock("triangle", np.array([[0, 1, 2]])),))) == pytest.approx(7)
    # Nine tenths of the area are in the larger one: the mean is over the surface, not over the faces.
    both = Shape(np.concatenate([3 * one, one]), (CellBlock("triangle", np.arange(6).reshape(2, 3)),))
    assert cell_spread(both) == pytest.approx((0.9 * 9 + 0.1) ** 0.5)
    assert cell_spread(Shape(one)) == 0


@pytest.mark.parametrize("unit", [1e-200, 1.0, 1e200])
def test_the_mesh_with_large_faces_is_named_beside_a_dense_shape_in_any_unit(unit):
    mesh, cloud = (Shape(unit * shape.points, shape.cells) for shape in (WEDGE, surface(500)))
    config, diagonal = RegisterConfig(), unit * DIAGONAL
    assert "faces of the source" in coarse_mesh(mesh, cloud, config, diagonal=diagonal)[0]
    assert "faces of the target" in coarse_mesh(cloud, mesh, config, diagonal=diagonal)[0]


def test_nothing_is_said_of_the_same_vertices_of_a_large_blur_or_of_samples():
    cloud = surface(500)
    assert coarse_mesh(WEDGE, WEDGE, RegisterConfig(), diagonal=DIAGONAL) == []
    assert coarse_mesh(WEDGE, cloud, RegisterConfig(blur="40%"), diagonal=DIAGONAL) == []
    assert coarse_mesh(WEDGE, cloud, RegisterConfig(sampling=500), diagonal=DIAGONAL) == []
    assert coarse_mesh(cloud, surface(2000), RegisterConfig(), diagonal=DIAGONAL) == []


def test_what_is_advised_for_a_coarse_mesh_finds_the_pose_and_no_warning_is_left(tmp_path):
    source, target = tmp_path / "mesh.ply", tmp_path / "cloud.ply"
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    write_shape(Shape(CORNERS @ turn.T + 5, WEDGE.cells), source)
    write_shape(surface(4000), target)

    def run(**settings):
        out = tmp_path / f"{len(settings)}.ply"
        report = register_files(source, target, RegisterConfig(**settings), Outputs(shape=out))
        error = np.linalg.norm(read_shape(out).points - CORNERS, axis=1).mean() / DIAGONAL
        return error, any("--sampling" in warning for warning in report.warnings)

    (coarse, warned), (fine, silent) = run(), run(sampling=4000)
    assert warned and not silent
    assert fine < 0.003 < coarse
