"""Measures at the edge of what is allowed: zero weights, duplicates, single points, lines, far clusters."""

from __future__ import annotations

import pytest
import torch

from otreg.measures import Measure
from tests.transport.conftest import require_keops
from tests.transport.generators import DENSE, KEOPS, cloud, entropic_cost, measure, moved, random_rotation

BLUR = 0.1
REACHES = pytest.mark.parametrize("reach", [None, 0.4], ids=["balanced", "reach"])


@REACHES
def test_points_without_mass_are_as_if_they_were_not_there(backend, reach):
    a, b = cloud(150, 3, 1), cloud(120, 3, 2)
    ghosts = moved(cloud(60, 3, 3), [0.2, 0.0, 0.0]).points
    haunted = Measure(torch.cat([ghosts, a.points]), torch.cat([torch.zeros(60, dtype=torch.float64), a.weights]))
    # Ghosts may stretch the grid of cells: the points themselves, so that the law is exact.
    plain = backend.solve(a, b, BLUR, reach=reach, cell=1e-3)
    other = backend.solve(haunted, b, BLUR, reach=reach, cell=1e-3)
    assert other.value == pytest.approx(plain.value, abs=plain.error + other.error + backend.slack(BLUR))
    assert (other.displacement[60:] - plain.displacement).abs().max() <= 100 * backend.finest
    # They still learn where they would go, as the map at any point of space.
    assert (other.displacement[:60] - plain.at(ghosts).displacement).abs().max() <= 100 * backend.finest
    assert (other.source_gradient[0][:60] == 0).all()


def test_a_point_of_zero_mass_far_away_does_not_matter(backend):
    a, b = cloud(100, 2, 4), cloud(100, 2, 5)
    far = torch.tensor([[1e3, -1e3]], dtype=torch.float64)
    haunted = Measure(torch.cat([a.points, far]), torch.cat([a.weights, a.weights[:1] * 0]))
    plain, other = backend.solve(a, b, BLUR, cell=1e-3), backend.solve(haunted, b, BLUR, cell=1e-3)
    assert other.value == pytest.approx(plain.value, abs=plain.error + other.error + backend.slack(BLUR))
    assert other.displacement.isfinite().all()


@REACHES
def test_many_copies_of_one_point_weigh_as_one(backend, reach):
    place = torch.tensor([[0.3, 0.1, 0.2]], dtype=torch.float64)
    b = cloud(120, 3, 6)
    one, many = measure(place), measure(place.repeat(200, 1))
    transport, other = backend.solve(one, b, BLUR, reach=reach), backend.solve(many, b, BLUR, reach=reach)
    tolerance = transport.error + other.error + backend.slack(BLUR)
    assert other.value == pytest.approx(transport.value, abs=tolerance)
    assert (other.displacement - transport.displacement).abs().max() <= 100 * backend.finest


@pytest.mark.parametrize("blur", [0.05, 1.0])
def test_one_point_against_many_goes_to_their_mean(backend, blur):
    x, b = measure([[2.0, -1.0, 0.5]]), cloud(100, 3, 7)
    transport = backend.solve(x, b, blur, cell=1e-3)
    # The only plan is the product: OT_eps is the mean cost, and the map is the mean.
    mean_cost = float(b.weights @ (b.points - x.points).square().sum(1)) / 2
    expected = mean_cost - entropic_cost(b, b, blur**2) / 2
    assert transport.value == pytest.approx(expected, abs=transport.error + backend.slack(blur) + 1e-10)
    assert (x.points + transport.displacement - b.mean).abs().max() <= 20 * backend.finest
    assert transport.target_map.displacement.isfinite().all()


@pytest.mark.parametrize("dimension", [2, 3])
def test_points_on_a_line_behave_as_on_the_axis(backend, dimension):
    a, b = cloud(120, 1, 8), moved(cloud(100, 1, 9), [0.5])
    axis = random_rotation(dimension, 1)[:1]
    flat = backend.solve(a, b, BLUR, cell=1e-3)
    lifted = backend.solve(Measure(a.points @ axis, a.weights), Measure(b.points @ axis, b.weights), BLUR, cell=1e-3)
    assert lifted.value == pytest.approx(flat.value, abs=flat.error + lifted.error + backend.slack(BLUR))
    assert (lifted.displacement - flat.displacement @ axis).abs().max() <= 100 * backend.finest


@REACHES
@pytest.mark.parametrize("distance", [10.0, 1e4])
def test_two_clusters_far_apart_are_two_problems(backend, distance, reach):
    apart = torch.tensor([distance, 0.0, 0.0], dtype=torch.float64)
    a, b = cloud(80, 3, 10), moved(cloud(80, 3, 11), [0.1, 0.0, 0.0])
    half = 0.5 * a.weights, 0.5 * b.weights
    source = Measure(torch.cat([a.points, a.points + apart]), torch.cat([half[0], half[0]]))
    target = Measure(torch.cat([b.points, b.points + apart]), torch.cat([half[1], half[1]]))
    single = backend.solve(Measure(a.points, half[0]), Measure(b.points, half[1]), BLUR, reach=reach, tolerance=1e-3)
    both = backend.solve(source, target, BLUR, reach=reach, tolerance=1e-3, max_iterations=200)
    assert both.converged
    assert both.value == pytest.approx(2 * single.value, rel=2e-2)
    assert (both.displacement[:80] - single.displacement).abs().max() <= 0.01
    assert (both.displacement[80:] - single.displacement).abs().max() <= 0.01


@pytest.mark.parametrize("backend", [DENSE, KEOPS], ids=["dense", "keops"])
def test_any_dimension_works_where_all_pairs_are_summed(backend):
    if backend is KEOPS:
        require_keops()
    dimension = 5
    a = cloud(60, dimension, 12)
    transport = backend.solve(a, moved(a, [0.5] * dimension), 0.3)
    assert transport.value == pytest.approx(dimension / 8, abs=transport.error + 1e-12)
    assert (transport.displacement - 0.5).abs().max() <= 1e-8


def test_flat_measures_may_lie_in_different_planes(backend):
    flat = cloud(100, 2, 13).points
    zero = torch.zeros(100, 1, dtype=torch.float64)
    a, b = measure(torch.cat([flat, zero], 1)), measure(torch.cat([flat, zero + 2], 1))
    transport = backend.solve(a, b, BLUR)
    assert transport.value == pytest.approx(2, abs=transport.error + backend.slack(BLUR))
    assert (transport.displacement[:, 2] - 2).abs().max() <= 20 * backend.finest
