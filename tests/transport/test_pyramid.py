"""The curve keeps neighbours together, and every level of cells conserves mass and centroids."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from otreg.measures import Measure
from otreg.transport import pyramid_kernels as kernels
from otreg.transport.pyramid import Pyramid, build_pyramid, single_level
from otreg.transport.pyramid_torch import build_pyramid_on_device
from tests.transport.generators import cloud, measure, moved, sphere

BITS = 4


def full_grid() -> np.ndarray:
    axis = np.arange(2.0**BITS)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


def codes_of(points: np.ndarray) -> np.ndarray:
    return kernels.hilbert_codes(points + 0.5, np.zeros(3), 1.0, BITS)


def test_the_curve_visits_every_cell_once_and_steps_to_a_neighbour():
    cells = full_grid()
    codes = codes_of(cells)
    assert np.array_equal(np.sort(codes), np.arange(8**BITS))
    steps = np.abs(np.diff(cells[np.argsort(codes)], axis=0)).sum(1)
    assert (steps == 1).all()


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_dropping_three_bits_gives_the_cell_twice_as_large(levels):
    cells = full_grid()
    parents = codes_of(cells) >> (3 * levels)
    coarse = (cells // 2**levels).astype(int)
    # One code per coarse cell and one coarse cell per code.
    pairs = {(int(code), tuple(cell)) for code, cell in zip(parents, coarse.tolist(), strict=True)}
    assert len(pairs) == 8 ** (BITS - levels) == len({code for code, _ in pairs})


def test_points_outside_the_grid_fall_into_its_border():
    inside = codes_of(np.array([[0.0, 0, 0], [15, 15, 15]]))
    assert np.array_equal(codes_of(np.array([[-7.0, 0, 0], [15, 15, 99]])), inside)


def test_cells_start_where_the_code_changes():
    codes = np.array([0, 1, 7, 8, 8, 64, 71])
    assert kernels.cells_of_codes(codes, 3).tolist() == [0, 3, 5, 7]
    assert kernels.cells_of_codes(codes, 0).tolist() == [0, 1, 2, 3, 5, 6, 7]


def levels_of(m: Measure, cell: float = 0.02) -> Pyramid:
    pyramid = build_pyramid(m, cell)
    assert len(pyramid.levels) >= 3, "the tests below would say little"
    return pyramid


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_every_level_conserves_mass_and_centre(dimension):
    m = cloud(3000, dimension, 1)
    centre = torch.nn.functional.pad(m.mean, (0, 3 - dimension))
    for level in levels_of(m, 0.02 if dimension > 1 else 1e-3).levels:
        assert float(level.weights.sum()) == pytest.approx(1, rel=1e-12)
        assert (level.weights @ level.points - centre).abs().max() <= 1e-14


def test_every_cell_is_the_centroid_of_its_members_and_no_larger_than_it_says():
    pyramid = levels_of(sphere(5000, 2))
    for fine, coarse in zip(pyramid.levels, pyramid.levels[1:], strict=False):
        assert coarse.parents is not None
        assert torch.equal(coarse.parents, coarse.parents.sort().values)
        mass = torch.zeros(len(coarse), dtype=torch.float64).index_add(0, coarse.parents, fine.weights)
        moment = torch.zeros(len(coarse), 3, dtype=torch.float64)
        moment.index_add_(0, coarse.parents, fine.weights[:, None] * fine.points)
        assert (mass - coarse.weights).abs().max() <= 1e-15
        assert (moment / mass[:, None] - coarse.points).abs().max() <= 1e-13
        assert (fine.points - coarse.points[coarse.parents]).abs().max() <= coarse.cell
        assert fine.cell < coarse.cell


def test_the_first_level_holds_the_points_in_an_order_that_can_be_undone():
    m = sphere(3000, 3)
    pyramid = levels_of(m)
    assert torch.equal(pyramid.levels[0].points, m.points[pyramid.order])
    assert torch.equal(pyramid.to_measure_order(pyramid.levels[0].points), m.points)
    assert torch.equal(pyramid.from_measure_order(m.weights), pyramid.levels[0].weights)
    # Neighbours in memory are neighbours in space: the path through all points is short.
    path = pyramid.levels[0].points.diff(dim=0).norm(dim=1).mean()
    assert path < 0.2 * m.points.diff(dim=0).norm(dim=1).mean()


def test_a_moved_measure_has_the_same_cells():
    m = sphere(3000, 4)
    step = torch.tensor([0.25, -8.0, 512.0], dtype=torch.float64)
    near, far = levels_of(m), build_pyramid(moved(m, step), 0.02)
    assert len(near.levels) == len(far.levels)
    # Rounding at the border of a cell may move a few points to the next one.
    assert (near.order != far.order).float().mean() <= 0.01
    for one, other in zip(near.levels[1:], far.levels[1:], strict=True):
        assert one.cell == pytest.approx(other.cell, rel=1e-9)
        assert abs(len(one) - len(other)) <= 0.005 * len(one) + 1


def test_averages_over_cells_are_weighed_by_mass():
    m = cloud(3000, 3, 5)
    pyramid = levels_of(m)
    last = len(pyramid.levels) - 1
    assert torch.equal(pyramid.coarsen(pyramid.levels[0].points, 0), pyramid.levels[0].points)
    for level in range(last + 1):
        # The average of the coordinates over a cell is its centroid.
        coarse = pyramid.coarsen(pyramid.levels[0].points, level)
        assert (coarse - pyramid.levels[level].points).abs().max() <= 1e-12
        ones = pyramid.coarsen(torch.ones(3000, dtype=torch.float64), level)
        assert (ones - 1).abs().max() <= 1e-12


def test_the_level_is_the_coarsest_one_that_is_fine_enough():
    pyramid = levels_of(sphere(5000, 6))
    for k, level in enumerate(pyramid.levels):
        assert pyramid.level(level.cell) == k
        assert pyramid.level(1.01 * level.cell) == k
    assert pyramid.level(1e9) == len(pyramid.levels) - 1
    assert pyramid.level(1e-9) == 0


@pytest.mark.parametrize("build", [build_pyramid, build_pyramid_on_device])
@pytest.mark.parametrize("features", [0, 2])
def test_levels_are_built_when_they_are_first_asked_for_and_once(build, features):
    m = sphere(5000, 6)
    m = Measure(m.points, m.weights, torch.sin(9 * m.points[:, :features]) if features else None)
    whole = build(m, 0.02).levels
    assert len(whole) >= 4

    pyramid = build(m, 0.02)
    assert len(pyramid[0]) == 5000
    assert built(pyramid) == 1
    for largest_cell in (1e-9, whole[1].cell, 1.9 * whole[1].cell, whole[2].cell):
        level = pyramid.level(largest_cell)
        assert whole[level].cell <= largest_cell or level == 0
        assert built(pyramid) == level + 1, "nothing coarser"
    again = pyramid[2]
    assert built(pyramid) == 3
    assert len(pyramid.levels) == len(whole)
    assert pyramid[2] is again
    for one, other in zip(pyramid.levels, whole, strict=True):
        assert torch.equal(one.points, other.points)
        assert torch.equal(one.weights, other.weights)


def built(pyramid: Pyramid) -> int:
    """How many levels there are so far."""
    return len(pyramid._built[0])


def test_cells_without_mass_still_have_a_place():
    m = cloud(2000, 3, 7)
    empty = Measure(m.points, torch.where(m.points[:, 0] < 0.5, 0.0, m.weights))
    for level in levels_of(empty, 0.05).levels:
        assert level.points.isfinite().all()
        assert float(level.weights.sum()) == pytest.approx(float(empty.mass), rel=1e-12)
    assert (level.weights == 0).any()


def test_one_place_is_one_level_however_many_points():
    pyramid = build_pyramid(measure(torch.ones(500, 3)), 0.01)
    assert len(pyramid.levels[-1]) == 1
    assert pyramid.levels[-1].points.tolist() == [[1, 1, 1]]


def test_a_single_level_keeps_the_measure_in_its_order():
    m = cloud(10, 5, 8)
    pyramid = single_level(m)
    assert torch.equal(pyramid.levels[0].points, m.points)
    assert pyramid.order.tolist() == list(range(10))
    assert pyramid.level(1e9) == 0
