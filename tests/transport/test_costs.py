"""Costs and constraints beyond p = 2 between positions: p = 1, features, a reach of its own for each side."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otreg.errors import ArgumentError
from otreg.measures import Measure
from otreg.measures.features import label_features, orientation_features
from otreg.transport import Sinkhorn
from tests.transport.generators import CPU, DENSE, cloud, exact_cost, measure, moved, rms, sphere

REACHES = [None, 0.4, (0.4, None), (None, 0.4), (0.2, 0.9)]
SEEDS = st.integers(0, 10_000)


def featured(m: Measure, seed: int, scale: float = 0.3) -> Measure:
    """The measure with a random unit vector and one of two labels at every point."""
    rng = torch.Generator().manual_seed(seed)
    normals = torch.randn(len(m), 3, dtype=torch.float64, generator=rng)
    labels = torch.randint(0, 2, (len(m),), generator=rng)
    features = [orientation_features(normals, scale), label_features(labels, torch.tensor([0, 1]), scale)]
    return Measure(m.points, m.weights, torch.cat(features, 1))


# --- p = 1 ---


def test_two_diracs_are_as_far_apart_as_they_are(backend):
    for reach, value in ((None, 5.0), (1e6, 5.0)):
        transport = backend.solve(measure([[0.0, 0.0]]), measure([[3.0, 4.0]]), 0.7, p=1, reach=reach)
        assert transport.value == pytest.approx(value, rel=1e-5)
    # The gradient of a distance is a unit vector.
    transport = backend.solve(measure([[0.0, 0.0]]), measure([[3.0, 4.0]]), 0.7, p=1)
    assert transport.displacement.tolist()[0] == pytest.approx([0.6, 0.8], abs=1e-6)


def test_a_measure_is_at_no_distance_from_itself(backend):
    a = cloud(120, 2, 1)
    transport = backend.solve(a, Measure(a.points.clone(), a.weights.clone()), 0.2, p=1)
    assert transport.value <= backend.finest * 0.2
    single_precision = backend.rounding > 1e-6
    assert rms(transport.displacement) <= (1e-3 if single_precision else 1e-6)


@given(seed=SEEDS, blur=st.floats(0.05, 1.0), dimension=st.integers(1, 3))
@settings(max_examples=10)
def test_the_divergence_is_positive_and_symmetric_for_p_1(seed, blur, dimension):
    a, b = cloud(40, dimension, seed), moved(cloud(35, dimension, seed + 1), [0.2] * dimension)
    for backend in (DENSE, CPU):
        forth, back = backend.solve(a, b, blur, p=1), backend.solve(b, a, blur, p=1)
        assert forth.value >= 0
        assert forth.value == pytest.approx(back.value, abs=forth.error + back.error + 1e-12)


def test_an_infinite_blur_leaves_the_energy_distance():
    a, b = cloud(50, 2, 3), moved(cloud(40, 2, 4), [0.3, 0.1])

    def mean_distance(x: Measure, y: Measure) -> float:
        return float(x.weights @ torch.cdist(x.points, y.points) @ y.weights)

    expected = mean_distance(a, b) - (mean_distance(a, a) + mean_distance(b, b)) / 2
    transport = DENSE.solve(a, b, 1e4, p=1)
    assert transport.value == pytest.approx(expected, rel=1e-3)


def test_a_small_blur_leaves_the_exact_cost_of_p_1():
    import ot

    a, b = cloud(30, 2, 5), moved(cloud(25, 2, 6), [0.5, 0.0])
    exact = float(ot.emd2(a.weights.numpy(), b.weights.numpy(), torch.cdist(a.points, b.points).numpy()))
    transport = DENSE.solve(a, b, 2e-3, p=1, tolerance=1e-4)
    assert transport.value == pytest.approx(exact, rel=5e-3)
    assert transport.lower <= exact * (1 + 5e-3)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("reach", REACHES, ids=str)
@pytest.mark.parametrize("features", [False, True], ids=["positions", "features"])
def test_compiled_sums_agree_with_all_pairs(p, reach, features):
    a, b = sphere(900, 7), moved(sphere(800, 8), [0.15, 0.0, 0.05])
    if features:
        a, b = featured(a, 1), featured(b, 2)
    blur = 0.08 if p == 2 else 0.05
    settings_ = {"p": p, "reach": reach, "tolerance": 1e-4, "max_iterations": 2000}
    exact = Sinkhorn(blur, reduction="dense", **settings_)(a, b)
    for precision, cell in (("float32", 1e-3), ("float64", 1e-3), ("float32", 0.4)):
        fast = Sinkhorn(blur, reduction="cpu", precision=precision, cell=cell, **settings_)(a, b)
        assert fast.converged
        assert fast.lower - 1e-9 <= exact.value <= fast.upper + 1e-9
        assert fast.value == pytest.approx(exact.value, rel=2e-3)
        size = max(rms(exact.displacement), 0.1 * blur)
        assert rms(fast.displacement - exact.displacement) <= (0.02 if cell < 0.1 else 0.06) * size
        spread = (exact.potential_source - exact.potential_source.mean()).square().mean().sqrt()
        gap = fast.potential_source - exact.potential_source
        assert (gap - gap.mean()).square().mean().sqrt() <= 0.03 * spread


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("reach", REACHES, ids=str)
def test_gradients_agree_with_finite_differences(p, reach):
    a, b = featured(cloud(12, 3, 9), 3), featured(moved(cloud(10, 3, 10), [0.4, 0.0, 0.1]), 4)
    sinkhorn = Sinkhorn(0.3, p=p, reach=reach, reduction="dense", tolerance=1e-13, max_iterations=20_000)
    by_points, by_weights = sinkhorn(a, b).source_gradient
    step = 1e-5
    rng = torch.Generator().manual_seed(0)
    direction = torch.randn(a.points.shape, dtype=torch.float64, generator=rng)

    def value(points: float = 0.0, weights: float = 0.0) -> float:
        change = torch.linspace(-1, 1, len(a), dtype=torch.float64) * a.weights
        change = change - change.sum() * a.weights  # keeps the mass
        return sinkhorn(
            Measure(a.points + points * direction, a.weights + weights * change, a.features), b
        ).signed_value

    slope = (value(points=step) - value(points=-step)) / (2 * step)
    assert slope == pytest.approx(float((by_points * direction).sum()), rel=1e-5, abs=1e-9)
    change = torch.linspace(-1, 1, len(a), dtype=torch.float64) * a.weights
    change = change - change.sum() * a.weights
    slope = (value(weights=step) - value(weights=-step)) / (2 * step)
    assert slope == pytest.approx(float((by_weights * change).sum()), rel=1e-5, abs=1e-9)


# --- features ---


def test_features_are_further_coordinates():
    a, b = featured(cloud(60, 2, 11), 5), featured(cloud(50, 2, 12), 6)
    joint_a, joint_b = (Measure(m.coordinates, m.weights) for m in (a, b))
    for p in (1, 2):
        for reach in (None, 0.3):
            settings_ = {"p": p, "reach": reach, "tolerance": 1e-9, "max_iterations": 5000, "reduction": "dense"}
            split, joint = Sinkhorn(0.2, **settings_)(a, b), Sinkhorn(0.2, **settings_)(joint_a, joint_b)
            assert split.value == pytest.approx(joint.value, rel=1e-9)
            assert torch.allclose(split.displacement, joint.displacement[:, :2], atol=1e-8)


def sheet(height: float, across: int, seed: int) -> torch.Tensor:
    """One random point in each of across x across squares."""
    rng = torch.Generator().manual_seed(seed)
    axis = torch.arange(across, dtype=torch.float64)
    corners = torch.cartesian_prod(axis, axis)
    flat = (corners + torch.rand(corners.shape, dtype=torch.float64, generator=rng)) / across
    return torch.cat([flat, torch.full((across**2, 1), height, dtype=torch.float64)], 1)


@pytest.mark.parametrize("kind", ["normals", "labels"])
def test_opposite_sheets_of_a_thin_shape_do_not_match(kind):
    thickness, slide, across = 0.02, 0.08, 40
    n = across**2
    # The lower sheet slides one way, the upper one the other way.
    shift = slide * torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    source = torch.cat([sheet(0.0, across, 1), sheet(thickness, across, 2)])
    target = torch.cat([sheet(0.0, across, 3) + shift, sheet(thickness, across, 4) - shift])
    side = torch.arange(2 * n) // n
    normals = torch.zeros(2 * n, 3, dtype=torch.float64)
    normals[:, 2] = 2.0 * side - 1
    make = {
        "normals": lambda: orientation_features(normals, 0.3),
        "labels": lambda: label_features(side, torch.tensor([0, 1]), 0.4),
    }[kind]
    weights = torch.full((2 * n,), 0.5 / n, dtype=torch.float64)
    seeing = CPU.solve(Measure(source, weights, make()), Measure(target, weights, make()), 0.05, tolerance=1e-3)
    blind = CPU.solve(measure(source), measure(target), 0.05, tolerance=1e-3)
    inner = ((source[:, :2] - 0.5).abs() < 0.25).all(1)
    for k, sign in ((0, 1), (1, -1)):
        rows = inner & (side == k)
        assert float(seeing.displacement[rows, 0].mean()) == pytest.approx(sign * slide, rel=0.05)
        assert abs(float(blind.displacement[rows, 0].mean())) < 0.3 * slide


def test_cells_never_mix_labels():
    a = cloud(3000, 3, 13)
    labels = (a.points[:, 0] * 7).long() % 3
    marked = Measure(a.points, a.weights, label_features(labels, torch.tensor([0, 1, 2]), 0.5))
    pyramid = CPU.solve(marked, marked, 0.1, tolerance=1e-2)._source.pyramid
    assert len(pyramid.levels) > 2
    for level in pyramid.levels:
        if level.cell < 0.35:
            values = level.points[:, 3:]
            assert ((values < 1e-12) | (values > 0.5 / 2**0.5 - 1e-12)).all()
        assert float(level.weights.sum()) == pytest.approx(1)
        mean = (level.weights[:, None] * level.points).sum(0)
        assert torch.allclose(mean, (marked.weights[:, None] * marked.coordinates).sum(0), atol=1e-12)
    for fine, coarse in zip(pyramid.levels[:-1], pyramid.levels[1:], strict=True):
        assert coarse.parents is not None
        masses = torch.zeros(len(coarse), dtype=torch.float64).index_add_(0, coarse.parents, fine.weights)
        assert torch.allclose(masses, coarse.weights)


def test_the_map_is_evaluated_with_features_anywhere():
    a, b = featured(cloud(200, 3, 14), 7), featured(cloud(150, 3, 15), 8)
    transport = CPU.solve(a, b, 0.2, tolerance=1e-4)
    # In another order these are other points to the engine.
    flipped = transport.at(a.points.flip(0), a.features.flip(0))
    assert torch.allclose(flipped.displacement.flip(0), transport.displacement, atol=1e-4)
    with pytest.raises(ArgumentError, match="features must be given exactly when"):
        transport.at(a.points)


def test_measures_with_and_without_features_do_not_go_together():
    with pytest.raises(ArgumentError, match="the same features; got 5 and 0"):
        Sinkhorn(0.1)(featured(cloud(5, 3, 1), 1), cloud(5, 3, 2))


def test_unknown_labels_are_refused():
    with pytest.raises(ArgumentError, match="labels must be among"):
        label_features(torch.tensor([0, 5]), torch.tensor([0, 1]), 1.0)


# --- a reach of its own for each side ---


@pytest.mark.parametrize("p", [1, 2])
def test_the_side_without_reach_keeps_its_mass(backend, p):
    a, b = cloud(90, 3, 16), moved(cloud(80, 3, 17, mass=0.4), [0.5, 0.0, 0.0])
    kept = backend.solve(a, b, 0.2, p=p, reach=(0.3, None))
    assert kept.converged
    assert kept.target_map.matched_mass.tolist() == pytest.approx([1.0] * len(b))
    moved_mass = float(a.weights @ kept.matched_mass)
    assert moved_mass == pytest.approx(0.4, rel=2e-3)
    swapped = backend.solve(b, a, 0.2, p=p, reach=(None, 0.3))
    assert swapped.value == pytest.approx(kept.value, rel=1e-3)


@given(seed=SEEDS, blur=st.floats(0.1, 0.6), reach=st.sampled_from([(0.3, None), (None, 0.5), (0.2, 1.0)]))
@settings(max_examples=10)
def test_the_interval_holds_the_converged_value_with_two_reaches(seed, blur, reach):
    a, b = cloud(50, 2, seed), moved(cloud(40, 2, seed + 1), [0.4, 0.1])
    exact = DENSE.solve(a, b, blur, reach=reach).value
    for backend in (DENSE, CPU):
        for sweeps in (1, 4, 300):
            transport = backend.solve(a, b, blur, reach=reach, max_iterations=sweeps, cell=1e-3, tolerance=1e-5)
            slack = backend.slack(blur)
            assert transport.lower - slack <= exact <= transport.upper + slack
            assert transport.value >= 0


def test_one_reach_for_both_is_the_same_as_two_equal_ones():
    a, b = cloud(40, 2, 18), cloud(30, 2, 19)
    one, two = DENSE.solve(a, b, 0.2, reach=0.3), DENSE.solve(a, b, 0.2, reach=(0.3, 0.3))
    assert one.value == two.value


def test_exact_cost_is_the_limit_with_features():
    a, b = featured(cloud(25, 2, 20), 9), featured(cloud(20, 2, 21), 10)
    exact = exact_cost(Measure(a.coordinates, a.weights), Measure(b.coordinates, b.weights))
    assert DENSE.solve(a, b, 0.02, tolerance=1e-4).value == pytest.approx(exact, rel=2e-2)
