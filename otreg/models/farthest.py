"""Points of a cloud that are spread evenly over it, by farthest-point sampling (Gonzalez 1985)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

# Farthest-point sampling visits all candidates once per point; this many describe a shape well enough.
MAX_CANDIDATES = 20_000


def farthest_points(points: Tensor, *, count: int, seed: int = 0) -> Tensor:
    """(k, d) of the points, k <= count, spread evenly: each the farthest from those before it, without repetition.

    The first is the one closest to the mean. Of more than MAX_CANDIDATES points a random subset, drawn with ``seed``,
    is considered. Fewer distinct points than ``count`` are all taken.
    """
    # Loaded late: maps without bend need no compiled code.
    from otreg.models.farthest_kernels import farthest

    n = len(points)
    if n > MAX_CANDIDATES:
        kept = torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:MAX_CANDIDATES]
        points = points[kept.sort().values.to(points.device)]
    first = (points - points.mean(0)).square().sum(1).argmin()
    axes = np.ascontiguousarray(points.detach().cpu().numpy().T)
    return points[torch.from_numpy(farthest(axes, int(first), count)).to(points.device)]
