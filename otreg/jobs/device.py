"""Which device "auto" means, and whether the asked one is there."""

from __future__ import annotations

import torch

from otreg.errors import ResourceError


def device_named(name: str) -> torch.device:
    """The device called "auto" (a GPU if PyTorch finds one), "cpu" or "cuda". Raises ResourceError without a GPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ResourceError("device 'cuda' was asked for, but PyTorch finds none. Use cpu, or install a CUDA build")
    return torch.device(name)
