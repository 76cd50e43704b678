"""What pairs.json says of its non-rigid pairs, for pairs that are not in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from otreg.models import Affine, Rigid
from otreg.shapes import Points


def known_of(source: Points, target: Points) -> dict[str, Any]:
    """The diagonal of the target's box, and the errors of the maps that come closest to the truth: i belongs to i."""
    diagonal = float(np.linalg.norm(np.ptp(target, axis=0)))
    x, y = torch.from_numpy(source), torch.from_numpy(target)
    weights = torch.full((len(x),), 1 / len(x), dtype=torch.float64)

    def error(model: type[Rigid | Affine]) -> float:
        moved = model.start(x, weights).fit(x, y, weights)(x).numpy()
        return float(np.linalg.norm(moved - target, axis=1).mean()) / diagonal

    return {
        "target_diameter": diagonal,
        "baseline_mean_error_over_diameter": {
            "identity": float(np.linalg.norm(source - target, axis=1).mean()) / diagonal,
            "best_rigid": error(Rigid),
            "best_affine": error(Affine),
        },
    }
