"""The reference reduction: every pair, float64, a few lines of PyTorch, any device and dimension.

Slow and exact: the other reductions are tested against it. Rows are taken in chunks, so that memory stays bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch

from otreg.measures import Measure
from otreg.transport.pyramid import Cloud, Pyramid, single_level
from otreg.transport.reductions.base import Potential, Temperature

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
        self, source: Cloud, target: Cloud, f: Potential, g: Potential, temperature: Temperature
    ) -> DenseCoupling:
        """Softmins between all points, whatever the potentials."""
        return DenseCoupling(source, target, temperature.eps, temperature.p)


@final
@dataclass(frozen=True)
class DenseCoupling:
    """All pairs of two clouds at temperature eps."""

    source: Cloud
    target: Cloud
    eps: float
    p: int = 2
    dropped: float = 0.0
    rounding: float = 3e-14

    def rows(self, g: torch.Tensor, previous: Potential, *, moments: int) -> Potential:
        return _softmin(self.source, self.target, g, self.eps, self.p, previous, moments)

    def columns(self, f: torch.Tensor, previous: Potential, *, moments: int) -> Potential:
        return _softmin(self.target, self.source, f, self.eps, self.p, previous, moments)

    def settle(self) -> None:
        """Nothing is ever dropped."""


def _softmin(
    rows: Cloud, columns: Cloud, g: torch.Tensor, eps: float, p: int, previous: Potential, moments: int
) -> Potential:
    """-eps log sum_j b_j exp((g_j - |x_i - y_j|^p / p) / eps), and the derivatives of the same sum."""
    n, d = rows.points.shape  # rows, dimension
    m = len(columns)  # columns
    per_column = g / eps + columns.weights.log()
    values = torch.empty(n, dtype=g.dtype, device=g.device)
    image = torch.empty(n, d, dtype=g.dtype, device=g.device) if moments else previous.image
    second = moments == 2 and p == 2
    jacobian = torch.empty(n, d, d, dtype=g.dtype, device=g.device) if second else None
    chunk = max(1, _PAIRS_AT_A_TIME // m)
    for first in range(0, n, chunk):
        part = slice(first, first + chunk)
        x, y = rows.points[part], columns.points
        square = torch.zeros(len(x), m, dtype=g.dtype, device=g.device)
        for k in range(d):  # differences, not |x|^2 - 2 <x, y> + |y|^2: that cancels when eps is small
            square += (x[:, None, k] - y[None, :, k]).square_()
        cost = square.sqrt_() if p == 1 else square.div_(2)  # (chunk, m)
        exponent = per_column - cost / eps
        top = exponent.amax(1, keepdim=True)
        plan = exponent.sub_(top).exp_()
        total = plan.sum(1)
        values[part] = -eps * (top[:, 0] + total.log())
        if moments and p == 1:  # the gradient is the mean direction (x - y) / |x - y|
            plan = torch.where(cost > 0, plan / cost, 0.0)
            image[part] = x - (x * plan.sum(1)[:, None] - plan @ y) / total[:, None]
        elif moments:
            image[part] = (plan @ y) / total[:, None]
        if jacobian is not None:
            plan = plan / total[:, None]
            for k in range(d):
                centred = y[None, :, k] - image[part, None, k]
                for q in range(k + 1):
                    jacobian[part, k, q] = (plan * centred * (y[None, :, q] - image[part, None, q])).sum(1) / eps
                    jacobian[part, q, k] = jacobian[part, k, q]
    return Potential(values, image, jacobian)
