"""PyTorch's own check of gradients, for every input, cost and constraint of the loss.

In fast mode it compares them along random directions, one per input, instead of with two solves per number.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from otreg.losses import SinkhornDivergence
from tests.transport.generators import cloud, moved

REACHES = pytest.mark.parametrize("reach", [None, 0.5, (0.4, None), (None, 0.6), (0.3, 0.7)], ids=str)
POWERS = pytest.mark.parametrize("p", [1, 2])


def exact_loss(reach, p: int, **settings) -> SinkhornDivergence:
    return SinkhornDivergence(0.4, reach, p=p, reduction="dense", tolerance=1e-13, max_iterations=20_000, **settings)


def inputs(dimension: int = 2) -> list[Tensor]:
    """Weights, points and features of both sides, as leaves."""
    a, b = cloud(5, dimension, 1), moved(cloud(4, dimension, 2), [0.4] * dimension)
    rng = torch.Generator().manual_seed(3)
    features = [0.5 * torch.rand(len(m), 2, dtype=torch.float64, generator=rng) for m in (a, b)]
    tensors = [a.weights, a.points, features[0], b.weights, b.points, features[1]]
    return [tensor.clone().requires_grad_() for tensor in tensors]


@POWERS
@REACHES
def test_points_and_features(p, reach):
    a, x, u, b, y, v = inputs()
    loss = exact_loss(reach, p)

    def value(x: Tensor, u: Tensor, y: Tensor, v: Tensor) -> Tensor:
        return loss(a.detach(), x, b.detach(), y, features=(u, v))

    assert torch.autograd.gradcheck(value, (x, u, y, v), atol=1e-6, rtol=1e-4, fast_mode=True)


@POWERS
@pytest.mark.parametrize("reach", [0.5, (0.3, 0.7)], ids=str)
def test_weights_of_any_mass_where_both_sides_may_leave_some(p, reach):
    a, x, u, b, y, v = (tensor.detach() for tensor in inputs())
    loss = exact_loss(reach, p)
    weights = (a.clone().requires_grad_(), (1.5 * b).requires_grad_())
    assert torch.autograd.gradcheck(
        lambda a, b: loss(a, x, b, y, features=(u, v)), weights, atol=1e-6, rtol=1e-4, fast_mode=True
    )


@POWERS
@REACHES
def test_weights_as_shares(p, reach):
    a, x, _, b, y, _ = (tensor.detach() for tensor in inputs())
    loss = exact_loss(reach, p)

    def value(s: Tensor, t: Tensor) -> Tensor:
        return loss(s.softmax(0), x, t.softmax(0), y)

    logits = (a.log().requires_grad_(), b.log().requires_grad_())
    assert torch.autograd.gradcheck(value, logits, atol=1e-6, rtol=1e-4, fast_mode=True)


@POWERS
def test_without_blur_on_the_line(p):
    a, x, _, b, y, _ = inputs(dimension=1)
    loss = SinkhornDivergence(0, p=p)

    def value(s: Tensor, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return loss(s.softmax(0), x, t.softmax(0), y)

    leaves = (a.detach().log().requires_grad_(), x, b.detach().log().requires_grad_(), y)
    assert torch.autograd.gradcheck(value, leaves, atol=1e-6, rtol=1e-4, fast_mode=True)


@POWERS
def test_the_compiled_sums_have_the_features_gradient_of_all_pairs(p):
    found = []
    for reduction, tolerance in (("dense", 1e-10), ("cpu", 1e-5)):
        a, x, u, b, y, v = inputs(dimension=3)
        loss = SinkhornDivergence(
            0.4, 0.8, p=p, reduction=reduction, tolerance=tolerance, max_iterations=5000, cell=1e-3, map_tolerance=0
        )
        loss(a, x, b, y, features=(u, v)).backward()
        found.append((u.grad, v.grad))
    for exact, fast in zip(*found, strict=True):
        assert exact.norm() > 1e-3
        assert (exact - fast).norm() <= 2e-3 * exact.norm()
