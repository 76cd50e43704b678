"""Compiled softmins of the CPU reduction, over blocks of rows and their active slices of columns.

Positions and potentials are float64; inside one pair they are re-centred so that the exponents of the plan become
numbers of order ten, which float32 holds to 1e-6 at any displacement. With x = c + u in a block of rows, y = c + w, t
near the block's image and p = 2,

    (f(x) + g(y) - |x - y|^2 / 2) / eps =   [f(x) - f_0 - |u|^2 / 2 + <u, t - c>] / eps    (per row, once)
                                          + [g(y) + f_0 - |w|^2 / 2] / eps                 (per column, for each block)
                                          + <u, y - t> / eps                               (the inner loop)

and for p = 1, where |x - y| - |w| = (|u|^2 - 2 <u, w>) / (|x - y| + |w|) does not cancel,

    (f(x) + g(y) - |x - y|) / eps = [f(x) - f_0] / eps + [g(y) + f_0 - |w|] / eps - (|x - y| - |w|) / eps.

There is no scalar remainder: columns are padded with zero mass to a multiple of 64.
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from otreg.compiled import njit, prange
from otreg.transport.reductions.cpu_blocks import BLOCK, FAST, SLICE

f4 = np.float32
_LOG2E = 1.4426950408889634
_LN2 = 0.6931471805599453

# Blocks with (radius / blur)^p above this (in bits) would lose 1e-4 in float32: their rows are summed in float64.
_WIDEST = 2048.0
_EMPTY = -1e30  # log-weight of a column without mass; finite, because the kernels are compiled without NaN and inf
_TINY = f4(1e-30)
_PARTS = BLOCK // SLICE
# So many slices of columns are gathered at a time: 4096 columns, which stay in the caches.
_PIECE = 256


# Adding these to a float of moderate size rounds it to an integer, which then stands in the low bits of the sum.
_ROUNDER = np.float32(1.5 * 2**23)
_DOUBLE_ROUNDER = 1.5 * 2**52
# Coefficients ln(2)^k / k! of 2^r, which end below 1e-16 on [-1/2, 1/2].
_TAYLOR = tuple(_LN2**k / math.factorial(k) for k in range(12, -1, -1))


def _layout(number):  # type: ignore[no-untyped-def]
    """Of a float type: the integer type of its bits, its LLVM type, mantissa bits, and the bits of its rounder."""
    if number == types.float32:
        return ir.IntType(32), ir.FloatType(), 23, int(_ROUNDER.view(np.int32))
    return ir.IntType(64), ir.DoubleType(), 52, int(np.float64(_DOUBLE_ROUNDER).view(np.int64))


@intrinsic
def _low_bits(typing_context, total):  # type: ignore[no-untyped-def]
    """The integer in the low bits of ``x + rounder``, as a float: by its bits, since fast math would cancel the sum."""
    bits, number, _, offset = _layout(total)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        whole = builder.sub(builder.bitcast(arguments[0], bits), ir.Constant(bits, offset))
        return builder.sitofp(whole, number)

    return total(total), generate


@intrinsic
def _scale_by_low_bits(typing_context, mantissa, total):  # type: ignore[no-untyped-def]
    """``mantissa * 2**k``, where the low bits of ``total`` hold the integer k: adds to the exponent bits."""
    bits, number, width, _ = _layout(total)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        shift = builder.shl(builder.bitcast(arguments[1], bits), ir.Constant(bits, width))
        return builder.bitcast(builder.add(builder.bitcast(arguments[0], bits), shift), number)

    return total(total, total), generate


@njit(inline="always", fastmath=FAST)
def _exp2(x):
    """2^x in float32, relative error 3e-7; x is clamped to the range of normal numbers."""
    x = min(max(x, f4(-126.0)), f4(126.0))
    total = x + _ROUNDER
    rest = x - _low_bits(total)
    # The polynomial of degree 5 with the smallest largest relative error on [-1/2, 1/2], 7.5e-8 (Remez).
    p = f4(0.00132765)
    p = p * rest + f4(0.00967554)
    p = p * rest + f4(0.05550713)
    p = p * rest + f4(0.2402212)
    p = p * rest + f4(0.69314697)
    p = p * rest + f4(1.00000007)
    return _scale_by_low_bits(p, total)


@njit(inline="always", fastmath=FAST)
def _exp2_double(x):
    """2^x in float64, relative error 3e-16; x is clamped to [-1000, 1000]."""
    x = min(max(x, -1000.0), 1000.0)
    total = x + _DOUBLE_ROUNDER
    rest = x - _low_bits(total)
    p = _TAYLOR[0]
    for coefficient in _TAYLOR[1:]:
        p = p * rest + coefficient
    return _scale_by_low_bits(p, total)


@njit(parallel=True, cache=True)
def softmin_blocks(x, f, images, y, charge, starts, columns, eps, p, moments, exact, out, image, jacobian, peak):
    """Softmin of every row over its active slices of columns, optionally with its derivatives.

    x (n, D), f (n,): rows and their previous potentials, which shift the exponents. images (slices of n, D): where the
    mass of the slice's rows goes, roughly. y (D, m), charge (m,): columns, and g_j / eps + log b_j in bits. starts,
    columns: active slices in CSR form, per block of rows. exact: sum in float64, slowly.

    Writes out (n,) = -eps log sum_j b_j exp((g_j - C_ij) / eps); with moments >= 1 image (n, D), the row's point less
    the gradient of the softmin; with moments = 2 (p = 2 only) jacobian (n, D, D) of that image, the covariance of the
    plan's row over eps; and, if peak is (nnz,) and not empty: for every active slice the sum over its columns of the
    largest share b_j exp((f_i + g_j - C_ij) / eps) that one has in a row of the block.
    """
    n, d = x.shape
    for block in prange(starts.shape[0] - 1):
        first = block * BLOCK
        size = min(BLOCK, n - first)
        active = columns[starts[block] : starts[block + 1]]
        largest = peak[starts[block] : starts[block + 1]]  # empty if nothing is to be measured
        largest[:] = f4(0.0)
        centre = np.zeros(d)
        for part in range(block * _PARTS, min((block + 1) * _PARTS, images.shape[0])):
            for k in range(d):
                centre[k] += images[part, k] * (min(SLICE, n - part * SLICE) / size)
        if _softmin_rows(
            first, size, x, f, centre, y, charge, active, eps, p, moments, exact, out, image, jacobian, largest
        ):
            continue
        # The block lies over a gap, or its points are much sparser than the blur: slice by slice.
        for part in range(block * _PARTS, min((block + 1) * _PARTS, images.shape[0])):
            first = part * SLICE
            size = min(SLICE, n - first)
            t = images[part]
            _softmin_rows(
                first, size, x, f, t, y, charge, active, eps, p, moments, exact, out, image, jacobian, largest
            )


@njit(fastmath=FAST, error_model="numpy", cache=True)
def _softmin_rows(first, size, x, f, t, y, charge, active, eps, p, moments, exact, out, image, jacobian, peak):
    """The softmin of ``size`` rows from ``first`` on; False if they are too far apart for float32 and can be split.

    t (D,): about where the plan sends the rows.
    """
    d, m = y.shape
    to_bits = _LOG2E / eps
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
        if size > SLICE and not exact:
            return False
        _softmin_rows_double(first, size, x, f, y, charge, active, eps, p, moments, out, image, jacobian)
        peak[:] = f4(1.0)
        return True

    total = np.zeros((1 + d + (d * (d + 1)) // 2, BLOCK), dtype=np.float64)
    longest = ((min(active.shape[0], _PIECE) + _PARTS - 1) // _PARTS) * BLOCK
    b = np.empty(longest, dtype=np.float32)
    v = np.empty((d, longest), dtype=np.float32)  # (y - t) / eps in bits for p = 2; w = y - c for p = 1
    far = np.empty(longest, dtype=np.float32)  # |w|, for p = 1
    e = np.empty(longest, dtype=np.float32)
    apart = np.empty(longest, dtype=np.float32)
    largest = np.empty(longest, dtype=np.float32)  # of each column, over the rows
    square = np.empty(SLICE)  # the cost from the block's centre to a slice's columns
    scale = f4(to_bits)
    for piece in range(0, active.shape[0], _PIECE):
        together = min(active.shape[0] - piece, _PIECE)
        length = ((together + _PARTS - 1) // _PARTS) * BLOCK
        for part in range(length // SLICE):
            at = part * SLICE
            start = active[piece + part] * SLICE if part < together else m
            if start + SLICE <= m:  # a constant length, for vectors
                for j in range(SLICE):
                    square[j] = 0.0
                for k in range(d):
                    y_k = y[k, start : start + SLICE]
                    origin = t[k] if p == 2 else c[k]
                    unit = to_bits if p == 2 else 1.0
                    for j in range(SLICE):
                        square[j] += (y_k[j] - c[k]) ** 2
                        v[k, at + j] = f4((y_k[j] - origin) * unit)
            else:
                for j in range(SLICE):
                    square[j] = 0.0
                    for k in range(d):
                        v[k, at + j] = f4(0.0)
                for k in range(d):
                    origin = t[k] if p == 2 else c[k]
                    unit = to_bits if p == 2 else 1.0
                    for j in range(m - start):
                        square[j] += (y[k, start + j] - c[k]) ** 2
                        v[k, at + j] = f4((y[k, start + j] - origin) * unit)
            if p == 2:
                for j in range(SLICE):
                    square[j] *= 0.5
            else:
                for j in range(SLICE):
                    square[j] = np.sqrt(square[j])
                    far[at + j] = f4(square[j])
            if start + SLICE <= m:
                for j in range(SLICE):
                    b[at + j] = f4(charge[start + j] + (f_ref - square[j]) * to_bits)
            else:
                for j in range(SLICE):
                    b[at + j] = f4(_EMPTY)
                for j in range(m - start):
                    b[at + j] = f4(charge[start + j] + (f_ref - square[j]) * to_bits)
        largest[:length] = f4(0.0)
        for i in range(size):
            a_i = a[i]
            u0 = u[0, i]
            u1 = u[1, i]
            u2 = u[2, i]
            v0 = v[0]
            v1 = v[1]
            v2 = v[2]
            s = f4(0.0)
            if p == 2 and d == 3 and moments == 0 and peak.shape[0] == 0:
                for j in range(length):
                    s += _exp2(a_i + b[j] + u0 * v0[j] + u1 * v1[j] + u2 * v2[j])
                total[0, i] += s
                continue
            if p == 2:
                for j in range(length):
                    e[j] = a_i + b[j] + u0 * v0[j] + u1 * v1[j] + u2 * v2[j]
                for k in range(3, d):
                    u_k = u[k, i]
                    v_k = v[k]
                    for j in range(length):
                        e[j] += u_k * v_k[j]
                for j in range(length):
                    e[j] = _exp2(e[j])
            else:
                uu_i = uu[i]
                for j in range(length):
                    e[j] = uu_i - f4(2.0) * (u0 * v0[j] + u1 * v1[j] + u2 * v2[j])
                    apart[j] = (u0 - v0[j]) ** 2 + (u1 - v1[j]) ** 2 + (u2 - v2[j]) ** 2
                for k in range(3, d):
                    u_k = u[k, i]
                    v_k = v[k]
                    for j in range(length):
                        e[j] -= f4(2.0) * u_k * v_k[j]
                        apart[j] += (u_k - v_k[j]) ** 2
                for j in range(length):
                    apart[j] = np.sqrt(apart[j])
                    e[j] = _exp2(a_i + b[j] - e[j] / (apart[j] + far[j] + _TINY) * scale)
            if peak.shape[0] > 0:
                for j in range(length):
                    s += e[j]
                    largest[j] = max(largest[j], e[j])
            else:
                for j in range(length):
                    s += e[j]
            total[0, i] += s
            if moments == 0:
                continue
            if p == 1:
                for j in range(length):
                    e[j] /= apart[j] + _TINY
                for k in range(d):
                    u_k = u[k, i]
                    v_k = v[k]
                    s = f4(0.0)
                    for j in range(length):
                        s += e[j] * (u_k - v_k[j])
                    total[1 + k, i] += s
                continue
            if d == 3:
                s0 = f4(0.0)
                s1 = f4(0.0)
                s2 = f4(0.0)
                for j in range(length):
                    s0 += e[j] * v0[j]
                    s1 += e[j] * v1[j]
                    s2 += e[j] * v2[j]
                total[1, i] += s0
                total[2, i] += s1
                total[3, i] += s2
                if moments == 2:
                    s0 = f4(0.0)
                    s1 = f4(0.0)
                    s2 = f4(0.0)
                    s3 = f4(0.0)
                    s4 = f4(0.0)
                    s5 = f4(0.0)
                    for j in range(length):
                        e0 = e[j] * v0[j]
                        e1 = e[j] * v1[j]
                        s0 += e0 * v0[j]
                        s1 += e0 * v1[j]
                        s2 += e1 * v1[j]
                        s3 += e0 * v2[j]
                        s4 += e1 * v2[j]
                        s5 += e[j] * v2[j] * v2[j]
                    total[4, i] += s0
                    total[5, i] += s1
                    total[6, i] += s2
                    total[7, i] += s3
                    total[8, i] += s4
                    total[9, i] += s5
                continue
            row = 1 + d
            for k in range(d):
                v_k = v[k]
                s = f4(0.0)
                for j in range(length):
                    apart[j] = e[j] * v_k[j]
                    s += apart[j]
                total[1 + k, i] += s
                if moments == 2:
                    for q in range(k + 1):
                        v_q = v[q]
                        s = f4(0.0)
                        for j in range(length):
                            s += apart[j] * v_q[j]
                        total[row, i] += s
                        row += 1
        if peak.shape[0] > 0:
            for part in range(together):
                s = f4(0.0)
                for j in range(part * SLICE, (part + 1) * SLICE):
                    s += largest[j]
                peak[piece + part] = max(peak[piece + part], s)

    for i in range(size):
        s = total[0, i]
        at = first + i
        # 2^-80 .. 2^80: outside, the previous potential was too far off to shift the exponents; do the row again.
        if not 8e-25 < s < 1e24:
            out[at] = _softmin_row(x[at], y, charge, active, eps, p, moments, image[at], jacobian[at])
            continue
        out[at] = f[at] - eps * _LN2 * np.log2(s)
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
                    jacobian[at, k, q] = covariance * (eps / (_LOG2E * _LOG2E))
                    jacobian[at, q, k] = jacobian[at, k, q]
                    row += 1
    return True


@njit(fastmath=FAST, error_model="numpy", cache=True)
def _softmin_rows_double(first, size, x, f, y, charge, active, eps, p, moments, out, image, jacobian):
    """The softmin of ``size`` rows from ``first`` on in float64, where nothing needs to be re-centred."""
    d, m = y.shape
    to_bits = _LOG2E / eps
    longest = min(active.shape[0], _PIECE) * SLICE
    b = np.empty(longest)
    v = np.empty((d, longest))
    apart = np.empty(longest)
    e = np.empty(longest)
    total = np.zeros((size, 1 + d + d * d))
    for piece in range(0, active.shape[0], _PIECE):
        together = min(active.shape[0] - piece, _PIECE)
        length = together * SLICE
        for part in range(together):
            start = active[piece + part] * SLICE
            for j in range(SLICE):
                at = part * SLICE + j
                column = min(start + j, m - 1)
                b[at] = charge[column] if start + j < m else _EMPTY
                for k in range(d):
                    v[k, at] = y[k, column]
        for i in range(size):
            for j in range(length):
                apart[j] = 0.0
            for k in range(d):
                x_k = x[first + i, k]
                v_k = v[k]
                for j in range(length):
                    apart[j] += (x_k - v_k[j]) ** 2
            level = f[first + i] * to_bits
            s = 0.0
            if p == 2:
                for j in range(length):
                    e[j] = _exp2_double(level + b[j] - apart[j] * (0.5 * to_bits))
            else:
                for j in range(length):
                    apart[j] = np.sqrt(apart[j])
                    e[j] = _exp2_double(level + b[j] - apart[j] * to_bits)
            for j in range(length):
                s += e[j]
            total[i, 0] += s
            if moments == 0:
                continue
            if p == 1:
                for j in range(length):
                    e[j] /= apart[j] + 1e-300
            for k in range(d):
                x_k = x[first + i, k]
                v_k = v[k]
                s = 0.0
                for j in range(length):
                    apart[j] = e[j] * (v_k[j] - x_k)
                    s += apart[j]
                total[i, 1 + k] += s
                if moments == 2:
                    for q in range(k + 1):
                        x_q = x[first + i, q]
                        v_q = v[q]
                        s = 0.0
                        for j in range(length):
                            s += apart[j] * (v_q[j] - x_q)
                        total[i, 1 + d + k * d + q] += s
    for i in range(size):
        at = first + i
        s = total[i, 0]
        if not 1e-150 < s < 1e150:  # the previous potential was too far off to shift the exponents
            out[at] = _softmin_row(x[at], y, charge, active, eps, p, moments, image[at], jacobian[at])
            continue
        out[at] = f[at] - eps * _LN2 * np.log2(s)
        if moments >= 1:
            for k in range(d):
                image[at, k] = x[at, k] + total[i, 1 + k] / s
        if moments == 2 and p == 2:
            for k in range(d):
                for q in range(k + 1):
                    mean = total[i, 1 + k] / s * (total[i, 1 + q] / s)
                    jacobian[at, k, q] = (total[i, 1 + d + k * d + q] / s - mean) / eps
                    jacobian[at, q, k] = jacobian[at, k, q]


@njit(error_model="numpy", cache=True)
def _softmin_row(x, y, charge, slices, eps, p, moments, image, jacobian):
    """One row in float64 with the usual two passes (maximum first); the rare fallback."""
    d, m = y.shape
    to_bits = _LOG2E / eps
    top = -1e300
    for start in slices * SLICE:
        for j in range(start, min(start + SLICE, m)):
            top = max(top, charge[j] - _cost(x, y[:, j], p) * to_bits)
    s = 0.0
    mean = np.zeros(d)
    square = np.zeros((d, d))
    for start in slices * SLICE:
        for j in range(start, min(start + SLICE, m)):
            cost = _cost(x, y[:, j], p)
            w = np.exp((charge[j] - cost * to_bits - top) * _LN2)
            s += w
            if moments == 0:
                continue
            for k in range(d):
                # Relative to x, so that nothing cancels.
                step = y[k, j] - x[k] if p == 2 else (y[k, j] - x[k]) / (cost + 1e-300)
                mean[k] += w * step
                if moments == 2:
                    for q in range(k + 1):
                        square[k, q] += w * step * (y[q, j] - x[q])
    if moments >= 1:
        for k in range(d):
            image[k] = x[k] + mean[k] / s
    if moments == 2 and p == 2:
        for k in range(d):
            for q in range(k + 1):
                jacobian[k, q] = (square[k, q] / s - mean[k] / s * (mean[q] / s)) / eps
                jacobian[q, k] = jacobian[k, q]
    return -eps * (top * _LN2 + np.log(s))


@njit(inline="always")
def _cost(x, y, p):
    """|x - y|^p / p."""
    square = 0.0
    for k in range(x.shape[0]):
        square += (x[k] - y[k]) ** 2
    return 0.5 * square if p == 2 else np.sqrt(square)
