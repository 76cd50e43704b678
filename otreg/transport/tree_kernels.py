"""Compiled tree of boxes over points of any dimension: an order that keeps neighbours together, and nearest points.

The points of a box are halved along its widest side, down to leaves of a few; that gives the order. The tree is
complete: box i has the children 2 i and 2 i + 1, and leaf l holds the points from l n // leaves on. SciPy has such a
tree, too, but runs would import it for nothing else.
"""

from __future__ import annotations

import numpy as np

from otreg.compiled import njit, prange

LEAF = 8
# Points that one thread looks for in a row.
_CHUNK = 256


def leaves_for(n: int) -> int:
    """How many leaves hold n points, LEAF each at most: a power of 2."""
    return 1 << max(0, (-(-n // LEAF) - 1).bit_length())


@njit(cache=True)
def tree_order(points, leaves):
    """(n,) an order of points (n, D) in which the points of every box of the tree follow each other."""
    n, dimension = points.shape
    order = np.arange(n)
    keys = np.empty(n)
    waiting = np.empty((64, 2), np.int64)
    waiting[0, 0], waiting[0, 1] = 0, leaves
    depth = 1
    while depth:
        depth -= 1
        first, last = waiting[depth]
        if last - first < 2:
            continue
        begin, end = first * n // leaves, last * n // leaves
        middle = (first + last) // 2
        axis, widest = 0, -1.0
        for a in range(dimension):
            low, high = np.inf, -np.inf
            for i in range(begin, end):
                low, high = min(low, points[order[i], a]), max(high, points[order[i], a])
            if high - low > widest:
                axis, widest = a, high - low
        for i in range(begin, end):
            keys[i] = points[order[i], axis]
        _halve(keys, order, begin, end - 1, middle * n // leaves)
        waiting[depth, 0], waiting[depth, 1] = first, middle
        waiting[depth + 1, 0], waiting[depth + 1, 1] = middle, last
        depth += 2
    return order


@njit(cache=True)
def _halve(keys, order, left, right, place):
    """Moves smaller keys before the place, and larger ones behind it, as sorting would, and the order with them.

    Hoare's selection, around the median of three.
    """
    while left < right:
        a, b, c = keys[left], keys[(left + right) // 2], keys[right]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = left, right
        while i <= j:
            while keys[i] < pivot:
                i += 1
            while keys[j] > pivot:
                j -= 1
            if i <= j:
                keys[i], keys[j] = keys[j], keys[i]
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if place <= j:
            right = j
        elif place >= i:
            left = i
        else:
            return


@njit(cache=True)
def point_boxes(points, leaves):
    """(2 leaves, 2 D) lower and upper ends of the boxes over points (n, D) in the tree's order."""
    n, dimension = points.shape
    box = np.empty((2 * leaves, 2 * dimension))
    box[:, :dimension], box[:, dimension:] = np.inf, -np.inf
    for leaf in range(leaves):
        for i in range(leaf * n // leaves, (leaf + 1) * n // leaves):
            for a in range(dimension):
                box[leaves + leaf, a] = min(box[leaves + leaf, a], points[i, a])
                box[leaves + leaf, dimension + a] = max(box[leaves + leaf, dimension + a], points[i, a])
    for i in range(leaves - 1, 0, -1):
        for a in range(dimension):
            box[i, a] = min(box[2 * i, a], box[2 * i + 1, a])
            box[i, dimension + a] = max(box[2 * i, dimension + a], box[2 * i + 1, dimension + a])
    return box


@njit(parallel=True, cache=True)
def nearest_points(asked, points, order, box, count):
    """(k, count) the numbers of the points nearest to each of the asked ones (k, D), the nearest first.

    points: (n, D) in the tree's ``order``, which gives their numbers; of points that are equally far, the smallest
    numbers come first.
    """
    k, n, dimension, leaves = len(asked), len(points), points.shape[1], len(box) // 2
    found = np.empty((k, count), np.int64)
    for chunk in prange((k + _CHUNK - 1) // _CHUNK):
        apart = np.empty(count)
        waiting = np.empty(64, np.int64)
        bound = np.empty(64)
        for q in range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, k)):
            apart[:] = np.inf
            found[q] = n
            waiting[0], bound[0] = 1, 0.0
            depth = 1
            while depth:
                depth -= 1
                i = waiting[depth]
                if bound[depth] > apart[count - 1]:
                    continue
                if i < leaves:
                    left, right = _to_box(asked, q, box, 2 * i), _to_box(asked, q, box, 2 * i + 1)
                    # The nearer one goes on top, to be looked at first: what it finds rules out more of the other.
                    waiting[depth], bound[depth] = 2 * i + (left <= right), max(left, right)
                    waiting[depth + 1], bound[depth + 1] = 2 * i + (left > right), min(left, right)
                    depth += 2
                    continue
                for t in range((i - leaves) * n // leaves, (i - leaves + 1) * n // leaves):
                    away = 0.0
                    for a in range(dimension):
                        away += (asked[q, a] - points[t, a]) ** 2
                    number = order[t]
                    place = count
                    while place and (
                        away < apart[place - 1] or (away == apart[place - 1] and number < found[q, place - 1])
                    ):
                        if place < count:
                            apart[place], found[q, place] = apart[place - 1], found[q, place - 1]
                        place -= 1
                    if place < count:
                        apart[place], found[q, place] = away, number
    return found


@njit(cache=True)
def _to_box(asked, q, box, i):
    dimension = asked.shape[1]
    squared = 0.0
    for a in range(dimension):
        away = max(box[i, a] - asked[q, a], asked[q, a] - box[i, dimension + a], 0.0)
        squared += away * away
    return squared
