"""A small transport problem for one reduction on one device, in a process of its own: ``python -m otreg.doctor.trial``.

It prints one JSON object: what computed, its value, and how long it took when all was compiled.
"""

from __future__ import annotations

import json
import sys
from time import perf_counter
from typing import Any

# Points on each side where values are compared: few enough for sums over all pairs.
COMPARED = 300
# Points on each side where the time is taken, by reduction and kind of device; else as many as are compared.
TIMED = {("cpu", "cpu"): 20_000, ("keops", "cuda"): 50_000, ("triton", "cuda"): 200_000}
BLUR = 0.05


def trial(reduction: str, device: str) -> dict[str, Any]:
    """The value and the map between two clouds, found by a reduction ("auto" too) on a device, in pure JSON types."""
    import numba
    import torch

    from otreg.jobs.device import device_named
    from otreg.transport import transport

    where = device_named(device)
    precision = "float64" if reduction == "dense" else "float32"

    def solved(n: int) -> tuple[Any, float]:
        source, target = (torch.as_tensor(points, device=where) for points in clouds(n))
        started = perf_counter()
        found = transport(source, target, blur=BLUR, reduction=reduction, precision=precision)
        float(found.displacement.sum() + found.value)  # both are found when they are asked for; this also waits
        return found, perf_counter() - started

    found, first = solved(COMPARED)
    timed = TIMED.get((found.reduction, where.type), COMPARED)
    _, seconds = solved(timed)
    return {
        "reduction": found.reduction,
        "device": str(found.displacement.device),
        "value": found.value,
        "first_seconds": first,
        "points": timed,
        "seconds": seconds,
        "threads": numba.get_num_threads() if found.reduction == "cpu" else torch.get_num_threads(),
    }


def clouds(n: int) -> tuple[Any, Any]:
    """Two clouds of n points (n, 3), on a sphere and on an ellipsoid beside it: the same ones everywhere."""
    import numpy as np

    random = np.random.default_rng(0)
    directions = random.normal(size=(2, n, 3))
    sphere, other = directions / np.linalg.norm(directions, axis=2, keepdims=True)
    return sphere, other * [1.2, 0.9, 0.8] + [0.3, -0.2, 0.1]


if __name__ == "__main__":
    try:
        answer = trial(*sys.argv[1:])
    except Exception as failure:  # whatever it is, it is the finding
        answer = {"error": " ".join(f"{type(failure).__name__}: {failure}".split())}
    sys.stdout.write(json.dumps(answer) + "\n")
