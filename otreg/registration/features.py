"""What the shape looks like around each of its points, in numbers that no motion changes.

Pairs of a point and its neighbours are described by the angles between their connection and both normals, and counted
in histograms by how far apart they are: point pair features (Rusu et al. 2009, without the second averaging). Normals
come from the neighbours alone, so their side is arbitrary: it is chosen so that the neighbours lie on it, and bumps
look like dents. Which of the points that look alike belong together is decided by others (see parts).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Array = npt.NDArray[np.float64]

# Radii over the edge of the cells that the points stand for: of the neighbourhood that is described, and of the smaller
# one that says how the surface lies. On a surface some fifty cells lie within the first.
_RADIUS, _NORMAL_RADIUS = 4.5, 2.5
_NEIGHBOURS = 64
# Bins per angle, and shells of the neighbourhood that are counted apart.
_BINS, _SHELLS = 9, 3


@dataclass(frozen=True)
class Features:
    """points (n, d), unit normals (n, d) of arbitrary side, and descriptors (n, k) of unit length or zero."""

    points: Array
    normals: Array
    descriptors: Array


def features_of(points: Array, edge: float) -> Features:
    """The features of cells (n, d) of a given edge."""
    count = min(len(points), _NEIGHBOURS)
    distance, near = cKDTree(points).query(points, count)
    distance, near = distance.reshape(len(points), count), near.reshape(len(points), count)
    ways = points[near] - points[:, None]
    normals = _normals(ways, distance <= _NORMAL_RADIUS * edge)
    used = (distance > 0) & (distance <= _RADIUS * edge)
    # Neighbours on the side of the normal, and their normals on its side.
    side = np.sign(np.einsum("nkd,nd->n", ways * used[..., None], normals))
    normals = normals * np.where(side == 0, 1.0, side)[:, None]
    others = normals[near]
    along = np.einsum("nkd,nd->nk", others, normals)
    others = others * np.where(along < 0, -1.0, 1.0)[..., None]
    towards = ways / np.where(distance > 0, distance, 1.0)[..., None]
    angles = np.stack(
        [
            np.einsum("nkd,nd->nk", towards, normals),
            np.einsum("nkd,nkd->nk", towards, others),
            2 * np.abs(along) - 1,
        ],
        axis=2,
    )
    return Features(points, normals, _histograms(angles, distance / (_RADIUS * edge), used))


def _normals(ways: Array, used: npt.NDArray[np.bool_]) -> Array:
    """(n, d) directions in which the neighbours spread least."""
    weights = used / np.maximum(used.sum(1, keepdims=True), 1)
    centred = ways - np.einsum("nk,nkd->nd", weights, ways)[:, None]
    covariance = np.einsum("nk,nkd,nke->nde", weights, centred, centred)
    return np.linalg.eigh(covariance)[1][:, :, 0]


def _histograms(cosines: Array, distance: Array, used: npt.NDArray[np.bool_]) -> Array:
    """(n, k) square roots of the counts of (n, m, a) cosines by shells of the distance (n, m), each over their sum."""
    n, _, a = cosines.shape
    shell = np.minimum((distance * _SHELLS).astype(np.int64), _SHELLS - 1)
    # Shared between the two nearest bins, so that a small change of an angle is a small change of the histogram.
    place = np.clip((cosines + 1) / 2, 0, 1) * (_BINS - 1)
    low = np.minimum(place.astype(np.int64), _BINS - 2)
    first = ((np.arange(n)[:, None] * _SHELLS + shell)[..., None] * a + np.arange(a)) * _BINS + low
    share = place - low
    size = n * _SHELLS * a * _BINS
    counts = np.bincount(first.ravel(), ((1 - share) * used[..., None]).ravel(), size)
    counts += np.bincount(first.ravel() + 1, (share * used[..., None]).ravel(), size)
    counts = counts.reshape(n, -1)
    return np.asarray(np.sqrt(counts / np.maximum(counts.sum(1, keepdims=True), 1e-300)))
