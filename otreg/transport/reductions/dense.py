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

# 2^22 pairs of float64 at a time: 32 MiB for each of the handful of temporaries.
_PAIRS_AT_A_TIME = 2**22


@final
@dataclass(frozen=True)
class DenseReduction:
    """All pairs in float64, nothing left out."""

    name: str = "dense"

    def pyramid(self, measure: Measure, finest_cell: float) -> Pyramid:
        """The points themselves; ``finest_cell`` has no meaning here."""
        return single_level(measure)

    def couple(
        self, source: Cloud, target: Cloud, f: Potential, g: Potential, eps: float, cut: float
    ) -> DenseCoupling:
        """Softmins between all points; f, g and cut are not needed."""
        return DenseCoupling(source, target, eps)


@final
@dataclass(frozen=True)
class DenseCoupling:
    """All pairs of two clouds at temperature eps."""

    source: Cloud
    target: Cloud
    eps: float
    dropped: float = 0.0

    def rows(self, g: torch.Tensor, previous: Potential, *, moments: bool) -> Potential:
        return _softmin(self.source, self.target, g, self.eps)

    def columns(self, f: torch.Tensor, previous: Potential, *, moments: bool) -> Potential:
        return _softmin(self.target, self.source, f, self.eps)

    def settle(self) -> None:
        """Nothing is ever dropped."""


def _softmin(rows: Cloud, columns: Cloud, g: torch.Tensor, eps: float) -> Potential:
    """-eps log sum_j b_j exp((g_j - |x_i - y_j|^2/2) / eps) and the barycentres of the same sum."""
    n, d = rows.points.shape  # rows, dimension
    m = len(columns)  # columns
    per_column = g / eps + columns.weights.log()
    values = torch.empty(n, dtype=g.dtype, device=g.device)
    image = torch.empty(n, d, dtype=g.dtype, device=g.device)
    chunk = max(1, _PAIRS_AT_A_TIME // m)
    for first in range(0, n, chunk):
        part = slice(first, first + chunk)
        cost = (rows.points[part, None, :] - columns.points[None, :, :]).square().sum(2) / 2  # (chunk, m)
        exponent = per_column[None, :] - cost / eps
        values[part] = -eps * exponent.logsumexp(1)
        image[part] = exponent.softmax(1) @ columns.points
    return Potential(values, image)
