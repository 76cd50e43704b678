"""The interval [lower, upper] holds the converged value, however early the sweeps stopped."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otreg.transport.certificate import Bounds, Plan, dual_value, rounded_value, shrinking_factors
from otreg.transport.pyramid import Cloud
from otreg.transport.relaxation import Relaxation, best_shift
from tests.transport.generators import CPU, DENSE, cloud, dense_plan, entropic_cost, measure, moved, sphere

REACHES = st.sampled_from([None, 0.3, 2.0])


@given(seed=st.integers(0, 10_000), dimension=st.integers(1, 3), reach=REACHES, blur=st.floats(0.08, 0.8))
@settings(max_examples=25)
def test_the_interval_holds_the_converged_value_at_any_number_of_sweeps(seed, dimension, reach, blur):
    a, b = cloud(60, dimension, seed), moved(cloud(50, dimension, seed + 1), [0.3] * dimension)
    exact = DENSE.solve(a, b, blur, reach=reach).value
    widths = []
    for backend in (DENSE, CPU):
        for sweeps in (1, 2, 5, 100):
            transport = backend.solve(a, b, blur, reach=reach, max_iterations=sweeps, cell=1e-3, tolerance=1e-5)
            slack = backend.slack(blur)
            assert transport.lower - slack <= exact <= transport.upper + slack
            assert transport.lower <= transport.value + slack
            assert transport.value <= transport.upper + slack
            assert transport.error >= abs(transport.value - exact) - slack
            widths.append(transport.upper - transport.lower)
    assert widths[3] <= 1e-3 * blur**2 + 1e-3 * exact  # and it closes


@pytest.mark.parametrize("reach", [None, 1.0], ids=["balanced", "reach"])
@pytest.mark.parametrize("blur", [0.05, 0.1, 0.15])
def test_the_interval_holds_the_value_on_cells_too(blur, reach):
    a, b = sphere(500, 1), moved(sphere(600, 2), [0.2, 0.0, 0.1])
    exact = DENSE.solve(a, b, blur, reach=reach, tolerance=1e-6).value
    for sweeps in (1, 3, 300):
        transport = CPU.solve(a, b, blur, reach=reach, max_iterations=sweeps, tolerance=1e-4)
        assert transport.lower - CPU.slack(blur) <= exact <= transport.upper + CPU.slack(blur)


@pytest.mark.parametrize("blur", [0.05, 10.0])
def test_the_interval_holds_the_value_where_the_coarsest_cells_are_used(blur):
    a, b = cloud(300, 1, 1), moved(cloud(250, 1, 2), [0.3])
    exact = DENSE.solve(a, b, blur, tolerance=1e-8).value
    transport = CPU.solve(a, b, blur, tolerance=1e-5)
    assert transport.lower - 1e-9 <= exact <= transport.upper + 1e-9


def as_cloud(m):
    return Cloud(m.points, m.weights, 0.0, None)


@given(seed=st.integers(0, 10_000), noise=st.floats(0, 3))
@settings(max_examples=40)
def test_any_potentials_bound_the_cost_from_both_sides(seed, noise):
    # Potentials far from optimal: random, then one half sweep so that the rows are exact, as in the loop.
    a, b, eps = cloud(30, 2, seed), cloud(25, 2, seed + 1), 0.3**2
    rng = torch.Generator().manual_seed(seed)
    g = noise * eps * torch.randn(25, dtype=torch.float64, generator=rng)
    cost = (a.points[:, None] - b.points[None]).square().sum(2) / 2
    f = -eps * torch.logsumexp((g - cost) / eps + b.weights.log(), 1)
    stored = dense_plan(a, b, f, g, eps)
    plan = Plan(as_cloud(a), as_cloud(b), f, g, stored.sum(1), stored.sum(0), eps)
    rows, columns = shrinking_factors(plan.rows, a.weights), shrinking_factors(plan.columns, b.weights)
    assert rows.max() <= 1 and columns.max() <= 1
    scaled = stored * rows[:, None] * columns[None]
    bounds = Bounds(
        dual_value(plan, (Relaxation(None), Relaxation(None))),
        rounded_value(plan, rows, columns, scaled.sum(1), scaled.sum(0)),
    )
    exact = entropic_cost(a, b, eps)
    assert bounds.lower <= exact + 1e-10
    assert exact <= bounds.upper + 1e-10
    if noise > 0.5:
        assert bounds.upper - bounds.lower > 1e-6  # a test that could not fail would pass with equal bounds


def test_rounding_is_the_cost_of_a_feasible_plan_when_all_mass_is_missing():
    # Nothing kept: the repair is the product plan, whose cost is known.
    a, b = cloud(20, 2, 1), cloud(15, 2, 2)
    nothing_a, nothing_b = torch.zeros(20, dtype=torch.float64), torch.zeros(15, dtype=torch.float64)
    plan = Plan(as_cloud(a), as_cloud(b), nothing_a, nothing_b, nothing_a, nothing_b, 0.1)
    cost = (a.points[:, None] - b.points[None]).square().sum(2) / 2
    product = float(a.weights @ cost @ b.weights)
    ones = torch.ones_like
    assert rounded_value(plan, ones(nothing_a), ones(nothing_b), nothing_a, nothing_b) == pytest.approx(product)


def test_damping_conjugate_and_kept_mass_follow_their_formulas():
    balanced, relaxed = Relaxation(None), Relaxation(0.25)
    f = torch.tensor([-1.0, 0.0, 0.3], dtype=torch.float64)
    assert balanced.damping(0.5) == 1
    assert relaxed.damping(0.5) == pytest.approx(1 / (1 + 0.5 / 0.25))
    assert torch.equal(balanced.conjugate(f), f)
    assert relaxed.conjugate(f).tolist() == pytest.approx([0.25 * (1 - math.exp(-x / 0.25)) for x in f.tolist()])
    assert torch.equal(balanced.kept(f), torch.ones(3, dtype=torch.float64))
    assert relaxed.kept(f).tolist() == pytest.approx([math.exp(-x / 0.25) for x in f.tolist()])
    # The share kept is the slope of what a potential earns.
    step = 1e-6
    slope = (relaxed.conjugate(f + step) - relaxed.conjugate(f - step)) / (2 * step)
    assert (slope - relaxed.kept(f)).abs().max() <= 1e-7


def test_the_price_of_a_marginal_is_rho_times_its_divergence():
    relaxed = Relaxation(0.25)
    a = torch.tensor([0.2, 0.0, 0.8], dtype=torch.float64)
    p = torch.tensor([0.1, 0.0, 0.9], dtype=torch.float64)
    expected = 0.25 * (0.1 * math.log(0.5) - 0.1 + 0.2 + 0.9 * math.log(0.9 / 0.8) - 0.9 + 0.8)
    assert float(relaxed.marginal_price(p, a)) == pytest.approx(expected)
    assert float(relaxed.marginal_price(a, a)) == pytest.approx(0, abs=1e-15)
    assert float(Relaxation(None).marginal_price(p, a)) == 0


@pytest.mark.parametrize("rhos", [(0.3, 0.3), (0.3, 1.7), (0.3, None), (None, 0.3)])
def test_the_best_shift_makes_the_dual_stationary_along_constants(rhos):
    source, target = sides = Relaxation(rhos[0]), Relaxation(rhos[1])
    a, b = cloud(20, 2, 3), cloud(15, 2, 4, mass=2.5)
    f, g = a.points[:, 0], b.points[:, 1] - 0.4
    shift = best_shift(f, g, a.weights, b.weights, sides)

    def dual(s: torch.Tensor) -> float:
        return float(a.weights @ source.conjugate(f + s) + b.weights @ target.conjugate(g - s))

    assert dual(shift) > max(dual(shift + 0.01), dual(shift - 0.01), dual(0 * shift))
    assert (dual(shift + 1e-4) - dual(shift - 1e-4)) / 2e-4 == pytest.approx(0, abs=1e-7)


def test_a_balanced_dual_has_no_best_constant():
    a, b = cloud(20, 2, 3), cloud(15, 2, 4)
    balanced = Relaxation(None), Relaxation(None)
    assert best_shift(a.points[:, 0], b.points[:, 1], a.weights, b.weights, balanced) == 0


def test_two_diracs_have_an_interval_of_one_point():
    transport = DENSE.solve(measure([[0.0]]), measure([[2.0]]), 0.1)
    assert (transport.lower, transport.upper) == pytest.approx((transport.value, transport.value), abs=1e-12)
