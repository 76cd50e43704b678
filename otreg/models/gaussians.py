"""A sum of Gaussians of several widths as a kernel: what a spline is made of.

K(x, c) = sum_j a_j exp(-|x - c|^2 / (2 s_j^2)) with K(x, x) = 1. Wide Gaussians carry large smooth bends, narrow ones
the detail; weights a_j proportional to s_j^2 make a wide bend cheaper in the kernel's norm than many narrow ones. On
processors the sums are compiled (gaussian_kernels), on GPUs they are a few operations of torch per block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from otreg.models.kernel import Kernel

# More columns of coefficients than this are left to a product of matrices. A Jacobian has 12.
_MOST_COLUMNS = 16


@final
@dataclass(frozen=True)
class Gaussians(Kernel):
    """widths: standard deviations s_j, in the unit of the points."""

    widths: tuple[float, ...]

    conditional: ClassVar[bool] = False

    @property
    def amplitudes(self) -> list[float]:
        """a_j, proportional to the squared widths, with sum one."""
        squares = [(width / max(self.widths)) ** 2 for width in self.widths]
        return [square / sum(squares) for square in squares]

    @property
    def steepness(self) -> list[float]:
        """a_j / s_j^2, the factors of the slopes."""
        return [a / width**2 for a, width in zip(self.amplitudes, self.widths, strict=True)]

    def values(self, points: Tensor, controls: Tensor) -> Tensor:
        return self._weighted(points, controls, self.amplitudes)

    def slopes(self, points: Tensor, controls: Tensor) -> Tensor:
        return self._weighted(points, controls, self.steepness)

    def value_sums(self, points: Tensor, controls: Tensor, coefficients: Tensor) -> Tensor:
        if points.is_cuda or coefficients.shape[1] > _MOST_COLUMNS:
            return super().value_sums(points, controls, coefficients)
        return self._summed(points, controls, coefficients, self.amplitudes)

    def slope_sums(self, points: Tensor, controls: Tensor, coefficients: Tensor) -> Tensor:
        if points.is_cuda or coefficients.shape[1] > _MOST_COLUMNS:
            return super().slope_sums(points, controls, coefficients)
        return self._summed(points, controls, coefficients, self.steepness)

    def _summed(self, points: Tensor, controls: Tensor, coefficients: Tensor, factors: list[float]) -> Tensor:
        """(n, m): sum_k w_k sum_j factors_j exp(-|x - c_k|^2 / (2 s_j^2)) on a processor."""
        # Loaded late: maps without bend need no compiled code.
        from otreg.models.gaussian_kernels import gaussian_sums

        result = points.new_empty(len(points), coefficients.shape[1])
        gaussian_sums(
            _array(points),
            _array(controls.T),
            np.array(self.widths),
            np.array(factors),
            _array(coefficients.T),
            result.numpy(),
        )
        return result

    def _weighted(self, points: Tensor, controls: Tensor, factors: list[float]) -> Tensor:
        """(n, k): sum_j factors_j exp(-|x - c|^2 / (2 s_j^2))."""
        if points.is_cuda:
            return self.on_device(points, controls, factors)
        from otreg.models.gaussian_kernels import gaussian_values

        result = points.new_empty(len(points), len(controls))
        gaussian_values(_array(points), _array(controls.T), np.array(self.widths), np.array(factors), result.numpy())
        return result

    def on_device(self, points: Tensor, controls: Tensor, factors: list[float]) -> Tensor:
        """(n, k): sum_j factors_j exp(-|x - c|^2 / (2 s_j^2)) by torch, in three buffers."""
        # -|x - c|^2 as one product of (n, d + 2) and (d + 2, k).
        one, one_k = points.new_ones(len(points), 1), controls.new_ones(len(controls), 1)
        left = torch.cat([2 * points, -points.square().sum(1, keepdim=True), -one], 1)
        right = torch.cat([controls, one_k, controls.square().sum(1, keepdim=True)], 1)
        closeness = left @ right.T
        gaussian, result = torch.empty_like(closeness), torch.zeros_like(closeness)
        former: float | None = None
        for factor, width in zip(factors, self.widths, strict=True):
            if former is not None and former == 2 * width:
                gaussian.square_().square_()  # four times the exponent, much cheaper than another exponential
            else:
                torch.mul(closeness, 1 / (2 * width**2), out=gaussian).exp_()
            result.add_(gaussian, alpha=factor)
            former = width
        return result


def _array(values: Tensor) -> npt.NDArray[np.float64]:
    """Contiguous, without gradients."""
    array: npt.NDArray[np.float64] = values.detach().contiguous().numpy()
    return array
