"""The answer of a transport problem: divergence, potentials, Brenier map, and how far they can be trusted."""

from __future__ import annotations

from functools import cached_property
from typing import final

import torch

from otreg.errors import ArgumentError
from otreg.measures import Measure
from otreg.transport.answer import Transport
from otreg.transport.brenier import BrenierMap, Pieces
from otreg.transport.extension import Extension, refine, sample_rows
from otreg.transport.neighbours import nearest
from otreg.transport.prepared import PreparedMeasure
from otreg.transport.pyramid import Cloud, Pyramid
from otreg.transport.reductions.base import Potential
from otreg.transport.solver import Solution
from otreg.transport.warm_start import WarmStart, padded_coordinates


@final
class EntropicTransport(Transport):
    """Debiased entropic transport between a source and a target measure.

    All lengths are in the units of the measures' points. ``value`` is
    S = OT_eps(a, b) - OT_eps(a, a)/2 - OT_eps(b, b)/2 + eps/2 (mass a - mass b)^2, with C = |x - y|^p / p, eps = blur^p
    (Feydy et al. 2019, Sejourne et al. 2019).
    """

    def __init__(self, source: PreparedMeasure, target: PreparedMeasure, cross: Solution, map_tolerance: float) -> None:
        """map_tolerance: largest rms error of the map that an expansion may have, over the larger of blur and map."""
        self._source, self._target, self._cross = source, target, cross
        self._map_tolerance = map_tolerance
        self._rules = cross.last.rules

    # --- value and certificate ---

    @property
    def p(self) -> int:
        """Exponent of the cost, 1 or 2: values and potentials are lengths^p."""
        return self._rules.p

    @property
    def value(self) -> float:
        """The debiased divergence S. It is never negative, so an estimate below zero (within its error) becomes 0."""
        return max(self.signed_value, 0.0)

    @cached_property
    def signed_value(self) -> float:
        """S as the potentials give it: smooth in the measures, and below zero at times by less than its error."""
        own = self._source.self_solution.last.value + self._target.self_solution.last.value
        return self._cross.last.value - own / 2 + self._mass_term

    @cached_property
    def lower(self) -> float:
        """Lower bound of S: of OT_eps on the cells by duality, less the estimated effect of the cells; at least 0."""
        own = self._source.self_solution.last.bounds.upper + self._target.self_solution.last.bounds.upper
        return max(self._cross.last.bounds.lower - own / 2 + self._mass_term - self.quantisation_error, 0.0)

    @cached_property
    def upper(self) -> float:
        """Upper bound of S: the cost of a feasible plan on the cells, plus the estimated effect of the cells."""
        own = self._source.self_solution.last.bounds.lower + self._target.self_solution.last.bounds.lower
        return max(self._cross.last.bounds.upper - own / 2 + self._mass_term + self.quantisation_error, 0.0)

    @cached_property
    def quantisation_error(self) -> float:
        """Estimated effect of the cells on S: its change from cells twice as large, which is several times more.

        0 where the iterations ran on the points themselves.
        """
        parts = (self._cross, self._source.self_solution, self._target.self_solution)
        if all(part.coarse_value is None for part in parts):
            return 0.0
        cross, a, b = (0.0 if part.coarse_value is None else part.last.value - part.coarse_value for part in parts)
        return abs(cross - (a + b) / 2)

    @cached_property
    def marginal_error(self) -> float:
        """Mass that the plan puts in the wrong place, as a share of the mass that it moves."""
        own = self._source.self_solution, self._target.self_solution
        return max(self._cross.last.marginal_error, *(part.last.marginal_error for part in own))

    @property
    def dropped_mass(self) -> float:
        """Bound on the share of plan mass in the pairs that truncation left out."""
        return self._cross.last.dropped

    @property
    def converged(self) -> bool:
        """True when the marginal error is within the tolerance, and the error of the value is if that was asked for."""
        return self.marginals_settled and (self._rules.value_tolerance is None or self.value_settled)

    @property
    def value_settled(self) -> bool:
        """True when the error of the value is within the value tolerance."""
        return self._rules.value_tolerance is not None and self.error <= self._rules.value_tolerance * self.value

    @property
    def marginals_settled(self) -> bool:
        """True when the marginal error is within the tolerance, on blocks that were searched near the answer."""
        parts = (self._cross, self._source.self_solution, self._target.self_solution)
        return self.marginal_error <= self._rules.tolerance and all(part.last.settled for part in parts)

    @property
    def mass(self) -> torch.Tensor:
        """Total mass of the source."""
        return self._source.measure.mass

    @property
    def status(self) -> str:
        """A sentence that says whether the answer can be trusted, and what to change if not."""
        error, sweeps, wanted = self.marginal_error, self.iterations, self._rules.value_tolerance
        if not self.marginals_settled:
            return (
                f"not converged: marginal error {error:.1e} above the tolerance {self._rules.tolerance:.1e} after "
                f"{sweeps} sweeps; allow more iterations or use a larger blur"
            )
        if wanted is None:
            return f"converged: marginal error {error:.1e} after {sweeps} sweeps"
        if self.value_settled:
            return f"converged: error of the value {self.error:.1e}, marginal error {error:.1e} after {sweeps} sweeps"
        return (
            f"not converged: error of the value {self.error:.1e} above {wanted:.1e} times the value {self.value:.3e}; "
            "the value is too small against the blur for that"
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
    def source_map(self) -> BrenierMap:
        """The map that moves the source towards the target, at every point of the source measure."""
        return self._map(self._source_side, -self._shift)

    @cached_property
    def target_map(self) -> BrenierMap:
        """The map that moves the target towards the source, at every point of the target measure."""
        return self._map(self._target_side, self._shift)

    @cached_property
    def source_gradient(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(dS/dpoints (n, d), dS/dweights (n,)) of the source."""
        return self._source_side.gradients

    @cached_property
    def target_gradient(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(dS/dpoints (m, d), dS/dweights (m,)) of the target."""
        return self._target_side.gradients

    @cached_property
    def source_feature_gradient(self) -> torch.Tensor | None:
        """dS/dfeatures (n, k) of the source; None where it has no features."""
        return self._source_side.feature_gradient

    @cached_property
    def target_feature_gradient(self) -> torch.Tensor | None:
        """dS/dfeatures (m, k) of the target; None where it has no features."""
        return self._target_side.feature_gradient

    def at(self, points: torch.Tensor, features: torch.Tensor | None = None) -> BrenierMap:
        """The map at any points of space: (k, d), by the closed-form extension of the potentials.

        A point moves like source mass that sits there, with those features, if the measures have any. Raises
        ArgumentError when the shapes are not those of the measures.
        """
        source = self._source
        d = source.measure.dimension
        if points.ndim != 2 or points.shape[1] != d:
            raise ArgumentError(f"points must be (k, {d}); got shape {tuple(points.shape)}.")
        if (features is None) != (source.measure.features is None):
            raise ArgumentError("features must be given exactly when the measures have them.")
        measure = Measure(points, torch.full_like(points[:, 0], 1 / len(points)), features)
        if torch.equal(measure.coordinates, source.measure.coordinates):
            return self.source_map
        pyramid = source.reduction.pyramid(measure, self._rules.cell * self._rules.blur)
        cloud = pyramid[0]
        cross, own = (function.anywhere(cloud) for function in (self._source_side.cross, source.self_extension))
        pieces = Pieces.of(cloud.points, cross, own, self._rules.source, self._rules.eps)
        return _in_order(pieces.map(d, -self._shift), pyramid)

    @property
    def warm_start(self) -> WarmStart:
        """What a nearby problem between as many points can start from."""
        source, target, cross = self._source, self._target, self._cross
        own = source.known_self_solution  # only if it is there: it is not worth a solve
        return WarmStart(
            source_points=source.coordinates,
            target_points=target.coordinates,
            source=_at_points(source.pyramid, cross.last.f, cross.source_level),
            target=_at_points(target.pyramid, cross.last.g, cross.target_level),
            source_self=None if own is None else _at_points(source.pyramid, own.last.g, own.source_level),
        )

    def warm_start_at(self, source: Measure, target: Measure) -> WarmStart:
        """What a problem between nearby measures with other points, or at another blur, can start from.

        The potentials are extended to the points of the measures, to first order.
        """
        old = self.warm_start
        width = old.source_points.shape[1]
        at_source, at_target = (padded_coordinates(measure, width) for measure in (source, target))

        def carried(potential: Potential, known: torch.Tensor, points: torch.Tensor) -> Potential:
            near = nearest(known, points)[:, 0]
            return potential.map(lambda values: values[near]).tangent(known[near], points)

        own = old.source_self
        return WarmStart(
            source_points=at_source,
            target_points=at_target,
            source=carried(old.source, old.source_points, at_source),
            target=carried(old.target, old.target_points, at_target),
            source_self=None if own is None else carried(own, old.source_points, at_source),
        )

    @cached_property
    def _shift(self) -> float:
        """Balanced potentials are known up to (F + s, G - s): the s that makes <a, F> = <b, G>."""
        if not self._rules.balanced:
            return 0.0
        halves = []
        for side, level, potential in (
            (self._source, self._cross.source_level, self._cross.last.f),
            (self._target, self._cross.target_level, self._cross.last.g),
        ):
            weights = side.pyramid[level].weights
            halves.append(
                float((weights * (potential.values - side.self_solution.last.f.values)).sum() / weights.sum())
            )
        return (halves[0] - halves[1]) / 2

    @cached_property
    def _source_side(self) -> _MappedSide:
        cross, last = self._cross, self._cross.last
        source, columns = self._source, self._target.pyramid[cross.target_level]
        function = Extension(source.pyramid, cross.source_level, last.f, columns, last.g, last.rules, source.reduction)
        return _MappedSide(source, function, self._map_tolerance)

    @cached_property
    def _target_side(self) -> _MappedSide:
        cross, columns = self._cross, self._source.pyramid[self._cross.source_level]
        target, rules = self._target, self._cross.last.rules.reversed()
        function = Extension(
            target.pyramid, cross.target_level, cross.last.g, columns, cross.last.f, rules, target.reduction
        )
        return _MappedSide(target, function, self._map_tolerance)

    def _map(self, side: _MappedSide, shift: float) -> BrenierMap:
        pieces, prepared = side.pieces, side.prepared
        return _in_order(pieces.map(prepared.measure.dimension, shift), prepared.pyramid)


@final
class _MappedSide:
    """One of the two measures with its cross potential as a function of space."""

    def __init__(self, prepared: PreparedMeasure, cross: Extension, map_tolerance: float) -> None:
        self.prepared = prepared
        self.cross = cross
        self._map_tolerance = map_tolerance

    @cached_property
    def pieces(self) -> Pieces:
        """At the measure's points, by Taylor expansion if a sample shows that it is good enough."""
        cloud = self.prepared.pyramid[0]
        cross, own = self.cross.expanded(), self.prepared.expanded_self_potential
        if cross is not None and own is not None:
            pieces = self._of(cloud.points, cross, own)
            if self.cross.level == 0 and self.prepared.self_extension.level == 0:
                return pieces
            if self._good_enough(cloud, cross, own, pieces):
                return pieces
        return self._of(cloud.points, self.cross.exact(), self.prepared.exact_self_potential)

    @property
    def gradients(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Of S by the measure's points (n, d) and weights (n,), in its order."""
        rules, order = self.cross.rules, self.prepared.pyramid.to_measure_order
        by_weights = self.pieces.by_weights(rules.source, rules.eps)
        return order(self._by_coordinates[:, : self.prepared.measure.dimension]), order(by_weights)

    @property
    def feature_gradient(self) -> torch.Tensor | None:
        """Of S by the measure's features (n, k), which are the last coordinates."""
        features = self.prepared.measure.features
        if features is None:
            return None
        first = self._by_coordinates.shape[1] - features.shape[1]
        return self.prepared.pyramid.to_measure_order(self._by_coordinates[:, first:])

    @property
    def _by_coordinates(self) -> torch.Tensor:
        """(n, D) gradient by padded positions and features, in the order of the pyramid."""
        return self.prepared.pyramid[0].weights[:, None] * self.pieces.gradient

    def _of(self, points: torch.Tensor, cross: Potential, own: Potential) -> Pieces:
        return Pieces.of(points, cross, own, self.cross.rules.source, self.cross.rules.eps)

    def _good_enough(self, cloud: Cloud, cross: Potential, own: Potential, pieces: Pieces) -> bool:
        rows = sample_rows(cloud)
        some = Cloud(cloud.points[rows], cloud.weights[rows], 0.0, None)
        exact = self._of(
            some.points,
            self.cross.at(some, cross.map(lambda values: values[rows])),
            self.prepared.self_extension.at(some, own.map(lambda values: values[rows])),
        )
        weights = some.weights / some.weights.sum()
        error = (weights * (pieces.gradient[rows] - exact.gradient).square().sum(1)).sum().sqrt()
        size = (weights * exact.gradient.square().sum(1)).sum().sqrt()
        return bool(error <= self._map_tolerance * size.clamp_min(self.cross.rules.blur))


def _in_order(result: BrenierMap, pyramid: Pyramid) -> BrenierMap:
    """A map at the pyramid's points, in the order of the measure."""
    order = pyramid.to_measure_order
    return BrenierMap(
        order(result.displacement), order(result.matched_mass), order(result.overlap), order(result.potential)
    )


def _at_points(pyramid: Pyramid, potential: Potential, level: int) -> Potential:
    """Its extension to the measure's points, in its order."""
    return refine(pyramid, potential, level, 0).map(pyramid.to_measure_order)
