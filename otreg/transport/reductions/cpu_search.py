"""Compiled search of the CPU reduction: which slices of columns can matter to a block of rows.

A slice stays when a *bound* on f + g - C over the block and the slice says that it may hold plan mass; the bound comes
from potentials that are linearised at the centres, so it stays tight under large displacements (in the spirit of
Schmitzer 2016, section 3, but with gradients). Groups of 64 slices are bounded first; the slices of a group are then
bounded all at once, with vectors over the slices.
"""

from __future__ import annotations

import numpy as np

from otreg.compiled import njit, prange
from otreg.transport.reductions.cpu_blocks import BLOCK, FAST, GROUP, SLICE

# Bounds below exp(-40) count as exp(-40) in what is dropped; rows with more active slices than remembered are walked
# twice.
_NOTHING, _LEAST = -40.0, 4.3e-18
_REMEMBERED = 512
# Slices in a group, and row slices in a block.
_MEMBERS = GROUP // SLICE
_PARTS = BLOCK // SLICE
# A block of rows has twice the radius of a slice of columns, on a surface with even points; where it is wider by this
# factor than the narrowest slice, it is bounded in parts.
_WIDE = 3.0
_NEVER = -1e300


@njit(parallel=True, cache=True)
def block_statistics(x, f, image, weights, size, p):
    """Per block of ``size`` points of D coordinates: what bounds and softmins need of it.

    Returns (3 D + 5, blocks): centre c of the bounding box (D), where the mean way of the points carries it t (D),
    radius r, half-extents h (D), linearised maximum, mass, log mass, concave maximum. With u = x_i - c the first
    maximum is of f_i - <c - t, u>, the second (p = 2) of the same less |u|^2 / 2.
    """
    n, d = x.shape
    blocks = (n + size - 1) // size
    out = np.empty((3 * d + 5, blocks))  # np.zeros would be a second parallel loop
    for block in prange(blocks):
        first = block * size
        last = min(first + size, n)
        for k in range(d):
            low = x[first, k]
            high = low
            way = 0.0
            for i in range(first, last):
                low = min(low, x[i, k])
                high = max(high, x[i, k])
                way += image[i, k] - x[i, k]
            out[k, block] = 0.5 * (low + high)
            out[d + k, block] = out[k, block] + way / (last - first)
            out[2 * d + 1 + k, block] = 0.0
        radius = 0.0
        top = _NEVER
        concave_top = _NEVER
        mass = 0.0
        for i in range(first, last):
            square = 0.0
            linear = 0.0
            for k in range(d):
                u = x[i, k] - out[k, block]
                square += u * u
                linear += u * (out[k, block] - out[d + k, block])
                out[2 * d + 1 + k, block] = max(out[2 * d + 1 + k, block], abs(u))
            radius = max(radius, square)
            top = max(top, f[i] - linear)
            concave_top = max(concave_top, f[i] - linear - 0.5 * square)
            mass += weights[i]
        out[2 * d, block] = np.sqrt(radius)
        out[3 * d + 1, block] = top
        out[3 * d + 2, block] = mass
        out[3 * d + 3, block] = np.log(mass + 1e-300)
        out[3 * d + 4, block] = concave_top
    return out


@njit(fastmath=FAST, error_model="numpy", cache=True)
def _largest_exponents(row, columns, first, last, p, buffer, score):
    """Upper bounds of f_i + g_j - C_ij between a block of rows and the blocks ``first`` to ``last`` of columns.

    row (3 D + 5,), columns (3 D + 5, blocks): see :func:`block_statistics`; c, t, u belong to the row, e, s, v to a
    column. p = 2: the smaller of two bounds. With the concave maxima, f_i + g_j - C_ij is at most
    fmax + gmax - |c - e|^2/2 + max_u <e - t, u> + max_v <c - s, v> + max <u, v>,
    which follows the potentials where they bend. With the linear ones, rows carried to t + u and o = e - s - (t - c),
    fmax + gmax - |c - e|^2/2 + |t - e|^2/2 - min |t + u - e - v|^2/2 + max_v <o, v>,
    which knows how far blocks are apart that are wide against the blur.
    p = 1: |x - y| >= <x - y, a> for a = (c - e) / |c - e|, so it is at most
    fmax + gmax - |c - e| + max_u <c - t - a, u> + max_v <e - s + a, v>.
    Writes score (last - first,); buffer (9, >= last - first) is scratch.
    """
    d = (row.shape[0] - 5) // 3
    n = last - first
    apart = buffer[0]
    ball_u = buffer[1]
    box_u = buffer[2]
    ball_v = buffer[3]
    box_v = buffer[4]
    box = buffer[5]
    gap = buffer[6]
    ball_o = buffer[7]
    box_o = buffer[8]
    for j in range(n):
        apart[j] = 0.0
        ball_u[j] = 0.0
        box_u[j] = 0.0
        ball_v[j] = 0.0
        box_v[j] = 0.0
        box[j] = 0.0
        gap[j] = 0.0
        ball_o[j] = 0.0
        box_o[j] = 0.0
    r = row[2 * d]
    if p == 2:
        for k in range(d):
            c = row[k]
            t = row[d + k]
            h = row[2 * d + 1 + k]
            e = columns[k, first:last]
            s = columns[d + k, first:last]
            w = columns[2 * d + 1 + k, first:last]
            for j in range(n):
                apart[j] += (c - e[j]) ** 2
                a = abs(e[j] - t)
                ball_u[j] += a * a
                box_u[j] += a * h
                within = min(a, h + w[j])
                gap[j] += within * (a - 0.5 * within)  # (a^2 - (a - within)^2) / 2
                a = abs(c - s[j])
                ball_v[j] += a * a
                box_v[j] += a * w[j]
                box[j] += h * w[j]
                a = abs(e[j] - s[j] - (t - c))
                ball_o[j] += a * a
                box_o[j] += a * w[j]
        q = columns[2 * d, first:last]
        top = columns[3 * d + 1, first:last]
        concave_top = columns[3 * d + 4, first:last]
        for j in range(n):
            bends = row[3 * d + 4] + concave_top[j]
            bends += min(r * np.sqrt(ball_u[j]), box_u[j]) + min(q[j] * np.sqrt(ball_v[j]), box_v[j])
            bends += min(r * q[j], box[j])
            carried = row[3 * d + 1] + top[j] + gap[j] + min(q[j] * np.sqrt(ball_o[j]), box_o[j])
            score[j] = min(bends, carried) - 0.5 * apart[j]
        return
    for k in range(d):
        e = columns[k, first:last]
        for j in range(n):
            apart[j] += (row[k] - e[j]) ** 2
    for j in range(n):
        apart[j] = np.sqrt(apart[j])
    for k in range(d):
        c = row[k]
        slope = c - row[d + k]
        h = row[2 * d + 1 + k]
        e = columns[k, first:last]
        s = columns[d + k, first:last]
        w = columns[2 * d + 1 + k, first:last]
        for j in range(n):
            direction = (c - e[j]) / (apart[j] + 1e-300)
            a = abs(slope - direction)
            ball_u[j] += a * a
            box_u[j] += a * h
            a = abs(e[j] - s[j] + direction)
            ball_v[j] += a * a
            box_v[j] += a * w[j]
    q = columns[2 * d, first:last]
    top = columns[3 * d + 1, first:last]
    for j in range(n):
        score[j] = (
            row[3 * d + 1]
            + top[j]
            - apart[j]
            + min(r * np.sqrt(ball_u[j]), box_u[j])
            + min(q[j] * np.sqrt(ball_v[j]), box_v[j])
        )


@njit(error_model="numpy", cache=True)
def _walk_row(i, rows, row_slices, groups, slices, eps, threshold, p, found):
    """Active slices of row block i, into ``found`` as far as it is long; (how many, bound on what was dropped)."""
    d = (rows.shape[1] - 5) // 3
    number = groups.shape[1]
    buffer = np.empty((11, max(_MEMBERS, number)))
    score = np.empty(max(_MEMBERS, number))
    group_score = np.empty((number, 2))  # the bound over eps, of a pair and of the group's whole mass
    # Not a bare zero: for a constant numba would compile the bounds once more.
    _largest_exponents(rows[i], groups, np.int64(0), number, p, buffer, score)
    for group in range(number):
        group_score[group, 0] = score[group] / eps
        group_score[group, 1] = score[group] / eps + groups[3 * d + 3, group]
    log_mass = slices[3 * d + 3]
    radius = slices[2 * d]
    total = slices.shape[1]
    parts = min((i + 1) * _PARTS, row_slices.shape[0]) - i * _PARTS
    fine = buffer[9]
    lost = 0.0
    nearest = _NEVER
    best = 0
    count = 0
    for attempt in range(2):
        for group in range(group_score.shape[0]):
            first = group * _MEMBERS
            last = min(first + _MEMBERS, total)
            if attempt == 0:
                if group_score[group, 1] < threshold:
                    lost += np.exp(group_score[group, 1]) if group_score[group, 1] > _NOTHING else _LEAST
                    continue
            elif group_score[group, 0] <= nearest:
                continue
            _largest_exponents(rows[i], slices, first, last, p, buffer, score)
            # Where the block of rows lies over a gap, the slices of the block bound it better.
            smallest = 1e300
            for j in range(last - first):
                if score[j] / eps + log_mass[first + j] >= threshold:
                    smallest = min(smallest, radius[first + j])
            if rows[i, 2 * d] > _WIDE * smallest:
                for part in range(parts):
                    _largest_exponents(row_slices[i * _PARTS + part], slices, first, last, p, buffer, fine)
                    for j in range(last - first):
                        buffer[10, j] = fine[j] if part == 0 else max(fine[j], buffer[10, j])
                for j in range(last - first):
                    score[j] = min(score[j], buffer[10, j])
            for j in range(last - first):
                bound = score[j] / eps
                if bound > nearest:
                    nearest = bound
                    best = first + j
                bound += log_mass[first + j]
                if attempt == 1:
                    continue
                if bound >= threshold:
                    if count < found.shape[0]:
                        found[count] = first + j
                    count += 1
                else:
                    lost += np.exp(bound) if bound > _NOTHING else _LEAST
        if count > 0:
            return count, lost
        # Nothing can matter, yet a row must not end up empty: look for the most likely slice in the other groups, too.
    found[0] = best
    return 1, lost


@njit(parallel=True, error_model="numpy", cache=True)
def _walk_rows(numbers, rows, row_slices, groups, slices, eps, threshold, p, starts, found, counts, dropped):
    """Walks the row blocks of these numbers; block i may write into ``found`` from starts[i] to starts[i + 1].

    One loop that calls :func:`_walk_row` once: for each parallel loop numba compiles all that it calls three times, and
    for loops over ranges once more, since their indices have another type.
    """
    for k in prange(numbers.shape[0]):
        i = numbers[k]
        room = found[starts[i] : starts[i + 1]]
        counts[i], dropped[i] = _walk_row(i, rows, row_slices, groups, slices, eps, threshold, p, room)


def find_active_slices(rows, row_slices, groups, slices, eps, threshold, p):
    """Slices of columns that may hold plan entries above the threshold, for every block of rows.

    rows (blocks, 3 D + 5), row_slices: :func:`block_statistics`, transposed, of the rows with blocks of BLOCK and of
    SLICE points; groups, slices: of the columns with GROUP and SLICE. With f the rows' softmins, a row's entries b_j
    exp((f_i + g_j - C_ij) / eps) sum to one; columns stay when exp(bound / eps) times their mass exceeds
    exp(threshold). Returns starts (r + 1,), the active slices (nnz,), and per row block a bound on the sum of the
    entries that were dropped. A row block without active slices gets the most likely one.
    """
    r = len(rows)
    room = min(_REMEMBERED, slices.shape[1])
    counts, dropped = np.empty(r, dtype=np.int64), np.empty(r)
    found = np.empty((r, room), dtype=np.int32)
    search = (rows, row_slices, groups, slices, eps, threshold, p)
    _walk_rows(np.arange(r), *search, room * np.arange(r + 1), found.reshape(-1), counts, dropped)
    starts = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(counts)))
    fits = counts <= room
    longest = min(room, counts.max())
    active = found[:, :longest][np.arange(longest) < np.where(fits, counts, 0)[:, None]]
    if not fits.all():
        remembered, active = active, np.empty(starts[r], dtype=np.int32)
        active[np.repeat(fits, counts)] = remembered
        _walk_rows(np.flatnonzero(~fits), *search, starts, active, counts, dropped)
    return starts, active, dropped


@njit(cache=True)
def drop_weak_blocks(starts, columns, peak, smallest):
    """The active slices whose measured peak is at least ``smallest``; every row block keeps its strongest one.

    Returns starts, slices, and for each row block a bound on what a row loses: the sum of the peaks that are left out.
    """
    r = starts.shape[0] - 1
    kept_starts = np.zeros(r + 1, dtype=np.int64)
    kept = np.empty_like(columns)
    lost = np.zeros(r)
    n = 0
    for i in range(r):
        strongest = starts[i]
        before = n
        for k in range(starts[i], starts[i + 1]):
            if peak[k] > peak[strongest]:
                strongest = k
            if peak[k] >= smallest:
                kept[n] = columns[k]
                n += 1
            else:
                lost[i] += peak[k]
        if n == before:
            kept[n] = columns[strongest]
            n += 1
        kept_starts[i + 1] = n
    return kept_starts, kept[:n].copy(), lost
