"""Rotations of the plane and of space: how to walk among them and how to find the best one."""

from __future__ import annotations

import torch
from torch import Tensor


def rotation_count(dimension: int) -> int:
    """Degrees of freedom of a rotation: 1 in the plane, 3 in space."""
    return dimension * (dimension - 1) // 2


def rotation_exp(vector: Tensor) -> Tensor:
    """The rotation matrix of a rotation vector in radians: (1,) -> (2, 2), (3,) -> (3, 3); differentiable at 0 too."""
    if len(vector) == 1:
        cos, sin = vector.cos(), vector.sin()
        return torch.stack([torch.cat([cos, -sin]), torch.cat([sin, cos])])
    x, y, z = vector
    o = torch.zeros_like(x)
    skew = torch.stack([torch.stack([o, -z, y]), torch.stack([z, o, -x]), torch.stack([-y, x, o])])
    result: Tensor = torch.linalg.matrix_exp(skew)
    return result


def best_rotation(cross: Tensor, *, reference: Tensor, noise: float) -> Tensor:
    """The rotation R (det +1) that maximises trace(R^T cross), the nearest to ``reference`` where several do.

    cross: (d, d), E[(y - mean y)(x - mean x)^T]; noise: the size of its round-off error.
    Kabsch's method, as in Umeyama 1991, eq. 40-43: U D V^T with D = diag(1, .., det(U V^T)).
    """
    if cross.norm() <= noise:
        return reference
    # A pull of the size of round-off towards the reference: it decides exactly what the data leave open.
    u, _, vt = torch.linalg.svd(cross + noise * reference)
    u = u.clone()
    u[:, -1] *= torch.sign(torch.linalg.det(u @ vt))
    result: Tensor = u @ vt
    return result
