"""What a shape is to somebody who measures distances: triangles, segments or points, of one kind only.

A volume is measured by its boundary: inside another volume every distance is zero and says nothing about the fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from otreg.shapes import Points, Shape, triangles_of
from otreg.shapes.sizes import order_of, simplex_sizes

Integers = npt.NDArray[np.int64]
Kind = Literal["points", "curve", "surface"]

# The faces of a tetrahedron, and its corners opposite to them.
_FACES = np.array([[1, 2, 3], [0, 3, 2], [0, 1, 3], [0, 2, 1]])


@dataclass(frozen=True)
class Pieces:
    """The simplices that a shape is measured by.

    points: (n, d) file units; corners: (m, k) rows of points, k = 3 for triangles, 2 for segments, 1 for points;
    sizes: (m,) areas, lengths, or 1 for points.
    """

    points: Points
    corners: Integers
    sizes: npt.NDArray[np.float64]

    @property
    def kind(self) -> Kind:
        """In a word."""
        kinds: tuple[Kind, ...] = ("points", "curve", "surface")
        return kinds[self.corners.shape[1] - 1]


def pieces_of(shape: Shape) -> Pieces:
    """The triangles of a surface or of a volume's boundary, the segments of a curve, or the points of a cloud.

    Pieces without a size are left out, since they carry no mass; a shape that has no others is taken for its points.
    """
    order = order_of(shape)
    corners = np.arange(len(shape.points))[:, None]
    if order == 3:
        corners = boundary(np.concatenate([block.indices for block in shape.cells if block.kind == "tetra"]))
    elif order == 2:
        corners = triangles_of(shape)
    elif order == 1:
        corners = np.concatenate([block.indices for block in shape.cells if block.kind == "line"])
    if order:
        # Centred and scaled, so that neither far origins nor huge or tiny units lose digits.
        low, high = shape.points.min(axis=0), shape.points.max(axis=0)
        scale = float(np.linalg.norm(high - low)) or 1.0
        sizes = simplex_sizes(((shape.points - (low + high) / 2) / scale)[corners])
        solid = sizes > 0
        if solid.any():
            return Pieces(shape.points, corners[solid], sizes[solid])
    return Pieces(shape.points, np.arange(len(shape.points))[:, None], np.ones(len(shape.points)))


def boundary(tetrahedra: Integers) -> Integers:
    """(m, 3) faces that belong to one tetrahedron only, of (t, 4) tetrahedra."""
    faces = tetrahedra[:, _FACES].reshape(-1, 3)
    _, first, times = np.unique(np.sort(faces, axis=1), axis=0, return_index=True, return_counts=True)
    return faces[np.sort(first[times == 1])]


def samples_of(pieces: Pieces, count: int, *, seed: int = 0) -> Points:
    """(count, d) points spread evenly over the pieces, one in each of ``count`` shares of equal size.

    The points of a cloud are drawn without repetition; all of them are returned where there are no more than that.
    """
    random = np.random.default_rng(seed)
    m, k = pieces.corners.shape  # pieces, corners of each
    if k == 1:
        if m <= count:
            return pieces.points
        return pieces.points[np.sort(random.choice(m, count, replace=False))]
    total = np.cumsum(pieces.sizes / pieces.sizes.max())
    chosen = np.searchsorted(total, (np.arange(count) + random.random(count)) * (total[-1] / count), side="right")
    corners = pieces.points[pieces.corners[np.minimum(chosen, m - 1)]]  # rounding may carry the last draw past the end
    # Exponential variables over their sum are uniform on the simplex (its barycentric coordinates).
    share = random.exponential(size=(count, k))
    share /= share.sum(axis=1, keepdims=True)
    return np.asarray(np.einsum("sk,skd->sd", share, corners - corners[:, :1]) + corners[:, 0])
