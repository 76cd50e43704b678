"""What the compiled loops of the CPU reduction share: the sizes of blocks, and a fast 2^x.

The exponential is a polynomial, so that LLVM vectorises the loops that call it; lengths are constant, because loops of
variable length keep the compiler from using vectors.
"""

from __future__ import annotations

import os

import numba
import numpy as np
from llvmlite import binding, ir
from numba import njit
from numba.core import types
from numba.extending import intrinsic

# Rows come in blocks of 64 consecutive points of a cloud in Hilbert order: long enough for full vectors, short enough to
# be compact. Columns come in slices of 16, of which a softmin takes any four at a time: a finer choice of columns at
# the same constant width. The search looks at groups of 64 slices first.
BLOCK = 64
SLICE = 16
GROUP = 1024

LOG2E = 1.4426950408889634
LN2 = 0.6931471805599453
FAST = {"reassoc", "contract", "nsz", "nnan", "ninf", "arcp"}
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


@njit(inline="always", fastmath=FAST)
def exp2(x):
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
