"""Values and maps known in closed form or from other algorithms: Gaussians, convex maps, quantiles, exact plans."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from otreg.measures import Measure
from tests.transport.generators import cloud, exact_cost, gaussian, gaussian_divergence, measure, moved


@pytest.mark.parametrize("blur", [0.1, 0.3, 1.0, 3.0])
def test_gaussians_on_a_line_match_their_closed_form(backend, blur):
    means, deviations = np.array([[0.2], [1.1]]), (0.5, 0.8)
    covariances = [np.array([[s**2]]) for s in deviations]
    a, b = (gaussian(m, c, 200) for m, c in zip(means, covariances, strict=True))
    expected = gaussian_divergence(means[0], covariances[0], means[1], covariances[1], blur)
    transport = backend.solve(a, b, blur, cell=1e-3)
    assert transport.value == pytest.approx(expected, abs=transport.error + backend.slack(blur) + 1e-7)
    # The map between Gaussians is affine with slope below the ratio of deviations, and exact at the mean.
    middle = transport.at(torch.tensor(means[:1], dtype=torch.float64)).displacement
    assert float(middle) == pytest.approx(0.9, abs=1e-6 + 20 * backend.finest)


@pytest.mark.parametrize("blur", [0.8, 2.0])
def test_gaussians_in_the_plane_match_their_closed_form(backend, blur):
    mean_a, mean_b = np.array([0.1, -0.4]), np.array([1.0, 0.3])
    cov_a, cov_b = np.array([[1.0, 0.3], [0.3, 0.5]]), np.array([[0.4, -0.2], [-0.2, 0.9]])
    a, b = gaussian(mean_a, cov_a, 24), gaussian(mean_b, cov_b, 24)
    expected = gaussian_divergence(mean_a, cov_a, mean_b, cov_b, blur)
    transport = backend.solve(a, b, blur, cell=1e-3)
    assert transport.value == pytest.approx(expected, abs=transport.error + backend.slack(blur) + 1e-6)


def test_a_symmetric_positive_definite_map_is_found_as_the_blur_goes_to_zero(backend):
    a = cloud(150, 2, 1)
    matrix = torch.tensor([[1.3, 0.2], [0.2, 0.7]], dtype=torch.float64)
    image = a.points @ matrix + torch.tensor([0.5, -1.0], dtype=torch.float64)
    step = image - a.points
    expected = float((a.weights * step.square().sum(1)).sum()) / 2
    errors, misses = [], []
    for blur in (0.1, 0.03, 0.01):
        transport = backend.solve(a, Measure(image, a.weights), blur, tolerance=1e-4, max_iterations=500)
        errors.append(abs(transport.value - expected))
        misses.append(float((transport.displacement - step).square().sum(1).mean().sqrt()))
    # The debiased value is off by O(blur^4) (a constant that the anisotropy sets), the map by O(blur^2) at most.
    assert errors[2] <= 2e-5 * expected + transport.error
    assert errors[2] < errors[1] < errors[0]
    assert misses[2] <= 0.01
    assert misses[2] < misses[1] < misses[0]


def test_on_a_line_the_map_joins_quantiles_as_the_blur_goes_to_zero(backend):
    n = 20
    rng = torch.Generator().manual_seed(3)
    jitter = torch.rand(2, n, dtype=torch.float64, generator=rng) / 2
    ranks = torch.stack([torch.randperm(n, generator=rng) for _ in range(2)])
    x, y = (ranks + jitter) / n  # neighbours at least 1 / 2n apart, in random order
    a, b = measure(x[:, None]), measure(2 * y[:, None].square() + y[:, None] + 3)
    matched = torch.empty_like(a.points)
    matched[a.points[:, 0].argsort()] = b.points.sort(0).values
    expected = float((a.points - matched).square().mean()) / 2
    transport = backend.solve(a, b, 0.01, tolerance=1e-3)
    assert transport.value == pytest.approx(expected, rel=1e-5, abs=transport.error)
    assert (a.points + transport.displacement - matched).abs().max() <= 1e-2


@pytest.mark.parametrize("seed", [1, 2])
def test_exact_plans_are_reached_as_the_blur_goes_to_zero(backend, seed):
    a, b = cloud(20, 3, seed), moved(cloud(15, 3, seed + 10), [0.3, 0.0, 0.1])
    transport = backend.solve(a, b, 0.01, tolerance=1e-3)
    # OT <= OT_eps <= OT + eps (entropy of a plan <= log n log m), for each of the three terms.
    entropy = 0.01**2 * (math.log(20) + math.log(15))
    assert transport.value == pytest.approx(exact_cost(a, b), abs=transport.error + entropy)
    assert transport.value == pytest.approx(exact_cost(a, b), rel=5e-3)


def test_a_huge_blur_sees_only_the_means(backend):
    a, b = cloud(200, 3, 4), moved(cloud(150, 3, 5), [0.3, -0.2, 0.0])
    apart = b.mean - a.mean
    for blur in (10.0, 1e3):
        transport = backend.solve(a, b, blur)
        # The first correction is a variance squared over eps.
        assert transport.value == pytest.approx(float(apart @ apart) / 2, abs=1e-2 / blur**2 + 1e-15 * blur**2)
        assert (transport.displacement - apart).abs().max() <= 1 / blur**2 + 1e-5


def test_two_points_against_two_match_a_numerical_optimum(backend):
    # Four entries of the plan under two constraints: one free number, minimised by hand in float64.
    x, y = [[0.0, 0.0], [1.0, 0.0]], [[0.2, 0.3], [1.5, 1.0]]
    a, b = measure(x, [0.3, 0.7]), measure(y, [0.6, 0.4])
    blur = 0.4

    def entropic(p: Measure, q: Measure) -> float:
        cost = (p.points[:, None] - q.points[None]).square().sum(2).numpy() / 2
        u, v = p.weights.numpy(), q.weights.numpy()

        def price(t: np.ndarray) -> float:
            plan = np.array([[t[0], u[0] - t[0]], [v[0] - t[0], u[1] - v[0] + t[0]]])
            return float((plan * cost + blur**2 * plan * np.log(plan / np.outer(u, v))).sum())

        low, high = max(0.0, v[0] - u[1]) + 1e-12, min(u[0], v[0]) - 1e-12
        best = minimize(price, [(low + high) / 2], bounds=[(low, high)], tol=1e-14)
        return float(best.fun)

    expected = entropic(a, b) - entropic(a, a) / 2 - entropic(b, b) / 2
    transport = backend.solve(a, b, blur, cell=1e-3)
    assert transport.value == pytest.approx(expected, abs=1e-8 + backend.slack(blur))
