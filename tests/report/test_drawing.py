"""What is drawn of a shape: all of a small one, a coarser copy of a large one that lies in the same place."""

import numpy as np
import pytest

from otreg.quality import NearestPoint, Pieces, pieces_of
from otreg.report.drawing import drawing_of
from otreg.shapes import CellBlock, Shape

from .shapes import ring, sphere


def test_small_shapes_are_drawn_whole():
    shape = sphere(10)
    drawing = drawing_of(shape, most=1000)
    assert drawing.note == ""
    assert (shape.points[drawing.chosen][drawing.corners] == shape.points[shape.cells[0].indices]).all()


@pytest.mark.parametrize("most", [300, 2000])
def test_large_surfaces_are_drawn_with_at_most_so_many_of_their_own_vertices(most):
    shape = sphere(60)
    drawing = drawing_of(shape, most=most)
    assert most / 3 < len(drawing.chosen) <= most < len(shape.points)
    assert len(np.unique(drawing.chosen)) == len(drawing.chosen)
    assert drawing.corners.max() == len(drawing.chosen) - 1
    assert drawing.note == f"drawn with {len(drawing.chosen):,} of its 7,082 points"


def test_a_coarse_drawing_covers_the_shape_without_holes():
    shape = sphere(60)
    drawing = drawing_of(shape, most=1000)
    drawn = Pieces(shape.points[drawing.chosen], drawing.corners, np.ones(len(drawing.corners)))
    # Cells are about a diagonal of 7.5 over 30 wide; a chord of the surface is a small part of that away from it.
    assert NearestPoint(drawn)(shape.points).max() < 0.1
    # A closed surface stays closed: every edge has two triangles, up to the few places where sheets were merged.
    edges = np.sort(
        np.concatenate([drawing.corners[:, [0, 1]], drawing.corners[:, [1, 2]], drawing.corners[:, [2, 0]]])
    )
    _, uses = np.unique(edges, axis=0, return_counts=True)
    assert (uses == 2).mean() > 0.97


def test_vertices_that_no_face_uses_are_not_drawn():
    points = np.concatenate([sphere(40).points, [[100.0, 0, 0]]])
    shape = Shape(points=points, cells=sphere(40).cells)
    for most in (500, 10_000):
        assert shape.points[drawing_of(shape, most=most).chosen].max() < 4


def test_curves_and_clouds_are_thinned_as_well():
    curve = drawing_of(ring(5000), most=200)
    assert curve.kind == "curve"
    assert len(curve.chosen) <= 200
    assert len(curve.corners) >= len(curve.chosen) - 1
    cloud = drawing_of(Shape(points=np.random.default_rng(0).random((4000, 3))), most=500)
    assert cloud.kind == "points"
    assert 100 < len(cloud.chosen) <= 500
    assert (cloud.corners[:, 0] == np.arange(len(cloud.chosen))).all()


def test_points_in_one_place_do_not_stop_it():
    shape = Shape(points=np.repeat([[1.0, 2.0], [1.0, 3.0]], 500, axis=0))
    assert len(drawing_of(shape, most=10).chosen) == 2


def test_a_volume_is_drawn_by_its_boundary():
    corner = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])
    shape = Shape(points=corner, cells=(CellBlock("tetra", np.array([[0, 1, 2, 3], [4, 1, 2, 3]])),))
    assert len(drawing_of(shape, most=10).corners) == 6
    assert pieces_of(shape).kind == drawing_of(shape, most=10).kind == "surface"
