"""numba as otreg's kernels use it: they take their decorators from here.

It is asked for 512-bit vectors where the CPU has them: LLVM prefers 256 bits by itself.

And it is spared the search for BLAS. Numba looks for it when it loads its first kernel, and imports scipy.linalg to do
so, which takes longer than to load a dozen of kernels; only convolutions in other people's kernels ask for the answer,
and use loops of their own where it is no. Matrix products look again for themselves.
"""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module

import numba
import numba.np.linalg
from llvmlite import binding
from numba import njit, prange

__all__ = ["njit", "prange"]


def _use_full_vectors() -> None:
    if "NUMBA_CPU_FEATURES" in os.environ or numba.config.CPU_FEATURES is not None:
        return
    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        numba.config.CPU_FEATURES = features.flatten() + ",-prefer-256-bit"


def _spare_blas() -> None:
    """Loads numba's array functions, which look for BLAS in the moment they are loaded, and never again."""

    def ensure_blas() -> None:
        raise ImportError("not looked for")

    known = numba.np.linalg.ensure_blas
    numba.np.linalg.ensure_blas = ensure_blas
    try:
        import_module("numba.np.arraymath")
    finally:
        numba.np.linalg.ensure_blas = known


_use_full_vectors()
with suppress(AttributeError):  # a numba that looks elsewhere
    _spare_blas()
