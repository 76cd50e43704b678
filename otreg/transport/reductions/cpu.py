"""The CPU reduction: compiled, block-sparse, on a pyramid. The loops are in :mod:`.cpu_kernels`.

A coupling finds the pairs of blocks that can hold plan mass from a bound on the potentials (never from geometry alone),
then lets later softmins skip the blocks that were *measured* to hold nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

import numba
import numpy as np
import numpy.typing as npt
import torch

from otreg.measures import Measure
from otreg.transport.pyramid import Cloud, Pyramid, build_pyramid
from otreg.transport.reductions import cpu_kernels as kernels
from otreg.transport.reductions.base import Potential

Floats = npt.NDArray[np.float64]
_LOG_NOTHING = -1e30  # stands for log(0): finite, for kernels compiled without inf
# Pairs of blocks that are worth waking up a thread for.
_PAIRS_PER_THREAD = 16
# So few pairs are summed in float64: it costs next to nothing, and blurs far beyond the size of the measures, which
# live on a few cells, need it (float32 leaves an error of 1e-7 eps in the value).
_FEW_PAIRS = 2**16


@contextmanager
def _threads_for(pairs: int) -> Iterator[None]:
    """Few threads for few pairs of blocks: on a busy machine a barrier costs more than a small softmin."""
    limit = numba.get_num_threads()
    numba.set_num_threads(max(1, min(limit, pairs // _PAIRS_PER_THREAD)))
    try:
        yield
    finally:
        numba.set_num_threads(limit)


@final
@dataclass(frozen=True)
class CpuReduction:
    """Block-sparse softmins on all cores, for points of dimension 1 to 3."""

    name: str = "cpu"

    def pyramid(self, measure: Measure, finest_cell: float) -> Pyramid:
        """Hilbert-sorted points and cells of ``finest_cell * 2^k``."""
        return build_pyramid(measure, finest_cell)

    def couple(
        self, source: Cloud, target: Cloud, f: Potential, g: Potential, *, eps: float, damping: float, cut: float
    ) -> CpuCoupling:
        """Search the active blocks for the potentials (f, g) and return the softmins over them."""
        return CpuCoupling(source, target, f, g, eps=eps, damping=damping, cut=cut)


@final
class CpuCoupling:
    """Softmins over the active blocks of two clouds."""

    def __init__(
        self, source: Cloud, target: Cloud, f: Potential, g: Potential, *, eps: float, damping: float, cut: float
    ) -> None:
        rows = _Side(source)
        columns = rows if target is source else _Side(target)
        self._cut = cut
        # Polynomial and sums in float32: below 1e-6 wherever blocks are not wide, and those are summed in float64.
        self.rounding = 3e-14 if len(source) * len(target) <= _FEW_PAIRS else 2e-6
        self._rows = _Sums(rows, columns, f, g.damped(target, damping), eps, cut)
        if columns is rows and g is f:
            self._columns = self._rows
        else:
            self._columns = _Sums(columns, rows, g, f.damped(source, damping), eps, cut)
        self.dropped = self._rows.dropped

    def rows(self, g: torch.Tensor, previous: Potential, *, moments: bool) -> Potential:
        return self._rows.softmin(g, previous, moments)

    def columns(self, f: torch.Tensor, previous: Potential, *, moments: bool) -> Potential:
        return self._columns.softmin(f, previous, moments)

    def settle(self) -> None:
        smallest = math.exp(-self._cut)
        self._rows.drop_weak_blocks(smallest)
        if self._columns is not self._rows:
            self._columns.drop_weak_blocks(smallest)


class _Side:
    """A cloud as the kernels want it."""

    def __init__(self, cloud: Cloud) -> None:
        self.points: Floats = cloud.points.numpy()
        self.weights: Floats = cloud.weights.numpy()
        with np.errstate(divide="ignore"):
            self.log_weights: Floats = np.maximum(np.log(self.weights), _LOG_NOTHING)

    def statistics(self, potential: Potential, size: int) -> Floats:
        """What the search needs of every block of ``size`` points."""
        f, image = potential.values.numpy(), potential.image.numpy()
        with _threads_for(len(f) // kernels.BLOCK):
            return kernels.block_statistics(self.points, f, image, self.weights, size)


class _Sums:
    """Softmins of one side over the active slices of the other."""

    def __init__(self, rows: _Side, columns: _Side, f: Potential, g: Potential, eps: float, cut: float) -> None:
        """f: softmins on the rows, as far as known; g: potentials that the rows see on the columns."""
        self._rows, self._columns, self._eps = rows, columns, eps
        row_blocks, row_slices = (rows.statistics(f, size) for size in (kernels.BLOCK, kernels.SLICE))
        groups, blocks, slices = (columns.statistics(g, size) for size in (kernels.GROUP, kernels.BLOCK, kernels.SLICE))
        with _threads_for(len(row_blocks) * len(groups)):
            self._starts, self._active, dropped = kernels.find_active_slices(
                row_blocks, row_slices, groups, blocks, slices, eps, -cut
            )
        self._images = np.ascontiguousarray(row_slices[:, 3:6])
        self._peak = np.full(len(self._active), np.inf, dtype=np.float32)
        masses = row_blocks[:, 11]
        self.dropped = float((dropped * masses).sum() / masses.sum())

    def softmin(self, g: torch.Tensor, previous: Potential, moments: bool) -> Potential:
        values = np.empty(len(self._rows.points))
        barycentre = np.empty_like(self._rows.points)
        with _threads_for(len(self._active) // (kernels.BLOCK // kernels.SLICE)):
            kernels.softmin_blocks(
                self._rows.points,
                previous.values.numpy(),
                self._images,
                self._columns.points,
                g.numpy(),
                self._columns.log_weights,
                self._starts,
                self._active,
                self._eps,
                moments,
                len(self._rows.points) * len(self._columns.points) <= _FEW_PAIRS,
                values,
                barycentre,
                self._peak,
            )
        return Potential(torch.from_numpy(values), torch.from_numpy(barycentre) if moments else previous.image)

    def drop_weak_blocks(self, smallest: float) -> None:
        self._starts, self._active = kernels.drop_weak_blocks(self._starts, self._active, self._peak, smallest)
        self._peak = np.full(len(self._active), np.inf, dtype=np.float32)
