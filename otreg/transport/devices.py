"""Where tensors lie: in main memory, where compiled loops can take them, or on a device, where only PyTorch can.

Every choice between the two asks here, so that a test can send tensors of main memory through what a device runs.
"""

from __future__ import annotations

import torch


def in_main_memory(tensor: torch.Tensor) -> bool:
    """True where NumPy, SciPy and numba can work on the tensor as it is."""
    return tensor.device.type == "cpu"
