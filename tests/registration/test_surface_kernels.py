"""The compiled loops over points near a shape find what a search among all pairs finds."""

import numpy as np
import pytest

from otreg.registration.surface_kernels import binned, laid, nearest_of

from .shapes import rotation, sphere


def among_all(places, points, bound):
    """Indices and distances of the nearest points, or the bound where none is nearer."""
    apart = np.linalg.norm(places[:, :, None] - points, axis=3)
    return apart.argmin(2), np.minimum(apart.min(2), bound)


@pytest.mark.parametrize("bound", [0.05, 0.3, 2.0])
@pytest.mark.parametrize("far", [0.0, 1e4])
def test_the_nearest_of_binned_points_is_the_nearest_of_all(bound, far):
    rng = np.random.default_rng(1)
    points = np.concatenate([sphere(500, 1), [[far, 0.0, -far]]])
    places = 1.2 * rng.standard_normal((3, 200, 3))
    index, distance = nearest_of(places, bound, points, *binned(points, 0.1))
    expected, expected_distance = among_all(places, points, bound)
    assert np.allclose(distance, expected_distance, atol=1e-12)
    assert (index == expected)[distance < bound].all()
    assert (distance < bound).any()


def test_points_of_a_plane_and_points_all_at_one_place_are_found():
    flat = sphere(300, 2) * [1.0, 1.0, 0.0]
    for points in (flat, np.zeros((5, 3))):
        index, distance = nearest_of(points[None], 0.5, points, *binned(points, 0.1))
        assert np.allclose(distance, 0)
        assert np.allclose(points[index[0]], points)


def test_every_point_is_in_one_bin():
    points = sphere(400, 3)
    order, starts, *_ = binned(points, 0.2)
    assert sorted(order) == list(range(400))
    assert starts[0] == 0 and starts[-1] == 400 and (np.diff(starts) >= 0).all()


def test_what_a_pose_lays_on_others_is_the_sum_over_its_points():
    ours, others = sphere(200, 4), sphere(300, 5)
    turns = np.stack([rotation(degrees, 3, seed=1) for degrees in (0, 40)])
    offsets = np.array([[0.0, 0.1, 0.0], [0.5, 0.0, 0.2]])
    bounds = np.array([0.2, 0.4])
    # The normals of a sphere about the origin are its points.
    thin, off, far = 0.3, 0.2, 2.0
    inner = others[:, 0] > 0
    found = laid(
        ours, ours, turns, offsets, turns, bounds, (thin, off, far), others, others, inner, *binned(others, 0.2)
    )
    for turn, offset, bound, sums in zip(turns, offsets, bounds, found, strict=True):
        moved, normals = ours @ turn.T + offset, ours @ turn.T
        index, distance = (values[0] for values in among_all(moved[None], others, far * bound))
        along = (others[index] * normals).sum(1)
        ways = moved - others[index]
        apart = (np.abs((ways * normals).sum(1)) + np.abs((ways * others[index]).sum(1))) / 2
        counted = np.where(distance < bound, (1 - (distance / bound) ** 2) * along**2, 0)
        close = counted * np.exp(-((apart / (thin * bound)) ** 2) / 2)
        beside = (distance < far * bound) & inner[index] & (apart > off * bound)
        assert sums == pytest.approx([counted.sum(), close.sum(), beside.sum()], rel=1e-12)
        assert (sums > 0).all()
