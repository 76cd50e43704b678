"""What the compiled loops of the CPU reduction share: the sizes of blocks, and what their arithmetic may do.

Numba's cache of compiled code looks only at the file of the function: whoever changes a number here must touch the
files that use it.
"""

from __future__ import annotations

# Rows come in blocks of 64 consecutive points of a cloud in Hilbert order, columns in slices of 16: few enough to be
# compact, and whole vectors. The search looks at groups of 64 slices first.
BLOCK = 64
SLICE = 16
GROUP = 1024

FAST = {"reassoc", "contract", "nsz", "nnan", "ninf", "arcp"}
