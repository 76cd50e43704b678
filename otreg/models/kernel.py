"""A sum of Gaussians as a kernel, and sum_k w_k K(x, c_k) at any number of points in bounded memory.

K(x, c) = sum_j a_j exp(-|x - c|^2 / (2 s_j^2)) with K(x, x) = 1. Wide Gaussians carry large smooth bends, narrow ones
the detail; weights a_j proportional to s_j^2 make a wide bend cheaper in the kernel's norm than many narrow ones. All
pairs (point, control) are visited in blocks of rows, in the derivative too, so no (n, k) matrix outlives its block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Widths = tuple[float, ...]

# Entries of a block: 1 MB per buffer stays in a processor's cache, a GPU wants more work per launch.
BLOCK_ENTRIES = {"cpu": 2**17, "cuda": 2**22}


def amplitudes(widths: Widths) -> list[float]:
    """a_j, proportional to the squared widths, with sum one."""
    squares = [(width / max(widths)) ** 2 for width in widths]
    return [square / sum(squares) for square in squares]


def kernel_matrix(points: Tensor, controls: Tensor, widths: Widths) -> Tensor:
    """(n, k) values K(x_i, c_k). points: (n, d); controls: (k, d)."""
    return _gaussians(points, controls, amplitudes(widths), widths)


def slope_matrix(points: Tensor, controls: Tensor, widths: Widths) -> Tensor:
    """(n, k) values D with dK(x, c)/dx = -D(x, c) (x - c)."""
    factors = [a / width**2 for a, width in zip(amplitudes(widths), widths, strict=True)]
    return _gaussians(points, controls, factors, widths)


def kernel_sum(points: Tensor, controls: Tensor, coefficients: Tensor, *, widths: Widths) -> Tensor:
    """(n, m): sum_k w_k K(x_i, c_k), differentiable once in the points and in the coefficients w, (k, m)."""
    apply: Callable[..., Tensor] = _KernelSum.apply
    return apply(points, controls, coefficients, widths)


def kernel_sum_jacobian(points: Tensor, controls: Tensor, coefficients: Tensor, *, widths: Widths) -> Tensor:
    """(n, d, d): entry [i, a, b] is the derivative of component a of ``kernel_sum`` by coordinate b of point i."""
    d = points.shape[1]
    # -sum_k w_ka D_k (x_b - c_kb), split into the part with x and the part with c: two products per block.
    by_control = (coefficients[:, :, None] * controls[:, None, :]).flatten(1)  # (k, d * d)
    result = points.new_empty(len(points), d, d)
    for rows in _blocks(points, controls):
        slopes = slope_matrix(points[rows], controls, widths)
        pulled = (slopes @ by_control).reshape(-1, d, d)
        result[rows] = pulled - (slopes @ coefficients)[:, :, None] * points[rows][:, None, :]
    return result


class _KernelSum(torch.autograd.Function):
    """Autograd of a plain expression would keep several (n, k) matrices; this computes them again, block by block."""

    @staticmethod
    def forward(ctx: Any, points: Tensor, controls: Tensor, coefficients: Tensor, widths: Widths) -> Tensor:
        ctx.save_for_backward(points, controls, coefficients)
        ctx.widths = widths
        result = points.new_empty(len(points), coefficients.shape[1])
        for rows in _blocks(points, controls):
            result[rows] = kernel_matrix(points[rows], controls, widths) @ coefficients
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, Tensor | None, None]:
        points, controls, coefficients = ctx.saved_tensors
        by_points = torch.empty_like(points) if ctx.needs_input_grad[0] else None
        by_coefficients = torch.zeros_like(coefficients) if ctx.needs_input_grad[2] else None
        for rows in _blocks(points, controls):
            if by_coefficients is not None:
                by_coefficients += kernel_matrix(points[rows], controls, ctx.widths).T @ gradient[rows]
            if by_points is not None:
                pull = slope_matrix(points[rows], controls, ctx.widths) * (gradient[rows] @ coefficients.T)  # (rows, k)
                by_points[rows] = pull @ controls - pull.sum(1, keepdim=True) * points[rows]
        return by_points, None, by_coefficients, None


def _gaussians(points: Tensor, controls: Tensor, factors: list[float], widths: Widths) -> Tensor:
    """(n, k): sum_j factors_j exp(-|x - c|^2 / (2 widths_j^2)), in three buffers."""
    # -|x - c|^2 as one product of (n, d + 2) and (d + 2, k).
    one, one_k = points.new_ones(len(points), 1), controls.new_ones(len(controls), 1)
    left = torch.cat([2 * points, -points.square().sum(1, keepdim=True), -one], 1)
    right = torch.cat([controls, one_k, controls.square().sum(1, keepdim=True)], 1)
    closeness = left @ right.T
    buffer, result = torch.empty_like(closeness), torch.zeros_like(closeness)
    for factor, width in zip(factors, widths, strict=True):
        torch.mul(closeness, 1 / (2 * width**2), out=buffer)
        result.add_(buffer.exp_(), alpha=factor)
    return result


def _blocks(points: Tensor, controls: Tensor) -> Iterator[slice]:
    """Slices of rows such that a (rows, k) block has a bounded number of entries."""
    entries = BLOCK_ENTRIES["cuda" if points.is_cuda else "cpu"]
    rows = max(1, entries // len(controls))
    return (slice(start, start + rows) for start in range(0, len(points), rows))
