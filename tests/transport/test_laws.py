"""Laws that hold for every pair of measures: what moves, turns, scales, splits and swaps."""

from __future__ import annotations

import math

import pytest
import torch

from otreg.measures import Measure
from tests.transport.generators import cloud, measure, moved, random_rotation

DIMENSIONS = pytest.mark.parametrize("dimension", [1, 2, 3])
REACHES = pytest.mark.parametrize("reach", [None, 0.4], ids=["balanced", "reach"])
BLUR = 0.1


@DIMENSIONS
@REACHES
def test_a_measure_is_at_distance_zero_of_itself(backend, dimension, reach):
    a = cloud(200, dimension, 1)
    transport = backend.solve(a, a, BLUR, reach=reach)
    assert transport.signed_value == pytest.approx(0, abs=transport.error + backend.slack(BLUR))
    assert transport.displacement.abs().max() <= 20 * backend.finest
    assert transport.source_gradient[0].abs().sum() <= 20 * backend.finest


@DIMENSIONS
@pytest.mark.parametrize("diagonals", [0.01, 1.0, 10.0])
def test_a_translation_costs_half_its_square_and_is_found_exactly(backend, dimension, diagonals):
    a = cloud(200, dimension, 2)
    direction = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)[:dimension]
    step = diagonals * math.sqrt(dimension) * direction / direction.norm()
    transport = backend.solve(a, moved(a, step), BLUR)
    expected = float(step.square().sum()) / 2
    assert transport.value == pytest.approx(expected, abs=transport.error + backend.slack(BLUR), rel=1e-13)
    assert (transport.displacement - step).abs().max() <= 20 * backend.finest


@pytest.mark.parametrize("sweeps", [1, 2, 5])
def test_iterates_are_covariant_under_translation(sweeps):
    # The loop starts from the potentials of infinite blur, so a step changes no iterate, converged or not.
    from tests.transport.generators import DENSE

    a, b = cloud(200, 2, 3), cloud(150, 2, 4)
    near = DENSE.solve(a, b, 0.05, max_iterations=sweeps)
    step = torch.tensor([3.0, -7.0], dtype=torch.float64)
    far = DENSE.solve(a, moved(b, step), 0.05, max_iterations=sweeps)
    assert not near.converged
    gain = float(step @ (b.mean - a.mean) + step @ step / 2)
    assert far.signed_value - near.signed_value == pytest.approx(gain, rel=1e-12)
    assert (far.displacement - near.displacement - step).abs().max() <= 1e-9


@DIMENSIONS
@REACHES
def test_the_divergence_is_positive_and_symmetric(backend, dimension, reach):
    a, b = cloud(200, dimension, 5), cloud(200, dimension, 6)
    forth, back = backend.solve(a, b, BLUR, reach=reach), backend.solve(b, a, BLUR, reach=reach)
    assert forth.lower > 0
    assert forth.value == pytest.approx(back.value, abs=forth.error + back.error + backend.slack(BLUR))
    assert (forth.displacement - back.target_map.displacement).abs().max() <= 100 * backend.finest
    assert (forth.target_map.displacement - back.displacement).abs().max() <= 100 * backend.finest


@pytest.mark.parametrize("blur", [1e-3, 0.1, 10.0])
def test_two_diracs_are_half_their_squared_distance_apart_at_any_blur(backend, blur):
    x, y = measure([[0.0, 1.0, 2.0]]), measure([[3.0, 1.0, 7.0]])
    transport = backend.solve(x, y, blur)
    assert transport.value == pytest.approx(17, rel=1e-12)
    assert transport.displacement[0].tolist() == pytest.approx([3, 0, 5], rel=1e-12)
    assert transport.error <= 1e-12 * 17


@REACHES
def test_a_dirac_split_in_two_changes_nothing(backend, reach):
    a, b = cloud(200, 3, 7), cloud(150, 3, 8)
    points = torch.cat([a.points, a.points[:70]])
    weights = torch.cat([a.weights, 0.3 * a.weights[:70]])
    weights[:70] *= 0.7
    whole = backend.solve(a, b, BLUR, reach=reach)
    split = backend.solve(Measure(points, weights), b, BLUR, reach=reach)
    assert_same(whole, split, backend, picks=slice(0, 200))
    assert (split.displacement[:70] - split.displacement[200:]).abs().max() <= 20 * backend.finest


@REACHES
def test_the_order_of_the_points_changes_nothing(backend, reach):
    a, b = cloud(200, 3, 9), cloud(150, 3, 10)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    plain = backend.solve(a, b, BLUR, reach=reach)
    shuffled = backend.solve(Measure(a.points[order], a.weights[order]), b, BLUR, reach=reach)
    back = torch.empty_like(order)
    back[order] = torch.arange(200)
    assert_same(plain, shuffled, backend, picks=back)


@REACHES
@pytest.mark.parametrize("dimension", [2, 3])
def test_turning_both_measures_turns_the_map(backend, dimension, reach):
    a, b = cloud(200, dimension, 11), cloud(150, dimension, 12)
    turn = random_rotation(dimension, 0)
    # Cells hang on the axes: the points themselves, so that the law is exact.
    plain = backend.solve(a, b, BLUR, reach=reach, cell=1e-3)
    turned = backend.solve(
        Measure(a.points @ turn.T, a.weights), Measure(b.points @ turn.T, b.weights), BLUR, reach=reach, cell=1e-3
    )
    tolerance = plain.error + turned.error + backend.slack(BLUR)
    assert turned.value == pytest.approx(plain.value, abs=tolerance)
    assert (turned.displacement - plain.displacement @ turn.T).abs().max() <= 100 * backend.finest


@REACHES
@pytest.mark.parametrize("scale", [1e-3, 1e4])
def test_scaling_everything_scales_the_value_by_its_square(backend, scale, reach):
    a, b = cloud(200, 3, 13), cloud(150, 3, 14)
    plain = backend.solve(a, b, BLUR, reach=reach)
    scaled = backend.solve(
        Measure(scale * a.points, a.weights),
        Measure(scale * b.points, b.weights),
        scale * BLUR,
        reach=None if reach is None else scale * reach,
    )
    tolerance = plain.error + scaled.error / scale**2 + backend.slack(BLUR)
    assert scaled.value / scale**2 == pytest.approx(plain.value, abs=tolerance)
    assert (scaled.displacement / scale - plain.displacement).abs().max() <= 100 * backend.finest


def test_moving_both_measures_far_away_changes_nothing(backend):
    a, b = cloud(200, 3, 15), cloud(150, 3, 16)
    step = torch.tensor([5e3, -2e4, 1e4], dtype=torch.float64)
    near, far = backend.solve(a, b, BLUR, reach=0.4), backend.solve(moved(a, step), moved(b, step), BLUR, reach=0.4)
    assert far.value == pytest.approx(near.value, abs=near.error + far.error + 1e-9)
    assert (far.displacement - near.displacement).abs().max() <= 100 * backend.finest + 1e-8


def test_the_mass_of_both_measures_is_a_factor_of_the_balanced_value(backend):
    # Balanced, S of (k a, k b) at temperature eps is k times S of (a, b): the plan, and each term of its price, scale.
    a, b = cloud(200, 2, 17), cloud(150, 2, 18)
    heavy = Measure(50 * a.points, 7 * a.weights), Measure(50 * b.points, 7 * b.weights)
    transport, plain = backend.solve(*heavy, 50 * BLUR), backend.solve(a, b, BLUR)
    assert transport.value / (7 * 50**2) == pytest.approx(plain.value, abs=2 * plain.error + backend.slack(BLUR))


def assert_same(one, other, backend, picks):
    """The same values and maps, with the points of ``other`` picked to match those of ``one``."""
    tolerance = one.error + other.error + backend.slack(BLUR)
    assert other.value == pytest.approx(one.value, abs=tolerance)
    assert (other.displacement[picks] - one.displacement).abs().max() <= 100 * backend.finest
    assert (other.matched_mass[picks] - one.matched_mass).abs().max() <= 100 * backend.finest
