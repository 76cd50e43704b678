"""Where a spline turns space inside out.

A map is one-to-one near a point where the determinant of its Jacobian has the sign of its affine part's. Divided by
that part's determinant it says how much volume grows there beside the affine change: 1 where nothing bends, 0 where
the map flattens, negative where it folds.
"""

from __future__ import annotations

import torch
from torch import Tensor

from otreg.models.base import Model
from otreg.models.bending import BendingModel

# Determinant of an affine part, over the power of its size, below which it is flat.
FLAT = 1e-9
_LAST = "_last_volume_changes"


def volume_changes(model: Model, points: Tensor) -> Tensor:
    """(n,) determinants of the model's Jacobian at (n, d) points, over that of its affine part; ones for linear models.

    Where the affine part is flat there is no volume to compare with: the answer is NaN. A spline keeps its last answer,
    for who asks at the end of a registration, after the guard against folds.
    """
    if not isinstance(model, BendingModel):
        return torch.ones(len(points), dtype=torch.float64, device=points.device)
    last = model.__dict__.get(_LAST)
    if last is not None and torch.equal(last[0], points):
        return last[1]
    with torch.no_grad():
        whole, size = torch.linalg.det(model.affine.matrix), model.affine.matrix.norm()
        changes = torch.linalg.det(model.jacobian(points)) / whole
        if not whole.abs() > FLAT * size**model.dimension:
            changes = torch.full_like(changes, torch.nan)
        model.__dict__[_LAST] = points, changes
        return changes
