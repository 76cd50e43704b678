"""The reference reduction: every pair, float64, a few lines of PyTorch, any device and dimension.

Slow and exact: the other reductions are tested against it. Rows are taken in chunks, so that memory stays bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch

from otreg.measures import Measure
from otreg.transport import devices
from otreg.transport.pyramid import Cloud, Pyramid, single_level
from otreg.transport.reductions.base import Potential, Temperature

# 2^20 pairs of float64 at a time: temporaries of 8 MiB, which stay near the caches.
_PAIRS_AT_A_TIME = 2**20
# On a GPU 2^24, a few temporaries of 128 MiB: enough to keep it busy.
_PAIRS_AT_A_TIME_GPU = 2**24


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
    complete: bool = True
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
    """-eps log sum_j b_j exp((g_j - |x_i - y_j|^p / p) / eps), and the derivatives of the same sum.

    When the device has no room for a chunk of rows, they are taken in smaller ones. Raises ResourceError when it has
    none for a single row.
    """
    per_column = g / eps + columns.weights.log()
    at_a_time = _PAIRS_AT_A_TIME if devices.in_main_memory(g) else _PAIRS_AT_A_TIME_GPU
    parts = devices.in_chunks(
        lambda some: _softmin_rows(rows.points[some], columns.points, per_column, eps, p, moments),
        count=len(rows),
        size=at_a_time // len(columns),
        short=f"no memory left on {g.device} for a sum over {len(columns)} points",
    )
    values, image = (torch.cat([getattr(part, name) for part in parts]) for name in ("values", "image"))
    if moments == 0:
        return Potential(values, previous.image)
    jacobians = [part.jacobian for part in parts if part.jacobian is not None]
    return Potential(values, image, torch.cat(jacobians) if jacobians else None)


def _softmin_rows(
    x: torch.Tensor, y: torch.Tensor, per_column: torch.Tensor, eps: float, p: int, moments: int
) -> Potential:
    """The softmin at rows x (k, D) over columns y (m, D); per_column: (m,) g_j / eps + log b_j."""
    square = torch.zeros(len(x), len(y), dtype=x.dtype, device=x.device)
    for k in range(x.shape[1]):  # differences, not |x|^2 - 2 <x, y> + |y|^2: that cancels when eps is small
        square += (x[:, None, k] - y[None, :, k]).square_()
    cost = square.sqrt_() if p == 1 else square.div_(2)  # (k, m)
    exponent = per_column - cost / eps
    top = exponent.amax(1, keepdim=True)
    plan = exponent.sub_(top).exp_()
    total = plan.sum(1)
    values = -eps * (top[:, 0] + total.log())
    if moments == 0:
        return Potential(values, x)
    if p == 1:  # the gradient is the mean direction (x - y) / |x - y|
        plan = (plan / cost).masked_fill(cost == 0, 0.0)
        return Potential(values, x - (x * plan.sum(1)[:, None] - plan @ y) / total[:, None])
    image = (plan @ y) / total[:, None]
    return Potential(values, image, _covariance(plan / total[:, None], y, image) / eps if moments == 2 else None)


def _covariance(plan: torch.Tensor, y: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """(k, D, D) covariance of each row of a plan (k, m) whose rows sum to one, around their means."""
    d = y.shape[1]
    out = torch.empty(len(plan), d, d, dtype=y.dtype, device=y.device)
    for k in range(d):
        weighted = plan * (y[None, :, k] - image[:, None, k])
        for q in range(k + 1):
            out[:, k, q] = (weighted * (y[None, :, q] - image[:, None, q])).sum(1)
            out[:, q, k] = out[:, k, q]
    return out
