"""The public door: settings that are refused, statuses, warm starts, precision, determinism."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from otreg.errors import ArgumentError
from otreg.measures import Measure
from otreg.transport import Sinkhorn
from otreg.transport.annealing import blur_schedule
from tests.transport.generators import CPU, DENSE, cloud, moved, sphere


@pytest.mark.parametrize(
    ("name", "value"),
    # A blur of 0 has a meaning on the line: see test_sorting.py.
    [
        ("reach", 0.0),
        ("tolerance", 0.0),
        *itertools.product(["blur", "reach", "tolerance"], [-0.1, math.inf, math.nan]),
    ],
)
def test_lengths_and_tolerances_must_be_positive_and_finite(name, value):
    with pytest.raises(ArgumentError, match=f"{name} must be positive and finite; got"):
        Sinkhorn(**{"blur": 0.1, name: value})


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"ratio": 0.0}, "ratio must lie strictly between 0 and 1; got 0.0"),
        ({"ratio": 1.0}, "ratio must lie strictly between 0 and 1; got 1.0"),
        ({"over_relaxation": 0.0}, "over_relaxation must lie strictly between 0 and 2; got 0.0"),
        ({"over_relaxation": 2.0}, "over_relaxation must lie strictly between 0 and 2; got 2.0"),
        ({"max_iterations": 0}, "max_iterations must be at least 1; got 0"),
    ],
)
def test_settings_out_of_range_are_refused(setting, message):
    with pytest.raises(ArgumentError, match=message):
        Sinkhorn(blur=0.1, **setting)


def test_a_wrong_reach_says_how_to_conserve_mass():
    with pytest.raises(ArgumentError, match="Omit it to conserve mass"):
        Sinkhorn(blur=0.1, reach=-1.0)


def test_an_unknown_reduction_is_refused_with_the_known_ones():
    with pytest.raises(ArgumentError, match="auto, dense, cpu, keops, triton; got 'gpu'"):
        Sinkhorn(blur=0.1, reduction="gpu")(cloud(5, 2, 1), cloud(5, 2, 2))


def test_the_compiled_reduction_refuses_four_dimensions():
    with pytest.raises(ArgumentError, match="1 to 3 coordinates; got 4"):
        CPU.solve(cloud(5, 4, 1), cloud(5, 4, 2), 0.1)


def test_balanced_transport_refuses_different_masses(backend):
    a, b = cloud(20, 2, 1), cloud(20, 2, 2, mass=1.01)
    with pytest.raises(ArgumentError, match=r"equal masses; got 1 and 1\.01\. Normalise the weights or set a reach"):
        backend.solve(a, b, 0.1)
    assert backend.solve(a, b, 0.1, reach=1.0).converged


def test_measures_of_different_dimension_are_refused():
    with pytest.raises(ArgumentError, match="one dimension; got 2 and 3"):
        DENSE.solve(cloud(5, 2, 1), cloud(5, 3, 2), 0.1)


def test_the_map_refuses_points_of_another_dimension():
    transport = DENSE.solve(cloud(5, 2, 1), cloud(5, 2, 2), 0.1)
    with pytest.raises(ArgumentError, match=r"points must be \(k, 2\); got shape \(3, 3\)"):
        transport.at(torch.zeros(3, 3, dtype=torch.float64))
    with pytest.raises(ArgumentError, match=r"points must be \(k, 2\); got shape \(2,\)"):
        transport.at(torch.zeros(2, dtype=torch.float64))


def test_too_few_sweeps_are_a_status_and_not_an_error(backend):
    a, b = cloud(150, 3, 3), cloud(120, 3, 4)
    transport = backend.solve(a, b, 0.05, max_iterations=1, tolerance=1e-3)
    assert not transport.converged
    assert transport.marginal_error > 1e-3
    assert transport.status.startswith("not converged: marginal error ")
    assert "allow more iterations or use a larger blur" in transport.status
    patient = backend.solve(a, b, 0.05, max_iterations=1000, tolerance=1e-3)
    assert patient.converged
    assert patient.marginal_error <= 1.5e-3
    assert patient.status.startswith("converged: marginal error ")
    assert patient.iterations > transport.iterations


def test_the_same_problem_gives_the_same_bits(backend):
    a, b = sphere(300, 1), sphere(250, 2)
    one, two = (backend.solve(a, b, 0.1, reach=0.5, tolerance=1e-4) for _ in range(2))
    assert one.value == two.value
    assert torch.equal(one.displacement, two.displacement)
    assert torch.equal(one.target_map.potential, two.target_map.potential)


def test_single_precision_input_is_accepted(backend):
    a, b = sphere(200, 3), sphere(150, 4)
    small = [Measure(m.points.float(), m.weights.float()) for m in (a, b)]
    transport, exact = backend.solve(*small, 0.1, tolerance=1e-4), backend.solve(a, b, 0.1, tolerance=1e-4)
    assert transport.value == pytest.approx(exact.value, rel=1e-4)
    assert (transport.displacement - exact.displacement).abs().max() <= 1e-4


def test_inputs_are_neither_changed_nor_tracked(backend):
    a, b = cloud(50, 2, 5), cloud(40, 2, 6)
    points = a.points.clone().requires_grad_()
    before = points.detach().clone(), a.weights.clone()
    transport = backend.solve(Measure(points, a.weights), b, 0.1)
    assert torch.equal(points.detach(), before[0]) and torch.equal(a.weights, before[1])
    assert not transport.displacement.requires_grad


@pytest.mark.parametrize("reach", [None, 0.4], ids=["balanced", "reach"])
def test_a_warm_start_gives_the_same_answer_in_fewer_sweeps(backend, reach):
    a, b = sphere(300, 5), moved(sphere(250, 6), [0.2, 0.0, 0.0])
    sinkhorn = Sinkhorn(blur=0.05, reach=reach, reduction=backend.name, tolerance=1e-4)
    first = sinkhorn(a, b)
    nearby = moved(a, [0.01, 0.005, 0.0])
    cold, warm = sinkhorn(nearby, b), sinkhorn(nearby, b, warm_start=first.warm_start)
    assert warm.converged
    assert warm.iterations < cold.iterations
    assert warm.value == pytest.approx(cold.value, abs=warm.error + cold.error + backend.slack(0.05))
    assert (warm.displacement - cold.displacement).abs().max() <= 5e-3


def test_a_warm_start_from_itself_needs_next_to_nothing(backend):
    a, b = sphere(300, 7), sphere(250, 8)
    sinkhorn = Sinkhorn(blur=0.1, reduction=backend.name)
    first = sinkhorn(a, b)
    assert sinkhorn(a, b, warm_start=first.warm_start).iterations <= 3


def test_a_warm_start_of_another_size_is_refused():
    first = DENSE.solve(cloud(20, 2, 1), cloud(15, 2, 2), 0.1)
    with pytest.raises(ArgumentError, match="as many points as before; got 19, had 20"):
        Sinkhorn(blur=0.1, reduction="dense")(cloud(19, 2, 1), cloud(15, 2, 2), warm_start=first.warm_start)


def test_a_warm_start_with_other_features_is_refused():
    a, b = cloud(20, 3, 1), cloud(15, 3, 2)
    sinkhorn = Sinkhorn(blur=0.1, reduction="dense")
    start = sinkhorn(a, b).warm_start
    sided = [Measure(m.points, m.weights, m.points[:, :1]) for m in (a, b)]
    with pytest.raises(ArgumentError, match="same features as before"):
        sinkhorn(*sided, warm_start=start)


def test_a_warm_start_is_carried_to_other_points(backend):
    a, b = sphere(400, 9), moved(sphere(350, 10), [0.1, 0.0, 0.0])
    sinkhorn = Sinkhorn(blur=0.1, reduction=backend.name, tolerance=1e-4)
    finer = sphere(300, 11), moved(sphere(280, 12), [0.1, 0.0, 0.0])
    start = sinkhorn(a, b).warm_start_at(*finer)
    cold, warm = sinkhorn(*finer), sinkhorn(*finer, warm_start=start)
    assert warm.iterations < cold.iterations
    assert warm.value == pytest.approx(cold.value, abs=warm.error + cold.error + backend.slack(0.1))


def test_prepared_measures_give_the_same_answer_as_plain_ones(backend):
    a, b = sphere(200, 13), sphere(150, 14)
    sinkhorn = Sinkhorn(blur=0.1, reduction=backend.name)
    plain, prepared = sinkhorn(a, b), sinkhorn(sinkhorn.prepare(a), sinkhorn.prepare(b))
    assert prepared.value == plain.value
    assert torch.equal(prepared.displacement, plain.displacement)


def test_potentials_are_centred_between_the_two_sides(backend):
    a, b = cloud(100, 3, 15), moved(cloud(80, 3, 16), [0.4, 0.0, 0.0])
    transport = backend.solve(a, b, 0.1, cell=1e-3)
    halves = float(a.weights @ transport.potential_source), float(b.weights @ transport.potential_target)
    # Balanced, S = <a, F> + <b, G>, and the free constant makes the halves equal.
    assert halves[0] == pytest.approx(halves[1], abs=10 * backend.finest)
    assert sum(halves) == pytest.approx(transport.value, abs=transport.error + 10 * backend.finest * 0.1)


def test_blurs_fall_geometrically_to_the_last():
    blurs = blur_schedule(1.0, 0.1, 0.5)
    assert blurs == pytest.approx([1.6, 0.8, 0.4, 0.2, 0.1])
    assert blur_schedule(0.05, 0.1, 0.5) == [0.1]
