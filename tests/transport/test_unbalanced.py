"""With a reach, mass that is too far stays behind; without one, or with a huge one, none does."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.optimize import minimize_scalar

from otreg.measures import Measure
from tests.transport.generators import cloud, entropic_cost, measure, moved


def dirac_divergence(mass_a: float, mass_b: float, cost: float, eps: float, rho: float) -> tuple[float, float]:
    """S between two Diracs and the mass that moves, by minimising over the one entry of each plan."""

    def optimum(u: float, v: float, c: float) -> tuple[float, float]:
        def price(log_p: float) -> float:
            p = math.exp(log_p)
            kl = [p * math.log(p / q) - p + q for q in (u * v, u, v)]
            return p * c + eps * kl[0] + rho * (kl[1] + kl[2])

        best = minimize_scalar(price, bounds=(-60, 10), method="bounded", options={"xatol": 1e-12, "maxiter": 2000})
        return float(best.fun), math.exp(best.x)

    cross, moves = optimum(mass_a, mass_b, cost)
    own = optimum(mass_a, mass_a, 0.0)[0] + optimum(mass_b, mass_b, 0.0)[0]
    return cross - own / 2 + eps * (mass_a - mass_b) ** 2 / 2, moves


@pytest.mark.parametrize("masses", [(1.0, 1.0), (0.3, 2.5)], ids=["equal", "different"])
@pytest.mark.parametrize("reach", [0.5, 2.0, 20.0])
@pytest.mark.parametrize("blur", [0.1, 1.0])
def test_two_diracs_match_a_numerical_optimum(backend, masses, reach, blur):
    a, b = measure([[0.0, 0.0]], [masses[0]]), measure([[1.0, 1.0]], [masses[1]])
    expected, moves = dirac_divergence(*masses, 1.0, blur**2, reach**2)
    transport = backend.solve(a, b, blur, reach=reach)
    assert transport.value == pytest.approx(expected, rel=1e-7)
    assert float(transport.matched_mass[0]) * masses[0] == pytest.approx(moves, rel=1e-4, abs=1e-6)
    rounding = backend.slack(blur) + 1e-7 * expected
    assert transport.lower - rounding <= expected <= transport.upper + rounding
    assert transport.displacement[0].tolist() == pytest.approx([1, 1], abs=1e-5)


def test_a_reach_that_grows_tends_to_balanced_transport(backend):
    a, b = cloud(150, 2, 1), moved(cloud(120, 2, 2), [0.4, 0.2])
    balanced = backend.solve(a, b, 0.1)
    gaps = []
    for reach in (1.0, 10.0, 100.0):
        transport = backend.solve(a, b, 0.1, reach=reach)
        gaps.append(balanced.value - transport.value)
        assert (transport.matched_mass - 1).abs().max() <= 2 / reach**2
    # The price of keeping mass is second order in 1 / rho: what is gained falls with reach^2.
    assert gaps[0] > gaps[1] > gaps[2] > -balanced.error
    assert gaps[1] == pytest.approx(gaps[0] / 100, rel=0.5)
    assert (transport.displacement - balanced.displacement).abs().max() <= 1e-3


def test_a_far_outlier_is_left_where_it_is(backend):
    a = cloud(150, 3, 3)
    b = moved(a, [0.05, 0.0, 0.0])
    outlier = torch.tensor([[30.0, 0.0, 0.0]], dtype=torch.float64)
    littered = Measure(torch.cat([b.points, outlier]), torch.cat([b.weights, b.weights[:1] * 20]))
    clean = backend.solve(a, b, 0.05, reach=0.2, tolerance=1e-4)
    with_outlier = backend.solve(a, littered, 0.05, reach=0.2, tolerance=1e-4)
    # The map of the others is what it was, the outlier matches nothing.
    assert (with_outlier.displacement - clean.displacement).abs().max() <= 2e-3
    assert float(with_outlier.target_map.matched_mass[-1]) <= 1e-6
    balanced = backend.solve(a, moved(a, [0.05, 0.0, 0.0]), 0.05, tolerance=1e-4)
    assert balanced.matched_mass.min() == 1


def test_measures_of_different_mass_can_meet(backend):
    light, heavy = cloud(150, 3, 4), cloud(120, 3, 5, mass=3.0)
    transport = backend.solve(light, heavy, 0.1, reach=0.5)
    assert transport.converged
    assert transport.lower > 0
    # The plan is a compromise: more than the light one has, less than the heavy one has.
    sent = float(light.weights @ transport.matched_mass)
    received = float(heavy.weights @ transport.target_map.matched_mass)
    assert sent == pytest.approx(received, rel=10 * backend.finest + 1e-9)
    assert 1 < sent < 3


def test_far_apart_nothing_is_matched_and_the_value_is_the_price_of_both_masses(backend):
    a, b = cloud(60, 2, 6), moved(cloud(60, 2, 7), [100.0, 0.0])
    blur, reach = 0.1, 0.5
    transport = backend.solve(a, b, blur, reach=reach)
    assert transport.matched_mass.max() <= 1e-30
    # When nothing moves OT_ab = eps mass a mass b + rho (mass a + mass b), whatever the measures.
    own = [entropic_cost(p, p, blur**2, reach**2) for p in (a, b)]
    assert transport.value == pytest.approx(blur**2 + 2 * reach**2 - sum(own) / 2, rel=1e-6)
