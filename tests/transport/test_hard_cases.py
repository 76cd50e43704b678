"""Problems that once gave a wrong answer with a straight face, and settings that must be refused."""

from __future__ import annotations

import pytest
import torch

import otreg
from otreg.errors import ArgumentError
from otreg.measures import Measure
from otreg.transport import Sinkhorn
from tests.transport.generators import CPU, DENSE, cloud, measure, moved, sphere


def two_clusters(share: float, n: int, seed: int, distance: float) -> Measure:
    """The unit cube twice, ``distance`` apart, with that share of the mass in the first."""
    a, half = cloud(n, 3, seed), n // 2
    points, weights = a.points.clone(), a.weights.clone()
    points[half:, 0] += distance
    weights[:half] *= share / weights[:half].sum()
    weights[half:] *= (1 - share) / weights[half:].sum()
    return Measure(points, weights)


@pytest.mark.parametrize("distance", [10.0, 30.0])
def test_mass_that_jumps_between_far_clusters_is_found_with_the_compiled_sums_too(distance):
    a, b = two_clusters(0.5, 160, 1, distance), two_clusters(0.3, 160, 2, distance)
    exact, fast = (Sinkhorn(0.1, reduction=name)(a, b) for name in ("dense", "cpu"))
    assert exact.converged and fast.converged
    assert fast.value == pytest.approx(exact.value, rel=1e-3)


def test_an_answer_on_blocks_that_were_searched_elsewhere_is_not_believed():
    distance, blur = 744.510094822761, 0.08322528788624999
    a = two_clusters(0.5314362788164779, 160, 391, distance)
    b = two_clusters(0.37149211635045587, 160, 392, distance)
    settings = {"p": 1, "reach": (None, 372.2550474113805)}
    exact, fast = (Sinkhorn(blur, reduction=name, **settings)(a, b) for name in ("dense", "cpu"))
    assert fast.lower <= exact.value <= fast.upper
    assert not fast.converged or fast.value == pytest.approx(exact.value, rel=1e-3)


@pytest.mark.parametrize("reduction", ["dense", "cpu"])
def test_masses_that_differ_by_rounding_are_the_same(reduction):
    rng = torch.Generator().manual_seed(0)
    x, y = torch.rand(300, 3, generator=rng), torch.rand(70, 3, generator=rng) + 0.2
    exact = Sinkhorn(0.2, reduction="dense", tolerance=1e-10)(measure(x), measure(y))
    for tolerance in (1e-4, 1e-8):
        found = otreg.transport(x, y, blur=0.2, reduction=reduction, tolerance=tolerance)
        assert found.value == pytest.approx(exact.value, rel=1e-3)
        assert found.lower - 1e-7 <= exact.value <= found.upper + 1e-7


@pytest.mark.parametrize("mass", [0.1, 2.0, 1000.0])
@pytest.mark.parametrize("reach", [None, (0.3, None), 0.3], ids=str)
def test_the_interval_holds_the_value_for_any_mass(mass, reach):
    a, b = cloud(60, 2, 1, mass=mass), moved(cloud(50, 2, 2, mass=mass), [0.3, 0.3])
    exact = DENSE.solve(a, b, 0.3, reach=reach)
    assert exact.error <= 1e-6 * exact.value
    for sweeps in (1, 5):
        early = DENSE.solve(a, b, 0.3, reach=reach, max_iterations=sweeps)
        assert early.lower <= exact.value + 1e-12 * mass <= early.upper + 2e-12 * mass
        assert early.lower < early.upper


@pytest.mark.parametrize("reduction", ["dense", "cpu"])
@pytest.mark.parametrize("blur", [1e2, 1e4])
def test_a_blur_far_beyond_the_shapes_leaves_the_distance_of_their_means(reduction, blur):
    a, b = cloud(300, 3, 1), moved(cloud(300, 3, 2), [0.3, 0.0, 0.0])
    transport = Sinkhorn(blur, reduction=reduction)(a, b)
    assert transport.value == pytest.approx(float((a.mean - b.mean).square().sum()) / 2, rel=1e-3)


def test_one_point_against_many_converges():
    transport = Sinkhorn(0.05, reach=0.5, reduction="cpu")(measure([[2.0, 1.0, 0.0]]), cloud(20_000, 3, 3))
    assert transport.converged


def test_one_reach_for_a_side_keeps_the_cells_of_both_problems_alike():
    a, b = sphere(6000, 1), moved(sphere(5500, 2), [0.1, 0.1, 0.0])
    coarse, fine = (Sinkhorn(0.1, reach=(0.02, None), cell=cell, reduction="cpu")(a, b) for cell in (0.7, 0.2))
    assert coarse.value == pytest.approx(fine.value, rel=1e-3)


def test_an_accuracy_out_of_reach_ends_soon():
    a = sphere(5000, 3)
    transport = CPU.solve(a, moved(a, [1e-9, 0.0, 0.0]), 0.1, value_tolerance=1e-2, tolerance=1e-3)
    assert not transport.converged


def test_measures_prepared_for_other_settings_are_refused():
    a, b = cloud(20, 2, 1), cloud(15, 2, 2)
    for first, second in (
        (Sinkhorn(0.1), Sinkhorn(0.5)),
        (Sinkhorn(0.1, p=1), Sinkhorn(0.1)),
        (Sinkhorn(0.1), Sinkhorn(0.1, reach=0.3)),
    ):
        with pytest.raises(ArgumentError, match="prepared by the settings that use it"):
            second(first.prepare(a), b)
    two_reaches = Sinkhorn(0.2, reach=(0.1, None))
    with pytest.raises(ArgumentError, match="reach or side"):
        two_reaches(a, two_reaches.prepare(b))
    assert two_reaches(a, two_reaches.prepare(b, as_target=True)).converged


@pytest.mark.parametrize(
    ("points", "weights"),
    [([[0.0], [float("nan")]], [0.5, 0.5]), ([[0.0], [1.0]], [0.0, 0.0]), ([[0.0], [1.0]], [-0.5, 1.5])],
    ids=["nan", "empty", "negative"],
)
def test_measures_that_make_no_sense_are_refused(points, weights):
    bad = Measure(torch.tensor(points, dtype=torch.float64), torch.tensor(weights, dtype=torch.float64))
    for pair in ((bad, cloud(5, 1, 1)), (cloud(5, 1, 1), bad)):
        with pytest.raises(ArgumentError, match=r"source: |target: "):
            Sinkhorn(0.1, reach=0.5)(*pair)


@pytest.mark.parametrize(
    "settings",
    [{"cut": float("nan")}, {"cut": -5.0}, {"path_cell": -1.0}, {"blur": 1e-170}, {"blur": 1e200}, {"reach": 1e-170}],
    ids=str,
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ArgumentError, match=r"must be positive|must lie between"):
        Sinkhorn(**{"blur": 0.1, **settings})
