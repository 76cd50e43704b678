"""Batches: one value per pair, the same as one by one, with gradients for every member."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from otreg.errors import ArgumentError
from otreg.losses import SinkhornDivergence
from tests.transport.generators import cloud

LOSS = SinkhornDivergence(0.3, reduction="dense", tolerance=1e-8)


def clouds(sizes: list[int], seed: int) -> tuple[list[Tensor], list[Tensor]]:
    """Weights and points of measures of mass one."""
    measures = [cloud(n, 2, seed + k) for k, n in enumerate(sizes)]
    return [m.weights for m in measures], [m.points for m in measures]


def test_stacked_clouds_have_one_value_each():
    (a, x), (b, y) = clouds([9, 9, 9], 1), clouds([7, 7, 7], 11)
    stacked = LOSS(torch.stack(a), torch.stack(x), torch.stack(b), torch.stack(y))
    assert stacked.shape == (3,)
    assert stacked.tolist() == [float(LOSS(*one)) for one in zip(a, x, b, y, strict=True)]
    assert LOSS(torch.stack(x), torch.stack(y)).tolist() == [float(LOSS(*one)) for one in zip(x, y, strict=True)]


@pytest.mark.parametrize("kind", [list, tuple])
def test_clouds_of_different_sizes_come_in_lists(kind):
    (a, x), (b, y) = clouds([9, 4, 1], 1), clouds([3, 8, 5], 11)
    values = LOSS(kind(a), kind(x), kind(b), kind(y))
    assert values.tolist() == [float(LOSS(*one)) for one in zip(a, x, b, y, strict=True)]
    # One side may be stacked where its sizes agree.
    b, y = clouds([6, 6, 6], 21)
    mixed = LOSS(kind(a), kind(x), torch.stack(b), torch.stack(y))
    assert mixed.tolist() == [float(LOSS(*one)) for one in zip(a, x, b, y, strict=True)]


def test_gradients_flow_to_every_member():
    (a, x), (b, y) = clouds([9, 4], 1), clouds([3, 8], 11)
    leaves = [[tensor.clone().requires_grad_() for tensor in part] for part in (a, x, b, y)]
    (torch.tensor([2.0, -1.0], dtype=torch.float64) * LOSS(*leaves)).sum().backward()
    for k, factor in ((0, 2.0), (1, -1.0)):
        alone = [part[k].clone().requires_grad_() for part in (a, x, b, y)]
        LOSS(*alone).backward()
        for part, leaf in zip(leaves, alone, strict=True):
            assert torch.allclose(part[k].grad, factor * leaf.grad, atol=1e-14)


def test_gradients_flow_to_stacked_clouds():
    (_, x), (_, y) = clouds([9, 9], 1), clouds([7, 7], 11)
    stacked = torch.stack(x).requires_grad_()
    LOSS(stacked, torch.stack(y))[1].backward()
    alone = x[1].clone().requires_grad_()
    LOSS(alone, y[1]).backward()
    assert torch.equal(stacked.grad[1], alone.grad) and (stacked.grad[0] == 0).all()


def test_features_come_in_batches_too():
    (_, x), (_, y) = clouds([9, 4], 1), clouds([3, 8], 11)
    u, v = ([torch.sin(7 * points) for points in part] for part in (x, y))
    values = LOSS(x, y, features=(u, v))
    assert values.tolist() == [float(LOSS(x[k], y[k], features=(u[k], v[k]))) for k in range(2)]
    assert values.tolist() != LOSS(x, y).tolist()


@pytest.mark.parametrize(
    ("tensors", "part"),
    [
        (([torch.rand(4, 2)] * 2, [torch.rand(4, 2)] * 3), r"as many sources as targets.*got \[2, 3\]"),
        (([], []), r"at least one; got \[0\]"),
        ((torch.rand(2, 4, 2), torch.rand(2, 2)), r"\(n, d\) with n >= 1; got shape \(2,\)"),
        ((torch.rand(4, 2), [torch.rand(4, 2)]), "target points must be a tensor, or all arguments batches; got list"),
        (([[0.0, 1.0]], [torch.rand(4, 2)]), "source points must be a tensor.*got list"),
        ((torch.rand(4), torch.rand(4)), r"\(n, d\) with n >= 1; got shape \(4,\)"),
    ],
)
def test_batches_that_do_not_fit_are_refused(tensors, part):
    with pytest.raises(ArgumentError, match=part):
        LOSS(*tensors)


def test_weights_and_features_of_another_batch_are_refused():
    x = torch.rand(2, 4, 2)
    with pytest.raises(ArgumentError, match=r"got \[2, 3\]"):
        LOSS(torch.full((3, 4), 0.25), x, torch.full((2, 4), 0.25), x)
    with pytest.raises(ArgumentError, match=r"got \[1, 2\]"):
        LOSS(x, x, features=(x[:1], x[:1]))
    with pytest.raises(ArgumentError, match="the same features; got 2 and 0"):
        LOSS(x[0], x[0], features=(x[0], None))
