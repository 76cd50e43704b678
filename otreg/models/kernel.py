"""Radial kernels, and sum_k w_k K(x, c_k) at any number of points in bounded memory.

All pairs (point, control) are visited in blocks of rows, in the derivatives too, so that no (n, k) matrix outlives its
block. What is summed is a kernel: see gaussians and thin_plate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
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


def kernel_sum(points: Tensor, controls: Tensor, coefficients: Tensor, kernel: Kernel) -> Tensor:
    """(n, m): sum_k w_k K(x_i, c_k), differentiable once in the points and in the coefficients w, (k, m)."""
    apply: Callable[..., Tensor] = _KernelSum.apply
    return apply(points, controls, coefficients, kernel)


def kernel_sum_jacobian(points: Tensor, controls: Tensor, coefficients: Tensor, kernel: Kernel) -> Tensor:
    """(n, d, d): entry [i, a, b] is the derivative of component a of ``kernel_sum`` by coordinate b of point i."""
    d = points.shape[1]
    # -sum_k w_ka D_k (x_b - c_kb), split into the part with x and the part with c: one product per block.
    parts = torch.cat([(coefficients[:, :, None] * controls[:, None, :]).flatten(1), coefficients], 1)  # (k, d * d + d)
    result = points.new_empty(len(points), d, d)
    for rows in _blocks(points, controls):
        pulled = kernel.slopes(points[rows], controls) @ parts
        by_control, by_point = pulled[:, : d * d].reshape(-1, d, d), pulled[:, d * d :]
        result[rows] = by_control - by_point[:, :, None] * points[rows][:, None, :]
    return result


class _KernelSum(torch.autograd.Function):
    """Autograd of a plain expression would keep several (n, k) matrices; this computes them again, block by block."""

    @staticmethod
    def forward(ctx: Any, points: Tensor, controls: Tensor, coefficients: Tensor, kernel: Kernel) -> Tensor:
        ctx.save_for_backward(points, controls, coefficients)
        ctx.kernel = kernel
        result = points.new_empty(len(points), coefficients.shape[1])
        for rows in _blocks(points, controls):
            result[rows] = kernel.values(points[rows], controls) @ coefficients
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, Tensor | None, None]:
        points, controls, coefficients = ctx.saved_tensors
        by_points = torch.empty_like(points) if ctx.needs_input_grad[0] else None
        by_coefficients = torch.zeros_like(coefficients) if ctx.needs_input_grad[2] else None
        for rows in _blocks(points, controls):
            if by_coefficients is not None:
                by_coefficients += ctx.kernel.values(points[rows], controls).T @ gradient[rows]
            if by_points is not None:
                pull = ctx.kernel.slopes(points[rows], controls) * (gradient[rows] @ coefficients.T)  # (rows, k)
                by_points[rows] = pull @ controls - pull.sum(1, keepdim=True) * points[rows]
        return by_points, None, by_coefficients, None


def _blocks(points: Tensor, controls: Tensor) -> Iterator[slice]:
    """Slices of rows such that a (rows, k) block has a bounded number of entries."""
    entries = BLOCK_ENTRIES["cuda" if points.is_cuda else "cpu"]
    rows = max(1, entries // len(controls))
    return (slice(start, start + rows) for start in range(0, len(points), rows))
