"""Compiled Sinkhorn sweeps over many small dense kernels, one pose after the other, so that each stays in the cache."""

from __future__ import annotations

import numpy as np

from otreg.compiled import njit, prange

# Sums in any order, so that they are taken in vectors; the same one every time.
_SUMS = {"reassoc", "contract", "nsz"}
# Smallest sum, so that the product of a row's and a column's scaling stays finite. What is that far away has no partner
# anyway.
SMALLEST_SUM = np.float32(1e-18)


@njit(parallel=True, nogil=True, cache=True, fastmath=_SUMS)
def scalings(kernels, a, b, columns, power, sweeps):
    """Scalings of the plans a_i rows_i kernel_ij columns_j b_j after some sweeps, and what each point keeps.

    kernels (s, n, m), a (n,), b (m,): float32; columns (s, m): of the start. A scaling is the sum over what faces it to
    the power. Returns rows, kept (s, n), columns, kept (s, m).
    """
    s, n, m = kernels.shape
    rows, kept = np.empty((s, n), np.float32), np.empty((s, n), np.float32)
    others, kept_others = np.empty((s, m), np.float32), np.empty((s, m), np.float32)
    for pose in prange(s):
        column, mass, facing = columns[pose].copy(), np.empty(m, np.float32), np.empty(m, np.float32)
        for _ in range(sweeps):
            for j in range(m):
                mass[j], facing[j] = column[j] * b[j], np.float32(0)
            # One pass over the kernel is both halves of a sweep: a row is summed, then added to what columns face.
            for i in range(n):
                row = kernels[pose, i]
                total = np.float32(0)
                for j in range(m):
                    total += row[j] * mass[j]
                rows[pose, i] = max(total, SMALLEST_SUM) ** power
                moved = rows[pose, i] * a[i]
                for j in range(m):
                    facing[j] += row[j] * moved
            for j in range(m):
                column[j] = max(facing[j], SMALLEST_SUM) ** power
        for j in range(m):
            others[pose, j], kept_others[pose, j], mass[j] = column[j], column[j] * facing[j], column[j] * b[j]
        for i in range(n):
            row = kernels[pose, i]
            total = np.float32(0)
            for j in range(m):
                total += row[j] * mass[j]
            kept[pose, i] = rows[pose, i] * total
    return rows, kept, others, kept_others


@njit(parallel=True, nogil=True, cache=True, fastmath=_SUMS)
def own_scalings(kernels, a, power, sweeps):
    """(s, n) scalings of the plans a_i f_i kernel_ij f_j a_j of measures with themselves, by the averaged map."""
    s, n, _ = kernels.shape
    found = np.empty((s, n), np.float32)
    for pose in prange(s):
        scaling, mass = found[pose], np.empty(n, np.float32)
        for i in range(n):
            scaling[i] = np.float32(1)
        for _ in range(sweeps):
            for j in range(n):
                mass[j] = scaling[j] * a[j]
            for i in range(n):
                row = kernels[pose, i]
                total = np.float32(0)
                for j in range(n):
                    total += row[j] * mass[j]
                scaling[i] = np.sqrt(scaling[i] * max(total, SMALLEST_SUM) ** power)
    return found
