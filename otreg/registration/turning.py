"""How features of the source move with it: normals turn with the shape, everything else stays what it is.

A normal becomes the cofactor matrix of the map's Jacobian times itself, at the length it had: that is what the area
element of a surface is multiplied with, so it stays on the side that the moved faces give it, mirrored maps included,
and no inverse is needed where a map flattens. A cell carries the mean of its points' normals, shorter than one where
the surface is curved.
"""

from __future__ import annotations

import torch

from otreg.models import Model


def moved_features(features: torch.Tensor, model: Model, points: torch.Tensor, *, turning: bool) -> torch.Tensor:
    """(n, k) features of points (n, d) where the model puts them, differentiable in the model's tensors.

    turning: they are normals times a length, k = d; else they stay as they are. A single point, (1, d): all of them
    turn as they would there.
    """
    return turned(features, model.jacobian(points)) if turning else features


def turned(normals: torch.Tensor, jacobians: torch.Tensor) -> torch.Tensor:
    """(n, d) normals after a map with these Jacobians (n, d, d), d = 2 or 3, at the lengths they had.

    One that the map leaves undefined becomes zero.
    """
    after = torch.einsum("nab,nb->na", cofactors(jacobians), normals)
    return normals.norm(dim=1, keepdim=True) * torch.nn.functional.normalize(after, dim=1, eps=1e-30)


def cofactors(matrices: torch.Tensor) -> torch.Tensor:
    """(n, d, d) cofactor matrices det(J) J^-T, d = 2 or 3: their rows are cross products of the other rows."""
    if matrices.shape[1] == 2:
        a, b, c, d = matrices.flatten(1).unbind(1)
        return torch.stack([d, -c, -b, a], 1).unflatten(1, (2, 2))
    first, second, third = matrices.unbind(1)
    rows = [torch.linalg.cross(x, y) for x, y in ((second, third), (third, first), (first, second))]
    return torch.stack(rows, 1)
