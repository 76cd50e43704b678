"""Compiled loops over the points that poses lay near a shape: which of its points is nearest, how much surface lies on
surface.

The points of the shape are sorted into bins of a grid, rows of bins along the first axis one after the other, so that
bins side by side are one range of points. A point looks into the bins within a bound, and no farther than what it has
found.
"""

from __future__ import annotations

import numpy as np

from otreg.compiled import njit, prange

# Bins of a grid, at most: where points lie far from the rest, bins are larger than asked for.
_MOST_BINS = 1 << 21


@njit(cache=True)
def binned(points, edge):
    """Points (m, 3) in bins of about an edge: (order (m,), starts (bins + 1,), low (3,), edge, counts (3,)).

    Bin (i, j, k) holds points order[starts[b] : starts[b + 1]], b = (k counts[1] + j) counts[0] + i.
    """
    m = points.shape[0]
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for i in range(m):
        for a in range(3):
            low[a], high[a] = min(low[a], points[i, a]), max(high[a], points[i, a])
    while True:
        bins = 1.0
        for a in range(3):
            bins *= np.floor((high[a] - low[a]) / edge) + 1
        if bins <= _MOST_BINS:
            break
        edge *= 1.25
    counts = np.empty(3, np.int64)
    for a in range(3):
        counts[a] = np.int64((high[a] - low[a]) / edge) + 1
    place = np.empty(m, np.int64)
    starts = np.zeros(counts[0] * counts[1] * counts[2] + 1, np.int64)
    for i in range(m):
        place[i] = 0
        for a in range(2, -1, -1):
            place[i] = place[i] * counts[a] + min(np.int64((points[i, a] - low[a]) / edge), counts[a] - 1)
        starts[place[i] + 1] += 1
    starts = np.cumsum(starts)
    filled = starts[:-1].copy()
    order = np.empty(m, np.int64)
    for i in range(m):
        order[filled[place[i]]] = i
        filled[place[i]] += 1
    return order, starts, low, edge, counts


@njit(cache=True, error_model="numpy")
def _nearest(x, y, z, bound, points, order, starts, low, edge, counts):
    """The nearest of points (m, 3) to (x, y, z) and its squared distance, or where none is within the bound, 0 and the
    bound squared."""
    best, found = bound * bound, 0
    first_i, last_i = max(np.floor((x - bound - low[0]) / edge), 0.0), np.floor((x + bound - low[0]) / edge)
    first_j, last_j = max(np.floor((y - bound - low[1]) / edge), 0.0), np.floor((y + bound - low[1]) / edge)
    first_k, last_k = max(np.floor((z - bound - low[2]) / edge), 0.0), np.floor((z + bound - low[2]) / edge)
    last_i, last_j, last_k = min(last_i, counts[0] - 1.0), min(last_j, counts[1] - 1.0), min(last_k, counts[2] - 1.0)
    if not (first_i <= last_i and first_j <= last_j and first_k <= last_k):
        return found, best
    for k in range(np.int64(first_k), np.int64(last_k) + 1):
        below = low[2] + k * edge
        dz = max(below - z, z - below - edge, 0.0)
        for j in range(np.int64(first_j), np.int64(last_j) + 1):
            below = low[1] + j * edge
            dy = max(below - y, y - below - edge, 0.0)
            if dy * dy + dz * dz >= best:
                continue
            row = (k * counts[1] + j) * counts[0]
            for t in range(starts[row + np.int64(first_i)], starts[row + np.int64(last_i) + 1]):
                i = order[t]
                across, up, deep = points[i, 0] - x, points[i, 1] - y, points[i, 2] - z
                apart = across * across + up * up + deep * deep
                if apart < best:
                    best, found = apart, i
    return found, best


@njit(parallel=True, nogil=True, cache=True)
def nearest_of(moved, bound, points, order, starts, low, edge, counts):
    """(s, k) index of the nearest of points (m, 3) to each of (s, k, 3), and its distance; where none is within the
    bound, 0 and the bound. The rest is the answer of ``binned``."""
    s, k = moved.shape[:2]
    index = np.empty((s, k), np.int64)
    distance = np.empty((s, k))
    for pose in prange(s):
        for i in range(k):
            x, y, z = moved[pose, i, 0], moved[pose, i, 1], moved[pose, i, 2]
            found, squared = _nearest(x, y, z, bound, points, order, starts, low, edge, counts)
            index[pose, i] = found
            distance[pose, i] = np.sqrt(squared)
    return index, distance


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def laid(ours, our_normals, matrices, offsets, turns, bounds, shares, points, normals, inner, *bins):
    """(s, 3) how many of the points ``ours`` (k, 3) each pose lays on others (m, 3), and alongside them.

    One that is d away from the nearest of the others counts (1 - (d / bound)^2), times the squared cosine between the
    normals. In the second column it also counts times exp(-(h / (thin bound))^2 / 2), where h is how far the surfaces
    are apart across them, which does not depend on where on them the points lie. The third column counts those that are
    beside the others: nearer than (far bound) to one of the others that is ``inner`` (m,), not at a border of them, but
    h > off bound. matrices (s, 3, 3), offsets (s, 3): poses of the points; turns (s, 3, 3): of their normals; bounds
    (s,); shares: thin, off, far, of a bound. The rest is the answer of ``binned``.
    """
    thin, off, far = shares
    order, starts, low, edge, counts = bins
    sums = np.empty((len(matrices), 3))
    for pose in prange(len(matrices)):
        matrix, offset, turn, bound = matrices[pose], offsets[pose], turns[pose], bounds[pose]
        total, close, beside = 0.0, 0.0, 0.0
        for i in range(len(ours)):
            p, q, r = ours[i, 0], ours[i, 1], ours[i, 2]
            x = matrix[0, 0] * p + matrix[0, 1] * q + matrix[0, 2] * r + offset[0]
            y = matrix[1, 0] * p + matrix[1, 1] * q + matrix[1, 2] * r + offset[1]
            z = matrix[2, 0] * p + matrix[2, 1] * q + matrix[2, 2] * r + offset[2]
            found, squared = _nearest(x, y, z, far * bound, points, order, starts, low, edge, counts)
            if squared >= (far * bound) ** 2:
                continue
            along, across, theirs = 0.0, 0.0, 0.0
            for a in range(3):
                mine = turn[a, 0] * our_normals[i, 0] + turn[a, 1] * our_normals[i, 1] + turn[a, 2] * our_normals[i, 2]
                way = (x if a == 0 else y if a == 1 else z) - points[found, a]
                along += normals[found, a] * mine
                across += way * mine
                theirs += way * normals[found, a]
            apart = (abs(across) + abs(theirs)) / 2
            if squared < bound * bound:
                counted = (1 - squared / (bound * bound)) * along * along
                total += counted
                close += counted * np.exp(-((apart / (thin * bound)) ** 2) / 2)
            if inner[found] and apart > off * bound:
                beside += 1
        sums[pose, 0], sums[pose, 1], sums[pose, 2] = total, close, beside
    return sums
