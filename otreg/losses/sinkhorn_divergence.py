"""The Sinkhorn divergence as a differentiable PyTorch scalar, with analytic gradients.

The solver runs without autograd; at the optimum the gradients are closed forms of the potentials (envelope theorem,
Feydy et al. 2019, proposition 2), so a backward pass costs one extension and no unrolled loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from torch import Tensor

from otreg.errors import ArgumentError
from otreg.measures import Measure
from otreg.measures.checks import check_measure
from otreg.transport import Sinkhorn, Transport
from otreg.transport.call import uniform
from otreg.transport.sinkhorn import Reach

Solver = Callable[[Measure, Measure], Transport]
# One tensor, or several: stacked along a first axis, or in a sequence where they differ in size.
Batch = Tensor | Sequence[Tensor]


def divergence(
    source_points: Tensor,
    source_weights: Tensor,
    target_points: Tensor,
    target_weights: Tensor,
    solve: Solver,
    *,
    features: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """The scalar S(source, target), differentiable in all its tensors.

    points (n, d) and (m, d), weights (n,) and (m,), features (n, k) and (m, k), further coordinates of the cost. solve:
    what finds the transport, e.g. a :class:`Sinkhorn`. The value has the type and device of the source points, every
    gradient those of its tensor. Gradients with respect to weights are defined up to a constant when mass is conserved.

    >>> x = torch.tensor([[0.0, 0.0], [1.0, 0.0]], requires_grad=True)
    >>> weights = torch.tensor([0.5, 0.5])
    >>> value = divergence(x, weights, x.detach() + torch.tensor([0.0, 2.0]), weights, Sinkhorn(blur=0.1))
    >>> value.backward()
    >>> round(value.item(), 4), x.grad.tolist()
    (2.0, [[0.0, -1.0], [0.0, -1.0]])
    """
    source_features, target_features = (None, None) if features is None else features
    return _Divergence.apply(
        source_points, source_weights, source_features, target_points, target_weights, target_features, solve
    )


@final
class SinkhornDivergence(torch.nn.Module):
    """The loss S(a, b), a Sinkhorn divergence between weighted points: a differentiable scalar.

    S(a, b) = OT_eps(a, b) - OT_eps(a, a)/2 - OT_eps(b, b)/2 + eps/2 (mass a - mass b)^2, where
    OT_eps(a, b) = min <plan, C> + eps KL(plan | a x b) + rho KL(plan 1 | a) + rho KL(plan' 1 | b), C = |x - y|^p / p,
    eps = blur^p and rho = reach^p; without reach the plan must have the marginals a and b (Feydy et al. 2019, Sejourne
    et al. 2019). blur, reach: lengths in the unit of the points; a pair of reaches is for the two sides apart. Further
    settings are those of :class:`otreg.Sinkhorn`, e.g. ``tolerance`` or ``reduction``.

    Call, cost and constants are those of GeomLoss' ``SamplesLoss("sinkhorn", p=p, blur=blur, reach=reach)``; the sweeps
    go on until the marginals hold to ``tolerance``. Weights have a gradient up to a constant when mass is conserved,
    points without weight have none. The loss can be differentiated once.

    >>> loss = SinkhornDivergence(blur=0.05)
    >>> x = torch.rand(100, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    >>> value = loss(x, x.detach() + torch.tensor([1.0, 0.0, 0.0]))
    >>> value.backward()
    >>> round(value.item(), 4), (100 * x.grad).mean(0).round(decimals=3).abs().tolist()
    (0.5, [1.0, 0.0, 0.0])
    """

    def __init__(self, blur: float, reach: Reach = None, *, p: int = 2, **settings: Any) -> None:
        """Raises ArgumentError when a setting is out of range."""
        super().__init__()
        self.sinkhorn = Sinkhorn(blur=blur, reach=reach, p=p, **settings)

    def forward(self, *tensors: Batch, features: tuple[Batch, Batch] | None = None) -> Tensor:
        """``loss(x, y)`` with weights 1/n and 1/m, or ``loss(a, x, b, y)``: a scalar, or one value per pair of a batch.

        x (n, d), y (m, d), weights a (n,), b (m,). A batch of B pairs is a tensor with a further first axis, or a list
        where sizes differ, and gives (B,) values. features: of the two sides, (n, k) and (m, k), as lengths: further
        coordinates of the cost (:mod:`otreg.measures.features`). Raises ArgumentError when the shapes do not fit, a
        number is not finite, a weight is negative, or masses differ without reach.

        >>> loss = SinkhornDivergence(blur=0.1, p=1)
        >>> a, x = torch.tensor([0.5, 0.5]), torch.tensor([[0.0, 0.0], [0.0, 9.0]])
        >>> round(loss(a, x, a, x + torch.tensor([3.0, 0.0])).item(), 3)
        3.0
        >>> clouds = [torch.zeros(5, 2), torch.zeros(7, 2)]
        >>> loss(clouds, [cloud[:3] + 1 for cloud in clouds])
        tensor([1.4142, 1.4142])
        """
        if len(tensors) == 2:
            (x, y), (a, b) = tensors, (None, None)
        elif len(tensors) == 4:
            a, x, b, y = tensors
        else:
            raise ArgumentError(f"call with (x, y) or (a, x, b, y); got {len(tensors)} tensors.")
        u, v = (None, None) if features is None else features
        parts = (x, a, u, y, b, v)
        if isinstance(x, Tensor) and x.ndim <= 2:
            return self._of_pair(*parts)
        members = [None if part is None else _members(part) for part in parts]
        sizes = {len(member) for member in members if member is not None}
        if len(sizes) > 1 or sizes == {0}:
            raise ArgumentError(
                "a batch must hold as many sources as targets, weights and features, and at least one; "
                f"got {sorted(sizes)}."
            )
        size = sizes.pop()
        columns = [[None] * size if member is None else member for member in members]
        return torch.stack([self._of_pair(*pair) for pair in zip(*columns, strict=True)])

    def extra_repr(self) -> str:
        """The problem, in the words of the arguments."""
        return f"blur={self.sinkhorn.blur}, reach={self.sinkhorn.reach}, p={self.sinkhorn.p}"

    def _of_pair(self, *parts: Batch | None) -> Tensor:
        source, target = _checked(*parts[:3], name="source"), _checked(*parts[3:], name="target")
        return _Divergence.apply(*source, *target, self.sinkhorn)


def _members(batch: Batch) -> Sequence[Tensor]:
    """The tensors of a batch."""
    return batch.unbind(0) if isinstance(batch, Tensor) else batch


def _checked(
    points: Batch | None, weights: Batch | None, features: Batch | None, *, name: str
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The same tensors, with uniform weights for None, once they are known to make a measure."""
    x = _tensor(points, f"{name} points")
    a = uniform(x.detach()).weights if weights is None else _tensor(weights, f"{name} weights")
    u = None if features is None else _tensor(features, f"{name} features")
    check_measure(_measure(x, a, u), name)
    return x, a, u


def _tensor(value: Batch | None, name: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise ArgumentError(f"{name} must be a tensor, or all arguments batches; got {type(value).__name__}.")
    return value


def _measure(points: Tensor, weights: Tensor, features: Tensor | None) -> Measure:
    return Measure(points.detach(), weights.detach(), None if features is None else features.detach())


class _Divergence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, a: Tensor, u: Tensor | None, y: Tensor, b: Tensor, v: Tensor | None, solve: Solver
    ) -> Tensor:
        ctx.transport = solve(_measure(x, a, u), _measure(y, b, v))
        # The gradients are found when they are asked for; PyTorch then refuses tensors that were changed in between.
        ctx.save_for_backward(x, a, u, y, b, v)
        return x.new_tensor(ctx.transport.value)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        needs, likes, transport = ctx.needs_input_grad, ctx.saved_tensors, ctx.transport
        grads: list[Tensor | None] = [None] * 6
        if needs[0] or needs[1]:
            grads[:2] = transport.source_gradient
        if needs[2]:
            grads[2] = transport.source_feature_gradient
        if needs[3] or needs[4]:
            grads[3:5] = transport.target_gradient
        if needs[5]:
            grads[5] = transport.target_feature_gradient
        found = (
            (outer[0] * grad).to(like) if need and grad is not None else None
            for grad, like, need in zip(grads, likes, needs[:6], strict=True)
        )
        return *found, None
