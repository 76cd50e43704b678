"""Times of work on a device, which runs behind the program that asks for it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], object], device: torch.device, *, repeats: int = 5) -> float:
    """Median time of a piece of work, after one call that does not count (it compiles)."""
    work()
    times = []
    for _ in range(repeats):
        synchronise(device)
        started = time.perf_counter()
        work()
        synchronise(device)
        times.append(time.perf_counter() - started)
    return statistics.median(times)
