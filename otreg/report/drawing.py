"""What is drawn of a shape: all of it if it is small, else a coarser one that looks the same.

Vertices that fall into one cell of a grid are drawn as one of them, the one closest to their mean; triangles and
segments follow, and those that collapse vanish. So every vertex that is drawn is one of the file, with its own values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from otreg.quality import Pieces, pieces_of
from otreg.quality.pieces import Kind
from otreg.shapes import Points, Shape

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Drawing:
    """The vertices of a shape that are drawn, and what they are joined to.

    chosen: (v,) indices of points of the shape; corners: (m, k) rows of ``chosen``, k = 3 for triangles, 2 for
    segments, 1 for points; points_of_shape: how many the shape has.
    """

    kind: Kind
    chosen: Integers
    corners: Integers
    points_of_shape: int

    @property
    def note(self) -> str:
        """A sentence when there is less to see than in the file, else nothing."""
        if len(self.chosen) == self.points_of_shape:
            return ""
        return f"drawn with {len(self.chosen):,} of its {self.points_of_shape:,} points"


def drawing_of(shape: Shape, *, most: int) -> Drawing:
    """A drawing of the shape with about ``most`` vertices at most."""
    pieces = pieces_of(shape)
    used, corners = np.unique(pieces.corners, return_inverse=True)
    corners = corners.reshape(pieces.corners.shape)
    if len(used) > most:
        chosen, corners = _clustered(pieces, used, corners, most)
    else:
        chosen = used
    return Drawing(pieces.kind, chosen, corners, len(shape.points))


def _clustered(pieces: Pieces, used: Integers, corners: Integers, most: int) -> tuple[Integers, Integers]:
    """The representative of each cell, and the corners that are left, in terms of these."""
    points = pieces.points[used]
    cell = _cells(points, most)
    count = np.bincount(cell)
    mean = np.stack([np.bincount(cell, points[:, k]) / count for k in range(points.shape[1])], axis=1)
    off = np.linalg.norm(points - mean[cell], axis=1)
    order = np.lexsort((off, cell))
    chosen = used[order[np.searchsorted(cell[order], np.arange(len(count)))]]
    coarse = cell[corners]
    k = coarse.shape[1]
    if k == 1:
        return chosen, np.arange(len(chosen))[:, None]
    sorted_corners = np.sort(coarse, axis=1)
    proper = (sorted_corners[:, 1:] != sorted_corners[:, :-1]).all(axis=1)
    # Several triangles may have become the same one; its first orientation stays.
    _, first = np.unique(sorted_corners[proper], axis=0, return_index=True)
    coarse = coarse[proper][np.sort(first)]
    left, coarse = np.unique(coarse, return_inverse=True)  # a vertex may have lost all its triangles
    return chosen[left], coarse.reshape(-1, k)


def _cells(points: Points, most: int) -> Integers:
    """(n,) number of the cell of each point, for a grid with close to ``most`` occupied cells, and no more."""
    low = points.min(axis=0)
    size = float(np.ptp(points, axis=0).max()) or 1.0

    def occupied(parts: int) -> Integers:
        place = np.minimum(((points - low) * (parts / size)).astype(np.int64), parts)
        code = place[:, 0]
        for k in range(1, points.shape[1]):
            code = code * (parts + 1) + place[:, k]
        return np.asarray(np.unique(code, return_inverse=True)[1].reshape(-1))

    # Bisection over the number of parts of the longest side: a grid of 2^16 parts has a cell for every point.
    fewest, too_many = 1, 1 << 16
    best = occupied(fewest)
    while too_many - fewest > max(1, fewest // 50):
        middle = (fewest + too_many) // 2
        found = occupied(middle)
        if found.max() < most:
            fewest, best = middle, found
        else:
            too_many = middle
    return best
