"""Compiled farthest-point sampling, on one core: a round is too short to share."""

from __future__ import annotations

import numpy as np

from otreg.compiled import njit


@njit(cache=True)
def farthest(axes, first, count):
    """(k,) indices of the columns of axes (d, n), k <= count: each the farthest from those before it.

    The first of them is given. It ends early where all columns are among those chosen.
    """
    d, n = axes.shape
    chosen = np.empty(min(count, n), dtype=np.int64)
    distance = np.full(n, np.inf)
    apart = np.empty(n)
    at = first
    for k in range(len(chosen)):
        chosen[k] = at
        apart[:] = 0.0
        for axis in range(d):
            row = axes[axis]
            centre = row[at]
            for i in range(n):
                apart[i] += (row[i] - centre) * (row[i] - centre)
        at = 0
        for i in range(n):
            distance[i] = min(distance[i], apart[i])
            if distance[i] > distance[at]:
                at = i
        if not distance[at] > 0:
            return chosen[: k + 1]
    return chosen
