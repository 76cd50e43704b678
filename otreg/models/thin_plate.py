"""The kernel of thin-plate splines: among all maps with given values, its sums bend least in the whole of space.

The bending energy J(u) = integral of |D^2 u|^2 over R^d, of an affine function plus u(x) = sum_k w_k U(|x - c_k|), is
8 pi w^T U_cc w with U = r^2 log r in the plane and U = -r in space (Duchon 1977; Wahba 1990, section 2.4; Bookstein
1989), if the weights annihilate affine functions. The kernel is U times a constant such that a Gaussian bump of height
one and of the kernel's width has energy one, as the cheapest bump of a sum of Gaussians has: so that a stiffness says
the same of both splines.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from otreg.models.kernel import Kernel

# J of exp(-|x|^2 / (2 s^2)) is d (d + 2) / 4 pi^(d/2) s^(d - 4): 2 pi / s^2 in the plane, 15/4 pi^1.5 / s in space.
# Over 8 pi, with r in units of s, that leaves these factors.
_PLANE, _SPACE = 1 / 4, 15 * math.pi**0.5 / 32


@final
@dataclass(frozen=True)
class ThinPlate(Kernel):
    """K(x, c) = (r^2 log r) / 4 in the plane and -0.83 r in space, with r = |x - c| / width.

    In space the kernel has a cone at its control: slopes are taken to be 0 there, the mean over all directions.
    """

    width: float

    conditional: ClassVar[bool] = True

    def values(self, points: Tensor, controls: Tensor) -> Tensor:
        r = self._distances(points, controls)
        if points.shape[1] == 2:
            return torch.special.xlogy(r, r).mul_(r).mul_(_PLANE)
        return r.mul_(-_SPACE)

    def slopes(self, points: Tensor, controls: Tensor) -> Tensor:
        # dK/dx = K'(r) (x - c) / (r width^2).
        r = self._distances(points, controls)
        if points.shape[1] == 2:
            slopes = r.log().mul_(2).add_(1).mul_(-_PLANE / self.width**2)
        else:
            slopes = r.reciprocal().mul_(_SPACE / self.width**2)
        return slopes.nan_to_num_(posinf=0.0, neginf=0.0)

    def _distances(self, points: Tensor, controls: Tensor) -> Tensor:
        # Not by a matrix product, which loses half of the digits of small distances.
        return torch.cdist(points, controls, compute_mode="donot_use_mm_for_euclid_dist").div_(self.width)
