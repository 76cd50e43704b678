"""Large cells as small pieces, whose middles stand for them better than the middle of a cell does.

Longest edges are halved (M.-C. Rivara, 1984), which leaves pieces about as well shaped as their cell; a triangle that
is thin enough is cut across its length instead, or halving would leave many slivers of it side by side. Neighbours are
not cut alike, as points need no mesh.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from otreg.shapes.sizes import simplex_sizes, steps_within

Floats = npt.NDArray[np.float64]


def longest_edges(corners: Floats) -> Floats:
    """(m,) lengths of the longest edges of simplices with ``corners`` (m, k, d), k = 2, 3 or 4."""
    return _edge_lengths(corners).max(axis=1)


def pieces_of(corners: Floats, *, longest: float, dimension: int, most: int) -> tuple[Floats, Floats]:
    """(p, c) middles and (p,) sizes of pieces of simplices that are nowhere longer than ``longest``.

    corners: (m, k, c): the place of a corner, ``dimension`` numbers, and what else varies linearly.
    most: with more pieces than that, larger ones remain; the largest are always cut first.
    """
    extent = _extents(_edge_lengths(corners[:, :, :dimension]))
    bound = max(float(extent.max(initial=0.0)), longest)
    pieces = corners
    while bound > longest and len(pieces) <= most:
        bound = max(bound / 2, longest)
        pieces = _halved(pieces, bound, dimension)
    sizes = simplex_sizes(pieces[:, :, :dimension])
    if corners.shape[1] != 3:
        return pieces.mean(axis=1), sizes
    return _strips(pieces, sizes, bound, dimension, most)


def _halved(pieces: Floats, bound: float, dimension: int) -> Floats:
    """The pieces, halved at their longest edges until none has a larger extent than ``bound``."""
    first, second = np.triu_indices(pieces.shape[1], 1)
    done = []
    while len(pieces):
        lengths = _edge_lengths(pieces[:, :, :dimension])
        large = _extents(lengths) > bound
        done.append(pieces[~large])
        pieces = pieces[large]
        chosen, each = lengths[large].argmax(axis=1), np.arange(len(pieces))
        ends = first[chosen], second[chosen]
        middle = (pieces[each, ends[0]] + pieces[each, ends[1]]) / 2
        one, other = pieces.copy(), pieces.copy()
        one[each, ends[0]] = middle
        other[each, ends[1]] = middle
        pieces = np.concatenate([one, other])
    return np.concatenate(done) if done else pieces


def _strips(triangles: Floats, sizes: Floats, bound: float, dimension: int, most: int) -> tuple[Floats, Floats]:
    """Middles and sizes of strips along the shortest edge of each triangle, no wider than ``bound``.

    They are wider where there would be more than ``most`` of them, or of the triangles where these are more.
    """
    lengths = _edge_lengths(triangles[:, :, :dimension])
    apex = np.array([2, 1, 0])[lengths.argmin(axis=1)]  # opposite to the edges (0, 1), (0, 2), (1, 2)
    length, most = lengths.max(axis=1), max(most, len(triangles))
    while (strips := np.maximum(np.ceil(length / bound), 1)).sum() > most:
        bound *= 2
    count = strips.astype(np.int64)
    owner, strip = np.repeat(np.arange(len(count)), count), steps_within(count)
    # A strip lies between two shares of the way from the apex to the edge; what is nearer than t is t^2 of the area.
    near, far = strip / count[owner], (strip + 1) / count[owner]
    share = far**2 - near**2
    way = (far**3 - near**3) / share  # 3/2 of the mean over the strip, as the mean of corners is at 2/3
    tip = triangles[np.arange(len(apex)), apex]
    middle = tip[owner] + way[:, None] * (triangles.mean(axis=1) - tip)[owner]
    return middle, sizes[owner] * share


def _extents(lengths: Floats) -> Floats:
    """What has to get small, of simplices whose edges have lengths (m, e): the longest; of triangles, which have three,
    the shortest, as strips take care of the others."""
    return lengths.min(axis=1) if lengths.shape[1] == 3 else lengths.max(axis=1)


def _edge_lengths(corners: Floats) -> Floats:
    """(m, e) lengths of the edges of simplices, in the order (0, 1), (0, 2), ..., (1, 2), ..."""
    first, second = np.triu_indices(corners.shape[1], 1)
    return np.asarray(np.linalg.norm(corners[:, first] - corners[:, second], axis=2))
