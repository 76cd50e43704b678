"""The loss in the place of GeomLoss' SamplesLoss: the same numbers, and manners that training code relies on."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from otreg.errors import ArgumentError
from otreg.losses import SinkhornDivergence
from tests.transport.generators import cloud, moved


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("reach", [None, 0.6])
def test_the_value_is_that_of_geomloss_run_to_convergence_and_so_is_the_balanced_gradient(p, reach):
    geomloss = pytest.importorskip("geomloss", reason="needs geomloss, which is not among otreg's dependencies")
    a, b = cloud(60, 3, 1), moved(cloud(50, 3, 2), [0.3, 0.0, 0.1])
    theirs = geomloss.SamplesLoss("sinkhorn", p=p, blur=0.2, reach=reach, scaling=0.99, backend="tensorized")
    ours = SinkhornDivergence(p=p, blur=0.2, reach=reach, reduction="dense", tolerance=1e-9, max_iterations=3000)
    found = []
    for loss in (theirs, ours):
        x = a.points.clone().requires_grad_()
        value = loss(a.weights, x, b.weights, b.points)
        value.backward()
        found.append((value.item(), x.grad))
    assert found[1][0] == pytest.approx(found[0][0], rel=2e-3)
    # With a reach GeomLoss 0.3.1's gradient is not that of its own value; see test_gradcheck.py for ours.
    if reach is None:
        assert (found[1][1] - found[0][1]).norm() <= 1e-2 * found[0][1].norm()


@pytest.mark.parametrize("reduction", ["dense", "cpu"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_have_the_type_of_what_they_belong_to(reduction, dtype):
    a, b = cloud(20, 3, 1), cloud(30, 3, 2)
    leaves = [t.to(dtype).requires_grad_() for t in (a.weights, a.points, b.weights, b.points)]
    features = [torch.rand(n, 2, dtype=dtype, requires_grad=True) for n in (20, 30)]
    value = SinkhornDivergence(0.2, 0.5, reduction=reduction)(*leaves, features=tuple(features))
    value.backward()
    assert value.dtype == dtype and value.shape == ()
    for leaf in (*leaves, *features):
        assert leaf.grad.dtype == dtype and leaf.grad.shape == leaf.shape and torch.isfinite(leaf.grad).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that PyTorch can use")
@pytest.mark.parametrize("blur", [0.0, 0.2])
def test_values_and_gradients_stay_on_the_device_of_the_points(blur):
    d = 1 if blur == 0 else 3
    x, y = (torch.rand(n, d, device="cuda") for n in (20, 30))
    x.requires_grad_()
    value = SinkhornDivergence(blur)(x, y)
    value.backward()
    assert value.device == x.device == x.grad.device


def test_the_solved_problem_is_freed_with_the_value():
    a, b = cloud(20, 2, 1), cloud(20, 2, 2)
    x = a.points.clone().requires_grad_()
    value = SinkhornDivergence(0.2, reduction="dense")(x, b.points)
    solved = weakref.ref(value.grad_fn.transport)
    detached = value.detach()
    assert not detached.requires_grad and detached.grad_fn is None
    del value
    gc.collect()
    assert solved() is None


def test_points_that_were_changed_before_the_backward_pass_are_refused():
    a, b = cloud(20, 2, 1), cloud(20, 2, 2)
    x = a.points.clone().requires_grad_()
    value = SinkhornDivergence(0.2, reduction="dense")(x, b.points)
    with torch.no_grad():
        x += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_nothing_that_is_given_is_changed():
    tensors = [t for m in (cloud(20, 2, 1), cloud(20, 2, 2)) for t in (m.weights, m.points)]
    before = [t.clone() for t in tensors]
    leaves = [t.requires_grad_() for t in tensors]
    SinkhornDivergence(0.2)(*leaves).backward()
    assert all(torch.equal(*pair) for pair in zip(leaves, before, strict=True))


def test_it_works_in_inference_mode():
    with torch.inference_mode():
        x, y = torch.rand(20, 3), torch.rand(30, 3)
        value = SinkhornDivergence(0.2)(x, y)
    assert value.is_inference() and float(value) > 0


def test_the_module_says_what_it_computes():
    assert str(SinkhornDivergence(0.2, (0.5, None), p=1)) == "SinkhornDivergence(blur=0.2, reach=(0.5, None), p=1)"


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"x": torch.full((3, 2), torch.nan)}, "source: points must be finite; got NaN"),
        ({"y": torch.tensor([[0, 1], [2, 3]]), "b": None}, "target: points must have a floating type; got torch.int64"),
        ({"a": torch.tensor([0.5, 0.6, -0.1])}, "source: weights must be at least 0 with a positive sum; got values"),
        ({"b": torch.zeros(3)}, "target: weights must be at least 0 with a positive sum"),
        ({"a": torch.ones(4)}, r"weights must have one value per point \(3\)"),
        ({"a": torch.ones(3)}, "balanced transport needs equal masses; got 3 and 1"),
        ({"y": torch.rand(3, 3)}, "one dimension; got 2 and 3"),
        ({"y": torch.empty(0, 2), "b": None}, r"n >= 1; got shape \(0, 2\)"),
    ],
)
def test_what_is_no_pair_of_measures_is_refused_with_its_name(change, part):
    third = torch.full((3,), 1 / 3)
    tensors = {"a": third, "x": torch.rand(3, 2), "b": third, "y": torch.rand(3, 2), **change}
    given = [tensors["x"], tensors["y"]] if tensors["b"] is None else list(tensors.values())
    with pytest.raises(ArgumentError, match=part):
        SinkhornDivergence(0.2)(*given)
