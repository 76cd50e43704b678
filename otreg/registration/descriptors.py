"""How a shape lies around each of its points, in numbers that no motion changes.

Pairs of a point and its neighbours are described by the angles between their connection and both normals, and counted
in histograms by how far apart they are: point pair features (Rusu et al. 2009, without the second averaging). Normals
come from the neighbours alone, so their side is arbitrary: it is chosen so that the neighbours lie on it, and bumps
look like dents. Which of the points that look alike belong together is decided by others (see parts).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from otreg.transport.neighbours import nearest

Array = npt.NDArray[np.float64]

# Radii over the edge of the cells that the points stand for: of the neighbourhood that is described, and of the smaller
# one that says how the surface lies; and how many points of a surface are within them.
_RADIUS, _NEIGHBOURS = 4.5, 64
_NORMAL_RADIUS, _NORMAL_NEIGHBOURS = 2.5, 20
# The same of the one that says whether a point lies at a border of the surface: then the middle of its neighbours is
# away from it, over the radius, by more than the last; at a straight border by 0.42.
_BORDER_RADIUS, _BORDER_NEIGHBOURS, _BORDER = 3.0, 40, 0.2
# Bins per angle, and shells of the neighbourhood that are counted apart.
_BINS, _SHELLS = 9, 3


def normals_of(points: Array, edge: float) -> Array:
    """(n, d) unit vectors along which the surface around each of (n, d) cells of a given edge spreads least."""
    ways, distance, _ = _around(points, _NORMAL_NEIGHBOURS)
    used = distance <= _NORMAL_RADIUS * edge
    weights = used / used.sum(1, keepdims=True)
    centred = ways - np.einsum("nk,nkd->nd", weights, ways)[:, None]
    covariance = np.einsum("nk,nkd,nke->nde", weights, centred, centred)
    return np.asarray(np.linalg.eigh(covariance)[1][:, :, 0])


def at_border(points: Array, normals: Array, edge: float) -> npt.NDArray[np.bool_]:
    """(n,) whether (n, d) cells with normals lie at a border of the surface: their neighbours are on one side."""
    ways, distance, _ = _around(points, _BORDER_NEIGHBOURS)
    used = (distance > 0) & (distance <= _BORDER_RADIUS * edge)
    middle = np.einsum("nk,nkd->nd", used / np.maximum(used.sum(1, keepdims=True), 1), ways)
    middle -= np.einsum("nd,nd->n", middle, normals)[:, None] * normals
    return np.asarray(np.linalg.norm(middle, axis=1) > _BORDER * _BORDER_RADIUS * edge)


def descriptors_of(points: Array, normals: Array, edge: float) -> Array:
    """(n, k) descriptors of unit length, or zero where a cell has no neighbours; the side of the normals is ignored."""
    ways, distance, near = _around(points, _NEIGHBOURS)
    used = (distance > 0) & (distance <= _RADIUS * edge)
    # Normals on the side of the neighbours, and those of the neighbours on the side of the normal.
    side = np.einsum("nkd,nd->n", ways * used[..., None], normals)
    normals = normals * np.where(side < 0, -1.0, 1.0)[:, None]
    others = normals[near]
    along = np.einsum("nkd,nd->nk", others, normals)
    others = others * np.where(along < 0, -1.0, 1.0)[..., None]
    towards = ways / np.where(distance > 0, distance, 1.0)[..., None]
    cosines = np.stack(
        [
            np.einsum("nkd,nd->nk", towards, normals),
            np.einsum("nkd,nkd->nk", towards, others),
            2 * np.abs(along) - 1,
        ],
        axis=2,
    )
    return _histograms(cosines, distance / (_RADIUS * edge), used)


def _around(points: Array, count: int) -> tuple[Array, Array, npt.NDArray[np.int64]]:
    """Ways (n, k, d) to the nearest points of each, their lengths (n, k) and the indices of those points."""
    every = torch.from_numpy(points)
    near = nearest(every, every, min(len(points), count)).numpy()
    ways = points[near] - points[:, None]
    return ways, np.linalg.norm(ways, axis=2), near


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
