"""How far points are from a shape: from its triangles, its segments or its points, exactly, not from its vertices."""

from __future__ import annotations

from typing import final

import numpy as np
import numpy.typing as npt

from otreg.quality.nearest_kernels import boxes, nearest
from otreg.quality.pieces import Pieces
from otreg.shapes import Points
from otreg.transport.tree_kernels import leaves_for, tree_order

Floats = npt.NDArray[np.float64]


@final
class NearestPoint:
    """Distances to one shape, whose search tree is built once. Takes shapes of the plane and of space."""

    def __init__(self, pieces: Pieces) -> None:
        # Near the origin and of size 1, where squares neither overflow nor lose digits.
        low, high = pieces.points.min(axis=0), pieces.points.max(axis=0)
        self._centre = (low + high) / 2
        self._scale = float(np.linalg.norm(high - low)) or 1.0
        corners = self._scaled(pieces.points)[pieces.corners]  # (m, k, 3)
        leaves = leaves_for(len(corners))
        self._corners = np.ascontiguousarray(corners[tree_order(corners.mean(axis=1), leaves)])
        self._boxes = boxes(self._corners, leaves)

    def __call__(self, points: Points) -> Floats:
        """(k,) distances from points (k, d), in their units."""
        return np.asarray(np.sqrt(nearest(self._scaled(points), self._corners, self._boxes)) * self._scale)

    def _scaled(self, points: Points) -> Floats:
        scaled = np.zeros((len(points), 3))
        scaled[:, : points.shape[1]] = (points - self._centre) / self._scale
        return scaled
