"""Compiled sums of Gaussians over all pairs of points and controls, on all cores: the inner loops of a spline.

A row of kernels stays in the first cache until it has been summed, so nothing is stored but the answer. Distances are
differences of coordinates, which do not cancel. An exponential is a polynomial of the kind that vector units compute
for several controls at once; a Gaussian of half the width of the one before is its fourth power, which is cheaper.
"""

from __future__ import annotations

import math

import numpy as np

from otreg.compiled import njit, prange

# Rows that a thread takes at a time, and controls whose kernels are held at once: three buffers of 8 KB.
_ROWS = 32
_PIECE = 1024
_LOG2E = math.log2(math.e)
# Adding this to a float of moderate size rounds it to an integer, which then stands in the low bits of the sum.
_ROUNDER = 1.5 * 2**52
# Coefficients ln(2)^k / k! of 2^r, which end below 1e-16 on [-1/2, 1/2].
_TAYLOR = tuple(math.log(2) ** k / math.factorial(k) for k in range(12, -1, -1))
# What a compiler may do with a sum; that numbers are finite is not assumed.
_FAST = {"reassoc", "contract", "nsz", "arcp"}


@njit(parallel=True, cache=True)
def gaussian_sums(points, controls, widths, factors, coefficients, out):
    """Writes out (n, m) = sum_k K(x_i, c_k) w_k with K(x, c) = sum_j factors_j exp(-|x - c|^2 / (2 widths_j^2)).

    points (n, d); controls (d, k); widths, factors (j,); coefficients w (m, k). All float64.
    """
    n = points.shape[0]
    for block in prange((n + _ROWS - 1) // _ROWS):
        _sum_rows(points, controls, widths, factors, coefficients, out, block * _ROWS, min((block + 1) * _ROWS, n))


@njit(parallel=True, cache=True)
def gaussian_values(points, controls, widths, factors, out):
    """Writes out (n, k), the K(x_i, c_k) of :func:`gaussian_sums`."""
    n = points.shape[0]
    for block in prange((n + _ROWS - 1) // _ROWS):
        apart, gaussian = np.empty(_PIECE), np.empty(_PIECE)
        for i in range(block * _ROWS, min((block + 1) * _ROWS, n)):
            for first in range(0, controls.shape[1], _PIECE):
                _kernels(points[i], controls, first, widths, factors, apart, gaussian, out[i, first : first + _PIECE])


@njit(fastmath=_FAST, cache=True)
def _sum_rows(points, controls, widths, factors, coefficients, out, start, stop):
    """:func:`gaussian_sums` of the rows from ``start`` to ``stop``."""
    apart, gaussian, kernel = np.empty(_PIECE), np.empty(_PIECE), np.empty(_PIECE)
    out[start:stop] = 0.0
    for first in range(0, controls.shape[1], _PIECE):
        for i in range(start, stop):
            _kernels(points[i], controls, first, widths, factors, apart, gaussian, kernel)
            for q in range(coefficients.shape[0]):
                weights = coefficients[q, first : first + _PIECE]
                total = 0.0
                for j in range(weights.shape[0]):
                    total += weights[j] * kernel[j]
                out[i, q] += total


@njit(fastmath=_FAST, error_model="numpy", cache=True)
def _kernels(point, controls, first, widths, factors, apart, gaussian, kernel):
    """Writes K(x, c_k) for one point x (d,) and a piece of controls (d, k) into ``kernel``; other buffers change."""
    k = min(controls.shape[1] - first, _PIECE)
    for axis in range(controls.shape[0]):
        x, c = point[axis], controls[axis, first : first + k]
        if axis == 0:
            for j in range(k):
                apart[j] = (x - c[j]) * (x - c[j])
        else:
            for j in range(k):
                apart[j] += (x - c[j]) * (x - c[j])
    for at in range(widths.shape[0]):
        factor = factors[at]
        if at > 0 and widths[at - 1] == 2 * widths[at]:
            for j in range(k):
                square = gaussian[j] * gaussian[j]
                gaussian[j] = square * square
        else:
            rate = -0.5 * _LOG2E / (widths[at] * widths[at])
            for j in range(k):
                gaussian[j] = _exp2(rate * apart[j])
        if at == 0:
            for j in range(k):
                kernel[j] = factor * gaussian[j]
        else:
            for j in range(k):
                kernel[j] += factor * gaussian[j]


# Without leave to reassociate, which would cancel the rounder.
@njit(fastmath={"contract", "nsz"}, cache=True)
def _exp2(x):
    """2^x for x <= 0, relative error 3e-16; below -1000 it is 2^-1000."""
    x = max(x, -1000.0)
    rounded = x + _ROUNDER
    rest = x - (rounded - _ROUNDER)
    mantissa = _TAYLOR[0]
    for coefficient in _TAYLOR[1:]:
        mantissa = mantissa * rest + coefficient
    # Adding an integer to the exponent bits multiplies by that power of two.
    bits = np.float64(mantissa).view(np.int64) + (np.float64(rounded).view(np.int64) << 52)
    return np.int64(bits).view(np.float64)
