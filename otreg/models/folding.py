"""Where a map turns space inside out, and which faces it turns over.

A map is one-to-one near a point where the determinant of its Jacobian has the sign of its affine part's. Divided by
that part's determinant it says how much volume grows there beside the affine change: 1 where nothing bends, 0 where
the map flattens, negative where it folds.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from otreg.models.base import Model
from otreg.models.bending import BendingModel

# Determinant of an affine part, over the power of its size, below which it is flat.
FLAT = 1e-9
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def volume_changes(model: Model, points: Tensor) -> Tensor:
    """(n,) determinants of the model's Jacobian at (n, d) points, over that of its affine part; ones for linear models.

    Where the affine part is flat there is no volume to compare with: the answer is NaN.
    """
    if not isinstance(model, BendingModel):
        return torch.ones(len(points), dtype=torch.float64, device=points.device)
    with torch.no_grad():
        whole, size = torch.linalg.det(model.affine.matrix), model.affine.matrix.norm()
        changes = torch.linalg.det(model.jacobian(points)) / whole
        return changes if whole.abs() > FLAT * size**model.dimension else torch.full_like(changes, torch.nan)


def flipped_faces(
    triangles: Integers, before: Floats, after: Floats, jacobians: Floats, *, mirrored: bool = False
) -> int:
    """How many triangles (t, 3) of a surface show their other side after a map.

    before, after: (n, 3) vertices; jacobians: (n, 3, 3) of the map at the vertices before; mirrored: whether its affine
    part mirrors space. Normals are covectors: J^-T carries the outside of a surface along wherever the map is
    one-to-one. A triangle is flipped when its corners, as they moved, have their normal on the other side, with J the
    mean Jacobian of the corners. Triangles without area count as not flipped.
    """
    a, b, c = np.moveaxis(jacobians[triangles].mean(1), 1, 0)  # rows of the mean Jacobians
    # The cofactor matrix, det(J) J^-T, has cross products of the rows as rows; it exists where the inverse does not.
    cofactors = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=1)
    carried = np.einsum("tab,tb->ta", cofactors, _normals(before[triangles]))
    side = np.einsum("ta,ta->t", carried, _normals(after[triangles])) * np.einsum("ta,ta->t", a, cofactors[:, 0])
    return int((side > 0 if mirrored else side < 0).sum())


def _normals(corners: Floats) -> Floats:
    """(t, 3) normals of triangles (t, 3, 3), as long as twice their area."""
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
