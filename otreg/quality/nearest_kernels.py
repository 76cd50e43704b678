"""Compiled search for the nearest of many points, segments or triangles: a tree of boxes over them, exact distances.

The simplices come in an order that keeps neighbours together. Every LEAF of them share a box, every two boxes a larger
one, up to the one of all: a complete binary tree, in an array where the children of box i are 2 i and 2 i + 1.
"""

from __future__ import annotations

import numpy as np
from numba import njit

LEAF = 8


@njit(cache=True)
def boxes(corners, leaves):
    """(2 leaves, 6) lower and upper ends of the boxes over simplices (m, k, 3); leaves: a power of 2, LEAF leaves >= m.

    Box 1 holds everything; boxes without simplices are inside out and infinitely far from everything.
    """
    m, k, _ = corners.shape
    box = np.empty((2 * leaves, 6))
    box[:, :3], box[:, 3:] = np.inf, -np.inf
    for t in range(m):
        leaf = leaves + t // LEAF
        for c in range(k):
            for a in range(3):
                box[leaf, a] = min(box[leaf, a], corners[t, c, a])
                box[leaf, 3 + a] = max(box[leaf, 3 + a], corners[t, c, a])
    for i in range(leaves - 1, 0, -1):
        for a in range(3):
            box[i, a] = min(box[2 * i, a], box[2 * i + 1, a])
            box[i, 3 + a] = max(box[2 * i, 3 + a], box[2 * i + 1, 3 + a])
    return box


@njit(cache=True)
def nearest(points, corners, box):
    """(n,) squared distances from points (n, 3) to the nearest of the simplices (m, k, 3) with these ``boxes``."""
    n, m, k = len(points), corners.shape[0], corners.shape[1]
    leaves = len(box) // 2
    result = np.empty(n)
    waiting = np.empty(64, np.int64)
    apart = np.empty(64)
    for q in range(n):
        p = points[q]
        best = np.inf
        waiting[0], apart[0] = 1, _to_box(p, box[1])
        depth = 1
        while depth:
            depth -= 1
            i = waiting[depth]
            if apart[depth] >= best:
                continue
            if i >= leaves:
                first = (i - leaves) * LEAF
                for t in range(first, min(first + LEAF, m)):
                    best = min(best, _to_simplex(p, corners[t], k))
                continue
            left, right = _to_box(p, box[2 * i]), _to_box(p, box[2 * i + 1])
            # The nearer one goes on top, to be looked at first: what it finds rules out more of the other.
            near, far = (2 * i, 2 * i + 1) if left <= right else (2 * i + 1, 2 * i)
            close, away = min(left, right), max(left, right)
            if away < best:
                waiting[depth], apart[depth] = far, away
                depth += 1
            if close < best:
                waiting[depth], apart[depth] = near, close
                depth += 1
        result[q] = best
    return result


@njit(cache=True)
def _to_box(p, box):
    total = 0.0
    for a in range(3):
        outside = max(box[a] - p[a], p[a] - box[3 + a], 0.0)
        total += outside * outside
    return total


@njit(cache=True)
def _to_simplex(p, corners, k):
    if k == 1:
        return _squared(p, corners[0])
    if k == 2:
        return _to_segment(p, corners[0], corners[1])
    a, b, c = corners[0], corners[1], corners[2]
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    px, py, pz = p[0] - a[0], p[1] - a[1], p[2] - a[2]
    nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    squared = nx * nx + ny * ny + nz * nz
    if squared > 0:
        # Barycentric coordinates of the foot of the perpendicular: inside if none is negative.
        s = ((py * vz - pz * vy) * nx + (pz * vx - px * vz) * ny + (px * vy - py * vx) * nz) / squared
        t = ((uy * pz - uz * py) * nx + (uz * px - ux * pz) * ny + (ux * py - uy * px) * nz) / squared
        if s >= 0 and t >= 0 and s + t <= 1:
            height = px * nx + py * ny + pz * nz
            return height * height / squared
    return min(_to_segment(p, a, b), _to_segment(p, b, c), _to_segment(p, c, a))


@njit(cache=True)
def _to_segment(p, a, b):
    along = 0.0
    length = 0.0
    for k in range(3):
        along += (p[k] - a[k]) * (b[k] - a[k])
        length += (b[k] - a[k]) ** 2
    share = min(max(along / length, 0.0), 1.0) if length > 0 else 0.0
    total = 0.0
    for k in range(3):
        total += (p[k] - a[k] - share * (b[k] - a[k])) ** 2
    return total


@njit(cache=True)
def _squared(p, a):
    return (p[0] - a[0]) ** 2 + (p[1] - a[1]) ** 2 + (p[2] - a[2]) ** 2
