"""The reference reduction: every pair, float64, a few lines of PyTorch, any device and dimension.

Slow and exact: the other reductions are tested against it. Rows are taken in chunks, so that memory stays bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch

from otreg.measures import Measure
from otreg.transport.pyramid import Cloud, Pyramid, single_level
from otreg.transport.reductions.base import Potential

# 2^20 pairs of float64 at a time: temporaries of 8 MiB, which stay near the caches.
_PAIRS_AT_A_TIME = 2**20


@final
@dataclass(frozen=True)
class DenseReduction:
    """All pairs in float64, nothing left out."""

    name: str = "dense"

    def pyramid(self, measure: Measure, finest_cell: float) -> Pyramid:
        """The points themselves; ``finest_cell`` has no meaning here."""
        return single_level(measure)

    def couple(
        self, source: Cloud, target: Cloud, f: Potential, g: Potential, *, eps: float, damping: float, cut: float
    ) -> DenseCoupling:
        """Softmins between all points, whatever the potentials."""
        return DenseCoupling(source, target, eps)


@final
@dataclass(frozen=True)
class DenseCoupling:
    """All pairs of two clouds at temperature eps."""

    source: Cloud
    target: Cloud
    eps: float
    dropped: float = 0.0
    rounding: float = 3e-14

    def rows(self, g: torch.Tensor, previous: Potential, *, moments: bool) -> Potential:
        return _softmin(self.source, self.target, g, self.eps, previous, moments)

    def columns(self, f: torch.Tensor, previous: Potential, *, moments: bool) -> Potential:
        return _softmin(self.target, self.source, f, self.eps, previous, moments)

    def settle(self) -> None:
        """Nothing is ever dropped."""


def _softmin(rows: Cloud, columns: Cloud, g: torch.Tensor, eps: float, previous: Potential, moments: bool) -> Potential:
    """-eps log sum_j b_j exp((g_j - |x_i - y_j|^2/2) / eps), and the barycentres of the same sum."""
    n, d = rows.points.shape  # rows, dimension
    m = len(columns)  # columns
    per_column = g / eps + columns.weights.log()
    values = torch.empty(n, dtype=g.dtype, device=g.device)
    image = torch.empty(n, d, dtype=g.dtype, device=g.device) if moments else previous.image
    chunk = max(1, _PAIRS_AT_A_TIME // m)
    for first in range(0, n, chunk):
        part = slice(first, first + chunk)
        exponent = per_column.expand(len(rows.points[part]), m).clone()  # (chunk, m)
        for k in range(d):  # differences, not |x|^2 - 2 <x, y> + |y|^2: that cancels when eps is small
            exponent.sub_((rows.points[part, None, k] - columns.points[None, :, k]).square_(), alpha=0.5 / eps)
        top = exponent.amax(1, keepdim=True)
        plan = exponent.sub_(top).exp_()
        total = plan.sum(1)
        values[part] = -eps * (top[:, 0] + total.log())
        if moments:
            image[part] = (plan @ columns.points) / total[:, None]
    return Potential(values, image)
