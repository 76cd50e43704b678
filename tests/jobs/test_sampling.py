"""What stands for a shape: faces of a mesh whose vertices cannot, which finds the pose; else a warning says so."""

import numpy as np
import pytest

from otreg.config import RegisterConfig
from otreg.io import read_shape, write_shape
from otreg.jobs import Outputs, register_files
from otreg.jobs.sampling import cell_spread, coarse_mesh, edge_bound, samplings_for
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


VERTICES = ("vertices", "vertices")
FINE_CLOUD = surface(500)


def chosen(source, target, *, diagonal=DIAGONAL, **settings):
    return samplings_for(source, target, RegisterConfig(**settings), diagonal=diagonal)


@pytest.mark.parametrize("unit", [1e-150, 1.0, 1e150])
def test_the_faces_of_a_mesh_stand_for_it_beside_another_shape_where_they_are_large_in_any_unit(unit):
    mesh, cloud = (Shape(unit * shape.points, shape.cells) for shape in (WEDGE, FINE_CLOUD))
    diagonal = unit * DIAGONAL
    assert chosen(mesh, cloud, diagonal=diagonal) == ("faces", "vertices")
    assert chosen(cloud, mesh, diagonal=diagonal) == ("vertices", "faces")
    # A source in millimetres beside a target in metres: its faces are compared with its own size.
    assert chosen(Shape(1e3 * mesh.points, mesh.cells), cloud, diagonal=diagonal) == ("faces", "vertices")


def test_vertices_that_have_partners_keep_them():
    bent = WEDGE.with_points(CORNERS + 0.1 * CORNERS[:, ::-1] ** 2)
    assert chosen(WEDGE, bent) == VERTICES
    # Others of the same number, and the same vertices in another order, need not have any.
    order = np.array([3, 1, 4, 0, 5, 2])
    shuffled = Shape(CORNERS[order], (CellBlock("triangle", np.argsort(order)[FACES]),))
    assert chosen(WEDGE, shuffled) == ("faces", "faces")
    assert chosen(WEDGE, Shape(CORNERS, (CellBlock("triangle", FACES[:-1]),))) == ("faces", "faces")


def test_faces_are_large_when_the_typical_one_has_edges_longer_than_two_blurs():
    one = np.array([[0, 0], [1, 0], [0.5, 0.75**0.5], [5, 5], [6, 5], [5.5, 5 + 0.75**0.5]])
    two = Shape(one, (CellBlock("triangle", np.arange(6).reshape(2, 3)),))
    cloud = Shape(one[::2])
    diagonal = float(np.linalg.norm(np.ptp(one, axis=0)))
    assert chosen(two, cloud, diagonal=diagonal, blur="0.49") == ("faces", "vertices")
    assert chosen(two, cloud, diagonal=diagonal, blur="0.51") == VERTICES
    assert chosen(surface(2000), FINE_CLOUD) == VERTICES
    # A target's bound is in its own diagonals; so is that of a source in larger units.
    config = RegisterConfig(blur="1%")
    assert edge_bound(two, config, diagonal=diagonal) == pytest.approx(0.02 * diagonal)
    assert edge_bound(two, config, diagonal=10 * diagonal) == pytest.approx(0.2 * diagonal)
    assert edge_bound(two, config, diagonal=diagonal / 10) == pytest.approx(0.02 * diagonal)


def test_what_the_settings_say_is_done():
    for sampling in ("vertices", "faces", 300):
        assert chosen(WEDGE, FINE_CLOUD, sampling=sampling) == (sampling, sampling)
    assert chosen(WEDGE, FINE_CLOUD, weights="area") == VERTICES


def test_large_faces_whose_vertices_were_compared_are_named_beside_a_dense_shape():
    def said(source, target, samplings=VERTICES, blur=0.01):
        return " ".join(coarse_mesh(source, target, samplings, blur=blur, diagonal=DIAGONAL))

    assert "faces of the source" in said(WEDGE, FINE_CLOUD)
    assert "faces of the target" in said(FINE_CLOUD, WEDGE)
    assert said(WEDGE, FINE_CLOUD, ("faces", "vertices")) == said(WEDGE, FINE_CLOUD, blur=0.4) == ""
    assert said(WEDGE, WEDGE) == said(FINE_CLOUD, surface(2000)) == ""


def test_a_mesh_of_eight_faces_finds_the_pose_of_its_scan(tmp_path):
    source, target = tmp_path / "mesh.ply", tmp_path / "cloud.ply"
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    write_shape(Shape(CORNERS @ turn.T + 5, WEDGE.cells), source)
    write_shape(surface(4000), target)

    def run(**settings):
        out = tmp_path / f"{len(settings)}.ply"
        report = register_files(source, target, RegisterConfig(**settings), Outputs(shape=out))
        error = np.linalg.norm(read_shape(out).points - CORNERS, axis=1).mean() / DIAGONAL
        return error, any("--sampling" in warning for warning in report.warnings), report.record["sampling"]

    error, warned, stood = run()
    assert error < 0.003 and not warned and stood == {"source": "faces", "target": "vertices"}
    error, warned, stood = run(sampling="vertices")
    assert error > 0.003 and warned and stood == {"source": "vertices", "target": "vertices"}
