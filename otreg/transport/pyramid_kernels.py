"""Compiled loops of the pyramid: Hilbert codes, cells (centroid, mass) from sorted codes, expansions in cells."""

from __future__ import annotations

import numpy as np

from otreg.compiled import njit, prange

# 20 bits an axis: three of them fit in a signed 64-bit code with room to spare.
MAX_BITS = 20
# Largest trace of a Jacobian that an expansion follows.
LARGEST_STRETCH = 8.0


# The Hilbert curve in three dimensions: the place of each octant (bits x y z) along it, and how the curve inside an
# octant is turned: which axis stands where, and which are mirrored (the variant of Skilling 2004).
_ALONG = (0, 1, 3, 2, 7, 6, 4, 5)
_TURNS = (
    ((2, 0, 1), (0, 0, 0)),
    ((1, 0, 2), (0, 0, 0)),
    ((2, 1, 0), (1, 0, 1)),
    ((0, 1, 2), (0, 0, 0)),
    ((2, 0, 1), (1, 1, 0)),
    ((1, 0, 2), (1, 1, 0)),
    ((2, 1, 0), (0, 0, 0)),
    ((0, 1, 2), (0, 0, 0)),
)


def _tables():  # type: ignore[no-untyped-def]
    """The curve as a machine: (digit, next state) by state and octant, for the 24 ways in which it can be turned."""
    states = [_TURNS[3]]
    digits, following = [], []
    for axes, mirrored in states:  # grows while it is walked
        digits.append([])
        following.append([])
        for octant in range(8):
            bits = (octant >> 2, octant >> 1 & 1, octant & 1)
            turned = [bits[axes[k]] ^ mirrored[k] for k in range(3)]
            inner = turned[0] << 2 | turned[1] << 1 | turned[2]
            inner_axes, inner_mirrored = _TURNS[inner]
            state = (
                tuple(axes[inner_axes[k]] for k in range(3)),
                tuple(mirrored[inner_axes[k]] ^ inner_mirrored[k] for k in range(3)),
            )
            if state not in states:
                states.append(state)
            digits[-1].append(_ALONG[inner])
            following[-1].append(states.index(state))
    return np.array(digits, dtype=np.int64), np.array(following, dtype=np.int64)


_DIGITS, _FOLLOWING = _tables()


@njit(parallel=True, error_model="numpy", cache=True)
def hilbert_codes(points, low, cell, bits):
    """Hilbert index of the grid cell of every point, ``bits`` bits an axis.

    points (n, 3); cell k of an axis is [low + k cell, low + (k + 1) cell). Neighbours along the curve are neighbours in
    space, and dropping three bits of a code gives the code of the parent cell.
    """
    n = points.shape[0]
    codes = np.empty(n, dtype=np.int64)
    top = (1 << bits) - 1
    for i in prange(n):
        x = np.int64(min(max((points[i, 0] - low[0]) / cell, 0.0), top))
        y = np.int64(min(max((points[i, 1] - low[1]) / cell, 0.0), top))
        z = np.int64(min(max((points[i, 2] - low[2]) / cell, 0.0), top))
        code = np.int64(0)
        state = np.int64(0)
        for bit in range(bits - 1, -1, -1):
            octant = (x >> bit & 1) << 2 | (y >> bit & 1) << 1 | (z >> bit & 1)
            code = code << 3 | _DIGITS[state, octant]
            state = _FOLLOWING[state, octant]
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
    low, high = np.empty((parts, 3)), np.empty((parts, 3))  # filled below: np.full would be a parallel loop of its own
    for part in prange(parts):
        for k in range(3):
            low[part, k], high[part, k] = np.inf, -np.inf
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

    A row of the plan that splits between far places has a huge covariance, which says nothing about the points nearby:
    it counts as ``LARGEST_STRETCH`` at most. points (n, D), parents (n,); centres (m, D), values (m,), image (m, D),
    jacobian (m, D, D) of the cells.
    """
    n, d = points.shape
    out = np.empty(n)
    out_image = np.empty((n, d))
    for i in prange(n):
        cell = parents[i]
        total = values[cell]
        trace = 0.0
        for k in range(d):
            trace += jacobian[cell, k, k]
        tame = LARGEST_STRETCH / trace if trace > LARGEST_STRETCH else 1.0
        for k in range(d):
            step = points[i, k] - centres[cell, k]
            turned = 0.0
            for q in range(d):
                turned += tame * jacobian[cell, k, q] * (points[i, q] - centres[cell, q])
            out_image[i, k] = image[cell, k] + turned
            total += (centres[cell, k] - image[cell, k] + (step - turned) / 2) * step
        out[i] = total
    return out, out_image
