"""What PyTorch and numba say of themselves, in a process of its own: ``python -m otreg.doctor.facts``."""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any


def facts() -> dict[str, Any]:
    """PyTorch's CUDA and its devices, thread counts, and the folder where numba keeps compiled code, in JSON types.

    cuda_build: the version of CUDA that PyTorch was built for, None for a build without; cuda_reason: why it finds no
    device; numba_cache: None when numba finds no folder to write to.
    """
    import numba
    import torch

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    reasons = [" ".join(str(warning.message).split()) for warning in said]
    devices = []
    for index in range(torch.cuda.device_count() if available else 0):
        properties = torch.cuda.get_device_properties(index)
        devices.append({"name": properties.name, "memory": int(properties.total_memory)})
    return {
        "cuda_build": torch.version.cuda,
        "cuda_available": available,
        "cuda_reason": next(iter(reasons), ""),
        "devices": devices,
        "torch_threads": torch.get_num_threads(),
        "numba_threads": int(numba.get_num_threads()),
        "numba_cache": _numba_cache(),
    }


def _numba_cache() -> str | None:
    """Where numba keeps what it compiles for this package."""
    import numba

    try:
        compiled = numba.njit(cache=True)(_nothing)
    except RuntimeError:  # no folder can be written
        return None
    return str(compiled.stats.cache_path)


def _nothing() -> None:
    """Compiled by nobody: numba looks for the folder when a function is decorated."""


if __name__ == "__main__":
    try:
        answer = facts()
    except Exception as failure:  # whatever it is, it is the finding
        answer = {"error": " ".join(f"{type(failure).__name__}: {failure}".split())}
    sys.stdout.write(json.dumps(answer) + "\n")
