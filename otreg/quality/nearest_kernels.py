"""Compiled search for the nearest of many points, segments or triangles: a tree of boxes over them, exact distances.

The simplices come in the order of the tree of their middles (``transport.tree_kernels``), whose leaves and boxes they
share.
"""

from __future__ import annotations

import numpy as np

from otreg.compiled import njit, prange

# Points that one thread looks at in a row.
_CHUNK = 256


@njit(cache=True)
def boxes(corners, leaves):
    """(2 leaves, 6) lower and upper ends of the boxes over simplices (m, k, 3); box 1 holds everything."""
    m, k, _ = corners.shape
    box = np.empty((2 * leaves, 6))
    box[:, :3], box[:, 3:] = np.inf, -np.inf
    for leaf in range(leaves):
        i = leaves + leaf
        for t in range(leaf * m // leaves, (leaf + 1) * m // leaves):
            for c in range(k):
                for a in range(3):
                    box[i, a] = min(box[i, a], corners[t, c, a])
                    box[i, 3 + a] = max(box[i, 3 + a], corners[t, c, a])
    for i in range(leaves - 1, 0, -1):
        for a in range(3):
            box[i, a] = min(box[2 * i, a], box[2 * i + 1, a])
            box[i, 3 + a] = max(box[2 * i, 3 + a], box[2 * i + 1, 3 + a])
    return box


@njit(parallel=True, cache=True)
def nearest(points, corners, box):
    """(n,) squared distances from points (n, 3) to the nearest of the simplices (m, k, 3) with these ``boxes``."""
    n, m, leaves = len(points), len(corners), len(box) // 2
    result = np.empty(n)
    for chunk in prange((n + _CHUNK - 1) // _CHUNK):
        waiting = np.empty(64, np.int64)
        apart = np.empty(64)
        found = 0
        for q in range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, n)):
            x, y, z = points[q, 0], points[q, 1], points[q, 2]
            # What was nearest to the point before is a bound that rules out most of the tree, if neighbours follow
            # each other, and right in any case.
            best = _to_simplex(x, y, z, corners, found)
            waiting[0], apart[0] = 1, _to_box(x, y, z, box, 1)
            depth = 1
            while depth:
                depth -= 1
                i = waiting[depth]
                if apart[depth] >= best:
                    continue
                if i >= leaves:
                    for t in range((i - leaves) * m // leaves, (i - leaves + 1) * m // leaves):
                        here = _to_simplex(x, y, z, corners, t)
                        if here < best:
                            best, found = here, t
                    continue
                left, right = _to_box(x, y, z, box, 2 * i), _to_box(x, y, z, box, 2 * i + 1)
                # The nearer one goes on top, to be looked at first: what it finds rules out more of the other.
                waiting[depth], apart[depth] = 2 * i + (left <= right), max(left, right)
                waiting[depth + 1], apart[depth + 1] = 2 * i + (left > right), min(left, right)
                depth += 2
            result[q] = best
    return result


# Points are three numbers below, and simplices an index: views of arrays cost more than the arithmetic.


@njit(cache=True)
def _to_box(x, y, z, box, i):
    dx = max(box[i, 0] - x, x - box[i, 3], 0.0)
    dy = max(box[i, 1] - y, y - box[i, 4], 0.0)
    dz = max(box[i, 2] - z, z - box[i, 5], 0.0)
    return dx * dx + dy * dy + dz * dz


@njit(cache=True)
def _to_simplex(x, y, z, corners, t):
    k = corners.shape[1]
    ax, ay, az = corners[t, 0, 0], corners[t, 0, 1], corners[t, 0, 2]
    px, py, pz = x - ax, y - ay, z - az
    if k == 1:
        return px * px + py * py + pz * pz
    ux, uy, uz = corners[t, 1, 0] - ax, corners[t, 1, 1] - ay, corners[t, 1, 2] - az
    if k == 2:
        return _to_edge(px, py, pz, ux, uy, uz)
    vx, vy, vz = corners[t, 2, 0] - ax, corners[t, 2, 1] - ay, corners[t, 2, 2] - az
    nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    squared = nx * nx + ny * ny + nz * nz
    if squared > 0:
        # Barycentric coordinates of the foot of the perpendicular: inside if none is negative.
        second = ((py * vz - pz * vy) * nx + (pz * vx - px * vz) * ny + (px * vy - py * vx) * nz) / squared
        third = ((uy * pz - uz * py) * nx + (uz * px - ux * pz) * ny + (ux * py - uy * px) * nz) / squared
        if second >= 0 and third >= 0 and second + third <= 1:
            height = px * nx + py * ny + pz * nz
            return height * height / squared
    first = min(_to_edge(px, py, pz, ux, uy, uz), _to_edge(px, py, pz, vx, vy, vz))
    return min(first, _to_edge(px - ux, py - uy, pz - uz, vx - ux, vy - uy, vz - uz))


@njit(cache=True)
def _to_edge(px, py, pz, ux, uy, uz):
    """Squared distance of p from the segment between the origin and u."""
    length = ux * ux + uy * uy + uz * uz
    share = min(max((px * ux + py * uy + pz * uz) / length, 0.0), 1.0) if length > 0 else 0.0
    dx, dy, dz = px - share * ux, py - share * uy, pz - share * uz
    return dx * dx + dy * dy + dz * dz
