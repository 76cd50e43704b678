"""What softmins have measured slices to hold, carried to a nearby problem between the same points.

A problem that starts warm knows its pairs already: what held nothing holds next to nothing still when points and
potentials have moved by less than a bound says, and need not be summed again to find that out. With x = x_old + s,
y = y_old + r, f = f_old + df, g = g_old + dg and p = 2, exponents rise by

    df_i + dg_j - <x_i - y_j, s_i - r_j> + |s_i - r_j|^2 / 2
        = [df_i - <x_i - t, s_i> + |s_i|^2 / 2] + [dg_j - <y_j - w, r_j> + |r_j|^2 / 2]
          + <y_j - t, s_i> + <x_i - w, r_j> - <s_i, r_j>

whatever t and w are; here t is where the block's mass goes, w the same of the slice. For p = 1 they rise by at most
[df_i + |s_i|] + [dg_j + |r_j|].
"""

from __future__ import annotations

import numpy as np

from otreg.compiled import njit
from otreg.transport.reductions.cpu_blocks import BLOCK, SLICE

# Rises beyond exp(80) are as good as any.
_LARGEST = 80.0


@njit(cache=True)
def _changes(x, old_x, f, old_f, ahead, size, p):
    """Per block of ``size`` points (2 D + 1, blocks): middle (D) and half-range (D) of their ways, largest bracket.

    ahead (D, blocks): t of each block in the formulas above.
    """
    n, d = x.shape
    blocks = ahead.shape[1]
    out = np.empty((2 * d + 1, blocks))
    for block in range(blocks):
        first = block * size
        last = min(first + size, n)
        for k in range(d):
            low = high = x[first, k] - old_x[first, k]
            for i in range(first, last):
                step = x[i, k] - old_x[i, k]
                low = min(low, step)
                high = max(high, step)
            out[k, block] = 0.5 * (low + high)
            out[d + k, block] = 0.5 * (high - low)
        top = -np.inf
        for i in range(first, last):
            rise = f[i] - old_f[i]
            square = 0.0
            for k in range(d):
                step = x[i, k] - old_x[i, k]
                square += step * step
                if p == 2:
                    rise -= (x[i, k] - ahead[k, block]) * step
            top = max(top, rise + (0.5 * square if p == 2 else np.sqrt(square)))
        out[2 * d, block] = top
    return out


@njit(error_model="numpy", cache=True)
def carried_bounds(
    x,
    f,
    y,
    g,
    starts,
    slices,
    old_x,
    old_f,
    old_y,
    old_g,
    old_starts,
    old_slices,
    old_bounds,
    rows,
    columns,
    eps,
    p,
    little,
):
    """(slices,) what active slices hold at most, from what they held at most when points and potentials were others.

    x (n, D), f (n,): rows; y (m, D), g (m,): columns, the latter plus eps log b; starts, slices: active slices in CSR
    form, ascending within a block of rows; old_bounds: (old slices,) on the sum over a slice's columns of the largest
    entry in a row. rows (blocks, 3 D + 5), columns (3 D + 5, slices): statistics of the blocks, as the search has them.
    Where the old bound is not below ``little``, or there is none, it is inf.
    """
    d = x.shape[1]
    row_changes = _changes(x, old_x, f, old_f, rows.T[d : 2 * d], BLOCK, p)
    column_changes = _changes(y, old_y, g, old_g, columns[d : 2 * d], SLICE, p)
    bounds = np.full(slices.shape[0], np.inf, dtype=np.float32)
    for block in range(starts.shape[0] - 1):
        old = old_starts[block]
        for at in range(starts[block], starts[block + 1]):
            j = slices[at]
            while old < old_starts[block + 1] and old_slices[old] < j:
                old += 1
            if old == old_starts[block + 1] or old_slices[old] != j or not old_bounds[old] < little:
                continue
            rise = row_changes[2 * d, block] + column_changes[2 * d, j]
            if p == 2:
                for k in range(d):
                    row_way, row_range = row_changes[k, block], row_changes[d + k, block]
                    way, way_range = column_changes[k, j], column_changes[d + k, j]
                    ahead = columns[k, j] - rows[block, d + k]  # from t to the slice's centre
                    back = rows[block, k] - columns[d + k, j]  # from w to the block's centre
                    rise += ahead * row_way + abs(ahead) * row_range
                    rise += columns[2 * d + 1 + k, j] * (abs(row_way) + row_range)
                    rise += back * way + abs(back) * way_range
                    rise += rows[block, 2 * d + 1 + k] * (abs(way) + way_range)
                    rise += row_range * (abs(way) + way_range) + abs(row_way) * way_range - row_way * way
            bounds[at] = old_bounds[old] * np.exp(min(rise / eps, _LARGEST))
    return bounds
