"""The pyramid of a measure: its points in an order that keeps neighbours together, and coarser grids of weighted cells.

Quantising both measures to cells of 0.7 blur changes the debiased divergence by less than a thousandth of its value,
since the debiasing terms cancel the error to leading order when mass is conserved; so the iterations live on cells and
the points enter only once, in the closed-form extension. The grid hangs on the measure's own bounding box, so a
translated measure has the same cells.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Self, final

import numpy as np
import numpy.typing as npt
import torch

from otreg.measures import Measure
from otreg.transport import devices
from otreg.transport import pyramid_kernels as kernels
from otreg.transport.bins import Bins
from otreg.transport.sums import sums_by_cell
from otreg.transport.tree_kernels import leaves_for, tree_order

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# A level of cells is worth its name when it has at most this share of the points below it.
_WORTHWHILE = 0.7
# Below the finest cells two more bits order the points inside a cell, which keeps blocks of raw points compact.
EXTRA_BITS = 2
# The coarsest level is about one block.
_SMALLEST_LEVEL = 64


@dataclass(frozen=True)
class Cloud:
    """Weighted points of one level, in an order in which neighbours in memory are neighbours in space.

    points: (n, D) float64, positions (padded to three coordinates by some reductions) and features; weights: (n,)
    float64; cell: edge of the cells, 0 for the measure's own points; parents: (k,) index of the cell that each point
    of the next finer level lies in, None where there is no finer level.
    """

    points: torch.Tensor
    weights: torch.Tensor
    cell: float
    parents: torch.Tensor | None

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True)
class Grid(ABC):
    """Cells into which the coarsest level so far can be merged, and the way to larger ones.

    unit: edge of the cubes that codes of points tell apart; the cells are 2^shift times as large, the largest 2^last.
    """

    unit: float
    shift: int
    last: int

    @property
    def edge(self) -> float:
        """Of these cells."""
        return self.unit * 2**self.shift

    @property
    def larger(self) -> Self | None:
        """The same with cells of twice the edge; None where these are the largest."""
        return None if self.shift == self.last else replace(self, shift=self.shift + 1)

    @staticmethod
    def worthwhile(count: int, finer: Cloud) -> bool:
        """Whether so many cells are few enough to be a level above that one."""
        return count <= _WORTHWHILE * len(finer)

    def above(self, level: Cloud) -> Self | None:
        """The grid to try after a level of these cells; None where that is the last one."""
        return None if len(level) <= _SMALLEST_LEVEL else self.larger

    @abstractmethod
    def merged(self, finer: Cloud) -> tuple[Cloud | None, Grid | None]:
        """The next level, None where the cells would merge next to nothing; the grid to try next, if any."""


@final
class Pyramid:
    """All levels of one measure, finest first: level 0 holds its points, sorted; each next one has larger cells.

    A level is built when it is first asked for: a problem with a good start never looks at the coarse ones.
    order: (n,) such that ``pyramid[0].points == measure.points[order]``.
    """

    def __init__(self, points: Cloud, order: torch.Tensor, grid: Grid | None = None) -> None:
        """grid: of the finest cells, None where the points are the only level."""
        self.order = order
        # Replaced as one, so that threads that share a measure at worst build a level twice.
        self._built: tuple[tuple[Cloud, ...], Grid | None] = (points,), grid

    def __getitem__(self, level: int) -> Cloud:
        """The level of that index, which counts from the points on: 0, 1, ..."""
        return self._levels(count=level + 1)[level]

    @property
    def levels(self) -> tuple[Cloud, ...]:
        """All of them, the finest first."""
        return self._levels()

    def level(self, largest_cell: float) -> int:
        """Index of the coarsest level with cells of at most ``largest_cell``; 0 when none is that fine."""
        levels = self._levels(largest_cell=largest_cell)
        return max((k for k, cloud in enumerate(levels) if cloud.cell <= largest_cell), default=0)

    def _levels(self, *, largest_cell: float = math.inf, count: float = math.inf) -> tuple[Cloud, ...]:
        """The levels that are built, among them all with cells of at most ``largest_cell``, or ``count`` of them."""
        levels, grid = self._built
        while grid is not None and grid.edge <= largest_cell and len(levels) < count:
            level, grid = grid.merged(levels[-1])
            levels = levels if level is None else (*levels, level)
            self._built = levels, grid
        return levels

    def to_measure_order(self, values: torch.Tensor) -> torch.Tensor:
        """Values on level 0 in the order of the measure."""
        out = torch.empty_like(values)
        if values.dtype == torch.float64 and devices.in_main_memory(values):  # torch scatters on one core
            flat = values.contiguous().view(len(values), -1)
            kernels.scatter(flat.numpy(), self.order.numpy(), out.view(len(values), -1).numpy())
        else:
            out[self.order] = values
        return out

    def from_measure_order(self, values: torch.Tensor) -> torch.Tensor:
        """Values in the order of the measure, on level 0."""
        return values[self.order]

    def coarsen(self, values: torch.Tensor, level: int, *, start: int = 0) -> torch.Tensor:
        """Values on level ``start``, averaged (by mass) over the cells of a coarser level."""
        for k in range(start, level):
            fine, coarse = self[k], self[k + 1]
            assert coarse.parents is not None
            tail = (1,) * (values.ndim - 1)
            weights = (fine.weights + 1e-30 * fine.weights.sum()).view(-1, *tail)
            values = sums_by_cell(weights * values, coarse.parents, len(coarse))
            values = values / sums_by_cell(weights, coarse.parents, len(coarse))
        return values


def single_level(measure: Measure) -> Pyramid:
    """The pyramid of a reduction that works on the points themselves: one level, in the measure's order."""
    points = measure.coordinates.detach().double()
    weights = measure.weights.detach().double()
    order = torch.arange(len(points), device=points.device)
    return Pyramid(Cloud(points, weights, 0.0, None), order)


def build_pyramid(measure: Measure, finest_cell: float) -> Pyramid:
    """Levels of cells with edges ``finest_cell * 2^k`` above the points, for measures of dimension 1 to 3 on the CPU.

    Points are padded to three coordinates, features follow. Cells are cubes in the space of positions and features, so
    that near points with other features stay apart. A level that would merge next to nothing is left out, so small
    measures keep their points.
    """
    points = np.ascontiguousarray(measure.points.detach().double().cpu().numpy())
    n, d = points.shape  # points, dimension
    if d < 3:
        points = np.concatenate([points, np.zeros((n, 3 - d))], 1)
    weights = measure.weights.detach().double().cpu().numpy()
    low, high = kernels.bounding_box(points)
    span = float((high - low).max())

    unit, bits = unit_and_bits(span, finest_cell, most_bits=kernels.MAX_BITS)
    codes = kernels.hilbert_codes(points, low, unit, bits)
    if measure.features is None:
        order = _sorting(codes)
        grid: Grid = _Cubes(unit, EXTRA_BITS, bits, codes[order])
    else:
        points = np.concatenate([points, measure.features.detach().double().cpu().numpy()], 1)
        order = _neighbours_together(points)
        grid = _FeatureCubes(unit, EXTRA_BITS, bits, codes[order])
    points, weights = kernels.gather(points, weights, order)
    return Pyramid(_cloud(points, weights, None, 0.0), torch.from_numpy(order), grid)


def unit_and_bits(span: float, finest_cell: float, *, most_bits: int) -> tuple[float, int]:
    """Edge of the cubes that codes tell apart in a measure of that extent, and the bits of an axis that this takes.

    The finest cells are EXTRA_BITS above them, unless so many bits are more than a code can hold, as those of clusters
    that lie far apart are: then the cubes are the finest that it can.
    """
    bits = min(math.ceil(math.log2(max(span / finest_cell, 1.0) + 1)) + EXTRA_BITS, most_bits)
    return max(finest_cell / 2**EXTRA_BITS, span / (2**bits - 1) if span > 0 else 0.0), bits


@final
@dataclass(frozen=True)
class _Cubes(Grid):
    """Cubes in space, by the Hilbert codes (n,) of the points of a level, which ascend."""

    codes: Integers

    def merged(self, finer: Cloud) -> tuple[Cloud | None, Grid | None]:
        starts = kernels.cells_of_codes(self.codes, 3 * self.shift)
        if not self.worthwhile(len(starts) - 1, finer):
            return None, self.larger
        centroids, masses, parents = kernels.merge_cells(finer.points.numpy(), finer.weights.numpy(), starts)
        level = _cloud(centroids, masses, parents, self.edge)
        above = self.above(level)
        return level, None if above is None else replace(above, codes=self.codes[starts[:-1]])


@final
@dataclass(frozen=True)
class _FeatureCubes(Grid):
    """Cubes in the space of positions and features.

    codes: (n,) Hilbert codes of the positions of a level; bins: the finest cubes in feature space that its points lie
    in, found when they are needed.
    """

    codes: Integers
    bins: Bins | None = None

    def merged(self, finer: Cloud) -> tuple[Cloud | None, Grid | None]:
        codes = self.codes >> 3 * self.shift
        if not self.worthwhile(len(kernels.cells_of_codes(np.sort(codes), 0)) - 1, finer):  # by positions alone
            return None, self.larger
        bins = self.bins or Bins.of(finer.points[:, 3:].numpy(), self.unit * 2**EXTRA_BITS)
        keys = bins.joined(codes, halvings=self.shift - EXTRA_BITS)
        order = _sorting(keys)
        starts = kernels.cells_of_codes(keys[order], 0)
        if not self.worthwhile(len(starts) - 1, finer):
            return None, replace(self, bins=bins).larger
        points, weights = kernels.gather(finer.points.numpy(), finer.weights.numpy(), order)
        centroids, masses, joined = kernels.merge_cells(points, weights, starts)
        # Cells of other features lie all over the shape: along no curve do they come in compact blocks.
        near = _neighbours_together(centroids)
        parents = np.empty_like(joined)
        parents[order] = np.argsort(near)[joined]
        level = _cloud(centroids[near], masses[near], parents, self.edge)
        above = self.above(level)
        first = order[starts[:-1]][near]
        return level, None if above is None else replace(above, codes=self.codes[first], bins=bins.take(first))


def _cloud(points: Floats, weights: Floats, parents: Integers | None, cell: float) -> Cloud:
    cells = None if parents is None else torch.from_numpy(parents)
    return Cloud(torch.from_numpy(points), torch.from_numpy(weights), cell, cells)


def _sorting(codes: Integers) -> Integers:
    """The order that sorts the codes; equal ones stay in theirs."""
    # Sorting numbers that end in the index is several times faster than argsort, where code and index fit in one.
    index_bits = max(len(codes) - 1, 1).bit_length()
    if len(codes) == 0 or int(codes.max()).bit_length() + index_bits > 63:
        return np.argsort(codes, kind="stable")
    return np.sort((codes << index_bits) | np.arange(len(codes))) & ((1 << index_bits) - 1)


def _neighbours_together(points: Floats) -> Integers:
    """An order in which points (n, D) with features come in compact blocks, whatever is wide where: that of a tree."""
    return tree_order(points, leaves_for(len(points)))
