"""The pyramid of a measure: its points in an order that keeps neighbours together, and coarser grids of weighted cells.

Quantising both measures to cells of 0.7 blur changes the debiased divergence by less than a thousandth of its value,
since the debiasing terms cancel the error to leading order when mass is conserved; so the iterations live on cells and
the points enter only once, in the closed-form extension. The grid hangs on the measure's own bounding box, so a
translated measure has the same cells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from otreg.measures import Measure
from otreg.transport import devices
from otreg.transport import pyramid_kernels as kernels
from otreg.transport.sums import sums_by_cell
from otreg.transport.tree_kernels import leaves_for, tree_order

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# A level of cells is worth its name when it has at most this share of the points below it.
_WORTHWHILE = 0.7
# Below the finest cells two more bits order the points inside a cell, which keeps blocks of raw points compact.
_EXTRA_BITS = 2
# The coarsest level is about one block.
_SMALLEST_LEVEL = 64


@dataclass(frozen=True)
class Cloud:
    """Weighted points of one level, in an order in which neighbours in memory are neighbours in space.

    points: (n, D) float64, positions (padded to three coordinates by some reductions) and features; weights: (n,)
    float64; cell: edge of the cells, 0 for the measure's own points; parents: (n,) index of each point's cell in the
    next coarser level, None at the coarsest.
    """

    points: torch.Tensor
    weights: torch.Tensor
    cell: float
    parents: torch.Tensor | None

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True)
class Pyramid:
    """All levels of one measure: ``levels[0]`` holds its points, sorted; each next level has larger cells.

    order: (n,) such that ``levels[0].points == measure.points[order]``.
    """

    levels: tuple[Cloud, ...]
    order: torch.Tensor

    def level(self, largest_cell: float) -> int:
        """Index of the coarsest level with cells of at most ``largest_cell``; 0 when none is that fine."""
        fine_enough = [k for k, cloud in enumerate(self.levels) if cloud.cell <= largest_cell]
        return max(fine_enough, default=0)

    def to_measure_order(self, values: torch.Tensor) -> torch.Tensor:
        """Values on ``levels[0]`` in the order of the measure."""
        out = torch.empty_like(values)
        if values.dtype == torch.float64 and devices.in_main_memory(values):  # torch scatters on one core
            flat = values.contiguous().view(len(values), -1)
            kernels.scatter(flat.numpy(), self.order.numpy(), out.view(len(values), -1).numpy())
        else:
            out[self.order] = values
        return out

    def from_measure_order(self, values: torch.Tensor) -> torch.Tensor:
        """Values in the order of the measure, on ``levels[0]``."""
        return values[self.order]

    def coarsen(self, values: torch.Tensor, level: int, *, start: int = 0) -> torch.Tensor:
        """Values on ``levels[start]``, averaged (by mass) over the cells of a coarser level."""
        for fine, coarse in zip(self.levels[start:level], self.levels[start + 1 : level + 1], strict=True):
            assert fine.parents is not None
            tail = (1,) * (values.ndim - 1)
            weights = (fine.weights + 1e-30 * fine.weights.sum()).view(-1, *tail)
            values = sums_by_cell(weights * values, fine.parents, len(coarse))
            values = values / sums_by_cell(weights, fine.parents, len(coarse))
        return values


def single_level(measure: Measure) -> Pyramid:
    """The pyramid of a reduction that works on the points themselves: one level, in the measure's order."""
    points = measure.coordinates.detach().double()
    weights = measure.weights.detach().double()
    order = torch.arange(len(points), device=points.device)
    return Pyramid((Cloud(points, weights, 0.0, None),), order)


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

    extra = _EXTRA_BITS
    cells_across = max(span / finest_cell, 1.0)
    bits = math.ceil(math.log2(cells_across + 1)) + extra
    if bits > kernels.MAX_BITS:  # far clusters: the finest grid that a code can hold
        bits = kernels.MAX_BITS
    # finest_cell is extra bits above the finest grid, unless the grid had to be coarser than that
    grid = max(finest_cell / 2**extra, span / (2**bits - 1) if span > 0 else 0.0)
    codes = kernels.hilbert_codes(points, low, grid, bits)
    bins: Bins | None = None
    if measure.features is not None:
        features = measure.features.detach().double().cpu().numpy()
        points = np.concatenate([points, features], 1)
        bins = Bins.of(features, grid * 2**extra)
    order = _sorting(codes) if bins is None else _neighbours_together(points)
    codes = codes[order]
    points, weights = kernels.gather(points, weights, order)

    levels: list[Cloud] = []
    cell = 0.0
    bins = None if bins is None else bins.take(order)
    for shift in range(extra, bits + 1):
        if bins is None:
            again, keys = None, codes
        else:
            # Cells of other features move together where their bins merge, so the order is another one.
            bins = bins if shift == extra else bins.coarser()
            again = np.lexsort((codes >> 3 * shift, bins.member))
            keys = bins.joined(codes >> 3 * shift, again) << 3 * shift
        starts = kernels.cells_of_codes(keys, 3 * shift)
        count = len(starts) - 1
        if count > _WORTHWHILE * len(points):
            continue
        if again is None:
            first = starts[:-1]
            centroids, masses, parents = kernels.merge_cells(points, weights, starts)
        else:
            centroids, masses, joined = kernels.merge_cells(points[again], weights[again], starts)
            near = _neighbours_together(centroids)
            first, centroids, masses = again[starts[:-1]][near], centroids[near], masses[near]
            parents = np.empty_like(joined)
            parents[again] = np.argsort(near)[joined]
        levels.append(Cloud(torch.from_numpy(points), torch.from_numpy(weights), cell, torch.from_numpy(parents)))
        points, weights, cell = centroids, masses, grid * 2**shift
        codes = codes[first]
        bins = None if bins is None else bins.take(first)
        if count <= _SMALLEST_LEVEL:
            break
    levels.append(Cloud(torch.from_numpy(points), torch.from_numpy(weights), cell, None))
    return Pyramid(tuple(levels), torch.from_numpy(order))


@dataclass(frozen=True)
class Bins:
    """Which cube of a grid in feature space each point lies in.

    corners: (u, k) integer corners of the cubes that occur; member: (n,) the cube of each point. Halving the corners
    gives the cubes of a grid twice as coarse.
    """

    corners: Integers
    member: Integers

    @staticmethod
    def of(features: Floats, cell: float) -> Bins:
        """The cubes with edges ``cell`` that features (n, k) lie in."""
        corners = np.floor((features - features.min(0)) / cell)
        return Bins._unique(np.minimum(corners, 2.0**62).astype(np.int64), np.arange(len(features)))

    def coarser(self) -> Bins:
        """The same on a grid twice as coarse."""
        return Bins._unique(self.corners >> 1, self.member)

    def take(self, points: Integers) -> Bins:
        """Those of some of the points."""
        return Bins(self.corners, self.member[points])

    def joined(self, codes: Integers, order: Integers) -> Integers:
        """Ascending numbers for sorted (cube, code), equal where both are."""
        member, codes = self.member[order], codes[order]
        new = np.ones(len(codes), dtype=bool)
        new[1:] = (member[1:] != member[:-1]) | (codes[1:] != codes[:-1])
        return np.cumsum(new)

    @staticmethod
    def _unique(corners: Integers, member: Integers) -> Bins:
        extents = corners.max(0, initial=0) + 1
        if np.prod(extents.astype(np.float64)) < 2.0**62:  # one number holds a row, and is faster to sort
            rows = np.ravel_multi_index(tuple(corners.T), tuple(extents))
            _, first, index = np.unique(rows, return_index=True, return_inverse=True)
            return Bins(corners[first], index[member])
        corners, index = np.unique(corners, axis=0, return_inverse=True)
        return Bins(corners, index.reshape(-1)[member])


def _sorting(codes: Integers) -> Integers:
    """The order of the points along the curve."""
    # Sorting numbers that end in the index is several times faster than argsort, where code and index fit in one.
    index_bits = max(len(codes) - 1, 1).bit_length()
    if len(codes) == 0 or int(codes.max()).bit_length() + index_bits > 63:
        return np.argsort(codes, kind="stable")
    return np.sort((codes << index_bits) | np.arange(len(codes))) & ((1 << index_bits) - 1)


def _neighbours_together(points: Floats) -> Integers:
    """An order in which points (n, D) with features come in compact blocks, whatever is wide where: that of a tree.

    Their cells have no such order: those of a cube in feature space lie all over the shape.
    """
    return tree_order(points, leaves_for(len(points)))
