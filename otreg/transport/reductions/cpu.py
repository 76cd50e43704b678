"""The CPU reduction: compiled, block-sparse, on a pyramid. The loops are in :mod:`.cpu_search` and :mod:`.cpu_softmin`.

A coupling finds the pairs of blocks that can hold plan mass from a bound on the potentials (never from geometry alone),
then lets later softmins skip the blocks that were *measured* to hold nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numba
import numpy as np
import numpy.typing as npt
import torch

from otreg.measures import Measure
from otreg.transport.pyramid import Cloud, Pyramid, build_pyramid
from otreg.transport.reductions.base import Potential, Temperature
from otreg.transport.reductions.cpu_blocks import BLOCK, GROUP, SLICE
from otreg.transport.reductions.cpu_search import block_statistics, drop_weak_blocks, find_active_slices
from otreg.transport.reductions.cpu_softmin import softmin_blocks

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
_NOTHING_TO_MEASURE: Singles = np.empty(0, dtype=np.float32)
_LOG2E = math.log2(math.e)
_LOG_NOTHING = -1e30  # stands for log(0): finite, for kernels compiled without inf
# Pairs of blocks that are worth waking up a thread for.
_PAIRS_PER_THREAD = 16
# So few pairs are summed in float64, which costs next to nothing.
_FEW_PAIRS = 2**16
# Blurs far beyond the size of the measures need float64, too: float32 leaves an error of 1e-7 eps in the value.
_LITTLE = 0.1


@contextmanager
def _threads_for(pairs: int) -> Iterator[None]:
    """Few threads for few pairs of blocks: on a busy machine a barrier costs more than a small softmin."""
    limit = numba.get_num_threads()
    wanted = max(1, min(limit, pairs // _PAIRS_PER_THREAD))
    if wanted == limit:
        yield
        return
    numba.set_num_threads(wanted)
    try:
        yield
    finally:
        numba.set_num_threads(limit)


@final
@dataclass(frozen=True)
class CpuReduction:
    """Block-sparse softmins on all cores, for points of dimension 1 to 3."""

    exact: bool = False  # sum in float64, slower
    name: str = "cpu"

    def pyramid(self, measure: Measure, finest_cell: float) -> Pyramid:
        """Hilbert-sorted points and cells of ``finest_cell * 2^k``."""
        return build_pyramid(measure, finest_cell)

    def couple(self, source: Cloud, target: Cloud, f: Potential, g: Potential, temperature: Temperature) -> CpuCoupling:
        """Search the active slices for the potentials (f, g) and return the softmins over them."""
        return CpuCoupling(source, target, f, g, temperature, exact=self.exact)


@final
class CpuCoupling:
    """Softmins over the active slices of two clouds."""

    def __init__(
        self, source: Cloud, target: Cloud, f: Potential, g: Potential, temperature: Temperature, *, exact: bool = False
    ) -> None:
        rows = _Side(source)
        columns = rows if target is source else _Side(target)
        self._cut = temperature.cut
        exact = exact or len(source) * len(target) <= _FEW_PAIRS or _sees_little(source, target, temperature)
        # Polynomial and sums in float32: below 1e-6 wherever blocks are not wide, and those are summed in float64.
        self.rounding = 3e-14 if exact else 2e-6
        seen_f, seen_g = f.damped(source, temperature.source_damping), g.damped(target, temperature.target_damping)
        self._rows = _Sums(rows, columns, f, seen_g, temperature, exact)
        if columns is rows and g is f:
            self._columns = self._rows
        else:
            self._columns = _Sums(columns, rows, g, seen_f, temperature, exact)

    @property
    def complete(self) -> bool:
        return self._rows.complete and self._columns.complete

    @property
    def dropped(self) -> float:
        return self._rows.dropped

    def rows(self, g: torch.Tensor, previous: Potential, *, moments: int) -> Potential:
        return self._rows.softmin(g, previous, moments)

    def columns(self, f: torch.Tensor, previous: Potential, *, moments: int) -> Potential:
        return self._columns.softmin(f, previous, moments)

    def settle(self) -> None:
        smallest = math.exp(-self._cut)
        self._rows.drop_weak_blocks(smallest)
        if self._columns is not self._rows:
            self._columns.drop_weak_blocks(smallest)


def _sees_little(source: Cloud, target: Cloud, temperature: Temperature) -> bool:
    """True when the cost differs by less than a small part of eps over both clouds."""
    extent = max(float((cloud.points.amax(0) - cloud.points.amin(0)).norm()) for cloud in (source, target))
    return extent**temperature.p < _LITTLE * temperature.eps


class _Side:
    """A cloud as the kernels want it."""

    def __init__(self, cloud: Cloud) -> None:
        self.points: Floats = cloud.points.numpy()
        self.weights: Floats = cloud.weights.numpy()
        with np.errstate(divide="ignore"):
            self.log_weights: Floats = np.maximum(np.log2(self.weights), _LOG_NOTHING)  # in bits

    @cached_property
    def transposed(self) -> Floats:
        """(D, n), so that the loops over columns read whole vectors."""
        return np.ascontiguousarray(self.points.T)

    def statistics(self, potential: Potential, size: int, p: int) -> Floats:
        """What the search needs of every block of ``size`` points."""
        f, image = potential.values.numpy(), potential.image.numpy()
        with _threads_for(len(f) // BLOCK):
            return block_statistics(self.points, f, image, self.weights, size, p)


class _Sums:
    """Softmins of one side over the active slices of the other."""

    def __init__(
        self, rows: _Side, columns: _Side, f: Potential, g: Potential, temperature: Temperature, exact: bool
    ) -> None:
        """f: softmins on the rows, as far as known; g: potentials that the rows see on the columns."""
        p, d = temperature.p, rows.points.shape[1]
        self._rows, self._columns, self._eps, self._p, self._exact = rows, columns, temperature.eps, p, exact
        row_blocks, row_slices = (np.ascontiguousarray(rows.statistics(f, size, p).T) for size in (BLOCK, SLICE))
        groups, slices = (columns.statistics(g, size, p) for size in (GROUP, SLICE))
        with _threads_for(len(row_blocks) * groups.shape[1]):
            self._starts, self._active, dropped = find_active_slices(
                row_blocks, row_slices, groups, slices, temperature.eps, -temperature.cut, p
            )
        self._images = np.ascontiguousarray(row_slices[:, d : 2 * d])
        # The first softmin measures what each slice holds, so that those that hold nothing can be dropped.
        self._peak: Singles | None = None
        masses = row_blocks[:, 3 * d + 2]
        self._shares = masses / masses.sum()
        self.dropped = float((dropped * self._shares).sum())
        self.complete = len(self._active) == len(row_blocks) * slices.shape[1]

    def softmin(self, g: torch.Tensor, previous: Potential, moments: int) -> Potential:
        points = self._rows.points
        n, d = points.shape
        moments = min(moments, self._p)
        values, image, jacobian = np.empty(n), np.empty((n, d)), np.empty((n, d, d))
        if self._peak is None:
            self._peak = peak = np.empty(len(self._active), dtype=np.float32)
        else:
            peak = _NOTHING_TO_MEASURE
        with _threads_for(len(self._active) // (BLOCK // SLICE)):
            softmin_blocks(
                points,
                previous.values.numpy(),
                self._images,
                self._columns.transposed,
                g.numpy() * (_LOG2E / self._eps) + self._columns.log_weights,
                self._starts,
                self._active,
                self._eps,
                self._p,
                moments,
                self._exact,
                values,
                image,
                jacobian,
                peak,
            )
        return Potential(
            torch.from_numpy(values),
            torch.from_numpy(image) if moments else previous.image,
            torch.from_numpy(jacobian) if moments == 2 else None,
        )

    def drop_weak_blocks(self, smallest: float) -> None:
        if self._peak is not None and len(self._peak):
            self._starts, active, dropped = drop_weak_blocks(self._starts, self._active, self._peak, smallest)
            self.complete = self.complete and len(active) == len(self._active)
            self.dropped += float((dropped * self._shares).sum())
            self._active, self._peak = active, _NOTHING_TO_MEASURE
