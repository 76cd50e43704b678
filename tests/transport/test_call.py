"""otreg.transport in one call: what it takes for a measure, and that it is the engine's answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import otreg
from otreg.errors import ArgumentError
from otreg.measures import Measure
from otreg.transport import EntropicTransport, Sinkhorn, SortedTransport, Transport
from tests.transport.generators import cloud, moved

A, B = cloud(40, 3, 1), moved(cloud(30, 3, 2), [0.2, 0.0, 0.1])


def test_measures_pairs_and_arrays_are_the_same_problem():
    expected = Sinkhorn(blur=0.2, reach=0.5, tolerance=1e-5)(A, B)
    pair = (A.weights, A.points), (B.weights, B.points)
    arrays = tuple((weights.numpy(), points.numpy()) for weights, points in pair)
    for source, target in ((A, B), pair, arrays):
        found = otreg.transport(source, target, blur=0.2, reach=0.5, tolerance=1e-5)
        assert isinstance(found, EntropicTransport)
        assert found.value == expected.value and torch.equal(found.displacement, expected.displacement)


def test_points_alone_weigh_alike():
    found = otreg.transport(A.points, B.points.numpy(), blur=0.2)
    uniform = [Measure(m.points, torch.full((len(m),), 1 / len(m), dtype=torch.float64)) for m in (A, B)]
    assert found.value == Sinkhorn(blur=0.2)(*uniform).value


def test_without_blur_the_line_is_sorted():
    found = otreg.transport(np.array([[0], [2]]), np.array([[5], [1]]), blur=0, p=1)
    assert isinstance(found, SortedTransport) and isinstance(found, Transport)
    assert found.value == 2.0


def test_integers_and_halves_become_float64_and_nothing_is_changed():
    integers = np.array([[0, 0], [0, 4]])
    found = otreg.transport(integers, torch.tensor([[3, 0], [3, 4]], dtype=torch.float16), blur=0.1)
    assert found.value == pytest.approx(4.5, rel=1e-4)
    assert integers.tolist() == [[0, 0], [0, 4]]
    fixed = A.points.numpy().copy()
    fixed.flags.writeable = False
    assert otreg.transport(fixed, B, blur=0.2).value == otreg.transport(A.points, B, blur=0.2).value


def test_no_gradient_flows_and_the_mode_stays():
    x = A.points.clone().requires_grad_()
    found = otreg.transport(Measure(x, A.weights), B, blur=0.2, reduction="dense")
    assert not found.displacement.requires_grad and torch.is_grad_enabled()
    assert not otreg.transport(x, B, blur=0.2, reduction="dense").potential_source.requires_grad


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ([[0.0, 1.0]], "source must be a Measure, points .* or a pair .*; got list"),
        (None, "source must be a Measure.*got NoneType"),
        ((A.weights, "points"), "source points must be a Measure.*got str"),
        (np.array([["a", "b"]]), "source must be a Measure.*got ndarray"),
        (A.points[0], r"\(n, d\) with n >= 1; got shape \(3,\)"),
        (A.points[:0], r"\(n, d\) with n >= 1; got shape \(0, 3\)"),
        (A.points / 0, "source: points must be finite"),
        ((-A.weights, A.points), "source: weights must be at least 0"),
        ((A.weights[:5], A.points), r"one value per point \(40\)"),
        (Measure(A.points, A.weights, -A.points / 0), "source: features must be finite"),
    ],
)
def test_what_is_no_measure_is_refused_with_its_name(source, part):
    with pytest.raises(ArgumentError, match=part):
        otreg.transport(source, B, blur=0.2)


def test_unknown_settings_are_refused():
    with pytest.raises(TypeError, match="scaling"):
        otreg.transport(A, B, blur=0.2, scaling=0.5)
