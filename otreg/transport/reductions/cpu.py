"""The CPU reduction: compiled, block-sparse, on a pyramid. The loops are in :mod:`.cpu_kernels`.

A coupling finds the pairs of blocks that can hold plan mass from a bound on the potentials (never from geometry alone),
then lets later softmins skip the blocks that were *measured* to hold nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import torch

from otreg.measures import Measure
from otreg.transport.pyramid import Cloud, Pyramid, build_pyramid
from otreg.transport.reductions import cpu_kernels as kernels
from otreg.transport.reductions.base import Potential

Floats = npt.NDArray[np.float64]
_LOG_NOTHING = -1e30  # stands for log(0): finite, for kernels compiled without inf


@final
@dataclass(frozen=True)
class CpuReduction:
    """Block-sparse softmins on all cores, for points of dimension 1 to 3."""

    name: str = "cpu"

    def pyramid(self, measure: Measure, finest_cell: float) -> Pyramid:
        """Hilbert-sorted points and cells of ``finest_cell * 2^k``."""
        return build_pyramid(measure, finest_cell)

    def couple(self, source: Cloud, target: Cloud, f: Potential, g: Potential, eps: float, cut: float) -> CpuCoupling:
        """Search the active blocks for the potentials (f, g) and return the softmins over them."""
        return CpuCoupling(source, target, f, g, eps=eps, cut=cut)


@final
class CpuCoupling:
    """Softmins over the active blocks of two clouds."""

    def __init__(self, source: Cloud, target: Cloud, f: Potential, g: Potential, *, eps: float, cut: float) -> None:
        rows = _Side(source)
        columns = rows if target is source else _Side(target)
        row_stats, row_groups = rows.statistics(f)
        same = columns is rows and g is f
        column_stats, column_groups = (row_stats, row_groups) if same else columns.statistics(g)
        self._cut = cut
        to_rows = kernels.find_active_blocks(row_stats, column_stats, column_groups, eps, -cut)
        to_columns = (
            to_rows if same else kernels.find_active_blocks(column_stats, row_stats, row_groups, eps, -cut)
        )
        self._rows = _Sums(rows, columns, to_rows[0], to_rows[1], row_stats, eps)
        self._columns = _Sums(columns, rows, to_columns[0], to_columns[1], column_stats, eps)
        mass = float(row_stats[:, 11].sum() * column_stats[:, 11].sum())
        self.dropped = float((to_rows[2] * row_stats[:, 11]).sum()) / mass

    def rows(self, g: torch.Tensor, previous: Potential, *, moments: bool) -> Potential:
        return self._rows.softmin(g, previous, moments)

    def columns(self, f: torch.Tensor, previous: Potential, *, moments: bool) -> Potential:
        return self._columns.softmin(f, previous, moments)

    def settle(self) -> None:
        smallest = math.exp(-self._cut)
        self._rows.drop_weak_blocks(smallest)
        self._columns.drop_weak_blocks(smallest)


class _Side:
    """A cloud as the kernels want it."""

    def __init__(self, cloud: Cloud) -> None:
        self.points: Floats = cloud.points.numpy()
        self.weights: Floats = cloud.weights.numpy()
        with np.errstate(divide="ignore"):
            self.log_weights: Floats = np.maximum(np.log(self.weights), _LOG_NOTHING)

    def statistics(self, potential: Potential) -> tuple[Floats, Floats]:
        """What the search needs of every block and super-block."""
        f, image = potential.values.numpy(), potential.image.numpy()
        size = kernels.BLOCK
        return (
            kernels.block_statistics(self.points, f, image, self.weights, size),
            kernels.block_statistics(self.points, f, image, self.weights, size * kernels.GROUP),
        )


class _Sums:
    """Softmins of one side over the active blocks of the other."""

    def __init__(
        self,
        rows: _Side,
        columns: _Side,
        starts: npt.NDArray[np.int64],
        active: npt.NDArray[np.int32],
        statistics: Floats,
        eps: float,
    ) -> None:
        self._rows, self._columns, self._eps = rows, columns, eps
        self._starts, self._active = starts, active
        self._image = np.ascontiguousarray(statistics[:, 3:6])
        self._peak = np.full(len(active), np.inf, dtype=np.float32)

    def softmin(self, g: torch.Tensor, previous: Potential, moments: bool) -> Potential:
        values = np.empty(len(self._rows.points))
        barycentre = np.empty_like(self._rows.points)
        kernels.softmin_blocks(
            self._rows.points,
            previous.values.numpy(),
            self._image,
            self._columns.points,
            g.numpy(),
            self._columns.log_weights,
            self._starts,
            self._active,
            self._eps,
            moments,
            values,
            barycentre,
            self._peak,
        )
        return Potential(torch.from_numpy(values), torch.from_numpy(barycentre) if moments else previous.image)

    def drop_weak_blocks(self, smallest: float) -> None:
        self._starts, self._active = kernels.drop_weak_blocks(self._starts, self._active, self._peak, smallest)
        self._peak = np.full(len(self._active), np.inf, dtype=np.float32)
