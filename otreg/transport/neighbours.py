"""Nearest points: by a tree in main memory, by all pairs, a chunk at a time, on a device, so that nothing leaves it."""

from __future__ import annotations

import numpy as np
import torch

from otreg.transport import devices

# So many pairs of points at a time on a device: a matrix of 128 MiB.
_PAIRS_AT_A_TIME = 2**24


def nearest(known: torch.Tensor, points: torch.Tensor, count: int = 1) -> torch.Tensor:
    """(k, count) indices of the known points (n, D) closest to each of the points (k, D), the closest first.

    count: at most n.
    """
    if devices.in_main_memory(points):
        from scipy.spatial import cKDTree

        _, index = cKDTree(known.numpy()).query(points.numpy(), count, workers=-1)
        return torch.from_numpy(np.asarray(index)).view(len(points), count)
    # |x - y|^2 / 2 less |x|^2 / 2 has the same order and is one product of matrices; about the centre it loses least.
    centre = known.mean(0)
    y = known - centre
    half = y.square().sum(1) / 2
    chunk = max(1, _PAIRS_AT_A_TIME // len(known))
    parts = [
        torch.addmm(half, x - centre, y.T, alpha=-1).topk(count, largest=False).indices for x in points.split(chunk)
    ]
    return torch.cat(parts)
