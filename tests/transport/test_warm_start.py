"""Potentials carried along with points that moved: exact for translations, nearly so for stretches."""

import pytest
import torch

from otreg.measures import Measure
from otreg.transport import Sinkhorn
from otreg.transport import pyramid_kernels as kernels
from tests.transport.generators import cloud, sphere

SINKHORN = Sinkhorn(blur=0.1, reduction="dense", tolerance=1e-9, max_iterations=2000)


def moved(measure, change):
    return Measure(change(measure.points), measure.weights)


def differences(found, expected):
    """Of two functions on a cloud that are known up to a constant."""
    gap = found - expected
    return (gap - gap.mean()).abs().max()


@pytest.mark.parametrize("which", ["source", "target"])
def test_a_translated_shape_starts_from_its_answer(which):
    a, b = cloud(60, 3, 1), cloud(50, 3, 2)
    way = torch.tensor([0.1, -0.05, 0.2], dtype=torch.float64)
    first = SINKHORN(a, b)
    c, d = (moved(a, lambda x: x + way), b) if which == "source" else (a, moved(b, lambda x: x + way))
    answer = SINKHORN(c, d).warm_start
    f, g = first.warm_start.potentials(c, d, p=2, balanced=True)
    assert differences(f.values, answer.source.values) <= 1e-9
    assert differences(g.values, answer.target.values) <= 1e-9
    assert (g.image - answer.target.image).abs().max() <= 1e-8
    assert SINKHORN(c, d, warm_start=first.warm_start).iterations <= 3


def test_a_stretched_shape_starts_much_nearer_to_its_answer_than_where_it_was():
    a = cloud(80, 3, 3)
    b = moved(a, lambda x: x * 1.1)
    stretch = torch.tensor([[1.04, 0.02, 0.0], [0.02, 0.97, 0.01], [0.0, 0.01, 1.02]], dtype=torch.float64)
    c = moved(a, lambda x: x @ stretch)
    first, answer = SINKHORN(a, b).warm_start, SINKHORN(c, b).warm_start
    f, g = first.potentials(c, b, p=2, balanced=True)
    plain_f, plain_g = first.potentials(c, b, p=2, balanced=False)
    assert differences(f.values, answer.source.values) <= differences(plain_f.values, answer.source.values) / 4
    assert differences(g.values, answer.target.values) <= differences(plain_g.values, answer.target.values) / 4


def test_shapes_that_lie_in_a_plane_have_no_motion_out_of_it_to_share():
    a, b = cloud(60, 2, 4), cloud(50, 2, 5)
    flat = Measure(torch.nn.functional.pad(a.points, (0, 1)), a.weights)
    goal = Measure(torch.nn.functional.pad(b.points, (0, 1)), b.weights)
    first = SINKHORN(flat, goal).warm_start
    f, g = first.potentials(moved(flat, lambda x: 1.05 * x), goal, p=2, balanced=True)
    assert bool(torch.isfinite(f.values).all() and torch.isfinite(g.values).all() and torch.isfinite(g.image).all())
    reference = SINKHORN(a, b).warm_start.potentials(moved(a, lambda x: 1.05 * x), b, p=2, balanced=True)
    assert differences(f.values, reference[0].values) <= 1e-8


@pytest.mark.parametrize("features", [0, 3])
def test_a_warm_start_on_the_points_builds_no_cells(monkeypatch, features):
    a, b = (
        Measure(m.points, m.weights, m.points[:, :features] if features else None)
        for m in (sphere(4500, 1), moved(sphere(4500, 2), lambda x: 1.02 * x))
    )
    settings = Sinkhorn(blur=0.05, tolerance=1e-2, cell=0.05, reduction="cpu")  # cells that merge next to nothing
    target = settings.prepare(b, as_target=True)
    first = settings(a, target)
    value = first.value
    monkeypatch.setattr(kernels, "merge_cells", None)
    second = settings(a, target, warm_start=first.warm_start)
    assert second.value == pytest.approx(value, rel=1e-2)
    assert second.displacement.isfinite().all()
