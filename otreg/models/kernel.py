"""Radial kernels, and sum_k w_k K(x, c_k) at any number of points in bounded memory.

All pairs (point, control) are visited in blocks of rows, in the derivatives too, so that no (n, k) matrix outlives its
block. What is summed is a kernel: see gaussians and thin_plate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Entries of a block: 1 MB per buffer stays in a processor's cache, a GPU wants more work per launch.
BLOCK_ENTRIES = {"cpu": 2**17, "cuda": 2**22}


class Kernel(ABC):
    """K(x, c), a function of |x - c| alone.

    conditional: w^T K_cc w is positive only for weights that annihilate affine functions, sum w_k = 0, sum w_k c_k = 0.
    """

    conditional: ClassVar[bool]

    @abstractmethod
    def values(self, points: Tensor, controls: Tensor) -> Tensor:
        """(n, k) values K(x_i, c_k). points: (n, d); controls: (k, d)."""

    @abstractmethod
    def slopes(self, points: Tensor, controls: Tensor) -> Tensor:
        """(n, k) values D with dK(x, c)/dx = -D(x, c) (x - c)."""

    def value_sums(self, points: Tensor, controls: Tensor, coefficients: Tensor) -> Tensor:
        """(n, m): sum_k w_k K(x_i, c_k) for coefficients w (k, m), without keeping the kernels."""
        return _sums(self.values, points, controls, coefficients)

    def slope_sums(self, points: Tensor, controls: Tensor, coefficients: Tensor) -> Tensor:
        """(n, m): sum_k w_k D(x_i, c_k)."""
        return _sums(self.slopes, points, controls, coefficients)


def kernel_sum(points: Tensor, controls: Tensor, coefficients: Tensor, kernel: Kernel) -> Tensor:
    """(n, m): sum_k w_k K(x_i, c_k), differentiable once in the points and in the coefficients w, (k, m)."""
    apply: Callable[..., Tensor] = _ValueSum.apply
    return apply(points, controls, coefficients, kernel)


def kernel_sum_jacobian(points: Tensor, controls: Tensor, coefficients: Tensor, kernel: Kernel) -> Tensor:
    """(n, m, d): entry [i, a, b] is the derivative of component a of ``kernel_sum`` by coordinate b of point i.

    Differentiable once in the coefficients.
    """
    # -sum_k w_ka D_k (x_b - c_kb), split into the part with x and the part with c.
    n, d, m = len(points), points.shape[1], coefficients.shape[1]
    parts = torch.cat([(coefficients[:, :, None] * controls[:, None, :]).flatten(1), coefficients], 1)  # (k, m * d + m)
    apply: Callable[..., Tensor] = _SlopeSum.apply
    pulled = apply(points, controls, parts, kernel)
    return pulled[:, : m * d].reshape(n, m, d) - pulled[:, m * d :, None] * points[:, None, :]


class _ValueSum(torch.autograd.Function):
    """Autograd of a plain expression would keep several (n, k) matrices; this sums the kernels again instead."""

    @staticmethod
    def forward(ctx: Any, points: Tensor, controls: Tensor, coefficients: Tensor, kernel: Kernel) -> Tensor:
        ctx.save_for_backward(points, controls, coefficients)
        ctx.kernel = kernel
        return kernel.value_sums(points, controls, coefficients)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, Tensor | None, None]:
        points, controls, coefficients = ctx.saved_tensors
        by_points = by_coefficients = None
        if ctx.needs_input_grad[0]:
            jacobian = kernel_sum_jacobian(points, controls, coefficients, ctx.kernel)
            by_points = torch.einsum("nab,na->nb", jacobian, gradient)
        if ctx.needs_input_grad[2]:
            # The same sum with points and controls in exchanged places.
            by_coefficients = ctx.kernel.value_sums(controls, points, gradient)
        return by_points, None, by_coefficients, None


class _SlopeSum(torch.autograd.Function):
    """The same of slopes, for derivatives in the coefficients alone."""

    @staticmethod
    def forward(ctx: Any, points: Tensor, controls: Tensor, coefficients: Tensor, kernel: Kernel) -> Tensor:
        ctx.save_for_backward(points, controls)
        ctx.kernel = kernel
        return kernel.slope_sums(points, controls, coefficients)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, Tensor, None]:
        assert not ctx.needs_input_grad[0], "there are no second derivatives by the points"
        points, controls = ctx.saved_tensors
        return None, None, ctx.kernel.slope_sums(controls, points, gradient), None


def _sums(
    kernels: Callable[[Tensor, Tensor], Tensor], points: Tensor, controls: Tensor, coefficients: Tensor
) -> Tensor:
    """kernels(points, controls) @ coefficients, by blocks of rows with a bounded number of kernels."""
    rows = max(1, BLOCK_ENTRIES["cuda" if points.is_cuda else "cpu"] // len(controls))
    result = points.new_empty(len(points), coefficients.shape[1])
    for block, sums in zip(points.split(rows), result.split(rows), strict=True):
        torch.mm(kernels(block, controls), coefficients, out=sums)
    return result
