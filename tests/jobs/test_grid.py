"""A grid covers its shape with a margin, at one spacing, in an order that can be reshaped."""

import numpy as np
import pytest

from otreg.errors import ArgumentError
from otreg.jobs.grid import RegularGrid

BOX = np.array([[10.0, -2.0, 0.0], [14.0, 0.0, 1.0], [11.0, -1.0, 0.5]])


def test_the_longest_side_has_as_many_points_as_asked_and_all_sides_one_spacing():
    grid = RegularGrid.around(BOX, 23, max_points=10**6)
    # Sides 4, 2, 1 padded by 0.2 on each side: 4.4, 2.4, 1.4 at a spacing of 4.4 / 22 = 0.2.
    assert grid.counts == (23, 13, 8)
    assert grid.spacing == pytest.approx(0.2)
    assert grid.origin == pytest.approx((9.8, -2.2, -0.2))


@pytest.mark.parametrize("count", [2, 3, 10, 31])
@pytest.mark.parametrize("d", [2, 3])
def test_the_grid_covers_the_shape_with_a_margin(count, d):
    points = RegularGrid.around(BOX[:, :d], count, max_points=10**6).points()
    assert (points.min(0) < BOX[:, :d].min(0)).all() and (points.max(0) > BOX[:, :d].max(0)).all()


def test_points_come_in_the_order_of_a_reshaped_array():
    grid = RegularGrid.around(BOX, 5, max_points=10**6)
    lattice = grid.points().reshape(*grid.counts, 3)
    for index in [(0, 0, 0), (3, 1, 2), tuple(count - 1 for count in grid.counts)]:
        assert lattice[index] == pytest.approx(np.array(grid.origin) + grid.spacing * np.array(index))


def test_a_flat_shape_gets_layers_on_both_sides():
    grid = RegularGrid.around(BOX * [1, 1, 0], 45, max_points=10**6)
    z = np.unique(grid.points()[:, 2])
    assert len(z) >= 2 and z.min() < 0 < z.max()


def test_a_grid_that_does_not_fit_is_refused_with_its_size():
    with pytest.raises(ArgumentError, match=r"at most 1000 points.* 23 x 13 x 8 = 2392"):
        RegularGrid.around(BOX, 23, max_points=1000)
