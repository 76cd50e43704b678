"""Affine maps: any matrix and a shift, twelve degrees of freedom in space and six in the plane."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self, final

import torch
from torch import Tensor

from otreg.models.linear import LinearModel, Moments


@final
@dataclass(frozen=True, eq=False)
class Affine(LinearModel):
    """phi(x) = M (x - pivot) + pivot + t with any matrix M: it may shear, flatten or reflect where the data ask for it.

    Parameters: change of M by rows (d * d), change of t (d).
    """

    name: ClassVar[str] = "affine"
    generality: ClassVar[int] = 2

    @property
    def parameter_count(self) -> int:
        return self.dimension * (self.dimension + 1)

    def with_parameters(self, theta: Tensor) -> Self:
        d = self.dimension
        change = theta[: d * d].reshape(d, d)
        return replace(self, matrix=self.matrix + change, translation=self.translation + theta[d * d :])

    @property
    def coordinates(self) -> Tensor:
        return torch.cat([self.matrix.flatten(), self.translation])

    def with_coordinates(self, values: Tensor) -> Self:
        d = self.dimension
        return replace(self, matrix=values[: d * d].reshape(d, d), translation=values[d * d :])

    def _best_matrix(self, moments: Moments) -> Tensor:
        # Least squares for the change of M, in the directions where the source has extent; no other direction moves.
        whitener = moments.whitener()  # (d, r)
        residual = moments.cross - self.matrix @ moments.covariance
        return self.matrix + residual @ whitener @ whitener.T
