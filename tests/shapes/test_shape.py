"""A shape refuses what cannot be one, and moves without losing anything."""

import numpy as np
import pytest

from otreg.errors import InputError
from otreg.shapes import CellBlock, Shape


def test_the_dimension_and_the_lengths_of_attributes_are_checked() -> None:
    with pytest.raises(InputError, match="2 or 3 coordinates"):
        Shape(np.zeros((3, 4)))
    with pytest.raises(InputError, match="attribute 'a' has 2 values for 3 points"):
        Shape(np.zeros((3, 3)), point_data={"a": np.zeros(2)})


def test_moving_keeps_everything_but_points_and_named_attributes() -> None:
    cells = (CellBlock("line", np.array([[0, 1]])),)
    shape = Shape(np.zeros((2, 2)), cells, {"a": np.arange(2), "nx": np.zeros(2)}, comments=("c",), native="payload")
    moved = shape.with_points(np.ones((2, 2)), {"nx": np.ones(2)})
    assert moved.points.tolist() == [[1, 1], [1, 1]] and moved.point_data["nx"].tolist() == [1, 1]
    assert moved.cells is cells and moved.native == "payload" and moved.comments == ("c",)
    assert moved.point_data["a"].tolist() == [0, 1] and shape.points.tolist() == [[0, 0], [0, 0]]
    with pytest.raises(InputError, match=r"must have shape \(2, 2\)"):
        shape.with_points(np.zeros((3, 2)))


def test_a_polygon_block_counts_its_polygons() -> None:
    assert len(CellBlock("polygon", np.arange(7), np.array([0, 3, 7]))) == 2
    assert len(CellBlock("quad", np.zeros((5, 4), np.int64))) == 5
