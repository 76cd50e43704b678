"""Every backend solves the same problem: fast ones agree with the dense reference within what they state."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otreg.measures import Measure
from otreg.transport import Sinkhorn
from tests.transport.conftest import require_keops
from tests.transport.generators import (
    CPU,
    DENSE,
    KEOPS,
    cloud,
    dense_plan,
    entropic_cost,
    moved,
    rms,
    sphere,
)

SEEDS = st.integers(0, 10_000)
REACHES = st.sampled_from([None, 0.1, 0.5, 3.0])


def problem(seed: int, dimension: int, diagonals: float) -> tuple[Measure, Measure]:
    step = torch.tensor([0.8, -0.6, 0.0], dtype=torch.float64)[:dimension] * diagonals * dimension**0.5
    return cloud(180, dimension, seed), moved(cloud(140, dimension, seed + 1), step)


@pytest.mark.parametrize("reach", [None, 0.3], ids=["balanced", "reach"])
def test_the_reference_matches_the_textbook_loop(reach):
    a, b = cloud(60, 2, 1), cloud(50, 2, 2)
    rho = None if reach is None else reach**2
    eps = 0.15**2
    cross, own_a, own_b = (entropic_cost(p, q, eps, rho) for p, q in ((a, b), (a, a), (b, b)))
    transport = DENSE.solve(a, b, 0.15, reach=reach)
    assert transport.value == pytest.approx(cross - own_a / 2 - own_b / 2, abs=1e-11)


@given(
    seed=SEEDS,
    dimension=st.integers(1, 3),
    blur=st.floats(0.08, 1.0),
    reach=REACHES,
    diagonals=st.sampled_from([0.0, 0.1, 1.0, 10.0]),
)
@settings(max_examples=40)
def test_the_compiled_reduction_agrees_with_the_reference(seed, dimension, blur, reach, diagonals):
    a, b = problem(seed, dimension, diagonals)
    exact = DENSE.solve(a, b, blur, reach=reach, tolerance=1e-9)
    fast = CPU.solve(a, b, blur, reach=reach, tolerance=1e-3, cell=1e-3)
    # Potentials of far measures are large numbers: single precision rounds their differences, not them.
    assert fast.value == pytest.approx(exact.value, abs=fast.error + CPU.slack(blur), rel=1e-9)
    assert (fast.matched_mass - exact.matched_mass).abs().max() <= 0.02
    if exact.matched_mass.min() > 0.03:  # below, the displacement is damped on purpose
        assert (fast.displacement - exact.displacement).square().sum(1).mean().sqrt() <= 0.02


@given(seed=SEEDS, blur=st.floats(0.03, 0.3), reach=st.sampled_from([None, 3.0]))
@settings(max_examples=10)
def test_cells_change_values_by_thousandths_and_maps_by_a_hundredth(seed, blur, reach):
    a, b = sphere(500, seed), moved(sphere(400, seed + 1), [0.2, 0.1, 0.0])
    exact = DENSE.solve(a, b, blur, reach=reach, tolerance=1e-5, max_iterations=500)
    fast = CPU.solve(a, b, blur, reach=reach, tolerance=1e-4, max_iterations=500)
    assert fast.value == pytest.approx(exact.value, rel=3e-3, abs=CPU.slack(blur))
    assert rms(fast.displacement - exact.displacement) <= 0.01 * rms(exact.displacement)


@pytest.mark.parametrize(("blur", "reach"), [(0.15, 0.5), (0.3, 0.5), (0.1, 0.1), (0.5, 0.1)])
def test_cells_change_values_with_a_reach_by_no_more_than_is_stated(blur, reach):
    a, b = sphere(600, 0), moved(sphere(500, 1), [0.2, 0.1, 0.0])
    exact, fast = (backend.solve(a, b, blur, reach=reach, tolerance=1e-4) for backend in (DENSE, CPU))
    # With a reach the debiasing cancels the effect of cells only in part: up to two percent here.
    assert fast.value == pytest.approx(exact.value, rel=2e-2)
    assert fast.lower - exact.error <= exact.value <= fast.upper + exact.error


@pytest.mark.parametrize("reach", [None, 0.3], ids=["balanced", "reach"])
@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_keops_agrees_with_the_reference_to_rounding(dimension, reach):
    require_keops()
    a, b = problem(7, dimension, 1.0)
    b = Measure(b.points, torch.cat([torch.zeros(5, dtype=torch.float64), b.weights[5:]]) / b.weights[5:].sum())
    # On the points themselves; blocks of which a row sees less than exp(-40) are still left out.
    points = {"cell": 1e-9, "path_cell": 1e-9, "cut": 40.0}
    one, other = (backend.solve(a, b, 0.1, reach=reach, tolerance=1e-11, **points) for backend in (DENSE, KEOPS))
    assert other.value == pytest.approx(one.value, rel=1e-11)
    assert (other.displacement - one.displacement).abs().max() <= 1e-9
    assert (other.lower, other.upper) == pytest.approx((one.lower, one.upper), rel=1e-8)


def test_the_marginal_error_is_that_of_the_dense_plan():
    a, b = cloud(150, 3, 3), cloud(120, 3, 4)
    for sweeps in (1, 3, 10, 300):
        transport = DENSE.solve(a, b, 0.1, max_iterations=sweeps)
        cross = transport._cross.last
        plan = dense_plan(a, b, cross.f.values, cross.g.values, 0.1**2)
        wrong = (plan.sum(0) - b.weights).abs().sum() + (plan.sum(1) - a.weights).abs().sum()
        # The last half sweep makes the rows exact; the columns carry the error.
        assert float(wrong) == pytest.approx(cross.marginal_error, rel=1e-6, abs=1e-13)
        assert transport.marginal_error >= cross.marginal_error


def test_the_marginal_error_with_a_reach_is_that_of_the_dense_plan():
    a, b = cloud(150, 3, 5), cloud(120, 3, 6, mass=2.0)
    blur, reach = 0.1, 0.3
    damping = 1 / (1 + (blur / reach) ** 2)
    for sweeps in (1, 3, 300):
        transport = DENSE.solve(a, b, blur, reach=reach, max_iterations=sweeps)
        cross = transport._cross.last
        f, g = damping * cross.f.values, damping * cross.g.values
        plan = dense_plan(a, b, f, g, blur**2)
        # What the optimality conditions ask of the marginals: the mass that each potential keeps.
        kept = b.weights * torch.exp(-g / reach**2)
        wrong = (plan.sum(0) - kept).abs().sum() + (plan.sum(1) - a.weights * torch.exp(-f / reach**2)).abs().sum()
        assert float(wrong / kept.sum()) == pytest.approx(cross.marginal_error, rel=1e-6, abs=1e-12)


def test_the_map_at_any_point_agrees_with_the_map_of_the_source(backend):
    a, b = cloud(200, 3, 7), cloud(150, 3, 8)
    transport = backend.solve(a, b, 0.1, reach=0.5)
    at_source = transport.at(a.points.clone())
    assert torch.equal(at_source.displacement, transport.displacement)
    # One point more makes it another set, which goes through the extension.
    more = torch.cat([a.points, a.points[:1] + 0.01])
    extended = transport.at(more)
    tolerance = 100 * backend.finest
    assert (extended.displacement[:-1] - transport.displacement).abs().max() <= tolerance
    assert (extended.matched_mass[:-1] - transport.matched_mass).abs().max() <= tolerance
    assert (extended.potential[:-1] - transport.potential_source).abs().max() <= tolerance


def test_the_map_anywhere_agrees_with_the_reference():
    a, b = cloud(200, 3, 9), cloud(150, 3, 10)
    elsewhere = 1.5 * cloud(100, 3, 11).points - 0.25
    exact, fast = (backend.solve(a, b, 0.1, cell=1e-3).at(elsewhere) for backend in (DENSE, CPU))
    assert (fast.displacement - exact.displacement).abs().max() <= 100 * CPU.finest
    assert (fast.potential - exact.potential).abs().max() <= 1e-5


@pytest.mark.parametrize("reach", [None, 0.5], ids=["balanced", "reach"])
def test_the_potential_has_the_displacement_as_its_slope(reach):
    a, b = cloud(150, 3, 12), cloud(120, 3, 13)
    transport = DENSE.solve(a, b, 0.15, reach=reach)
    points = cloud(30, 3, 14).points
    here, step = transport.at(points), 1e-5
    slopes = torch.empty_like(points)
    for axis in range(3):
        shift = torch.zeros(3, dtype=torch.float64)
        shift[axis] = step
        after, before = transport.at(points + shift), transport.at(points - shift)
        if reach is None:
            slopes[:, axis] = (after.potential - before.potential) / (2 * step)
        else:  # unbalanced, what a point of mass earns is rho (1 - exp(-f / rho)), per share that moves
            earned = [(p.matched_mass / p.overlap - p.matched_mass) * reach**2 for p in (after, before)]
            slopes[:, axis] = (earned[0] - earned[1]) / (2 * step) / here.matched_mass
    damping = 1.0 if reach is None else 1 / (1 + (0.15 / reach) ** 2)
    assert (slopes / damping + here.displacement).abs().max() <= 1e-6


def test_the_automatic_choice_is_the_compiled_reduction_up_to_three_dimensions():
    a = cloud(50, 3, 15)
    assert Sinkhorn(blur=0.1)(a, a).reduction == "cpu"
    a = cloud(50, 4, 15)
    assert Sinkhorn(blur=0.1)(a, a).reduction == "dense"
