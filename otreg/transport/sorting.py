"""Transport on a line without blur, exactly: the plan that keeps the order of the mass, found by sorting.

For any convex cost the monotone plan is optimal (Santambrogio 2015, theorem 2.9): the mass of the source between the
quantiles s and t goes to that of the target between s and t. So the plan is a staircase of at most n + m pairs (i, j)
in which one index rises at a time, and optimal potentials are the sums of what the cost changes by along it. In between
two neighbouring points of one side, the point of the other side at which the staircase passes from one to the other is
the best partner for both, hence, as C(x, y') - C(x, y) is monotone in x, for all that lies between them: this extends
potentials and map to the whole line in closed form. Everything is O((n + m) log(n + m)) in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch

from otreg.errors import ArgumentError
from otreg.measures import Measure
from otreg.transport.answer import Transport
from otreg.transport.brenier import BrenierMap
from otreg.transport.sums import running_sums, sums_by_cell
from otreg.transport.warm_start import WarmStart

# Masses may differ by this share: float32 weights do not sum to one more precisely.
_SAME_MASS = 1e-4


@final
class SortedTransport(Transport):
    """The exact transport between two measures on a line, with cost C = |x - y|^p / p and all mass conserved.

    ``value`` is OT(a, b) = sum_ij plan_ij C(x_i, y_j), up to the rounding of float64 sums; OT(a, a) = 0, so there is
    nothing to debias. Potentials are those of Kantorovich: F(x) + G(y) <= C(x, y) wherever x or y holds mass, and
    value = <a, F> + <b, G>, with both halves equal. The displacement of a point is the way to the mean place of its
    mass in the monotone plan, for p = 1 too, where this plan is one of many optimal ones. Elsewhere ``at`` moves a
    point to the partner of the mass that comes next on either side. A point that shares its place or its mass between
    several partners has no gradient; what is returned is one of the supergradients.

    >>> import torch
    >>> from otreg.measures import Measure
    >>> third = torch.full((3,), 1 / 3)
    >>> source = Measure(torch.tensor([[0.0], [2.0], [1.0]]), third)
    >>> target = Measure(torch.tensor([[6.0], [4.0], [5.0]]), third)
    >>> transport = SortedTransport(source, target, p=1)
    >>> round(transport.value, 6), transport.displacement[:, 0].tolist()
    (4.0, [4.0, 4.0, 4.0])
    """

    def __init__(self, source: Measure, target: Measure, *, p: int) -> None:
        """Raises ArgumentError unless both measures lie on a line, without features, and have the same mass."""
        for name, measure in (("source", source), ("target", target)):
            if measure.dimension != 1:
                raise ArgumentError(
                    f"without blur only points on a line are transported; got a {name} with {measure.dimension} "
                    "coordinates. Choose a positive blur."
                )
            if measure.features is not None:
                raise ArgumentError(
                    "without blur points have no features, since these cannot be sorted along with the positions. "
                    "Choose a positive blur."
                )
        masses = tuple(float(measure.weights.detach().double().sum()) for measure in (source, target))
        if not math.isclose(*masses, rel_tol=_SAME_MASS):
            raise ArgumentError(
                f"transport without blur needs equal masses; got {masses[0]:g} and {masses[1]:g}. "
                "Normalise the weights."
            )
        self._source, self._target = (Measure(m.points.detach(), m.weights.detach()) for m in (source, target))
        self._p = p
        self._mass = (masses[0] + masses[1]) / 2
        self._plan = _Staircase.between(_Support.of(self._source), _Support.of(self._target), p)

    @property
    def p(self) -> int:
        """Exponent of the cost, 1 or 2: values and potentials are lengths^p."""
        return self._p

    @cached_property
    def value(self) -> float:
        """OT(a, b), exact."""
        return self._mass * float(self._plan.price)

    @property
    def signed_value(self) -> float:
        """The same: it is a sum of costs."""
        return self.value

    @property
    def lower(self) -> float:
        """The value itself."""
        return self.value

    @property
    def upper(self) -> float:
        """The value itself."""
        return self.value

    @property
    def quantisation_error(self) -> float:
        """0: no cells."""
        return 0.0

    @property
    def marginal_error(self) -> float:
        """0: all mass arrives."""
        return 0.0

    @property
    def dropped_mass(self) -> float:
        """0: no pair is left out."""
        return 0.0

    @property
    def converged(self) -> bool:
        """Always."""
        return True

    @property
    def status(self) -> str:
        """That there is nothing to converge."""
        return "converged: exact, by sorting"

    @property
    def iterations(self) -> int:
        """0: none are needed."""
        return 0

    @property
    def reduction(self) -> str:
        """ "sorting"."""
        return "sorting"

    @cached_property
    def source_map(self) -> BrenierMap:
        """The map that moves the source onto the target, at every point of the source measure."""
        return self._source_line.at(self._source.points)

    @cached_property
    def target_map(self) -> BrenierMap:
        """The map that moves the target onto the source, at every point of the target measure."""
        return self._target_line.at(self._target.points)

    def at(self, points: torch.Tensor, features: torch.Tensor | None = None) -> BrenierMap:
        """The map at any points of the line: (k, 1). Raises ArgumentError for another shape, or with features."""
        if points.ndim != 2 or points.shape[1] != 1:
            raise ArgumentError(f"points must be (k, 1); got shape {tuple(points.shape)}.")
        if features is not None:
            raise ArgumentError("features must be given exactly when the measures have them.")
        return self._source_line.at(points)

    @cached_property
    def source_gradient(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(dS/dpoints (n, 1), dS/dweights (n,)) of the source; the latter is F, up to a constant."""
        return self._source_line.gradient(self._source), self.source_map.potential

    @cached_property
    def target_gradient(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(dS/dpoints (m, 1), dS/dweights (m,)) of the target; the latter is G, up to a constant."""
        return self._target_line.gradient(self._target), self.target_map.potential

    @property
    def source_feature_gradient(self) -> None:
        """None: there are no features."""

    @property
    def target_feature_gradient(self) -> None:
        """None: there are no features."""

    @property
    def warm_start(self) -> WarmStart:
        """Raises ArgumentError: without blur there are no softmins to start from."""
        raise ArgumentError("transport without blur has no warm start; solve the other problem from the beginning.")

    def warm_start_at(self, source: Measure, target: Measure) -> WarmStart:
        """Raises ArgumentError: without blur there are no softmins to start from."""
        return self.warm_start

    @cached_property
    def _source_line(self) -> _Line:
        return self._plan.source_line(self._shift)

    @cached_property
    def _target_line(self) -> _Line:
        return self._plan.reversed().source_line(-self._shift)

    @cached_property
    def _shift(self) -> float:
        """Potentials are known up to (F - s, G + s): the s that makes <a, F> = <b, G>."""
        plan = self._plan
        return float(plan.source.shares @ plan.f - plan.target.shares @ plan.g) / 2


@final
@dataclass(frozen=True)
class _Support:
    """Where a measure on a line has mass, in order: points (n,) strictly increasing, shares (n,) of the mass, > 0.

    until: (n,) share of the mass up to and including each point; the last is exactly one.
    """

    points: torch.Tensor
    shares: torch.Tensor
    until: torch.Tensor

    @staticmethod
    def of(measure: Measure) -> _Support:
        """Equal points are one, and points without mass are none."""
        held = measure.weights > 0
        points, place = torch.unique(measure.points[held, 0].double(), return_inverse=True)
        place, order = place.sort(stable=True)
        weights = sums_by_cell(measure.weights[held].double()[order], place, len(points))
        # A parallel sum may fall by a rounding error; the running maximum may not.
        until = running_sums(weights).cummax(0).values
        return _Support(points, weights / until[-1], until / until[-1])


@final
@dataclass(frozen=True)
class _Staircase:
    """The monotone plan between two supports, with the potentials f, g that are tight along it.

    rows, columns: (n + m,) the pairs that share mass, in order; moved: (n + m,) how much, some of it 0. Where source
    and target run out of mass at once, the source goes on first: ``source_first``; in the reversed plan it is the
    other.
    """

    source: _Support
    target: _Support
    p: int
    f: torch.Tensor
    g: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor
    moved: torch.Tensor
    source_first: bool

    @staticmethod
    def between(source: _Support, target: _Support, p: int) -> _Staircase:
        """The plan from the quantiles, and the potentials from what the cost changes by along it."""
        stops = torch.cat([source.until, target.until]).sort().values
        # The mass between two stops belongs to the first point whose mass reaches the second of them.
        rows, columns = torch.searchsorted(source.until, stops), torch.searchsorted(target.until, stops)
        moved = torch.diff(stops, prepend=stops.new_zeros(1))
        x, y = source.points, target.points
        passing = _passing(source, target, first=True)
        f = torch.cat([x.new_zeros(1), running_sums(_change(x, y[passing], p))])
        rising = running_sums(_change(y, x[_passing(target, source, first=False)], p))
        g = _cost(x[0] - y[0], p) + torch.cat([y.new_zeros(1), rising])
        return _Staircase(source, target, p, f, g, rows, columns, moved, source_first=True)

    def reversed(self) -> _Staircase:
        """The same plan from the target to the source."""
        return _Staircase(
            self.target,
            self.source,
            self.p,
            self.g,
            self.f,
            self.columns,
            self.rows,
            self.moved,
            source_first=not self.source_first,
        )

    @property
    def price(self) -> torch.Tensor:
        """Cost of the plan per unit of mass, a scalar."""
        return self.moved @ _cost(self.source.points[self.rows] - self.target.points[self.columns], self.p)

    def source_line(self, shift: float) -> _Line:
        """Map and potential f - shift as functions on the line."""
        x, y = self.source.points, self.target.points
        to_partner = y[self.columns] - x[self.rows]
        to_last = y[torch.searchsorted(self.target.until, self.source.until)] - x
        ways = self._mean(to_partner, to_last)
        # Beyond its ends the source continues as it begins and ends.
        ends = torch.tensor([0, len(y) - 1], device=y.device)
        gaps = torch.cat([ends[:1], _passing(self.source, self.target, first=self.source_first), ends[1:]])
        return _Line(
            points=x,
            ways=ways,
            slopes=-(ways if self.p == 2 else self._mean(to_partner.sign(), to_last.sign())),
            potential=self.f - shift,
            partners=y[gaps],
            partner_potential=self.g[gaps] + shift,
            p=self.p,
        )

    def _mean(self, values: torch.Tensor, otherwise: torch.Tensor) -> torch.Tensor:
        """(n,) mean of the pairs' values over the mass of every source point.

        otherwise: (n,) for points whose share is below the rounding error of the quantiles, so that no pair holds it.
        """
        total, mass = (
            sums_by_cell(terms, self.rows, len(self.source.shares)) for terms in (self.moved * values, self.moved)
        )
        return torch.where(mass > 0, total / mass, otherwise)


@final
@dataclass(frozen=True)
class _Line:
    """Map and potential of one side as functions on the line.

    points: (n,) places of mass, with their ways (n,) to their partners, slopes (n,) of the cost and potential (n,).
    partners, partner_potential: (n + 1,) of what lies before, between and after them, with the other side's potential.
    """

    points: torch.Tensor
    ways: torch.Tensor
    slopes: torch.Tensor
    potential: torch.Tensor
    partners: torch.Tensor
    partner_potential: torch.Tensor
    p: int

    def at(self, points: torch.Tensor) -> BrenierMap:
        """points: (k, 1)."""
        z = points.detach()[:, 0].double().contiguous()
        after, here = self._find(z)
        between = self.partners[after] - z
        reached = _cost(between, self.p) - self.partner_potential[after]
        at_mass = after.clamp_max(len(self.points) - 1)
        one = torch.ones_like(z)
        return BrenierMap(
            displacement=torch.where(here, self.ways[at_mass], between)[:, None],
            matched_mass=one,
            overlap=one,
            potential=torch.where(here, self.potential[at_mass], reached),
        )

    def gradient(self, measure: Measure) -> torch.Tensor:
        """(n, 1) of the value by the points of the measure that this line was made from."""
        after, _ = self._find(measure.points[:, 0].double().contiguous())
        # A point without mass may lie beyond the last one with mass; it has no gradient anyway.
        slopes = self.slopes[after.clamp_max(len(self.points) - 1)]
        return (measure.weights.double() * slopes)[:, None]

    def _find(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(k,) index of the first place of mass that is not before z, and (k,) whether it is z itself."""
        after = torch.searchsorted(self.points, z)
        return after, self.points[after.clamp_max(len(self.points) - 1)] == z


def _passing(walker: _Support, other: _Support, *, first: bool) -> torch.Tensor:
    """(n - 1,) the point of the other side at which the staircase passes from each point of the walker to the next.

    first: whether the walker goes on before the other where both run out of mass at once.
    """
    at = torch.searchsorted(other.until, walker.until[:-1], right=not first)
    return at.clamp_max(len(other.points) - 1)


def _cost(way: torch.Tensor, p: int) -> torch.Tensor:
    """|way|^p / p."""
    return way.abs() if p == 1 else way.square() / 2


def _change(x: torch.Tensor, partner: torch.Tensor, p: int) -> torch.Tensor:
    """(n - 1,) C(x_{i+1}, partner_i) - C(x_i, partner_i), without cancellation."""
    if p == 1:
        return (x[1:] - partner).abs() - (x[:-1] - partner).abs()
    return (x[1:] - x[:-1]) * ((x[1:] - partner) + (x[:-1] - partner)) / 2
