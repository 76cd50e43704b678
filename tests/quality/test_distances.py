"""Distances between shapes whose distance is known in closed form, with errors that contain the truth."""

import numpy as np
import pytest

from otreg.quality import Distances, pieces_of, surface_distances
from otreg.shapes import CellBlock, Shape


def grid(size, cells, *, height=0.0):
    """A square of the plane z = height, cut into 2 cells^2 triangles."""
    side = np.linspace(0, size, cells + 1)
    x, y = np.meshgrid(side, side, indexing="ij")
    points = np.stack([x.ravel(), y.ravel(), np.full(x.size, height)], axis=1)
    corner = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)).ravel()
    low = np.stack([corner, corner + cells + 1, corner + cells + 2], axis=1)
    high = np.stack([corner, corner + cells + 2, corner + 1], axis=1)
    return Shape(points=points, cells=(CellBlock("triangle", np.concatenate([low, high])),))


def between(a, b, samples=4000):
    return surface_distances(pieces_of(a), pieces_of(b), samples=samples)


def test_parallel_squares_are_as_far_as_their_planes_whatever_their_meshes():
    found = between(grid(1.0, 1), grid(1.0, 13, height=0.25))
    for one in (found.source_to_target, found.target_to_source):
        assert [one.mean, one.rms, one.percentile95, one.maximum] == pytest.approx([0.25] * 4, abs=1e-12)
        assert (one.measured_to, one.samples) == ("surface", 4000)
    assert found.symmetric_mean == pytest.approx(0.25)
    assert found.chamfer == pytest.approx(2 * 0.25**2)


def test_a_mesh_and_its_refinement_are_the_same_surface():
    found = between(grid(3.0, 2), grid(3.0, 17))
    assert found.symmetric_maximum < 1e-12


def test_the_mean_over_a_surface_is_its_integral_within_the_stated_error():
    # From the unit square to its lower edge, a strip without height: distance y, which is uniform on [0, 1].
    edge = Shape(points=np.array([[0.0, 0, 0], [1, 0, 0]]), cells=(CellBlock("line", np.array([[0, 1]])),))
    found = between(grid(1.0, 4), edge).source_to_target
    assert found.measured_to == "curve"
    assert abs(found.mean - 1 / 2) < 3 * found.mean_error
    assert found.mean_error == pytest.approx(np.sqrt(1 / 12) / np.sqrt(4000), rel=0.05)
    assert found.rms == pytest.approx(np.sqrt(1 / 3), rel=0.02)
    assert found.percentile95 == pytest.approx(0.95, abs=0.01)
    assert 0.99 < found.maximum <= 1


def test_density_of_the_mesh_does_not_weigh():
    # The same surface, once with its left half cut a hundred times finer: the mean distance to a point stays.
    coarse, fine = grid(1.0, 2), grid(1.0, 40)
    left = fine.cells[0].indices[fine.points[fine.cells[0].indices][:, :, 0].max(axis=1) <= 0.5 + 1e-9]
    right = coarse.cells[0].indices[coarse.points[coarse.cells[0].indices][:, :, 0].min(axis=1) >= 0.5 - 1e-9]
    mixed = Shape(
        points=np.concatenate([fine.points, coarse.points]),
        cells=(CellBlock("triangle", np.concatenate([left, right + len(fine.points)])),),
    )
    goal = Shape(points=np.array([[0.0, 0.5, 0.0], [0.0, 0.5, 1e-9]]))
    a, b = between(coarse, goal).source_to_target, between(mixed, goal).source_to_target
    assert abs(a.mean - b.mean) < 3 * np.hypot(a.mean_error, b.mean_error)


def test_directions_differ_where_one_shape_is_a_part():
    found = between(grid(1.0, 3), grid(2.0, 3))
    assert found.source_to_target.maximum < 1e-12
    # From three quarters of the large square it is up to sqrt(2) back to the small one.
    assert found.target_to_source.maximum == pytest.approx(np.sqrt(2), abs=0.05)
    assert found.symmetric_maximum == found.target_to_source.maximum


def test_clouds_are_measured_point_to_point_and_without_error():
    points = np.random.default_rng(0).random((30, 2))
    found = between(Shape(points=points), Shape(points=points + np.array([0.0, 1e-6])))
    assert found.source_to_target.mean == pytest.approx(1e-6)
    assert found.source_to_target.mean_error == 0
    assert found.source_to_target.measured_to == "points"


def test_a_summary_states_what_it_is_of():
    found = Distances.of(np.array([0.0, 3.0, 4.0]), sampled=False, measured_to="points")
    assert (found.mean, found.maximum, found.samples) == (pytest.approx(7 / 3), 4.0, 3)
    assert found.rms == pytest.approx(np.sqrt(25 / 3))
