"""Sums that come out the same on every run: on a GPU, sums by index and long running sums have no order."""

from __future__ import annotations

import torch

from otreg.transport import devices


def sums_by_cell(values: torch.Tensor, cells: torch.Tensor, count: int) -> torch.Tensor:
    """(count, ...) sums of values (n, ...) over the cells (n,) that they lie in; on a device these must ascend."""
    if devices.in_main_memory(values):
        out = torch.zeros((count, *values.shape[1:]), dtype=values.dtype, device=values.device)
        return out.index_add_(0, cells, values)
    return torch.segment_reduce(values, "sum", lengths=run_lengths(cells, count), unsafe=True)


def run_lengths(ascending: torch.Tensor, count: int) -> torch.Tensor:
    """(count,) how often each of 0, ..., count - 1 occurs in ascending integers (n,); a device is not waited for."""
    ends = torch.arange(count + 1, dtype=ascending.dtype, device=ascending.device)
    return torch.searchsorted(ascending, ends).diff()


def running_sums(values: torch.Tensor) -> torch.Tensor:
    """(n,) sums of values (n,) up to and including each."""
    n = len(values)
    if n == 0 or devices.in_main_memory(values):
        return values.cumsum(0)
    # The parts of one long sum are added as they come, the rows of a matrix are not.
    rows = max(1, round(n**0.5))
    within = torch.nn.functional.pad(values, (0, -n % rows)).view(rows, -1).cumsum(1)
    before = torch.ones(rows, rows, dtype=values.dtype, device=values.device).tril(-1) @ within[:, -1]
    return (within + before[:, None]).flatten()[:n]
