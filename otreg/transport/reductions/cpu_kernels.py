"""Compiled loops of the CPU reduction: softmin over active slices, and the search for those slices.

Every kernel works on *blocks* of :data:`BLOCK` consecutive points of a cloud in Hilbert order, and on *slices* of
:data:`SLICE` points of the other cloud. Positions and potentials are float64; inside one pair they are re-centred so
that the exponents of the plan become numbers of order ten, which float32 holds to 1e-6 at any displacement: with
x = c + u in a block of rows, t near its image,

    (f(x) + g(y) - |x - y|^2 / 2) / eps =   [f(x) - f_0 - |u|^2 / 2 + <u, t - c>] / eps    (per row, once)
                                          + [g(y) + f_0 - |y - c|^2 / 2] / eps             (per column, for each block)
                                          + <u, y - t> / eps                               (the inner loop)

The exponential is a polynomial 2^x, so that LLVM vectorises the inner loop; there is no scalar remainder, since short
blocks are padded with columns of zero mass.
"""

from __future__ import annotations

import os

import numba
import numpy as np
from llvmlite import binding, ir
from numba import njit, prange
from numba.core import types
from numba.extending import intrinsic

# A block is 64 points: long enough for full vectors, short enough to be compact. The length is constant, because loops
# of variable length keep the compiler from using vectors.
BLOCK = 64
# The search for active columns goes from super-blocks over blocks down to slices of a quarter block, and the softmin
# takes any four active slices at a time: a finer choice of columns at the same constant width.
GROUP = 1024
SLICE = 16

# Bounds below exp(-40) add nothing to what is dropped; rows with more active slices than remembered are walked twice.
_NOTHING = -40.0
_REMEMBERED = 512
# Blocks with radius^2 / eps above this (in bits) would lose 1e-4 in float32: their rows are summed in float64.
_WIDEST = 2048.0
_LOG2E = 1.4426950408889634
_LN2 = 0.6931471805599453
_EMPTY = -1e30  # log-weight of a column without mass; finite, because the kernels are compiled without NaN and inf
_FAST = {"reassoc", "contract", "nsz", "nnan", "ninf", "arcp"}
f4 = np.float32


def _use_full_vectors() -> None:
    """Ask for 512-bit vectors where the CPU has them: LLVM prefers 256 bits by itself."""
    if "NUMBA_CPU_FEATURES" in os.environ or numba.config.CPU_FEATURES is not None:
        return
    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        numba.config.CPU_FEATURES = features.flatten() + ",-prefer-256-bit"


_use_full_vectors()


@intrinsic
def _scale_by_power_of_two(typing_context, mantissa, exponent):  # type: ignore[no-untyped-def]
    """``mantissa * 2**exponent`` for float32 by adding to the exponent bits; ``exponent`` holds an integer value."""
    signature = types.float32(types.float32, types.float32)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        bits = ir.IntType(32)
        shift = builder.shl(builder.fptosi(arguments[1], bits), ir.Constant(bits, 23))
        return builder.bitcast(builder.add(builder.bitcast(arguments[0], bits), shift), ir.FloatType())

    return signature, generate


@njit(inline="always", fastmath=_FAST)
def _exp2(x):
    """2^x in float32, relative error 2e-7; x is clamped to the range of normal numbers."""
    x = min(max(x, f4(-126.0)), f4(126.0))
    whole = np.floor(x + f4(0.5))
    r = x - whole
    # Least-squares polynomial of 2^r on [-1/2, 1/2], degree 6 (Taylor coefficients ln(2)^k / k! are close enough).
    p = f4(0.000154035303934)
    p = p * r + f4(0.00133335581464)
    p = p * r + f4(0.00961812910763)
    p = p * r + f4(0.0555041086648)
    p = p * r + f4(0.240226506959)
    p = p * r + f4(0.693147180560)
    p = p * r + f4(1.0)
    return _scale_by_power_of_two(p, whole)


@njit(parallel=True, cache=True)
def softmin_blocks(x, f, images, y, g, log_b, starts, columns, eps, moments, exact, out, barycentre, peak):
    """Softmin of every row over its active slices of columns, optionally with the plan's barycentres.

    x (n, 3), f (n,): rows and their previous potentials, which shift the exponents. images (slices of n, 3): where the
    mass of the slice's rows goes, roughly. y (m, 3), g (m,), log_b (m,): columns, potentials, log weights. starts,
    columns: active slices in CSR form, per block of rows. exact: sum in float64, slowly.

    Writes out (n,) = -eps log sum_j b_j exp((g_j - C_ij) / eps), barycentre (n, 3) if ``moments``, and peak (nnz,): for
    the slices that were taken together the largest share sum_j b_j exp((f_i + g_j - C_ij) / eps) over the block's rows.
    """
    n = x.shape[0]
    parts = BLOCK // SLICE
    for block in prange(starts.shape[0] - 1):
        first = block * BLOCK
        size = min(BLOCK, n - first)
        active = columns[starts[block] : starts[block + 1]]
        largest = peak[starts[block] : starts[block + 1]]
        largest[:] = f4(0.0)
        image = np.zeros(3)
        for part in range(block * parts, min((block + 1) * parts, images.shape[0])):
            image += images[part] * (min(SLICE, n - part * SLICE) / size)
        if _softmin_rows(first, size, x, f, image, y, g, log_b, active, eps, moments, exact, out, barycentre, largest):
            continue
        # The block lies over a gap, or its points are much sparser than the blur: slice by slice.
        for part in range(block * parts, min((block + 1) * parts, images.shape[0])):
            size = min(SLICE, n - part * SLICE)
            _softmin_rows(
                part * SLICE,
                size,
                x,
                f,
                images[part],
                y,
                g,
                log_b,
                active,
                eps,
                moments,
                exact,
                out,
                barycentre,
                largest,
            )


@njit(fastmath=_FAST, error_model="numpy", cache=True)
def _softmin_rows(first, size, x, f, image, y, g, log_b, active, eps, moments, exact, out, barycentre, peak):
    """The softmin of ``size`` rows from ``first`` on; False if they are too far apart for float32 and can be split."""
    m = y.shape[0]
    to_bits = _LOG2E / eps
    c0 = 0.0
    c1 = 0.0
    c2 = 0.0
    for i in range(size):
        c0 += x[first + i, 0]
        c1 += x[first + i, 1]
        c2 += x[first + i, 2]
    c0 /= size
    c1 /= size
    c2 /= size
    t0 = image[0]
    t1 = image[1]
    t2 = image[2]
    # The linearised potential of the first row: its exponent becomes zero, at any displacement.
    u0 = x[first, 0] - c0
    u1 = x[first, 1] - c1
    u2 = x[first, 2] - c2
    f_ref = f[first] - 0.5 * (u0 * u0 + u1 * u1 + u2 * u2) + u0 * (t0 - c0) + u1 * (t1 - c1) + u2 * (t2 - c2)
    widest = 0.0

    a = np.zeros(BLOCK, dtype=np.float32)
    u = np.zeros((3, BLOCK), dtype=np.float32)
    for i in range(size):
        u0 = x[first + i, 0] - c0
        u1 = x[first + i, 1] - c1
        u2 = x[first + i, 2] - c2
        linear = u0 * (t0 - c0) + u1 * (t1 - c1) + u2 * (t2 - c2)
        square = u0 * u0 + u1 * u1 + u2 * u2
        widest = max(widest, square)
        a[i] = f4((f[first + i] - f_ref - 0.5 * square + linear) * to_bits)
        u[0, i] = f4(u0)
        u[1, i] = f4(u1)
        u[2, i] = f4(u2)

    if exact or widest * to_bits > _WIDEST:
        if size > SLICE:
            return False
        for i in range(first, first + size):
            out[i] = _softmin_row(x[i], y, g, log_b, active, eps, barycentre[i])
        peak[:] = f4(1.0)
        return True

    total = np.zeros((4, BLOCK), dtype=np.float64)
    b = np.empty(BLOCK, dtype=np.float32)
    v = np.zeros((3, BLOCK), dtype=np.float32)
    e = np.empty(BLOCK, dtype=np.float32)
    v0 = v[0]
    v1 = v[1]
    v2 = v[2]
    for k in range(0, active.shape[0], BLOCK // SLICE):
        together = min(active.shape[0] - k, BLOCK // SLICE)
        b[:] = f4(_EMPTY)
        for part in range(together):
            start = active[k + part] * SLICE
            for j in range(min(SLICE, m - start)):
                y0 = y[start + j, 0]
                y1 = y[start + j, 1]
                y2 = y[start + j, 2]
                cost = 0.5 * ((y0 - c0) ** 2 + (y1 - c1) ** 2 + (y2 - c2) ** 2)
                at = part * SLICE + j
                b[at] = f4((g[start + j] + f_ref - cost) * to_bits + log_b[start + j] * _LOG2E)
                v0[at] = f4((y0 - t0) * to_bits)
                v1[at] = f4((y1 - t1) * to_bits)
                v2[at] = f4((y2 - t2) * to_bits)
        largest = f4(0.0)
        if moments:
            for i in range(size):
                a_i = a[i]
                u0_i = u[0, i]
                u1_i = u[1, i]
                u2_i = u[2, i]
                for j in range(BLOCK):
                    e[j] = _exp2(a_i + b[j] + u0_i * v0[j] + u1_i * v1[j] + u2_i * v2[j])
                s = f4(0.0)
                s0 = f4(0.0)
                s1 = f4(0.0)
                s2 = f4(0.0)
                for j in range(BLOCK):
                    s += e[j]
                    s0 += e[j] * v0[j]
                    s1 += e[j] * v1[j]
                    s2 += e[j] * v2[j]
                total[0, i] += s
                total[1, i] += s0
                total[2, i] += s1
                total[3, i] += s2
                largest = max(largest, s)
        else:
            for i in range(size):
                a_i = a[i]
                u0_i = u[0, i]
                u1_i = u[1, i]
                u2_i = u[2, i]
                s = f4(0.0)
                for j in range(BLOCK):
                    s += _exp2(a_i + b[j] + u0_i * v0[j] + u1_i * v1[j] + u2_i * v2[j])
                total[0, i] += s
                largest = max(largest, s)
        for part in range(k, k + together):
            peak[part] = max(peak[part], largest)

    for i in range(size):
        s = total[0, i]
        # 2^-80 .. 2^80: outside, the previous potential was too far off to shift the exponents; do the row again.
        if 8e-25 < s < 1e24:
            out[first + i] = f[first + i] - eps * _LN2 * np.log2(s)
            if moments:
                barycentre[first + i, 0] = t0 + total[1, i] / (s * to_bits)
                barycentre[first + i, 1] = t1 + total[2, i] / (s * to_bits)
                barycentre[first + i, 2] = t2 + total[3, i] / (s * to_bits)
        else:
            out[first + i] = _softmin_row(x[first + i], y, g, log_b, active, eps, barycentre[first + i])
    return True


@njit(error_model="numpy", cache=True)
def _softmin_row(x, y, g, log_b, slices, eps, barycentre):
    """One row in float64 with the usual two passes (maximum first); the rare fallback."""
    m = y.shape[0]
    top = -1e300
    for start in slices * SLICE:
        for j in range(start, min(start + SLICE, m)):
            cost = 0.5 * ((x[0] - y[j, 0]) ** 2 + (x[1] - y[j, 1]) ** 2 + (x[2] - y[j, 2]) ** 2)
            top = max(top, (g[j] - cost) / eps + log_b[j])
    s = 0.0
    s0 = 0.0
    s1 = 0.0
    s2 = 0.0
    for start in slices * SLICE:
        for j in range(start, min(start + SLICE, m)):
            cost = 0.5 * ((x[0] - y[j, 0]) ** 2 + (x[1] - y[j, 1]) ** 2 + (x[2] - y[j, 2]) ** 2)
            w = np.exp((g[j] - cost) / eps + log_b[j] - top)
            s += w
            s0 += w * y[j, 0]
            s1 += w * y[j, 1]
            s2 += w * y[j, 2]
    barycentre[0] = s0 / s
    barycentre[1] = s1 / s
    barycentre[2] = s2 / s
    return -eps * (top + np.log(s))


@njit(parallel=True, cache=True)
def block_statistics(x, f, image, weights, size):
    """Per block of ``size`` points: centre, mean image, radius, half-extents, linearised maximum of f, mass, log mass.

    Returns (blocks, 13): c (3), t (3), r, h (3), fmax, mass, log mass, where
    fmax = max_i f_i - <c - t, x_i - c> - |x_i - c|^2 / 2.
    """
    n = x.shape[0]
    blocks = (n + size - 1) // size
    out = np.zeros((blocks, 13))
    for block in prange(blocks):
        first = block * size
        last = min(first + size, n)
        for k in range(3):
            c = 0.0
            t = 0.0
            for i in range(first, last):
                c += x[i, k]
                t += image[i, k]
            out[block, k] = c / (last - first)
            out[block, 3 + k] = t / (last - first)
        radius = 0.0
        top = -1e300
        mass = 0.0
        for i in range(first, last):
            square = 0.0
            linear = 0.0
            for k in range(3):
                u = x[i, k] - out[block, k]
                square += u * u
                linear += u * (out[block, k] - out[block, 3 + k])
                out[block, 7 + k] = max(out[block, 7 + k], abs(u))
            radius = max(radius, square)
            top = max(top, f[i] - linear - 0.5 * square)
            mass += weights[i]
        out[block, 6] = np.sqrt(radius)
        out[block, 10] = top
        out[block, 11] = mass
        out[block, 12] = np.log(mass + 1e-300)
    return out


@njit(inline="always")
def _largest_exponent(p, q):
    """Upper bound of f_i + g_j - |x_i - y_j|^2 / 2 over two blocks (rows of :func:`block_statistics`).

    Potentials are linearised at the block centres, so the bound stays tight under large displacements:
    f_i + g_j - C_ij <= fmax + gmax - |c - d|^2/2 + max_u <d - t, u> + max_v <c - s, v> + max <u, v>.
    """
    apart = 0.0
    to_row_image = 0.0
    to_column_image = 0.0
    row_box = 0.0
    column_box = 0.0
    box = 0.0
    for k in range(3):
        apart += (p[k] - q[k]) ** 2
        d = abs(q[k] - p[3 + k])
        to_row_image += d * d
        row_box += d * p[7 + k]
        d = abs(p[k] - q[3 + k])
        to_column_image += d * d
        column_box += d * q[7 + k]
        box += p[7 + k] * q[7 + k]
    return (
        p[10]
        + q[10]
        - 0.5 * apart
        + min(p[6] * np.sqrt(to_row_image), row_box)
        + min(q[6] * np.sqrt(to_column_image), column_box)
        + min(p[6] * q[6], box)
    )


@njit(inline="always")
def _slice_exponent(rows, row_slices, i, column):
    """Bound between row block i and a slice of columns, refined by the slices of the block where these are smaller."""
    whole = _largest_exponent(rows[i], column)
    if rows[i, 6] <= 1.5 * column[6]:
        return whole
    best = -1e300
    for part in range(i * (BLOCK // SLICE), min((i + 1) * (BLOCK // SLICE), row_slices.shape[0])):
        best = max(best, _largest_exponent(row_slices[part], column))
    return min(best, whole)


@njit(cache=True)
def _walk_row(i, rows, row_slices, groups, columns, slices, eps, threshold, found):
    """Active slices of row block i, into ``found`` as far as it is long; (how many, bound on what was dropped)."""
    lost = 0.0
    nearest = -1e300
    best = 0
    count = 0
    for group in range(groups.shape[0]):
        score = _largest_exponent(rows[i], groups[group]) / eps
        # Until something is kept, look into what should be passed over: a row must not end up empty.
        if score + groups[group, 12] < threshold and (count > 0 or score <= nearest):
            if score + groups[group, 12] > _NOTHING:
                lost += np.exp(score + groups[group, 12])
            continue
        for block in range(group * (GROUP // BLOCK), min((group + 1) * (GROUP // BLOCK), columns.shape[0])):
            score = _largest_exponent(rows[i], columns[block]) / eps
            if score + columns[block, 12] < threshold and (count > 0 or score <= nearest):
                if score + columns[block, 12] > _NOTHING:
                    lost += np.exp(score + columns[block, 12])
                continue
            for part in range(block * (BLOCK // SLICE), min((block + 1) * (BLOCK // SLICE), slices.shape[0])):
                score = _slice_exponent(rows, row_slices, i, slices[part]) / eps
                if score > nearest:
                    nearest = score
                    best = part
                if score + slices[part, 12] >= threshold:
                    if count < found.shape[0]:
                        found[count] = part
                    count += 1
                elif score + slices[part, 12] > _NOTHING:
                    lost += np.exp(score + slices[part, 12])
    if count == 0:
        found[0] = best
        count = 1
    return count, lost


@njit(parallel=True, cache=True)
def find_active_slices(rows, row_slices, groups, columns, slices, eps, threshold):
    """Slices of columns that may hold plan entries above the threshold, for every block of rows.

    rows, row_slices: :func:`block_statistics` of the rows with blocks of BLOCK and of SLICE points; groups, columns,
    slices: of the columns with GROUP, BLOCK and SLICE. With f the rows' softmins, a row's entries
    b_j exp((f_i + g_j - C_ij) / eps) sum to one; columns stay when exp(bound / eps) times their mass exceeds
    exp(threshold). Returns starts (r + 1,), the active slices (nnz,), and per row block a bound on the sum of the
    entries that were dropped. A row block without active slices gets the most likely one.
    """
    r = rows.shape[0]
    counts = np.zeros(r + 1, dtype=np.int64)
    dropped = np.zeros(r)
    first_found = np.empty((r, min(_REMEMBERED, slices.shape[0])), dtype=np.int32)
    for i in prange(r):
        counts[i + 1], dropped[i] = _walk_row(
            i, rows, row_slices, groups, columns, slices, eps, threshold, first_found[i]
        )
    starts = np.cumsum(counts)
    active = np.empty(starts[r], dtype=np.int32)
    for i in prange(r):
        n = counts[i + 1]
        if n <= first_found.shape[1]:
            active[starts[i] : starts[i + 1]] = first_found[i, :n]
        else:
            _walk_row(i, rows, row_slices, groups, columns, slices, eps, threshold, active[starts[i] : starts[i + 1]])
    return starts, active, dropped


@njit(cache=True)
def drop_weak_blocks(starts, columns, peak, smallest):
    """The active slices whose measured peak is at least ``smallest``; every row block keeps its strongest one."""
    r = starts.shape[0] - 1
    kept_starts = np.zeros(r + 1, dtype=np.int64)
    kept = np.empty_like(columns)
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
        if n == before:
            kept[n] = columns[strongest]
            n += 1
        kept_starts[i + 1] = n
    return kept_starts, kept[:n].copy()
