"""Transport on a line without blur is exact: against SciPy, POT, its own duals, and Sinkhorn with a small blur."""

from __future__ import annotations

import ot
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from otreg.errors import ArgumentError
from otreg.measures import Measure
from otreg.transport import Sinkhorn, Transport
from tests.transport.generators import measure

POWERS = pytest.mark.parametrize("p", [1, 2])
SEEDS = st.integers(0, 10_000)


def solve(source: Measure, target: Measure, p: int) -> Transport:
    return Sinkhorn(blur=0, p=p)(source, target)


def line(n: int, seed: int, *, steps: int = 0) -> Measure:
    """Points on [0, 1), on a grid of so many steps if that is given; random weights, a third of them zero."""
    rng = torch.Generator().manual_seed(seed)
    points = torch.rand(n, 1, dtype=torch.float64, generator=rng)
    weights = torch.rand(n, dtype=torch.float64, generator=rng) * (torch.arange(n) % 3 > 0 if n > 1 else 1)
    return Measure((points * steps).floor() / steps if steps else points, weights / weights.sum())


def pairs() -> list[tuple[Measure, Measure]]:
    """Different sizes, equal points within and across, ties of the quantiles, one point against many."""
    return [
        (line(40, 1), line(70, 2)),
        (line(60, 3, steps=8), line(50, 4, steps=8)),
        (measure([[0.3], [0.1], [0.2]]), measure([[0.5], [0.4], [0.9], [0.8], [0.7], [0.6]])),
        (measure([[0.4]]), line(1000, 5)),
        (line(1000, 6, steps=30), measure([[0.4]])),
        (measure([[0.0], [1.0]]), measure([[0.0], [1.0]])),
    ]


def reference(source: Measure, target: Measure, p: int) -> float:
    x, y = source.points[:, 0].numpy(), target.points[:, 0].numpy()
    a, b = source.weights.numpy(), target.weights.numpy()
    if p == 1:
        return float(scipy.stats.wasserstein_distance(x, y, a, b))
    return float(ot.emd2_1d(x, y, a / a.sum(), b / b.sum(), metric="sqeuclidean")) / 2


def cost(x: Tensor, y: Tensor, p: int) -> Tensor:
    return (x - y.T).abs().pow(p) / p


@POWERS
@pytest.mark.parametrize("source, target", pairs())
def test_the_value_is_that_of_independent_solvers(source, target, p):
    transport = solve(source, target, p)
    assert transport.value == pytest.approx(reference(source, target, p), rel=1e-12, abs=1e-15)
    assert transport.lower == transport.value == transport.upper == transport.signed_value
    assert transport.error == transport.quantisation_error == transport.marginal_error == transport.dropped_mass == 0
    assert transport.converged and transport.status == "converged: exact, by sorting"
    assert (transport.iterations, transport.reduction, transport.p) == (0, "sorting", p)


@given(seed=SEEDS, n=st.integers(1, 60), m=st.integers(1, 60), steps=st.sampled_from([0, 5]), p=st.sampled_from([1, 2]))
@settings(max_examples=60)
def test_potentials_are_feasible_and_tight(seed, n, m, steps, p):
    source, target = line(n, seed, steps=steps), line(m, seed + 1, steps=steps)
    transport = solve(source, target, p)
    f, g = transport.potential_source, transport.potential_target
    surplus = f[:, None] + g[None] - cost(source.points, target.points, p)
    assert surplus[source.weights > 0].max() <= 1e-13 and surplus[:, target.weights > 0].max() <= 1e-13
    halves = float(source.weights @ f), float(target.weights @ g)
    assert sum(halves) == pytest.approx(transport.value, rel=1e-12, abs=1e-14)
    assert halves[0] == pytest.approx(halves[1], abs=1e-13)
    assert transport.value == pytest.approx(reference(source, target, p), rel=1e-12, abs=1e-14)


@given(seed=SEEDS, steps=st.sampled_from([0, 6]), p=st.sampled_from([1, 2]))
@settings(max_examples=30)
def test_potential_and_map_extend_to_the_line_as_the_best_partner_says(seed, steps, p):
    source, target = line(30, seed, steps=steps), line(20, seed + 1, steps=steps)
    transport = solve(source, target, p)
    places = torch.linspace(-0.5, 1.5, 1001, dtype=torch.float64)[:, None]
    found = transport.at(places)
    held = target.weights > 0
    gains = cost(places, target.points[held], p) - transport.potential_target[held]
    assert (found.potential - gains.min(1).values).abs().max() <= 1e-13
    # Where several partners are equally good the place of mass goes to their mean, the others to one of them.
    arrived = places + found.displacement
    here = (places == source.points[source.weights > 0].T).any(1)
    reached = cost(arrived, target.points[held], 2).min(1).values
    assert (reached[~here] <= 1e-25).all()
    assert (arrived.diff(dim=0) >= -1e-13).all(), "the map keeps the order"
    assert (found.matched_mass == 1).all() and (found.overlap == 1).all()


@POWERS
@pytest.mark.parametrize("source, target", pairs())
def test_the_map_is_the_mean_of_the_monotone_plan(source, target, p):
    x, y = source.points[:, 0], target.points[:, 0]
    plan = torch.from_numpy(ot.emd_1d(x.numpy(), y.numpy(), source.weights.numpy(), target.weights.numpy()))
    transport = solve(source, target, p)
    # POT splits the mass of equal points as they come; their mean is what otreg gives to each.
    equal = (x[:, None] == x[None]).double()
    expected = (equal @ plan @ y) / (equal @ source.weights)
    held = source.weights > 0
    assert (transport.displacement[held, 0] - (expected - x)[held]).abs().max() <= 1e-12
    equal = (y[:, None] == y[None]).double()
    expected = (equal @ plan.T @ x) / (equal @ target.weights)
    held = target.weights > 0
    assert (transport.target_map.displacement[held, 0] - (expected - y)[held]).abs().max() <= 1e-12


@POWERS
def test_gradients_are_those_of_the_value(p):
    source, target = line(12, 7), line(9, 8)
    transport = solve(source, target, p)
    step = 1e-6
    for side, gradient in ((0, transport.source_gradient), (1, transport.target_gradient)):
        assert gradient[0].shape == (source, target)[side].points.shape

        def value(points: Tensor, weights: Tensor, side: int = side) -> float:
            changed = [source, target]
            old = changed[side]
            changed[side] = Measure(old.points + points, old.weights + weights)
            return solve(*changed, p).value

        own = (source, target)[side]
        for k in range(len(own)):
            moved = torch.zeros_like(own.points)
            moved[k] = step
            still = torch.zeros_like(own.weights)
            slope = (value(moved, still) - value(-moved, still)) / (2 * step)
            assert slope == pytest.approx(float(gradient[0][k]), abs=1e-9)
            # Mass from everywhere else to k; where there was none, it can only be added, and the slope is that of F.
            added = -own.weights.clone()
            added[k] += 1
            slope = (value(0 * moved, step * added) - value(0 * moved, 0 * added)) / step
            assert slope == pytest.approx(float(gradient[1] @ added), abs=1e-5)
    assert transport.source_feature_gradient is None and transport.target_feature_gradient is None


def test_equal_points_share_one_gradient_that_no_plan_contradicts():
    x = torch.tensor([[0.0], [0.0]], dtype=torch.float64)
    target = measure([[-1.0], [3.0]])
    transport = solve(measure(x), target, 2)
    assert transport.displacement[:, 0].tolist() == [1.0, 1.0]
    assert transport.source_gradient[0][:, 0].tolist() == [-0.5, -0.5]
    # A supergradient: the value lies below its linear part plus |step|^2 / 2 in every direction.
    for step in torch.tensor([[[0.1], [-0.2]], [[-0.3], [-0.3]], [[0.2], [0.1]]], dtype=torch.float64):
        bound = transport.value + float((transport.source_gradient[0] * step).sum() + step.square().sum() / 4)
        assert solve(measure(x + step), target, 2).value <= bound + 1e-15


@POWERS
def test_splitting_a_point_in_two_and_adding_empty_ones_changes_nothing(p):
    source, target = line(15, 9), line(20, 10)
    split = Measure(
        torch.cat([source.points, source.points[3:4], torch.tensor([[7.0], [-5.0]])]),
        torch.cat([source.weights, source.weights[3:4] / 2, torch.zeros(2, dtype=torch.float64)]),
    )
    split.weights[3] /= 2
    before, after = solve(source, target, p), solve(split, target, p)
    assert after.value == pytest.approx(before.value, rel=1e-13)
    assert (after.displacement[:15] - before.displacement).abs().max() <= 1e-12
    assert after.displacement[15] == after.displacement[3]
    assert torch.isfinite(after.displacement).all() and torch.isfinite(after.potential_source).all()


@POWERS
def test_a_measure_is_at_no_distance_from_itself_and_a_shift_is_found(p):
    source = line(50, 11, steps=20)
    shuffled = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    same = Measure(source.points[shuffled], source.weights[shuffled])
    transport = solve(source, same, p)
    assert transport.value <= 1e-16 and transport.displacement.abs().max() <= 1e-13
    shifted = solve(source, Measure(same.points + 10.0, same.weights), p)
    assert shifted.value == pytest.approx(10.0 if p == 1 else 50.0, rel=1e-14)
    assert (shifted.displacement - 10).abs().max() <= 1e-12


@POWERS
def test_shares_below_the_rounding_error_move_with_their_neighbours(p):
    source = measure([[0.0], [0.5], [1.0]], [0.5, 1e-20, 0.5])
    transport = solve(source, measure([[10.0], [11.0]]), p)
    assert transport.displacement[:, 0].tolist() in ([10.0, 9.5, 10.0], [10.0, 10.5, 10.0])


def test_mass_scales_value_and_gradient_but_neither_map_nor_potential():
    source, target = line(20, 12), line(25, 13)
    one = solve(source, target, 2)
    three = solve(*(Measure(m.points, 3 * m.weights) for m in (source, target)), 2)
    assert three.value == pytest.approx(3 * one.value, rel=1e-13)
    assert (three.source_gradient[0] - 3 * one.source_gradient[0]).abs().max() <= 1e-13
    assert (three.displacement - one.displacement).abs().max() <= 1e-12
    assert (three.potential_source - one.potential_source).abs().max() <= 1e-13


@POWERS
def test_sinkhorn_converges_to_it_as_the_blur_falls(p):
    source = Measure(line(40, 14).points, torch.full((40,), 1 / 40, dtype=torch.float64))
    target = line(30, 15)
    exact = solve(source, target, p)
    gaps = []
    for blur in (0.1, 0.03, 0.01) if p == 2 else (1e-2, 3e-3, 1e-3):
        blurred = Sinkhorn(blur=blur, p=p, reduction="dense", tolerance=1e-5, max_iterations=5000)(source, target)
        assert blurred.reduction == "dense", "with a blur nothing changes"
        gaps.append(abs(blurred.value / exact.value - 1))
    assert gaps[0] > gaps[1] > gaps[2] and gaps[2] < 0.02
    if p == 2:
        assert (blurred.displacement - exact.displacement).norm() < 0.1 * exact.displacement.norm()
        shared = source.weights @ (blurred.potential_source - exact.potential_source).abs()
        assert shared < 0.05 * exact.value


def test_the_answer_does_not_depend_on_the_type_or_layout_of_the_points():
    wide = torch.rand(50, 3, generator=torch.Generator().manual_seed(1))
    weights = torch.full((50,), 1 / 50)
    strided, packed = Measure(wide[:, 1:2], weights), Measure(wide[:, 1:2].double().contiguous(), weights.double())
    target = line(20, 16)
    narrow = solve(strided, target, 2)
    assert narrow.displacement.dtype == torch.float64
    assert torch.equal(narrow.displacement, solve(packed, target, 2).displacement)
    assert torch.equal(narrow.at(strided.points).displacement, narrow.displacement)


def test_no_graph_is_made():
    source, target = line(10, 21), line(12, 22)
    leaf = Measure(source.points.clone().requires_grad_(), source.weights.clone().requires_grad_())
    transport = solve(leaf, target, 2)
    assert transport.value == solve(source, target, 2).value
    assert not transport.displacement.requires_grad and not transport.source_gradient[0].requires_grad
    assert not transport.at(leaf.points).potential.requires_grad


def test_a_million_points_are_sorted_not_paired():
    n = 1_000_000
    x = torch.rand(n, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    weights = torch.full((n,), 1 / n, dtype=torch.float64)
    transport = solve(Measure(x, weights), Measure(2 * x.flip(0) + 1, weights), 2)
    assert transport.value == pytest.approx(float((x + 1).square().mean()) / 2, rel=1e-9)
    assert (transport.displacement - (x + 1)).abs().mean() <= 1e-5


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda a: Measure(a.points.expand(-1, 2), a.weights), "points on a line are transported; got a target with 2"),
        (lambda a: Measure(a.points, a.weights, a.points), "points have no features"),
        (lambda a: Measure(a.points, 2 * a.weights), "needs equal masses; got 1 and 2"),
    ],
)
def test_what_cannot_be_sorted_is_refused_with_the_reason(change, part):
    source = line(5, 17)
    with pytest.raises(ArgumentError, match=part):
        Sinkhorn(blur=0)(source, change(source))


@pytest.mark.parametrize("reach", [0.5, (0.5, None), (None, 0.5)])
def test_without_blur_all_mass_moves(reach):
    with pytest.raises(ArgumentError, match="blur may be 0 only where all mass moves; got reach"):
        Sinkhorn(blur=0, reach=reach)


def test_what_needs_a_blur_says_so():
    source = line(5, 18)
    transport = solve(source, source, 2)
    for ask in (lambda: transport.warm_start, lambda: transport.warm_start_at(source, source)):
        with pytest.raises(ArgumentError, match="without blur has no warm start"):
            ask()
    with pytest.raises(ArgumentError, match="nothing to prepare for blur 0"):
        Sinkhorn(blur=0).prepare(source)
    with pytest.raises(ArgumentError, match=r"points must be \(k, 1\); got shape \(2, 3\)"):
        transport.at(torch.zeros(2, 3))
    with pytest.raises(ArgumentError, match="features must be given exactly when"):
        transport.at(torch.zeros(2, 1), torch.zeros(2, 1))


def test_a_measure_that_was_prepared_for_a_blur_is_sorted_too():
    source, target = line(10, 19), line(12, 20)
    prepared = Sinkhorn(blur=0.1, reduction="dense").prepare(source)
    assert Sinkhorn(blur=0)(prepared, target).value == solve(source, target, 2).value
