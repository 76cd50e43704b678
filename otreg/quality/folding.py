"""Whether a map turns space inside out: its Jacobian determinants, and the faces that it flips.

A determinant says how much larger a small volume becomes. Where it is negative (positive, of a map that mirrors) space
is folded: several points go to one place, and the outside of a surface ends inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from otreg.models.point_map import PointMap
from otreg.quality.pieces import Pieces
from otreg.shapes import Points

Floats = npt.NDArray[np.float64]
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class Folding:
    """How a map changes volumes (areas in the plane) where the source is.

    smallest, largest: Jacobian determinant, without unit; points: at how many it was evaluated;
    flipped_faces: faces whose front becomes their back, None for shapes without faces; faces: how many were checked.
    """

    smallest: float
    largest: float
    points: int
    flipped_faces: int | None
    faces: int


def folding_of(point_map: PointMap, source: Pieces, *, moved: Points, most: int) -> Folding:
    """The folding of the map at the corners and at the centres of the pieces of the source.

    moved: (n, d), where the map sends the source's points; most: evaluate at so many of each at most, evenly chosen.
    A face counts as flipped when its moved corners turn the other way round than the map's own derivative at its centre
    turns them, or when the map folds there.
    """
    at_corners = determinants(point_map, thinned(source.points, most))
    if source.corners.shape[1] < 3:
        return Folding(float(at_corners.min()), float(at_corners.max()), len(at_corners), None, 0)
    faces = thinned(source.corners, most)
    corners = source.points[faces]  # (m, 3, d)
    jacobian = point_map.jacobian(corners.mean(axis=1))
    inside = np.linalg.det(jacobian)
    every = np.concatenate([at_corners, inside])
    # A map that mirrors everything, as a reflection between left and right does, folds nothing.
    side = 1.0 if np.median(every) >= 0 else -1.0
    flipped = side * _agreement(corners, moved[faces], jacobian, inside) < 0
    return Folding(float(every.min()), float(every.max()), len(every), int(flipped.sum()), len(faces))


def determinants(point_map: PointMap, points: Floats) -> Floats:
    """(k,) Jacobian determinants of the map at points (k, d)."""
    return np.asarray(np.linalg.det(point_map.jacobian(points)))


def thinned(rows: npt.NDArray[Scalar], most: int) -> npt.NDArray[Scalar]:
    """At most ``most`` of the rows, evenly spread over their order."""
    return rows[:: max(1, -(-len(rows) // most))]


def _agreement(corners: Floats, moved: Floats, jacobian: Floats, determinant: Floats) -> Floats:
    """(m,) numbers whose sign says whether the moved faces look where the map sends their front, times the side.

    A front moves as det(J) J^-T n does up to sign: as J^-T n, a covector, for whoever asks what is outside.
    """
    if corners.shape[2] == 2:
        return _turn(moved) * np.sign(_turn(corners))
    before, after = _normals(corners), _normals(moved)
    # J^-T n = cofactor(J) n / det(J); the cofactors' columns are cross products of those of J, and finite.
    a, b, c = (jacobian[:, :, k] for k in range(3))
    cofactor = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=2)
    front = np.einsum("mij,mj->mi", cofactor, before) * np.sign(determinant)[:, None]
    return np.asarray(np.einsum("mi,mi->m", front, after))


def _normals(corners: Floats) -> Floats:
    a, b, c = np.moveaxis(corners, 1, 0)
    return np.cross(b - a, c - a)


def _turn(corners: Floats) -> Floats:
    """Twice the signed areas of triangles of the plane, (m, 3, 2) -> (m,)."""
    a, b, c = np.moveaxis(corners, 1, 0)
    (ux, uy), (vx, vy) = (b - a).T, (c - a).T
    return np.asarray(ux * vy - uy * vx)
