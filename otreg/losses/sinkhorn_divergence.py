"""The Sinkhorn divergence as a differentiable PyTorch scalar, with analytic gradients.

The solver runs without autograd; at the optimum the gradients are closed forms of the potentials (envelope theorem,
Feydy et al. 2019, proposition 2), so a backward pass costs one extension and no unrolled loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor

from otreg.errors import ArgumentError
from otreg.measures import Measure
from otreg.transport import Sinkhorn, Transport

Solver = Callable[[Measure, Measure], Transport]


def divergence(
    source_points: Tensor, source_weights: Tensor, target_points: Tensor, target_weights: Tensor, solve: Solver
) -> Tensor:
    """The scalar S(source, target), differentiable in all four tensors.

    points (n, d) and (m, d), weights (n,) and (m,). solve: what finds the transport, e.g. a :class:`Sinkhorn`.
    Gradients with respect to weights are defined up to a constant when mass is conserved.
    """
    return _Divergence.apply(source_points, source_weights, target_points, target_weights, solve)


@final
class SinkhornDivergence(torch.nn.Module):
    """S_eps(a, b) = OT_eps(a, b) - OT_eps(a, a)/2 - OT_eps(b, b)/2, with C = |x - y|^2/2 and eps = blur^2.

    Settings are those of :class:`otreg.transport.Sinkhorn`; lengths are in the units of the points.
    """

    def __init__(self, blur: float, reach: float | None = None, **settings: Any) -> None:
        super().__init__()
        self.sinkhorn = Sinkhorn(blur=blur, reach=reach, **settings)

    def forward(self, *tensors: Tensor) -> Tensor:
        """``loss(x, y)`` with uniform weights, or ``loss(a, x, b, y)``: x (n, d), y (m, d), a (n,), b (m,)."""
        if len(tensors) == 2:
            x, y = tensors
            a, b = (torch.full_like(points[:, 0], 1 / len(points)).detach() for points in (x, y))
        elif len(tensors) == 4:
            a, x, b, y = tensors
        else:
            raise ArgumentError(f"call with (x, y) or (a, x, b, y); got {len(tensors)} tensors.")
        return divergence(x, a, y, b, self.sinkhorn)


class _Divergence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor, y: Tensor, b: Tensor, solve: Solver) -> Tensor:
        ctx.transport = solve(Measure(x.detach(), a.detach()), Measure(y.detach(), b.detach()))
        ctx.like = x, a, y, b
        return x.new_tensor(ctx.transport.value)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        needs = ctx.needs_input_grad
        grads: list[Tensor | None] = [None] * 5
        if needs[0] or needs[1]:
            grads[0], grads[1] = ctx.transport.source_gradient
        if needs[2] or needs[3]:
            grads[2], grads[3] = ctx.transport.target_gradient
        return tuple(
            (outer[0] * grad).to(like) if need and grad is not None else None
            for grad, like, need in zip(grads, (*ctx.like, outer[0]), needs, strict=True)
        )
