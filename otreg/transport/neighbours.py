"""Nearest points: by a tree in main memory, by all pairs, a chunk at a time, on a device, so that nothing leaves it."""

from __future__ import annotations

import numpy as np
import torch

from otreg.transport import devices
from otreg.transport.tree_kernels import leaves_for, nearest_points, point_boxes, tree_order

# So many pairs of points at a time on a device: a matrix of 128 MiB.
_PAIRS_AT_A_TIME = 2**24


def nearest(known: torch.Tensor, points: torch.Tensor, count: int = 1) -> torch.Tensor:
    """(k, count) indices of the known points (n, D) closest to each of the points (k, D), the closest first.

    count: at most n.
    """
    if devices.in_main_memory(points):
        given, asked = (np.ascontiguousarray(tensor.numpy(), dtype=np.float64) for tensor in (known, points))
        leaves = leaves_for(len(given))
        order = tree_order(given, leaves)
        sorted_points = given[order]
        boxes = point_boxes(sorted_points, leaves)
        return torch.from_numpy(nearest_points(asked, sorted_points, order, boxes, count))
    # |x - y|^2 / 2 less |x|^2 / 2 has the same order and is one product of matrices; about the centre it loses least.
    centre = known.mean(0)
    y = known - centre
    half = y.square().sum(1) / 2
    return torch.cat(
        devices.in_chunks(
            lambda some: torch.addmm(half, points[some] - centre, y.T, alpha=-1).topk(count, largest=False).indices,
            count=len(points),
            size=_PAIRS_AT_A_TIME // len(known),
            short=f"no memory left on {points.device} to look for the nearest of {len(known)} points",
        )
    )
