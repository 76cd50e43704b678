"""Rigid motions: turn and shift, six degrees of freedom in space and three in the plane."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self, final

from torch import Tensor

from otreg.models.linear import LinearModel, Moments, check_rotation
from otreg.models.rotations import best_rotation, rotation_count, rotation_exp


@final
@dataclass(frozen=True, eq=False)
class Rigid(LinearModel):
    """phi(x) = R (x - pivot) + pivot + t with a rotation R: ``matrix``, determinant +1, never a reflection.

    Parameters: rotation vector in radians (1 or 3), then the change of t (d). R becomes exp(vector) R.
    """

    name: ClassVar[str] = "rigid"
    generality: ClassVar[int] = 0

    @property
    def parameter_count(self) -> int:
        return rotation_count(self.dimension) + self.dimension

    def with_parameters(self, theta: Tensor) -> Self:
        r = rotation_count(self.dimension)
        return replace(self, matrix=rotation_exp(theta[:r]) @ self.matrix, translation=self.translation + theta[r:])

    def _best_matrix(self, moments: Moments) -> Tensor:
        return best_rotation(moments.cross, reference=self.matrix, noise=moments.noise)

    @classmethod
    def _check_matrix(cls, matrix: Tensor) -> None:
        check_rotation(matrix, name=cls.name)
