"""What a GPU can do at most: exponentials per second and bytes per second, both measured."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from solvers.timing import seconds_of

_ROUNDS = 512


@triton.jit
def _exponentials(out, rounds, SIZE: tl.constexpr):
    """Chains of 2^x in registers, one per element: x <- -2^x stays between -1 and 0."""
    i = tl.program_id(0) * SIZE + tl.arange(0, SIZE)
    x = -1.0 / (1.0 + i.to(tl.float32))
    for _ in range(0, rounds):
        x = -tl.exp2(x)
    tl.store(out + i, x)


def exponentials_per_second(device: torch.device) -> float:
    """float32 exp2 per second with nothing else to do."""
    size, programs = 1024, 8192
    out = torch.empty(size * programs, device=device)
    options = {"SIZE": size, "num_warps": 4, "enable_fp_fusion": True}
    seconds = seconds_of(lambda: _exponentials[(programs,)](out, _ROUNDS, **options), device)
    return size * programs * _ROUNDS / seconds


def bytes_per_second(device: torch.device) -> float:
    """Bytes read and written per second by a copy of 1 GiB."""
    source = torch.empty(2**28, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / seconds_of(lambda: target.copy_(source), device)
