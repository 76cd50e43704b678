"""The seam: everything that touches all pairs of points goes through a reduction, and nothing else does.

The Sinkhorn loop knows levels, potentials and temperatures; a reduction knows how to sum over pairs. ``dense`` is the
readable reference; the others are fast and must agree with it within the truncation that they report.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from otreg.measures import Measure
from otreg.transport import devices
from otreg.transport.pyramid import Cloud, Pyramid
from otreg.transport.pyramid_kernels import LARGEST_STRETCH, expand


@dataclass(frozen=True)
class Temperature:
    """What a coupling must know of the problem.

    p: 1 or 2, of the cost C(x, y) = |x - y|^p / p. eps: temperature, a length^p. source_damping, target_damping:
    factors between a softmin on that side and the potential that the other side sees. cut: pairs of blocks may be left
    out of a softmin whose share of it is bounded by exp(-cut).
    """

    p: int
    eps: float
    source_damping: float
    target_damping: float
    cut: float


@dataclass(frozen=True)
class Potential:
    """A softmin of the other side's potential on the points of a cloud, with its derivatives written as an image.

    values: (n,) f, *before* any damping; image: (n, D) T with grad f = x - T: for p = 2 the barycentre of the plan's
    row. jacobian: (n, D, D) of T, where it is known: for p = 2 the covariance of the plan's row over eps. For p = 2 the
    map x -> f(x) - |x|^2/2 is concave, so f(z) <= f(x) + <x - T, z - x> + |z - x|^2/2 for every z.
    """

    values: torch.Tensor
    image: torch.Tensor
    jacobian: torch.Tensor | None = None

    def damped(self, cloud: Cloud, damping: float) -> Potential:
        """The dual potential that the other side sees, damping * f, with its own gradient."""
        if damping == 1.0:
            return self
        return Potential(damping * self.values, cloud.points + damping * (self.image - cloud.points))

    def at(self, cloud: Cloud, children: Cloud) -> Potential:
        """The extension from the cells of ``cloud`` to the points of the finer level ``children``."""
        assert cloud.parents is not None
        parent = cloud.parents
        if self.jacobian is not None and devices.in_main_memory(parent):
            return self._expanded_in_cells(cloud, children, parent)
        return self.map(lambda values: values[parent]).extended(cloud.points[parent], children.points)

    def _expanded_in_cells(self, cloud: Cloud, children: Cloud, parent: torch.Tensor) -> Potential:
        """The same as ``extended``, compiled: a pass over millions of points instead of eight."""
        assert self.jacobian is not None
        arrays = (children.points, parent, cloud.points, self.values, self.image, self.jacobian)
        values, image = expand(*(array.contiguous().numpy() for array in arrays))
        # The Jacobian is worth its memory only where further levels follow.
        jacobian = self.jacobian[parent] if children.cell > 0 else None
        return Potential(torch.from_numpy(values), torch.from_numpy(image), jacobian)

    def towards(self, other: Potential, share: float) -> Potential:
        """self + share (other - self), values and gradients alike."""
        return Potential(
            self.values + share * (other.values - self.values), self.image + share * (other.image - self.image)
        )

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Potential:
        """Values and derivatives, each through ``change`` along the first axis: another order, another level."""
        jacobian = None if self.jacobian is None else change(self.jacobian)
        return Potential(change(self.values), change(self.image), jacobian)

    def extended(self, origin: torch.Tensor, points: torch.Tensor) -> Potential:
        """At other points, (n, D): the Taylor extension from ``origin``, to second order with a Jacobian."""
        if self.jacobian is None:
            return self.tangent(origin, points)
        step = points - origin
        trace = self.jacobian.diagonal(dim1=1, dim2=2).sum(1)
        tame = (LARGEST_STRETCH / trace.clamp_min(1e-300)).clamp_max(1.0)
        turned = (self.jacobian @ step[:, :, None])[:, :, 0] * tame[:, None]
        values = self.values + ((origin - self.image + (step - turned) / 2) * step).sum(1)
        return Potential(values, self.image + turned, self.jacobian)

    def tangent(self, origin: torch.Tensor, points: torch.Tensor) -> Potential:
        """At other points, (n, D): the first-order extension from the points ``origin`` where it is known."""
        return Potential(self.values + ((origin - self.image) * (points - origin)).sum(1), self.image)

    def upper_bound(self, origin: torch.Tensor, points: torch.Tensor, p: int) -> Potential:
        """At other points, (n, D): a bound that the softmin never exceeds, up to the accuracy of its gradient."""
        step = (points - origin).square().sum(1)
        if p == 1:  # the softmin is 1-Lipschitz
            return Potential(self.values + step.sqrt(), self.image + (points - origin))
        tangent = self.tangent(origin, points)
        return Potential(tangent.values + step / 2, self.image)


class Coupling(Protocol):
    """Two clouds at one temperature, ready for repeated softmins; blocks of pairs that cannot matter are left out."""

    @property
    def complete(self) -> bool:
        """True when no pair was left out at all."""
        ...

    @property
    def dropped(self) -> float:
        """Bound on the share of a softmin's sum in the pairs that were left out, averaged over the rows."""
        ...

    @property
    def rounding(self) -> float:
        """Error of a softmin by the arithmetic, in units of eps."""
        ...

    def rows(self, g: torch.Tensor, previous: Potential, *, moments: int) -> Potential:
        """softmin over the columns: -eps log sum_j b_j exp((g_j - C_ij) / eps) for every row i.

        previous: a guess of the result, which shifts the exponents. moments: 0 computes values and keeps the
        derivatives of ``previous``; 1 computes the image as well, 2 also its Jacobian (only for p = 2).
        """
        ...

    def columns(self, f: torch.Tensor, previous: Potential, *, moments: int) -> Potential:
        """The same over the rows, for every column."""
        ...

    def settle(self) -> None:
        """Permit to drop the pairs that the last softmins measured to be negligible, for the iterations to come."""
        ...


class Reduction(Protocol):
    """A backend: builds the levels of measures and couples clouds."""

    @property
    def name(self) -> str: ...

    def pyramid(self, measure: Measure, finest_cell: float) -> Pyramid:
        """The levels on which this backend works; cells no finer than ``finest_cell`` above the points."""
        ...

    def couple(self, source: Cloud, target: Cloud, f: Potential, g: Potential, temperature: Temperature) -> Coupling:
        """Prepare softmins around the potentials f of the rows and g of the columns."""
        ...
