"""The pyramid of :mod:`.pyramid` in plain PyTorch, for measures on any device and with features.

The same grid, the same Hilbert order and the same rule for levels as the compiled one; with features the grid lies in
the joint space of positions and features, so that opposite sheets of a thin shape stay apart. Points come in
the order of their cells, so that sums over cells come out the same on every run, on a GPU, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import torch

from otreg.measures import Measure
from otreg.transport.pyramid import EXTRA_BITS, Cloud, Grid, Pyramid, single_level, unit_and_bits
from otreg.transport.sums import sums_by_cell

# Bits of an axis, and of a code, which must not reach the sign.
_AXIS_BITS = 20
_CODE_BITS = 62
# With fewer bits an axis the cells would be too coarse to be of use: the points themselves then.
_FEWEST_BITS = 5


def build_pyramid_on_device(measure: Measure, finest_cell: float) -> Pyramid:
    """Levels of cells with edges ``finest_cell * 2^k`` above the points, on the device of the measure.

    For positions of dimension 1 to 3, with or without features; others get a single level, the points in their order.
    A code holds 62 bits, so with many features the finest cells may be coarser than asked for.
    """
    points = measure.coordinates.detach().double()
    d = points.shape[1]  # coordinates, features included
    most_bits = min(_AXIS_BITS, _CODE_BITS // d)
    if measure.dimension > 3 or most_bits < _FEWEST_BITS:
        return single_level(measure)
    weights = measure.weights.detach().double()
    low = points.amin(0)
    span = float((points.amax(0) - low).max())

    unit, bits = unit_and_bits(span, finest_cell, most_bits=most_bits)
    cells = ((points - low) / unit).clamp(0, 2**bits - 1).long()
    codes, order = torch.sort(hilbert_codes(cells, bits), stable=True)

    grid = _Cubes(unit, EXTRA_BITS, bits, codes, d)
    return Pyramid(Cloud(points[order], weights[order], 0.0, None), order, grid)


@final
@dataclass(frozen=True)
class _Cubes(Grid):
    """Cubes in a space of ``dimension`` coordinates, by the ascending Hilbert codes (n,) of the points of a level."""

    codes: torch.Tensor
    dimension: int

    def merged(self, finer: Cloud) -> tuple[Cloud | None, Grid | None]:
        parents = _runs(self.codes >> (self.dimension * self.shift))
        count = int(parents[-1]) + 1
        if not self.worthwhile(count, finer):
            return None, self.larger
        level = Cloud(*_merge(finer.points, finer.weights, parents, count), self.edge, parents)
        above = self.above(level)
        if above is None:
            return level, None
        first = torch.searchsorted(parents, torch.arange(count, device=parents.device))
        return level, replace(above, codes=self.codes[first])


def hilbert_codes(cells: torch.Tensor, bits: int) -> torch.Tensor:
    """(n,) place of every grid cell along the Hilbert curve (Skilling 2004), in any dimension.

    cells: (n, D) integers from 0 to 2^bits - 1, with D * bits <= 62. Dropping D bits of a code gives that of the cell
    twice as large.
    """
    axes = list(cells.unbind(1))
    d = len(axes)
    for bit in range(bits - 1, 0, -1):  # inverse undo of excess work
        low_bits = (1 << bit) - 1
        for k in range(d):
            is_set = (axes[k] >> bit) & 1 == 1
            swapped = (axes[0] ^ axes[k]) & low_bits
            axes[0] = axes[0] ^ swapped.masked_fill(is_set, low_bits)
            if k > 0:
                axes[k] = torch.where(is_set, axes[k], axes[k] ^ swapped)
    for k in range(1, d):  # Gray encode
        axes[k] = axes[k] ^ axes[k - 1]
    flips = torch.zeros_like(axes[0])
    for bit in range(bits - 1, 0, -1):
        flips = flips ^ ((axes[-1] >> bit) & 1) * ((1 << bit) - 1)
    codes = torch.zeros_like(axes[0])
    for bit in range(bits - 1, -1, -1):  # interleave, the first axis on top
        for axis in axes:
            codes = (codes << 1) | (((axis ^ flips) >> bit) & 1)
    return codes


def _runs(sorted_codes: torch.Tensor) -> torch.Tensor:
    """(n,) number of the run of equal codes that each belongs to."""
    starts = torch.zeros_like(sorted_codes)
    starts[1:] = sorted_codes[1:] != sorted_codes[:-1]
    return starts.cumsum(0)


def _merge(
    points: torch.Tensor, weights: torch.Tensor, parents: torch.Tensor, count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Centroids (cells, D) and masses (cells,) of runs of points; a cell without mass gets the plain mean."""
    sizes, masses, weighted, plain = sums_by_cell(
        torch.cat([torch.ones_like(weights)[:, None], weights[:, None], weights[:, None] * points, points], 1),
        parents,
        count,
    ).split([1, 1, points.shape[1], points.shape[1]], 1)
    return torch.where(masses > 0, weighted / masses, plain / sizes), masses[:, 0].contiguous()
