"""Triton kernels of softmins over active blocks: a fast one in single precision, an exact one in double.

Positions and potentials are float64; inside one pair of blocks they are re-centred, as :mod:`.cpu_softmin` explains, so
that the exponents of the plan become numbers of order ten, which float32 holds to 1e-6 at any displacement. With
x = c + u in a block of rows, y = c + w, t near the block's image, lambda = log2(e) / eps and p = 2, the exponent of
two is

    [f(x) - |u|^2 / 2 + <u, t - c> - f_0] lambda + [g(y) + f_0 - |w|^2 / 2] lambda + log2 b + <u, (y - t) lambda>

and for p = 1, where |x - y| - |w| = (|u|^2 - 2 <u, w>) / (|x - y| + |w|) does not cancel,

    [f(x) - f_0] lambda + [g(y) + f_0 - |w|] lambda + log2 b - (|x - y| - |w|) lambda.

One program takes one block of rows through its active blocks of columns, once: sums of float32 over some blocks, of
float64 over those sums. Rows whose sums over- or underflow because the previous potential was far off, and blocks that
are too wide for float32, are marked, and the exact kernel redoes them with the maximum of each row as the zero of its
exponents.
"""

# Triton infers the types; its decorators hide them from mypy.
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl

# Blocks with (radius / blur)^p above this (in bits) would lose 1e-4 in float32.
_WIDEST = tl.constexpr(2048.0)
_LOG2E = tl.constexpr(1.4426950408889634)
# 2^-80 .. 2^80: sums beyond are those of rows whose previous potential was too far off.
_SMALLEST = tl.constexpr(8e-25)
_LARGEST = tl.constexpr(1e24)
_TINY = tl.constexpr(1e-30)
_EMPTY = tl.constexpr(-1e30)
# Blocks of columns over which a thread sums in float32: two columns of each, 64 terms.
_TOGETHER = tl.constexpr(32)


@triton.jit
def nothing(out):
    """Shows that kernels can be compiled and launched."""
    tl.store(out, 1)


@triton.jit(do_not_specialize=["n", "m"])  # else compiled anew for sizes that 16 divides
def softmin_fast(
    x, f, centres, images, n, y, g, log_b, m, starts, columns, eps,
    values, image, jacobian, redo,
    D: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr, P: tl.constexpr, MOMENTS: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """Softmins of one block of ROWS rows over its active blocks of PARTS * COLUMNS columns, in one pass.

    x (D, n), f (n,): rows and their previous potentials; centres, images (blocks, D): c and t; y (D, m), g (m,),
    log_b (m,): columns; starts (blocks + 1,), columns (nnz,): active blocks; eps (1,). All float64, and indices int64.
    FIRST, SECOND: powers of two that hold D, and D (D + 1) / 2.

    Writes values (n,), with MOMENTS >= 1 image (n, D), with MOMENTS = 2 (P = 2 only) jacobian (n, D, D), and redo (n,):
    1 for rows that are left to :func:`softmin_exact`.
    """
    block = tl.program_id(0).to(tl.int64)
    n, m = tl.cast(n, tl.int64), tl.cast(m, tl.int64)  # offsets into (D, n) arrays may be larger than 2^31
    i = block * ROWS + tl.arange(0, ROWS)
    inside = i < n
    bits = _LOG2E / tl.load(eps)
    scale = bits.to(tl.float32)

    potential = tl.load(f + i, mask=inside, other=0.0)
    level = potential
    square = tl.zeros((ROWS,), dtype=tl.float64)
    for k in tl.static_range(D):
        c = tl.load(centres + block * D + k)
        step = tl.where(inside, tl.load(x + k * n + i, mask=inside, other=0.0) - c, 0.0)
        square += step * step
        if P == 2:
            level += step * (tl.load(images + block * D + k) - c) - 0.5 * step * step
    zero = tl.max(tl.where(inside, level, -1e300), 0)
    a = (tl.where(inside, level - zero, 0.0) * bits).to(tl.float32)
    uu = square.to(tl.float32)
    widest = tl.max(square, 0)
    if P == 1:
        widest = tl.sqrt(widest)
    wide = widest * bits > _WIDEST

    total = tl.zeros((ROWS,), dtype=tl.float64)
    first = tl.zeros((FIRST, ROWS), dtype=tl.float64)
    second = tl.zeros((SECOND, ROWS), dtype=tl.float64)
    first_index = tl.arange(0, FIRST)[:, None, None]
    second_index = tl.arange(0, SECOND)[:, None, None]
    start = tl.load(starts + block)
    end = tl.where(wide, start, tl.load(starts + block + 1))
    for some in range(start, end, _TOGETHER):
        # Each thread sums its own columns; sums over threads, which cost more than the exponentials, wait till the end.
        part = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
        part_first = tl.zeros((FIRST, ROWS, COLUMNS), dtype=tl.float32)
        part_second = tl.zeros((SECOND, ROWS, COLUMNS), dtype=tl.float32)
        for at in range(some * PARTS, tl.minimum(some + _TOGETHER, end) * PARTS):
            j = (tl.load(columns + at // PARTS) * PARTS + at % PARTS) * COLUMNS + tl.arange(0, COLUMNS)
            exists = j < m
            square_w = tl.zeros((COLUMNS,), dtype=tl.float64)
            exponent = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
            apart = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
            for k in tl.static_range(D):
                c = tl.load(centres + block * D + k)
                u = tl.where(inside, tl.load(x + k * n + i, mask=inside, other=0.0) - c, 0.0).to(tl.float32)
                y_k = tl.load(y + k * m + j, mask=exists, other=0.0)
                w = y_k - c
                square_w += w * w
                if P == 2:
                    v = ((y_k - tl.load(images + block * D + k)) * bits).to(tl.float32)
                    exponent += u[:, None] * v[None, :]
                else:
                    v = w.to(tl.float32)
                    exponent += u[:, None] * v[None, :]
                    apart += (u[:, None] - v[None, :]) * (u[:, None] - v[None, :])
            cost = 0.5 * square_w
            if P == 1:
                cost = tl.sqrt(square_w)
            b = (tl.load(g + j, mask=exists, other=0.0) + zero - cost) * bits
            b += tl.load(log_b + j, mask=exists, other=_EMPTY) * _LOG2E
            if P == 1:
                apart = tl.sqrt(apart)
                farther = (uu[:, None] - 2.0 * exponent) / (apart + cost.to(tl.float32)[None, :] + _TINY)
                exponent = -farther * scale
            plan = tl.exp2(a[:, None] + b.to(tl.float32)[None, :] + exponent)
            part += plan
            if MOMENTS > 0:
                if P == 1:
                    plan = plan / (apart + _TINY)
                for k in tl.static_range(D):
                    y_k = tl.load(y + k * m + j, mask=exists, other=0.0)
                    if P == 2:
                        v = ((y_k - tl.load(images + block * D + k)) * bits).to(tl.float32)
                        weighted = plan * v[None, :]
                    else:
                        c = tl.load(centres + block * D + k)
                        u = tl.where(inside, tl.load(x + k * n + i, mask=inside, other=0.0) - c, 0.0).to(tl.float32)
                        weighted = plan * (u[:, None] - (y_k - c).to(tl.float32)[None, :])
                    part_first = tl.where(first_index == k, part_first + weighted[None, :, :], part_first)
                    if MOMENTS == 2:
                        for q in range(k + 1):
                            y_q = tl.load(y + q * m + j, mask=exists, other=0.0)
                            v_q = ((y_q - tl.load(images + block * D + q)) * bits).to(tl.float32)
                            both = (weighted * v_q[None, :])[None, :, :]
                            here = second_index == k * (k + 1) // 2 + q
                            part_second = tl.where(here, part_second + both, part_second)
        total += tl.sum(part, 1).to(tl.float64)
        if MOMENTS > 0:
            first += tl.sum(part_first, 2).to(tl.float64)
        if MOMENTS == 2:
            second += tl.sum(part_second, 2).to(tl.float64)

    first_index = tl.arange(0, FIRST)[:, None]
    second_index = tl.arange(0, SECOND)[:, None]
    good = (total > _SMALLEST) & (total < _LARGEST)
    tl.store(redo + i, 1 - good.to(tl.int32), mask=inside)
    safe = tl.where(good, total, 1.0)
    tl.store(values + i, potential - tl.log(safe) * _LOG2E / bits, mask=inside)
    if MOMENTS > 0:
        for k in tl.static_range(D):
            mean = tl.sum(tl.where(first_index == k, first, 0.0), 0) / safe
            if P == 2:
                tl.store(image + i * D + k, tl.load(images + block * D + k) + mean / bits, mask=inside)
            else:
                tl.store(image + i * D + k, tl.load(x + k * n + i, mask=inside, other=0.0) - mean, mask=inside)
            if MOMENTS == 2:
                for q in range(k + 1):
                    mean_q = tl.sum(tl.where(first_index == q, first, 0.0), 0) / safe
                    both = tl.sum(tl.where(second_index == k * (k + 1) // 2 + q, second, 0.0), 0) / safe
                    covariance = (both - mean * mean_q) / (bits * _LOG2E)
                    tl.store(jacobian + (i * D + k) * D + q, covariance, mask=inside)
                    tl.store(jacobian + (i * D + q) * D + k, covariance, mask=inside)


@triton.jit(do_not_specialize=["n", "m"])  # else compiled anew for sizes that 16 divides
def softmin_exact(
    x, images, n, y, g, log_b, m, starts, columns, eps,
    values, image, jacobian, redo,
    D: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr, P: tl.constexpr, MOMENTS: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """The same in float64 for the rows that are marked in redo; blocks without such a row return at once."""
    block = tl.program_id(0).to(tl.int64)
    n, m = tl.cast(n, tl.int64), tl.cast(m, tl.int64)
    i = block * ROWS + tl.arange(0, ROWS)
    inside = i < n
    marked = tl.load(redo + i, mask=inside, other=0) != 0
    start = tl.load(starts + block)
    end = tl.where(tl.max(marked.to(tl.int32), 0) != 0, tl.load(starts + block + 1), start)
    per_cost = 1.0 / tl.load(eps)

    top = tl.full((ROWS,), -1e300, dtype=tl.float64)
    total = tl.zeros((ROWS,), dtype=tl.float64)
    first = tl.zeros((FIRST, ROWS), dtype=tl.float64)
    second = tl.zeros((SECOND, ROWS), dtype=tl.float64)
    first_index = tl.arange(0, FIRST)[:, None]
    second_index = tl.arange(0, SECOND)[:, None]
    for at in range(start, end):
        j = tl.load(columns + at) * COLUMNS + tl.arange(0, COLUMNS)
        exists = j < m
        square = tl.zeros((ROWS, COLUMNS), dtype=tl.float64)
        for k in tl.static_range(D):
            x_k = tl.load(x + k * n + i, mask=inside, other=0.0)
            y_k = tl.load(y + k * m + j, mask=exists, other=0.0)
            square += (x_k[:, None] - y_k[None, :]) * (x_k[:, None] - y_k[None, :])
        cost = 0.5 * square
        if P == 1:
            cost = tl.sqrt(square)
        b = tl.load(log_b + j, mask=exists, other=_EMPTY)
        exponent = (tl.load(g + j, mask=exists, other=0.0)[None, :] - cost) * per_cost + b[None, :]
        higher = tl.maximum(top, tl.max(exponent, 1))
        shrink = tl.exp(top - higher)
        top = higher
        plan = tl.exp(exponent - top[:, None])
        total = total * shrink + tl.sum(plan, 1)
        if MOMENTS > 0:
            first = first * shrink[None, :]
            second = second * shrink[None, :]
            if P == 1:
                plan = tl.where(cost > 0, plan / tl.where(cost > 0, cost, 1.0), 0.0)
            for k in tl.static_range(D):
                y_k = tl.load(y + k * m + j, mask=exists, other=0.0)
                if P == 2:  # around the block's image, so that nothing cancels
                    weighted = plan * (y_k - tl.load(images + block * D + k))[None, :]
                else:
                    weighted = plan * (tl.load(x + k * n + i, mask=inside, other=0.0)[:, None] - y_k[None, :])
                first += tl.where(first_index == k, tl.sum(weighted, 1)[None, :], 0.0)
                if MOMENTS == 2:
                    for q in range(k + 1):
                        y_q = tl.load(y + q * m + j, mask=exists, other=0.0)
                        part = tl.sum(weighted * (y_q - tl.load(images + block * D + q))[None, :], 1)
                        second += tl.where(second_index == k * (k + 1) // 2 + q, part[None, :], 0.0)

    marked = marked & inside
    total = tl.where(marked, total, 1.0)
    tl.store(values + i, -(top + tl.log(total)) / per_cost, mask=marked)
    if MOMENTS > 0:
        for k in tl.static_range(D):
            mean = tl.sum(tl.where(first_index == k, first, 0.0), 0) / total
            if P == 2:
                tl.store(image + i * D + k, tl.load(images + block * D + k) + mean, mask=marked)
            else:
                tl.store(image + i * D + k, tl.load(x + k * n + i, mask=inside, other=0.0) - mean, mask=marked)
            if MOMENTS == 2:
                for q in range(k + 1):
                    mean_q = tl.sum(tl.where(first_index == q, first, 0.0), 0) / total
                    both = tl.sum(tl.where(second_index == k * (k + 1) // 2 + q, second, 0.0), 0) / total
                    covariance = (both - mean * mean_q) * per_cost
                    tl.store(jacobian + (i * D + k) * D + q, covariance, mask=marked)
                    tl.store(jacobian + (i * D + q) * D + k, covariance, mask=marked)
