"""The answer of a transport problem: divergence, potentials, Brenier map, and how far they can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.spatial import cKDTree

from otreg.errors import ArgumentError
from otreg.measures import Measure
from otreg.transport.pyramid import Cloud, Pyramid
from otreg.transport.reductions.base import Potential, Reduction
from otreg.transport.solver import Rules, Solution, extend, extend_to, refine, solve_self

# A point whose mass stays almost wholly behind has no reliable direction: its displacement is damped, not amplified.
_SMALLEST_MATCHED_SHARE = 0.03
# Where nothing at all is matched, against what the source matches of itself.
_NOTHING_MATCHED = 1e-6


@dataclass(frozen=True)
class BrenierMap:
    """The map at some points.

    displacement: (n, d) where each asks to go; matched_mass: (n,) share of its mass that the plan moves, 1 when
    balanced; overlap: (n,) the same over its share in the plan of the source with itself, 1 where the target is just as
    there and 0 where nothing is within reach; potential: (n,) the debiased potential F = f_ab - f_aa, whose gradient is
    -displacement when balanced.
    """

    displacement: torch.Tensor
    matched_mass: torch.Tensor
    overlap: torch.Tensor
    potential: torch.Tensor


@dataclass(frozen=True)
class WarmStart:
    """Potentials at the points of two measures, in their order, from which a nearby problem starts.

    source_points, target_points: (n, d), (m, d) where they hold; source, target: cross potentials f, g; source_self:
    the source's self potential, None if it was never needed.
    """

    source_points: torch.Tensor
    target_points: torch.Tensor
    source: Potential
    target: Potential
    source_self: Potential | None


class PreparedMeasure:
    """A measure with its pyramid and, once asked for, its self potentials: build once, use in many problems."""

    def __init__(
        self, measure: Measure, rules: Rules, reduction: Reduction, self_start: Potential | None = None
    ) -> None:
        """self_start: a guess of the self potential at the measure's points, in their order."""
        self.measure = measure
        self.rules = rules
        self.reduction = reduction
        self.pyramid: Pyramid = reduction.pyramid(measure, rules.cell * rules.blur)
        self._self_start = None if self_start is None else self.sorted(self_start)

    def sorted(self, potential: Potential) -> Potential:
        """A potential at the measure's points, in the order of the pyramid's points."""
        return potential.map(self.pyramid.from_measure_order)

    @cached_property
    def self_solution(self) -> Solution:
        """Potential and value of OT_eps(measure, measure)."""
        return solve_self(self.pyramid, self.rules, self.reduction, self._self_start)

    @cached_property
    def self_extension(self) -> Potential:
        """softmin of the self potential at the measure's points (levels[0]), with barycentres."""
        own = self.self_solution
        if own.source_level == 0:
            return own.f
        cloud = self.pyramid.levels[own.source_level]
        return extend(self.pyramid, own.source_level, own.f, cloud, own.g, self.rules, self.reduction)


class Transport:
    """Debiased entropic transport between a source and a target measure.

    All lengths are in the units of the measures' points. ``value`` is
    S = OT_eps(a, b) - OT_eps(a, a)/2 - OT_eps(b, b)/2 + eps/2 (mass a - mass b)^2, with C = |x - y|^2/2, eps = blur^2
    (Feydy et al. 2019, Sejourne et al. 2019).
    """

    def __init__(self, source: PreparedMeasure, target: PreparedMeasure, cross: Solution) -> None:
        self._source, self._target, self._cross = source, target, cross
        self._rules = source.rules

    # --- value and certificate ---

    @property
    def value(self) -> float:
        """The debiased divergence S. It is never negative, so an estimate below zero (within its error) becomes 0."""
        return max(self.signed_value, 0.0)

    @cached_property
    def signed_value(self) -> float:
        """S as the potentials give it: smooth in the measures, and below zero at times by less than its error."""
        own = self._source.self_solution.value + self._target.self_solution.value
        return self._cross.value - own / 2 + self._mass_term

    @cached_property
    def lower(self) -> float:
        """Lower bound of S: of OT_eps on the cells by duality, less the estimated effect of the cells; at least 0."""
        own = self._source.self_solution.bounds.upper + self._target.self_solution.bounds.upper
        return max(self._cross.bounds.lower - own / 2 + self._mass_term - self.quantisation_error, 0.0)

    @cached_property
    def upper(self) -> float:
        """Upper bound of S: the cost of a feasible plan on the cells, plus the estimated effect of the cells."""
        own = self._source.self_solution.bounds.lower + self._target.self_solution.bounds.lower
        return max(self._cross.bounds.upper - own / 2 + self._mass_term + self.quantisation_error, 0.0)

    @property
    def error(self) -> float:
        """Largest distance from ``value`` to the ends of [lower, upper]."""
        return max(self.upper - self.value, self.value - self.lower)

    @cached_property
    def quantisation_error(self) -> float:
        """Estimated effect of the cells on S: its change from cells twice as large, which is several times more.

        0 where the iterations ran on the points themselves.
        """
        parts = (self._cross, self._source.self_solution, self._target.self_solution)
        if all(part.coarse_value is None for part in parts):
            return 0.0
        cross, a, b = (0.0 if part.coarse_value is None else part.value - part.coarse_value for part in parts)
        return abs(cross - (a + b) / 2)

    @cached_property
    def marginal_error(self) -> float:
        """Mass that the plan puts in the wrong place, as a share of the mass that it moves."""
        own = self._source.self_solution, self._target.self_solution
        return max(self._cross.marginal_error, *(part.marginal_error for part in own))

    @property
    def dropped_mass(self) -> float:
        """Bound on the share of plan mass in the pairs that truncation left out."""
        return self._cross.dropped

    @property
    def converged(self) -> bool:
        """True when the marginal error is within the tolerance."""
        # The last sweep re-searches the active blocks, which may move the error by the mass dropped before.
        return self.marginal_error <= 1.5 * self._rules.tolerance

    @property
    def status(self) -> str:
        """A sentence that says whether the answer can be trusted, and what to change if not."""
        if self.converged:
            return f"converged: marginal error {self.marginal_error:.1e} after {self.iterations} sweeps"
        return (
            f"not converged: marginal error {self.marginal_error:.1e} above the tolerance {self._rules.tolerance:.1e} "
            f"after {self.iterations} sweeps; allow more iterations or use a larger blur"
        )

    @property
    def iterations(self) -> int:
        """Sinkhorn sweeps of the cross problem, on all levels."""
        return self._cross.iterations

    @property
    def reduction(self) -> str:
        """Name of the backend that did the sums."""
        return self._source.reduction.name

    @property
    def _mass_term(self) -> float:
        a, b = float(self._source.measure.mass), float(self._target.measure.mass)
        return self._rules.eps * (a - b) ** 2 / 2

    # --- potentials and map at the measures' points ---

    @cached_property
    def _source_extension(self) -> Potential:
        cloud = self._target.pyramid.levels[self._cross.target_level]
        level, f, g = self._cross.source_level, self._cross.f, self._cross.g
        if level == 0:
            return f
        return extend(self._source.pyramid, level, f, cloud, g, self._rules, self._source.reduction)

    @cached_property
    def _target_extension(self) -> Potential:
        cloud = self._source.pyramid.levels[self._cross.source_level]
        level, f, g = self._cross.target_level, self._cross.f, self._cross.g
        return extend(self._target.pyramid, level, g, cloud, f, self._rules, self._source.reduction)

    @cached_property
    def source_map(self) -> BrenierMap:
        """The map that moves the source towards the target, at every point of the source measure."""
        return self._map_of(self._source, self._source_extension, -self._shift)

    @cached_property
    def target_map(self) -> BrenierMap:
        """The map that moves the target towards the source, at every point of the target measure."""
        return self._map_of(self._target, self._target_extension, self._shift)

    @property
    def displacement(self) -> torch.Tensor:
        """(n, d) debiased Brenier displacement of every source point."""
        return self.source_map.displacement

    @property
    def matched_mass(self) -> torch.Tensor:
        """(n,) share of every source point's mass that the plan moves."""
        return self.source_map.matched_mass

    @property
    def potential_source(self) -> torch.Tensor:
        """(n,) debiased potential F = f_ab - f_aa on the source."""
        return self.source_map.potential

    @property
    def potential_target(self) -> torch.Tensor:
        """(m,) debiased potential G = g_ab - g_bb on the target."""
        return self.target_map.potential

    @cached_property
    def source_gradient(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(dS/dpoints (n, d), dS/dweights (n,)) of the source."""
        return self._gradient(self._source, self._source_extension)

    @cached_property
    def target_gradient(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(dS/dpoints (m, d), dS/dweights (m,)) of the target."""
        return self._gradient(self._target, self._target_extension)

    def at(self, points: torch.Tensor) -> BrenierMap:
        """The map at any points of space: (k, d), by the closed-form extension of the potentials.

        A point moves like source mass that sits there. Raises ArgumentError when d is not the measures' dimension.
        """
        source = self._source
        d = source.measure.dimension
        if points.ndim != 2 or points.shape[1] != d:
            raise ArgumentError(f"points must be (k, {d}); got shape {tuple(points.shape)}.")
        if torch.equal(points, source.measure.points):
            return self.source_map
        weights = torch.full_like(points[:, 0], 1 / len(points))
        pyramid = source.reduction.pyramid(Measure(points, weights), self._rules.cell * self._rules.blur)
        cross, own = self._cross, source.self_solution
        extended = [
            self._extend_to(pyramid.levels[0], source.pyramid.levels[k], f, columns, g)
            for k, f, columns, g in (
                (cross.source_level, cross.f, self._target.pyramid.levels[cross.target_level], cross.g),
                (own.source_level, own.f, source.pyramid.levels[own.source_level], own.g),
            )
        ]
        return self._map(pyramid, extended[0], extended[1], d, -self._shift)

    def _extend_to(self, points: Cloud, known: Cloud, f: Potential, columns: Cloud, g: Potential) -> Potential:
        """softmin of g at new points; its guess is the tangent bound from the nearest point where f is known."""
        near = _nearest(known.points, points.points)
        guess = f.map(lambda values: values[near]).upper_bound(known.points[near], points.points)
        return extend_to(points, guess, columns, g, self._rules, self._source.reduction)

    @property
    def warm_start(self) -> WarmStart:
        """What a nearby problem between as many points can start from."""
        source, target, cross = self._source, self._target, self._cross
        own = source.__dict__.get("self_solution")  # only if it is there: it is not worth a solve
        return WarmStart(
            source_points=source.measure.points,
            target_points=target.measure.points,
            source=_at_points(source.pyramid, cross.f, cross.source_level),
            target=_at_points(target.pyramid, cross.g, cross.target_level),
            source_self=None if own is None else _at_points(source.pyramid, own.g, own.source_level),
        )

    @cached_property
    def _shift(self) -> float:
        """Balanced potentials are known up to (F + s, G - s): the s that makes <a, F> = <b, G>."""
        if self._rules.relaxation.rho is not None:
            return 0.0
        halves = []
        for side, level, potential in (
            (self._source, self._cross.source_level, self._cross.f),
            (self._target, self._cross.target_level, self._cross.g),
        ):
            weights = side.pyramid.levels[level].weights
            halves.append(float((weights * (potential.values - side.self_solution.f.values)).sum() / weights.sum()))
        return (halves[0] - halves[1]) / 2

    def warm_start_at(self, source_points: torch.Tensor, target_points: torch.Tensor) -> WarmStart:
        """What a problem between other points of nearby measures, or at another blur, can start from.

        source_points (n, d), target_points (m, d): the potentials are extended to them, to first order.
        """
        old = self.warm_start

        def carried(potential: Potential, known: torch.Tensor, points: torch.Tensor) -> Potential:
            width = potential.image.shape[1]
            known, new = (torch.nn.functional.pad(p.double(), (0, width - p.shape[1])) for p in (known, points))
            near = _nearest(known, new)
            return potential.map(lambda values: values[near]).tangent(known[near], new)

        own = old.source_self
        return WarmStart(
            source_points=source_points,
            target_points=target_points,
            source=carried(old.source, old.source_points, source_points),
            target=carried(old.target, old.target_points, target_points),
            source_self=None if own is None else carried(own, old.source_points, source_points),
        )

    def _map_of(self, side: PreparedMeasure, cross: Potential, shift: float) -> BrenierMap:
        return self._map(side.pyramid, cross, side.self_extension, side.measure.dimension, shift)

    def _pieces(
        self, pyramid: Pyramid, cross: Potential, own: Potential
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Damped potentials f_ab and f_aa, kept shares m_ab and m_aa, and m_ab (x - T_ab) - m_aa (x - T_aa)."""
        relaxation, damping = self._rules.relaxation, self._rules.damping
        points = pyramid.levels[0].points
        f, f_own = damping * cross.values, damping * own.values
        kept, kept_own = relaxation.kept(f), relaxation.kept(f_own)
        gradient = kept[:, None] * (points - cross.image) - kept_own[:, None] * (points - own.image)
        return f, f_own, kept, kept_own, gradient

    def _map(self, pyramid: Pyramid, cross: Potential, own: Potential, d: int, shift: float) -> BrenierMap:
        f, f_own, kept, kept_own, gradient = self._pieces(pyramid, cross, own)
        floor = torch.maximum(_SMALLEST_MATCHED_SHARE * kept.max(), _NOTHING_MATCHED * kept_own.max())
        displacement = -gradient / torch.maximum(kept, floor)[:, None]
        order = pyramid.to_measure_order
        return BrenierMap(
            displacement=order(displacement)[:, :d].contiguous(),
            matched_mass=order(kept),
            overlap=order(kept / kept_own.clamp_min(1e-300)),
            potential=order(f - f_own + shift),
        )

    def _gradient(self, side: PreparedMeasure, cross: Potential) -> tuple[torch.Tensor, torch.Tensor]:
        f, f_own, kept, kept_own, gradient = self._pieces(side.pyramid, cross, side.self_extension)
        rho, eps = self._rules.relaxation.rho, self._rules.eps
        weights = f - f_own if rho is None else (rho + eps) * (kept_own - kept)
        points = side.pyramid.levels[0].weights[:, None] * gradient
        order = side.pyramid.to_measure_order
        return order(points)[:, : side.measure.dimension].contiguous(), order(weights)


def _at_points(pyramid: Pyramid, potential: Potential, level: int) -> Potential:
    """First-order extension to the measure's points, in its order."""
    return refine(pyramid, potential, level, 0).map(pyramid.to_measure_order)


def _nearest(known: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """(k,) index of the known point closest to each of the points."""
    _, nearest = cKDTree(known.cpu().numpy()).query(points.cpu().numpy(), workers=-1)
    return torch.from_numpy(np.asarray(nearest)).to(points.device)
