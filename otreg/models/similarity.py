"""Similarities: turn, shift and one scale for all directions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self, final

import torch
from torch import Tensor

from otreg.errors import FormatError
from otreg.models.linear import LinearModel, Moments, check_rotation
from otreg.models.rotations import best_rotation, rotation_count, rotation_exp


@final
@dataclass(frozen=True, eq=False)
class Similarity(LinearModel):
    """phi(x) = s R (x - pivot) + pivot + t with s > 0 and a rotation R: ``matrix`` is s R, never a reflection.

    Parameters: rotation vector in radians (1 or 3), log of the factor on s (1), change of t (d).
    """

    name: ClassVar[str] = "similarity"
    generality: ClassVar[int] = 1

    @property
    def scale(self) -> Tensor:
        """s, a scalar tensor: the length of a column of s R."""
        return self.matrix.norm() / self.dimension**0.5

    @property
    def parameter_count(self) -> int:
        return rotation_count(self.dimension) + 1 + self.dimension

    def with_parameters(self, theta: Tensor) -> Self:
        r = rotation_count(self.dimension)
        matrix = theta[r].exp() * (rotation_exp(theta[:r]) @ self.matrix)
        return replace(self, matrix=matrix, translation=self.translation + theta[r + 1 :])

    def _best_matrix(self, moments: Moments) -> Tensor:
        # Umeyama 1991, eq. 40 to 42: the rotation does not depend on the scale; s = trace(R^T cross) / variance.
        scale = self.scale
        rotation = best_rotation(moments.cross, reference=self.matrix / scale, noise=moments.noise)
        overlap, variance = (rotation * moments.cross).sum(), moments.covariance.trace()
        # One point, or targets that ask for no scale > 0 at all (all equal): nothing determines s, so it stays.
        if overlap > moments.noise:
            scale = overlap / variance
        return scale * rotation

    @classmethod
    def _check_matrix(cls, matrix: Tensor) -> None:
        scale = matrix.norm() / len(matrix) ** 0.5
        if not (torch.isfinite(scale) and scale > 0):
            raise FormatError(f"'matrix' of a similarity model must have a positive scale; got {float(scale)}")
        check_rotation(matrix / scale, name=cls.name)
