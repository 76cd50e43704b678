"""Compiled softmins of the CPU reduction, over blocks of rows and their active slices of columns.

Positions and potentials are float64; inside one pair they are re-centred so that the exponents of the plan become numbers
of order ten, which float32 holds to 1e-6 at any displacement. With x = c + u in a block of rows, y = c + w, t near the
block's image and p = 2,

    (f(x) + g(y) - |x - y|^2 / 2) / eps =   [f(x) - f_0 - |u|^2 / 2 + <u, t - c>] / eps    (per row, once)
                                          + [g(y) + f_0 - |w|^2 / 2] / eps                 (per column, for each block)
                                          + <u, y - t> / eps                               (the inner loop)

and for p = 1, where |x - y| - |w| = (|u|^2 - 2 <u, w>) / (|x - y| + |w|) does not cancel,

    (f(x) + g(y) - |x - y|) / eps = [f(x) - f_0] / eps + [g(y) + f_0 - |w|] / eps - (|x - y| - |w|) / eps.

There is no scalar remainder: short blocks are padded with columns of zero mass.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from otreg.transport.reductions.cpu_arithmetic import BLOCK, FAST, LN2, LOG2E, SLICE, exp2, f4

# Blocks with (radius / blur)^p above this (in bits) would lose 1e-4 in float32: their rows are summed in float64.
_WIDEST = 2048.0
_EMPTY = -1e30  # log-weight of a column without mass; finite, because the kernels are compiled without NaN and inf
_TINY = f4(1e-30)
_PARTS = BLOCK // SLICE


@njit(parallel=True, cache=True)
def softmin_blocks(x, f, images, y, g, log_b, starts, columns, eps, p, moments, exact, out, image, jacobian, peak):
    """Softmin of every row over its active slices of columns, optionally with its derivatives.

    x (n, D), f (n,): rows and their previous potentials, which shift the exponents. images (slices of n, D): where the
    mass of the slice's rows goes, roughly. y (m, D), g (m,), log_b (m,): columns, potentials, log weights. starts,
    columns: active slices in CSR form, per block of rows. exact: sum in float64, slowly.

    Writes out (n,) = -eps log sum_j b_j exp((g_j - C_ij) / eps); with moments >= 1 image (n, D), the row's point less the
    gradient of the softmin; with moments = 2 (p = 2 only) jacobian (n, D, D) of that image, the covariance of the plan's
    row over eps; and peak (nnz,): for the slices that were taken together the largest share
    sum_j b_j exp((f_i + g_j - C_ij) / eps) over the block's rows.
    """
    n, d = x.shape
    for block in prange(starts.shape[0] - 1):
        first = block * BLOCK
        size = min(BLOCK, n - first)
        active = columns[starts[block] : starts[block + 1]]
        largest = peak[starts[block] : starts[block + 1]]
        largest[:] = f4(0.0)
        centre = np.zeros(d)
        for part in range(block * _PARTS, min((block + 1) * _PARTS, images.shape[0])):
            for k in range(d):
                centre[k] += images[part, k] * (min(SLICE, n - part * SLICE) / size)
        if _softmin_rows(
            first, size, x, f, centre, y, g, log_b, active, eps, p, moments, exact, out, image, jacobian, largest
        ):
            continue
        # The block lies over a gap, or its points are much sparser than the blur: slice by slice.
        for part in range(block * _PARTS, min((block + 1) * _PARTS, images.shape[0])):
            first = part * SLICE
            size = min(SLICE, n - first)
            t = images[part]
            _softmin_rows(
                first, size, x, f, t, y, g, log_b, active, eps, p, moments, exact, out, image, jacobian, largest
            )


@njit(fastmath=FAST, error_model="numpy", cache=True)
def _softmin_rows(first, size, x, f, t, y, g, log_b, active, eps, p, moments, exact, out, image, jacobian, peak):
    """The softmin of ``size`` rows from ``first`` on; False if they are too far apart for float32 and can be split.

    t (D,): about where the plan sends the rows.
    """
    m, d = y.shape
    to_bits = LOG2E / eps
    c = np.zeros(d)
    for i in range(first, first + size):
        for k in range(d):
            c[k] += x[i, k]
    for k in range(d):
        c[k] /= size

    # Per row: a, u, and for p = 1 |u|^2. The linearised potential of the first row becomes the zero of all exponents.
    a = np.zeros(BLOCK, dtype=np.float32)
    u = np.zeros((d, BLOCK), dtype=np.float32)
    uu = np.zeros(BLOCK, dtype=np.float32)
    f_ref = 0.0
    widest = 0.0
    for i in range(size):
        linear = 0.0
        square = 0.0
        for k in range(d):
            step = x[first + i, k] - c[k]
            linear += step * (t[k] - c[k])
            square += step * step
            u[k, i] = f4(step)
        widest = max(widest, square)
        uu[i] = f4(square)
        level = f[first + i]
        if p == 2:
            level += linear - 0.5 * square
        if i == 0:
            f_ref = level
        a[i] = f4((level - f_ref) * to_bits)

    if exact or (widest if p == 2 else np.sqrt(widest)) * to_bits > _WIDEST:
        if size > SLICE:
            return False
        for i in range(first, first + size):
            out[i] = _softmin_row(x[i], y, g, log_b, active, eps, p, moments, image[i], jacobian[i])
        peak[:] = f4(1.0)
        return True

    total = np.zeros((1 + d + (d * (d + 1)) // 2, BLOCK), dtype=np.float64)
    b = np.empty(BLOCK, dtype=np.float32)
    v = np.zeros((d, BLOCK), dtype=np.float32)  # (y - t) / eps in bits for p = 2; w = y - c for p = 1
    far = np.zeros(BLOCK, dtype=np.float32)  # |w|, for p = 1
    e = np.empty(BLOCK, dtype=np.float32)
    apart = np.empty(BLOCK, dtype=np.float32)
    scale = f4(to_bits)
    for first_slice in range(0, active.shape[0], _PARTS):
        together = min(active.shape[0] - first_slice, _PARTS)
        b[:] = f4(_EMPTY)
        for part in range(together):
            start = active[first_slice + part] * SLICE
            for j in range(min(SLICE, m - start)):
                at = part * SLICE + j
                square = 0.0
                for k in range(d):
                    square += (y[start + j, k] - c[k]) ** 2
                if p == 2:
                    cost = 0.5 * square
                    for k in range(d):
                        v[k, at] = f4((y[start + j, k] - t[k]) * to_bits)
                else:
                    cost = np.sqrt(square)
                    far[at] = f4(cost)
                    for k in range(d):
                        v[k, at] = f4(y[start + j, k] - c[k])
                b[at] = f4((g[start + j] + f_ref - cost) * to_bits + log_b[start + j] * LOG2E)
        v0 = v[0]
        v1 = v[1]
        v2 = v[2]
        largest = f4(0.0)
        for i in range(size):
            a_i = a[i]
            u0 = u[0, i]
            u1 = u[1, i]
            u2 = u[2, i]
            s = f4(0.0)
            if p == 2:
                if moments == 0 and d == 3:
                    for j in range(BLOCK):
                        s += exp2(a_i + b[j] + u0 * v0[j] + u1 * v1[j] + u2 * v2[j])
                    total[0, i] += s
                    largest = max(largest, s)
                    continue
                for j in range(BLOCK):
                    e[j] = a_i + b[j] + u0 * v0[j] + u1 * v1[j] + u2 * v2[j]
                for k in range(3, d):
                    u_k = u[k, i]
                    v_k = v[k]
                    for j in range(BLOCK):
                        e[j] += u_k * v_k[j]
                for j in range(BLOCK):
                    e[j] = exp2(e[j])
            else:
                uu_i = uu[i]
                for j in range(BLOCK):
                    e[j] = uu_i - f4(2.0) * (u0 * v0[j] + u1 * v1[j] + u2 * v2[j])
                    apart[j] = (u0 - v0[j]) ** 2 + (u1 - v1[j]) ** 2 + (u2 - v2[j]) ** 2
                for k in range(3, d):
                    u_k = u[k, i]
                    v_k = v[k]
                    for j in range(BLOCK):
                        e[j] -= f4(2.0) * u_k * v_k[j]
                        apart[j] += (u_k - v_k[j]) ** 2
                for j in range(BLOCK):
                    apart[j] = np.sqrt(apart[j])
                    e[j] = exp2(a_i + b[j] - e[j] / (apart[j] + far[j] + _TINY) * scale)
            for j in range(BLOCK):
                s += e[j]
            total[0, i] += s
            largest = max(largest, s)
            if moments == 0:
                continue
            if p == 1:
                for j in range(BLOCK):
                    e[j] /= apart[j] + _TINY
                for k in range(d):
                    u_k = u[k, i]
                    v_k = v[k]
                    s = f4(0.0)
                    for j in range(BLOCK):
                        s += e[j] * (u_k - v_k[j])
                    total[1 + k, i] += s
                continue
            for k in range(d):
                v_k = v[k]
                s = f4(0.0)
                for j in range(BLOCK):
                    s += e[j] * v_k[j]
                total[1 + k, i] += s
            if moments == 2:
                row = 1 + d
                for k in range(d):
                    v_k = v[k]
                    for j in range(BLOCK):
                        apart[j] = e[j] * v_k[j]
                    for q in range(k + 1):
                        v_q = v[q]
                        s = f4(0.0)
                        for j in range(BLOCK):
                            s += apart[j] * v_q[j]
                        total[row, i] += s
                        row += 1
        for part in range(first_slice, first_slice + together):
            peak[part] = max(peak[part], largest)

    for i in range(size):
        s = total[0, i]
        at = first + i
        # 2^-80 .. 2^80: outside, the previous potential was too far off to shift the exponents; do the row again.
        if not 8e-25 < s < 1e24:
            out[at] = _softmin_row(x[at], y, g, log_b, active, eps, p, moments, image[at], jacobian[at])
            continue
        out[at] = f[at] - eps * LN2 * np.log2(s)
        if moments == 0:
            continue
        for k in range(d):
            mean = total[1 + k, i] / s
            image[at, k] = t[k] + mean / to_bits if p == 2 else x[at, k] - mean
        if moments == 2 and p == 2:
            row = 1 + d
            for k in range(d):
                for q in range(k + 1):
                    covariance = total[row, i] / s - total[1 + k, i] / s * (total[1 + q, i] / s)
                    jacobian[at, k, q] = covariance * (eps / (LOG2E * LOG2E))
                    jacobian[at, q, k] = jacobian[at, k, q]
                    row += 1
    return True


@njit(error_model="numpy", cache=True)
def _softmin_row(x, y, g, log_b, slices, eps, p, moments, image, jacobian):
    """One row in float64 with the usual two passes (maximum first); the rare fallback."""
    m, d = y.shape
    top = -1e300
    for start in slices * SLICE:
        for j in range(start, min(start + SLICE, m)):
            top = max(top, (g[j] - _cost(x, y[j], p)) / eps + log_b[j])
    s = 0.0
    mean = np.zeros(d)
    square = np.zeros((d, d))
    for start in slices * SLICE:
        for j in range(start, min(start + SLICE, m)):
            cost = _cost(x, y[j], p)
            w = np.exp((g[j] - cost) / eps + log_b[j] - top)
            s += w
            if moments == 0:
                continue
            for k in range(d):
                # Relative to x, so that nothing cancels.
                step = y[j, k] - x[k] if p == 2 else (y[j, k] - x[k]) / (cost + 1e-300)
                mean[k] += w * step
                if moments == 2:
                    for q in range(k + 1):
                        square[k, q] += w * step * (y[j, q] - x[q])
    if moments >= 1:
        for k in range(d):
            image[k] = x[k] + mean[k] / s
    if moments == 2 and p == 2:
        for k in range(d):
            for q in range(k + 1):
                jacobian[k, q] = (square[k, q] / s - mean[k] / s * (mean[q] / s)) / eps
                jacobian[q, k] = jacobian[k, q]
    return -eps * (top + np.log(s))


@njit(inline="always")
def _cost(x, y, p):
    """|x - y|^p / p."""
    square = 0.0
    for k in range(x.shape[0]):
        square += (x[k] - y[k]) ** 2
    return 0.5 * square if p == 2 else np.sqrt(square)
