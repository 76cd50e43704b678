"""Where tensors lie: in main memory, where compiled loops can take them, or on a device, where only PyTorch can.

Every choice of the engine asks here, so that a test can send tensors of main memory through what a device runs. And
what takes much memory there is done in chunks, smaller ones where the memory runs out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from otreg.errors import ResourceError

Part = TypeVar("Part")


def in_main_memory(tensor: torch.Tensor) -> bool:
    """True where NumPy, SciPy and numba can work on the tensor as it is."""
    return tensor.device.type == "cpu"


def in_chunks(work: Callable[[slice], Part], *, count: int, size: int, short: str) -> list[Part]:
    """What ``work`` makes of consecutive slices of ``count`` items, of ``size`` items at first.

    Where there is no memory for a slice, that one and the following are of half the size. Raises ResourceError, with
    what is ``short``, when there is none for a single item.
    """
    parts: list[Part] = []
    size, first = max(1, min(size, count)), 0
    while first < count:
        try:
            parts.append(work(slice(first, min(first + size, count))))
        except torch.OutOfMemoryError as error:
            if size == 1:
                raise ResourceError(f"{short}. Use fewer points.") from error
            size = -(-size // 2)
            continue
        first += size
    return parts
