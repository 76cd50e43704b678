"""Which device "auto" means, and whether the asked one is there."""

from __future__ import annotations

from typing import Any

import numba
import torch

from otreg.errors import ResourceError


def device_named(name: str) -> torch.device:
    """The device called "auto" (a GPU if PyTorch finds one), "cpu" or "cuda". Raises ResourceError without a GPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ResourceError("device 'cuda' was asked for, but PyTorch finds none. Use cpu, or install a CUDA build")
    return torch.device(name)


def computed_on(device: torch.device, reduction: str) -> dict[str, Any]:
    """Where an answer was computed, in pure JSON types, whatever was asked for.

    device: that of the measures; reduction: the name of what did the sums.
    """
    return {
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "reduction": reduction,
        "threads": int(numba.get_num_threads()),
    }
