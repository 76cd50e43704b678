"""Compiled loops of the pyramid: Hilbert codes, cells (centroid, mass) from sorted codes, expansions in cells."""

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


@njit(parallel=True, cache=True)
def bounding_box(points):
    """Lowest and highest value of each of three coordinates."""
    parts = 64
    n = points.shape[0]
    low = np.full((parts, 3), np.inf)
    high = np.full((parts, 3), -np.inf)
    for part in prange(parts):
        for i in range(part * n // parts, (part + 1) * n // parts):
            for k in range(3):
                low[part, k] = min(low[part, k], points[i, k])
                high[part, k] = max(high[part, k], points[i, k])
    for part in range(1, parts):
        for k in range(3):
            low[0, k] = min(low[0, k], low[part, k])
            high[0, k] = max(high[0, k], high[part, k])
    return low[0], high[0]


@njit(parallel=True, cache=True)
def gather(points, weights, order):
    """points (n, D) and weights (n,) in another order."""
    n, d = points.shape
    out = np.empty((n, d))
    mass = np.empty(n)
    for i in prange(n):
        for k in range(d):
            out[i, k] = points[order[i], k]
        mass[i] = weights[order[i]]
    return out, mass


@njit(parallel=True, cache=True)
def scatter(values, order, out):
    """out[order] = values, for values (n, k)."""
    for i in prange(values.shape[0]):
        for k in range(values.shape[1]):
            out[order[i], k] = values[i, k]


@njit(parallel=True, error_model="numpy", cache=True)
def merge_cells(points, weights, starts):
    """Centroid, mass and the parent index of every member, for cells given by offsets into sorted points (n, D)."""
    count = starts.shape[0] - 1
    d = points.shape[1]
    centroids = np.empty((count, d))
    masses = np.empty(count)
    parents = np.empty(points.shape[0], dtype=np.int64)
    for cell in prange(count):
        first = starts[cell]
        last = starts[cell + 1]
        mass = 0.0
        for i in range(first, last):
            parents[i] = cell
            mass += weights[i]
        masses[cell] = mass
        for k in range(d):
            weighted = 0.0
            plain = 0.0
            for i in range(first, last):
                weighted += weights[i] * points[i, k]
                plain += points[i, k]
            # A cell without mass still has a place, so that its points have potentials.
            centroids[cell, k] = weighted / mass if mass > 0.0 else plain / (last - first)
    return centroids, masses, parents


@njit(parallel=True, cache=True)
def expand(points, parents, centres, values, image, jacobian):
    """Values (n,) and images (n, D) of a potential at points, to second order around the centres of their cells.

    points (n, D), parents (n,); centres (m, D), values (m,), image (m, D), jacobian (m, D, D) of the cells.
    """
    n, d = points.shape
    out = np.empty(n)
    out_image = np.empty((n, d))
    for i in prange(n):
        cell = parents[i]
        total = values[cell]
        for k in range(d):
            step = points[i, k] - centres[cell, k]
            turned = 0.0
            for q in range(d):
                turned += jacobian[cell, k, q] * (points[i, q] - centres[cell, q])
            out_image[i, k] = image[cell, k] + turned
            total += (centres[cell, k] - image[cell, k] + (step - turned) / 2) * step
        out[i] = total
    return out, out_image
