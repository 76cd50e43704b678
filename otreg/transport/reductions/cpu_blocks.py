"""What the compiled loops of the CPU reduction share: the sizes of blocks, and how LLVM is asked to compile.

Numba's cache of compiled code looks only at the file of the function: whoever changes a number here must touch the
files that use it.
"""

from __future__ import annotations

import os

import numba
from llvmlite import binding

# Rows come in blocks of 64 consecutive points of a cloud in Hilbert order, columns in slices of 16: few enough to be
# compact, and whole vectors. The search looks at groups of 64 slices first.
BLOCK = 64
SLICE = 16
GROUP = 1024

FAST = {"reassoc", "contract", "nsz", "nnan", "ninf", "arcp"}


def _use_full_vectors() -> None:
    """Ask for 512-bit vectors where the CPU has them: LLVM prefers 256 bits by itself."""
    if "NUMBA_CPU_FEATURES" in os.environ or numba.config.CPU_FEATURES is not None:
        return
    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        numba.config.CPU_FEATURES = features.flatten() + ",-prefer-256-bit"


_use_full_vectors()
