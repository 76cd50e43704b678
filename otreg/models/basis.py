"""The functions that a spline bends space with: kernels at control points, in well-conditioned coordinates.

Kernels at neighbouring controls are nearly equal, so their weights w are a bad parametrisation: the matrix K_cc of
kernels between controls has eigenvalues over many orders of magnitude. With K_cc = U S U^T and w = U S^(-1/2) z the
squared norm w^T K_cc w becomes |z|^2, and least squares with a ridge on z is as well conditioned as the ridge is
large, even where controls coincide (their null directions are dropped). Of a conditional kernel only the weights
that annihilate affine functions are used: those are left to the affine part of the spline.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from otreg.models.kernel import Kernel, kernel_sum, kernel_sum_jacobian

# Eigenvalues of K_cc below this fraction of the largest are dropped: at the same cost, such a bend moves the controls
# by less than the root of it, 1e-4, of what the first does, while w amplifies z by up to its inverse, 1e4.
SPECTRUM = 1e-8
# Controls whose extent in a direction is below this share of their largest lie flat in it.
RANK = 1e-9


@dataclass(frozen=True, eq=False)
class KernelBasis:
    """Kernels at ``controls`` (k, d), in the units of the points they act on."""

    controls: Tensor
    kernel: Kernel

    def __call__(self, points: Tensor, coefficients: Tensor) -> Tensor:
        """(n, d): sum_k w_k K(x, c_k) for coefficients w (k, d), differentiable in both."""
        if _vanishes(coefficients):
            return torch.zeros_like(points)
        last = self._last_features
        if last is not None and not torch.is_grad_enabled() and torch.equal(last[0], points):
            values, vectors = self._spectrum
            return last[1] @ ((vectors.T @ coefficients) * values.sqrt()[:, None])
        return kernel_sum(points - self._centre, self._centred, coefficients, self.kernel)

    def jacobian(self, points: Tensor, coefficients: Tensor) -> Tensor:
        """(n, d, d) derivatives of ``__call__`` by the points."""
        if _vanishes(coefficients):
            return points.new_zeros(*points.shape, points.shape[1])
        return kernel_sum_jacobian(points - self._centre, self._centred, coefficients, self.kernel)

    @property
    def rank(self) -> int:
        """r <= k, the number of coordinates z per component."""
        return len(self._spectrum[0])

    @cached_property
    def whitening(self) -> Tensor:
        """(k, r): w = whitening @ z."""
        values, vectors = self._spectrum
        return vectors / values.sqrt()

    def norm_squared(self, coefficients: Tensor) -> Tensor:
        """trace(w^T K_cc w), the squared norm of the displacement field in the kernel's space, a scalar."""
        values, vectors = self._spectrum
        return ((vectors.T @ coefficients) * values.sqrt()[:, None]).square().sum()

    def features(self, points: Tensor) -> Tensor:
        """(n, r) values of the whitened functions: features @ z = sum_k w_k K(x, c_k); of Gaussians, rows of norm <= 1.

        The last answer is kept: a registration fits at the same points in every step.
        """
        last = self._last_features
        if last is None or not torch.equal(last[0], points):
            values = kernel_sum(points - self._centre, self._centred, self.whitening, self.kernel)
            last = self.__dict__["_last_features"] = (points.clone(), values)
        return last[1]

    @cached_property
    def _last_features(self) -> tuple[Tensor, Tensor] | None:
        """The points and values of the last call of ``features``."""
        return None

    @cached_property
    def _centre(self) -> Tensor:
        return self.controls.mean(0)

    @cached_property
    def _centred(self) -> Tensor:
        # |x|^2 + |c|^2 - 2 x.c cancels badly far from the origin.
        return self.controls - self._centre

    @cached_property
    def _spectrum(self) -> tuple[Tensor, Tensor]:
        """Kept eigenvalues (r,) and vectors (k, r) of K_cc, on the weights that are allowed."""
        matrix = self.kernel.values(self._centred, self._centred)
        allowed = _annihilators(self._centred) if self.kernel.conditional else None
        if allowed is not None:
            matrix = allowed.T @ matrix @ allowed
        values, vectors = torch.linalg.eigh(matrix)
        kept = values > SPECTRUM * values[-1:]
        values, vectors = values[kept], vectors[:, kept]
        return values, vectors if allowed is None else allowed @ vectors


def _vanishes(coefficients: Tensor) -> bool:
    """Whether there is no bend yet, and no derivative asked for that would start one. A GPU is not waited for."""
    return coefficients.device.type == "cpu" and not torch.is_grad_enabled() and not bool(coefficients.any())


def _annihilators(points: Tensor) -> Tensor:
    """(k, k - rank) orthonormal columns w with sum_k w_k = 0 and sum_k w_k x_k = 0."""
    size = points.abs().max().clamp_min(torch.finfo(points.dtype).tiny)
    left, values, _ = torch.linalg.svd(torch.cat([torch.ones_like(points[:, :1]), points / size], 1))
    rank = int((values > RANK * values[0]).sum())
    return left[:, rank:]
