"""Compiled loops of the pyramid: Hilbert codes, and cells (centroid, mass) from sorted codes."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

# 20 bits an axis: three of them fit in a signed 64-bit code with room to spare.
MAX_BITS = 20


@njit(parallel=True, error_model="numpy", cache=True)
def hilbert_codes(points, low, cell, bits):
    """Hilbert index of the grid cell of every point, ``bits`` bits an axis (Skilling 2004, 3-D).

    points (n, 3); cell k of an axis is [low + k cell, low + (k + 1) cell). Neighbours along the curve are neighbours in
    space, and dropping three bits of a code gives the code of the parent cell.
    """
    n = points.shape[0]
    codes = np.empty(n, dtype=np.int64)
    top = (1 << bits) - 1
    for i in prange(n):
        x0 = np.int64(min(max((points[i, 0] - low[0]) / cell, 0.0), top))
        x1 = np.int64(min(max((points[i, 1] - low[1]) / cell, 0.0), top))
        x2 = np.int64(min(max((points[i, 2] - low[2]) / cell, 0.0), top))
        # Inverse undo of excess work.
        q = np.int64(1) << (bits - 1)
        while q > 1:
            p = q - 1
            if x0 & q:
                x0 ^= p
            if x1 & q:
                x0 ^= p
            else:
                t = (x0 ^ x1) & p
                x0 ^= t
                x1 ^= t
            if x2 & q:
                x0 ^= p
            else:
                t = (x0 ^ x2) & p
                x0 ^= t
                x2 ^= t
            q >>= 1
        # Gray encode.
        x1 ^= x0
        x2 ^= x1
        t = np.int64(0)
        q = np.int64(1) << (bits - 1)
        while q > 1:
            if x2 & q:
                t ^= q - 1
            q >>= 1
        x0 ^= t
        x1 ^= t
        x2 ^= t
        # Interleave, the first axis on top.
        code = np.int64(0)
        for b in range(bits - 1, -1, -1):
            code = (code << 3) | (((x0 >> b) & 1) << 2) | (((x1 >> b) & 1) << 1) | ((x2 >> b) & 1)
        codes[i] = code
    return codes


@njit(cache=True)
def cells_of_codes(codes, shift):
    """Where a new cell starts in sorted codes, when the lowest ``shift`` bits are dropped: (cells + 1,) offsets."""
    n = codes.shape[0]
    starts = np.empty(n + 1, dtype=np.int64)
    count = 0
    previous = np.int64(-1)
    for i in range(n):
        code = codes[i] >> shift
        if code != previous:
            starts[count] = i
            count += 1
            previous = code
    starts[count] = n
    return starts[: count + 1].copy()


@njit(parallel=True, error_model="numpy", cache=True)
def merge_cells(points, weights, starts):
    """Centroid, mass and the parent index of every member, for cells given by offsets into sorted points."""
    count = starts.shape[0] - 1
    centroids = np.empty((count, 3))
    masses = np.empty(count)
    parents = np.empty(points.shape[0], dtype=np.int64)
    for cell in prange(count):
        mass = 0.0
        s0 = 0.0
        s1 = 0.0
        s2 = 0.0
        m0 = 0.0
        m1 = 0.0
        m2 = 0.0
        first = starts[cell]
        last = starts[cell + 1]
        for i in range(first, last):
            parents[i] = cell
            w = weights[i]
            mass += w
            s0 += w * points[i, 0]
            s1 += w * points[i, 1]
            s2 += w * points[i, 2]
            m0 += points[i, 0]
            m1 += points[i, 1]
            m2 += points[i, 2]
        masses[cell] = mass
        if mass > 0.0:
            centroids[cell, 0] = s0 / mass
            centroids[cell, 1] = s1 / mass
            centroids[cell, 2] = s2 / mass
        else:  # a cell without mass still has a place, so that its points have potentials
            centroids[cell, 0] = m0 / (last - first)
            centroids[cell, 1] = m1 / (last - first)
            centroids[cell, 2] = m2 / (last - first)
    return centroids, masses, parents
