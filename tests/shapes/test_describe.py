"""Descriptions count what is there, against shapes counted by hand."""

import json
import math

import numpy as np
import pytest

from otreg.shapes import CellBlock, Shape, describe

from .test_triangles import CUBE, SIDES


def test_a_closed_cube_has_area_six_and_no_defects() -> None:
    for block in (CellBlock("quad", SIDES), CellBlock("polygon", SIDES.reshape(-1), np.arange(7) * 4)):
        found = describe(Shape(CUBE * 2, (block,), {"rgb": np.zeros((8, 3), np.uint8)}, {"id": np.array(["a"] * 6)}))
        assert found["area"] == pytest.approx(24) and found["diagonal"] == pytest.approx(math.sqrt(12))
        assert (found["boundary_edges"], found["non_manifold_edges"], found["zero_area_faces"]) == (0, 0, 0)
        assert found["cells"] == {block.kind: 6} and found["unreferenced_points"] == 0
        assert found["point_attributes"] == {"rgb": "uint8 x 3"} and found["cell_attributes"] == {"id": "text"}
        assert found["lower"] == [0, 0, 0] and found["upper"] == [2, 2, 2] and found["dimension"] == 3
        json.dumps(found, allow_nan=False)


def test_defects_are_counted() -> None:
    # Three triangles on one edge, one of them without area; point 5 belongs to none.
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [2, 0, 0], [9, 9, 9]], dtype=np.float64)
    found = describe(Shape(points, (CellBlock("triangle", np.array([[0, 1, 2], [0, 1, 3], [0, 1, 4]])),)))
    assert (found["non_manifold_edges"], found["boundary_edges"]) == (1, 6)
    assert (found["zero_area_faces"], found["unreferenced_points"]) == (1, 1)
    assert found["area"] == pytest.approx(1.0)


def test_lengths_volumes_and_clouds() -> None:
    found = describe(Shape(CUBE[:, :2], (CellBlock("line", np.array([[0, 2], [0, 4]])),)))
    assert found["length"] == pytest.approx(2) and found["area"] == 0
    tetra = describe(Shape(CUBE, (CellBlock("tetra", np.array([[0, 1, 2, 4]])),)))
    assert tetra["volume"] == pytest.approx(1 / 6) and tetra["boundary_edges"] == 0
    cloud = describe(Shape(CUBE))
    assert cloud["cells"] == {} and cloud["unreferenced_points"] == 0


@pytest.mark.parametrize("scale", [0.0, 1e-99, 1e99])
def test_extreme_scales_give_finite_numbers(scale: float) -> None:
    json.dumps(describe(Shape(CUBE * scale, (CellBlock("quad", SIDES),))), allow_nan=False)
