"""The loss's gradients are those of its value: against finite differences in float64, and by descending."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from otreg.errors import ArgumentError
from otreg.losses import SinkhornDivergence, divergence
from otreg.transport import Sinkhorn
from tests.transport.generators import cloud, moved

BLUR = 0.3
REACHES = pytest.mark.parametrize("reach", [None, 0.5], ids=["balanced", "reach"])
# Marginal error of the solves, and what gradients may be off by, relative to their norm.
ACCURACY = {"dense": (1e-11, 1e-6), "cpu": (1e-5, 2e-4)}
REDUCTIONS = pytest.mark.parametrize("reduction", ACCURACY)


def tensors() -> list[Tensor]:
    a, b = cloud(18, 2, 1), moved(cloud(15, 2, 2), [0.3, -0.1])
    return [a.weights, a.points, b.weights, b.points]


def value(inputs: list[Tensor], reach: float | None) -> float:
    """S in float64, all pairs, converged: below zero where it comes out so, since differences are taken."""
    a, x, b, y = inputs
    return float(SinkhornDivergence(BLUR, reach, reduction="dense", tolerance=1e-12, max_iterations=2000)(a, x, b, y))


def slopes(inputs: list[Tensor], k: int, reach: float | None, conserve: bool) -> Tensor:
    """Central differences of the value by every entry of tensor k; ``conserve``: takes mass from all other entries."""
    out, step = torch.empty_like(inputs[k]).view(-1), 1e-5
    for entry in range(len(out)):
        values = []
        for sign in (1, -1):
            changed = [t.clone() for t in inputs]
            direction = torch.zeros_like(changed[k]).view(-1)
            direction[entry] = 1
            if conserve:
                direction -= 1 / len(direction)
            changed[k] += sign * step * direction.view_as(changed[k])
            values.append(value(changed, reach))
        out[entry] = (values[0] - values[1]) / (2 * step)
    return out.view_as(inputs[k])


def gradients(inputs: list[Tensor], reach: float | None, reduction: str) -> list[Tensor]:
    leaves = [t.clone().requires_grad_() for t in inputs]
    # One mass exactly for both solves: the cells would be another problem.
    loss = SinkhornDivergence(
        BLUR, reach, reduction=reduction, tolerance=ACCURACY[reduction][0], max_iterations=2000, cell=1e-3
    )
    loss(*leaves).backward()
    return [leaf.grad for leaf in leaves]


def assert_close(found: Tensor, expected: Tensor, tolerance: float) -> None:
    """Elementwise, in norm and in direction."""
    size = float(expected.norm())
    assert (found - expected).abs().max() <= tolerance * size
    assert float(found.norm()) == pytest.approx(size, rel=tolerance)
    cosine = torch.nn.functional.cosine_similarity(found.reshape(-1), expected.reshape(-1), dim=0)
    assert float(cosine) >= 1 - tolerance


@REDUCTIONS
@REACHES
@pytest.mark.parametrize("side", [1, 3], ids=["source", "target"])
def test_gradients_by_points_match_finite_differences(side, reach, reduction):
    inputs = tensors()
    found = gradients(inputs, reach, reduction)[side]
    assert_close(found, slopes(inputs, side, reach, conserve=False), ACCURACY[reduction][1])


@REDUCTIONS
@REACHES
@pytest.mark.parametrize("side", [0, 2], ids=["source", "target"])
def test_gradients_by_weights_match_finite_differences(side, reach, reduction):
    inputs = tensors()
    found = gradients(inputs, reach, reduction)[side]
    if reach is None:  # mass is conserved, so only differences between weights have a meaning
        found = found - found.mean()
    assert_close(found, slopes(inputs, side, reach, conserve=reach is None), ACCURACY[reduction][1])


def test_gradients_vanish_where_the_measures_agree():
    a, x, _, _ = tensors()
    moving = x.clone().requires_grad_()
    SinkhornDivergence(BLUR, reduction="dense", tolerance=1e-10)(a, moving, a, x).backward()
    assert moving.grad.abs().max() <= 1e-9


def test_outer_factors_scale_the_gradient():
    inputs = tensors()
    plain = gradients(inputs, None, "dense")
    leaves = [t.clone().requires_grad_() for t in inputs]
    loss = SinkhornDivergence(BLUR, reduction="dense", tolerance=1e-11, max_iterations=2000)(*leaves)
    (-3 * loss + 1).backward()
    for leaf, expected in zip(leaves, plain, strict=True):
        assert (leaf.grad + 3 * expected).abs().max() <= 1e-12


def test_two_tensors_mean_uniform_weights():
    _, x, _, y = tensors()
    loss = SinkhornDivergence(BLUR, reduction="dense")
    uniform = [torch.full((len(p),), 1 / len(p), dtype=torch.float64) for p in (x, y)]
    assert float(loss(x, y)) == float(loss(uniform[0], x, uniform[1], y))


@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_any_other_number_of_tensors_is_refused(count):
    with pytest.raises(ArgumentError, match=rf"call with \(x, y\) or \(a, x, b, y\); got {count} tensors"):
        SinkhornDivergence(BLUR)(*[torch.rand(4, 2)] * count)


def test_wrong_settings_are_refused_when_the_loss_is_built():
    with pytest.raises(ArgumentError, match="blur must be positive"):
        SinkhornDivergence(-1.0)
    with pytest.raises(ArgumentError, match="reach must be positive"):
        SinkhornDivergence(1.0, reach=0.0)


@pytest.mark.parametrize("wanted", [(1,), (3,), (0,), (1, 3)])
def test_only_the_asked_gradients_are_made(wanted):
    leaves = tensors()
    for k in wanted:
        leaves[k].requires_grad_()
    SinkhornDivergence(BLUR, reduction="dense")(*leaves).backward()
    for k, leaf in enumerate(leaves):
        assert (leaf.grad is not None) == (k in wanted)


def test_unasked_sides_cost_no_extension():
    a, x, b, y = tensors()
    transports = []

    def solve(source, target):
        transports.append(Sinkhorn(blur=BLUR, reduction="dense")(source, target))
        return transports[-1]

    divergence(x.requires_grad_(), a, y, b, solve).backward()
    assert "source_gradient" in transports[0].__dict__
    assert "target_gradient" not in transports[0].__dict__


def test_without_gradients_there_is_no_graph():
    a, x, b, y = tensors()
    assert not SinkhornDivergence(BLUR, reduction="dense")(a, x, b, y).requires_grad
    with torch.no_grad():
        assert not SinkhornDivergence(BLUR, reduction="dense")(a, x.clone().requires_grad_(), b, y).requires_grad


@pytest.mark.parametrize("mode", [True, False])
def test_the_grad_mode_stays_what_it_was(mode):
    with torch.set_grad_enabled(mode):
        leaves = [t.requires_grad_() for t in tensors()]
        SinkhornDivergence(BLUR, reduction="cpu")(*leaves)
        assert torch.is_grad_enabled() == mode
    assert all(leaf.is_leaf and leaf.grad_fn is None for leaf in leaves)


def test_gradients_flow_to_what_made_the_points():
    a, x, b, y = tensors()
    shift = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    SinkhornDivergence(BLUR, reduction="dense", tolerance=1e-10)(a, x + shift, b, y).backward()
    # S is |mean difference|^2 / 2 plus what a shift does not change.
    expected = a @ x - b @ y
    assert (shift.grad - expected).abs().max() <= 1e-8


def test_gradients_have_the_type_of_their_tensors():
    leaves = [t.float().requires_grad_() for t in tensors()]
    loss = SinkhornDivergence(BLUR)(*leaves)
    loss.backward()
    assert loss.dtype == torch.float32
    for leaf in leaves:
        assert leaf.grad.dtype == torch.float32 and leaf.grad.shape == leaf.shape


@REDUCTIONS
@REACHES
def test_descending_moves_points_onto_the_target(reduction, reach):
    a, x, b, y = tensors()
    loss = SinkhornDivergence(0.1, reach, reduction=reduction, tolerance=1e-4)
    moving = x.clone().requires_grad_()
    optimiser = torch.optim.SGD([moving], lr=1.0)
    values = []
    for _ in range(8):
        optimiser.zero_grad()
        # A unit step per unit of mass is the Brenier map.
        current = loss(a, moving, b, y)
        current.backward()
        moving.grad /= a[:, None]
        optimiser.step()
        values.append(float(current.detach()))
    assert values[1] < 0.3 * values[0]
    assert values[-1] < 0.03 * values[0]


def test_a_value_is_differentiated_once_only():
    a, x, b, y = tensors()
    leaf = x.clone().requires_grad_()
    loss = SinkhornDivergence(BLUR, reduction="dense")(a, leaf, b, y)
    (slope,) = torch.autograd.grad(loss, leaf, create_graph=True)
    with pytest.raises(RuntimeError, match=r"differentiate twice|does not require grad"):
        slope.sum().backward()
