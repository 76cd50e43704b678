"""Accuracy on demand: of the value, of the map between the cells, of the sums; against all pairs in float64."""

from __future__ import annotations

import pytest
import torch

from otreg.errors import ArgumentError
from otreg.io import read_shape
from otreg.measures import Frame
from otreg.measures.from_shape import measure_from_shape
from otreg.transport import Sinkhorn
from tests.transport.generators import DENSE, cloud, measure, moved, rms, sphere


@pytest.mark.parametrize("reach", [None, 0.3, (0.3, None)], ids=str)
@pytest.mark.parametrize("wanted", [1e-2, 1e-4, 1e-6])
def test_the_value_is_as_accurate_as_it_was_asked_to_be(reach, wanted):
    a, b = cloud(300, 3, 1), moved(cloud(350, 3, 2), [0.2, 0.0, 0.0])
    exact = DENSE.solve(a, b, 0.15, reach=reach).value
    transport = Sinkhorn(0.15, reach=reach, value_tolerance=wanted, max_iterations=2000, reduction="cpu")(a, b)
    assert transport.converged and transport.error <= wanted * transport.value
    assert transport.value == pytest.approx(exact, rel=wanted)
    assert transport.lower - 1e-13 <= exact <= transport.upper + 1e-13


@pytest.mark.slow
def test_the_value_is_as_accurate_as_it_was_asked_to_be_on_cells():
    a, b = sphere(9000, 1), moved(sphere(8000, 2), [0.1, 0.1, 0.0])
    coarse, fine = (Sinkhorn(0.08, value_tolerance=wanted, reduction="cpu")(a, b) for wanted in (1e-3, 1e-4))
    assert coarse.converged and fine.converged
    assert coarse.quantisation_error > 0
    assert abs(coarse.value - fine.value) <= coarse.error + fine.error
    assert fine.error <= 1e-4 * fine.value


def test_an_accuracy_that_no_arithmetic_reaches_is_said_to_be_missed():
    a = sphere(300, 3)
    transport = Sinkhorn(0.1, value_tolerance=1e-3, reduction="cpu")(a, measure(a.points.clone()))
    assert not transport.converged
    assert "error of the value" in transport.status and "too small against the blur" in transport.status


@pytest.mark.parametrize("value_tolerance", [0.0, -1.0, float("nan")])
def test_a_value_tolerance_must_be_positive(value_tolerance):
    with pytest.raises(ArgumentError, match="value_tolerance must be positive"):
        Sinkhorn(0.1, value_tolerance=value_tolerance)


def test_double_precision_reaches_marginal_errors_that_single_precision_does_not():
    a, b = sphere(700, 4), moved(sphere(600, 5), [0.1, 0.0, 0.0])
    double = Sinkhorn(0.1, precision="float64", tolerance=1e-9, max_iterations=3000, reduction="cpu", cut=30.0)(a, b)
    exact = DENSE.solve(a, b, 0.1)
    assert double.converged
    assert double.value == pytest.approx(exact.value, rel=1e-10)
    assert (double.displacement - exact.displacement).abs().max() <= 1e-6


@pytest.mark.parametrize("reach", [None, 0.2], ids=["balanced", "reach"])
def test_the_map_between_the_cells_comes_from_a_good_expansion(reach):
    a, b = sphere(20_000, 6), moved(sphere(19_000, 7), [0.05, 0.1, 0.0])
    settings = {"blur": 0.06, "reach": reach, "reduction": "cpu"}
    expanded, exact = (Sinkhorn(map_tolerance=tolerance, **settings)(a, b) for tolerance in (2e-2, 0.0))
    assert expanded._cross.source_level > 0
    gap = rms(expanded.displacement - exact.displacement)
    assert 0 < gap <= 3e-2 * max(rms(exact.displacement), 0.06)
    assert (expanded.potential_source - exact.potential_source).abs().max() <= 0.02 * 0.06**2
    assert torch.allclose(expanded.matched_mass, exact.matched_mass, atol=0.02)


def test_an_expansion_that_a_sample_refutes_is_not_used():
    a, b = sphere(20_000, 8), moved(sphere(19_000, 9), [0.05, 0.1, 0.0])
    strict, exact = (Sinkhorn(0.06, map_tolerance=tolerance, reduction="cpu")(a, b) for tolerance in (1e-7, 0.0))
    assert torch.equal(strict.displacement, exact.displacement)


@pytest.mark.slow
def test_annealing_leaves_no_long_waves_behind(shared_data):
    # Two faces of other proportions, mass conserved: without the extrapolation in eps this takes 343 sweeps.
    shapes = [read_shape(next(shared_data.rglob(name))) for name in ("generic_neutral_mesh.obj", "identity001.obj")]
    frame = Frame.of(shapes[1].points)
    transport = Sinkhorn(0.01, reduction="cpu")(*(measure_from_shape(shape, frame) for shape in shapes))
    assert transport.converged
    assert transport.iterations <= 150
