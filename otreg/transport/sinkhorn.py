"""The public door of the transport engine: settings of a debiased Sinkhorn divergence, and the call that solves it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

from otreg.errors import ArgumentError
from otreg.measures import Measure
from otreg.measures.checks import check_measure
from otreg.transport.answer import Transport
from otreg.transport.prepared import PreparedMeasure
from otreg.transport.reductions import Potential, Reduction, select_reduction
from otreg.transport.relaxation import Relaxation
from otreg.transport.result import EntropicTransport
from otreg.transport.rules import Rules
from otreg.transport.solver import solve_cross
from otreg.transport.sorting import SortedTransport
from otreg.transport.warm_start import WarmStart

# Potentials of a source that has moved further than this (rms) are worth nothing.
_NEARBY_BLURS = 3.0
# After smaller motions (rms) the potentials are good in all but the shortest waves.
_STILL_BLURS = 0.05
# Marginal errors that are out of reach in float32, and at all.
_FLOAT32_TOLERANCE, _FINEST_TOLERANCE = 3e-5, 1e-11
# Errors of the value, over blur^p times the mass, that are not worth asking for.
_LEAST_ERROR = 1e-11
# Masses that count as the same, and as exactly the same.
_SAME_MASS, _ROUNDING = 1e-4, 1e-14


Reach = float | None | tuple[float | None, float | None]


@final
@dataclass(frozen=True)
class Sinkhorn:
    """Settings of the debiased divergence with cost C = |x - y|^p / p at temperature eps = blur^p.

    blur: a length; for p = 2 the standard deviation of the entropic blur; 0, for measures on a line without reach and
    features, asks for the exact transport (see :class:`SortedTransport`). reach: length beyond which mass is left
    rather than moved (rho = reach^p); None conserves mass; a pair sets it for source and target apart. p: 2 or 1.
    tolerance: marginal error at which the iterations stop. value_tolerance: error of the divergence, over its value,
    down to which the problem is solved again with a finer tolerance, finer cells and at last in float64; None does not
    ask. max_iterations: sweeps at the last blur. reduction: "auto", "dense", "cpu", "keops" or "triton". precision:
    "float32" for the sums of the cpu reduction (the rest is float64 anyway), or "float64", slower.
    map_tolerance: rms error of the map, over the larger of its rms length and the blur, up to which it may come from a
    Taylor expansion; 0 always computes the exact extension. Raises ArgumentError when a setting is out of range.
    """

    blur: float
    reach: Reach = None
    p: int = 2
    tolerance: float = 1e-3
    value_tolerance: float | None = None
    max_iterations: int = 300
    reduction: str = "auto"
    precision: str = "float32"
    map_tolerance: float = 5e-3
    # The path: ratio of consecutive blurs, sweeps that each of them gets (by default 3 when mass is conserved, where
    # the extrapolation to the next blur rewards it, else 2), and their over-relaxation.
    ratio: float = 0.7
    path_sweeps: int | None = None
    over_relaxation: float = 1.5
    # Largest cell over the blur at the end and along the path (see the pyramid); what holds less than exp(-cut) of a
    # row's mass is left out, by default a twentieth of the tolerance.
    cell: float = 0.7
    path_cell: float = 1.4
    cut: float | None = None

    def __post_init__(self) -> None:
        if self.blur == 0 and self.reaches != (None, None):
            raise ArgumentError(
                f"blur may be 0 only where all mass moves; got reach {self.reach}. Omit the reach or choose a positive "
                "blur."
            )
        for name, value in (
            ("blur", self.blur or None),  # 0 asks for the exact transport
            ("reach", self.reaches[0]),
            ("reach", self.reaches[1]),
            ("tolerance", self.tolerance),
            ("value_tolerance", self.value_tolerance),
            ("cell", self.cell),
            ("path_cell", self.path_cell),
            ("cut", self.cut),
        ):
            if value is not None and not (value > 0 and math.isfinite(value)):
                remedy = " Omit it to conserve mass." if name == "reach" else ""
                raise ArgumentError(f"{name} must be positive and finite; got {value}.{remedy}")
        if self.p not in (1, 2):
            raise ArgumentError(f"p must be 1 or 2; got {self.p}.")
        for name, length in (("blur", self.blur or 1.0), *(("reach", reach) for reach in self.reaches)):
            if length is not None and not 1e-150 < length < 1e150:
                raise ArgumentError(f"{name} must lie between 1e-150 and 1e150; got {length}. Use another unit.")
        if self.precision not in ("float32", "float64"):
            raise ArgumentError(f"precision must be 'float32' or 'float64'; got '{self.precision}'.")
        if not self.map_tolerance >= 0:
            raise ArgumentError(f"map_tolerance must be at least 0; got {self.map_tolerance}.")
        if not 0 < self.ratio < 1:
            raise ArgumentError(f"ratio must lie strictly between 0 and 1; got {self.ratio}.")
        if not 0 < self.over_relaxation < 2:
            raise ArgumentError(f"over_relaxation must lie strictly between 0 and 2; got {self.over_relaxation}.")
        for name in ("max_iterations", "path_sweeps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ArgumentError(f"{name} must be at least 1; got {value}.")

    @property
    def reaches(self) -> tuple[float | None, float | None]:
        """The reach of the source and that of the target."""
        if isinstance(self.reach, tuple | list):
            source, target = self.reach
            return source, target
        return self.reach, self.reach

    def prepare(
        self, measure: Measure, *, as_target: bool = False, self_start: Potential | None = None
    ) -> PreparedMeasure:
        """The measure with its pyramid and, on demand, its self potentials, to be used in several problems.

        as_target: matters where the two reaches differ. self_start: a guess of the self potential, e.g. that of
        ``Transport.warm_start``.
        """
        if self.blur == 0:
            raise ArgumentError("there is nothing to prepare for blur 0; pass the measures themselves.")
        check_measure(measure, "target" if as_target else "source")
        rules = self._rules.of_target() if as_target else self._rules.of_source()
        return PreparedMeasure(measure, rules, self._reduction(measure), self_start)

    def __call__(
        self,
        source: Measure | PreparedMeasure,
        target: Measure | PreparedMeasure,
        *,
        warm_start: WarmStart | None = None,
    ) -> Transport:
        """Solve the problem between two measures of the same dimension and mass (any masses with a reach).

        warm_start: ``Transport.warm_start`` of a nearby problem with as many points; skips the annealing. Not reaching
        the tolerance is a status of the answer, not an error.
        """
        if self.blur == 0:
            return SortedTransport(_bare(source), _bare(target), p=self.p)
        a, b = _bare(source), _bare(target)
        if a.dimension != b.dimension:
            raise ArgumentError(f"source and target must have one dimension; got {a.dimension} and {b.dimension}.")
        if a.coordinates.shape[1] != b.coordinates.shape[1]:
            widths = [m.coordinates.shape[1] - m.dimension for m in (a, b)]
            raise ArgumentError(f"source and target must have the same features; got {widths[0]} and {widths[1]}.")
        if self.reaches == (None, None):
            target = _of_mass(target, float(a.weights.double().sum()))
        if isinstance(source, PreparedMeasure):
            self._check_prepared(source, self._rules.of_source())
        else:
            source = self.prepare(source, self_start=None if warm_start is None else warm_start.self_potential(source))
        if isinstance(target, PreparedMeasure):
            self._check_prepared(target, self._rules.of_target())
        else:
            target = self.prepare(target, as_target=True)
        b = target.measure
        start, motion = None, 0.0
        if warm_start is not None:
            motion = warm_start.motion(a, b)
            if motion <= _NEARBY_BLURS * self.blur:
                f, g = warm_start.potentials(a, b, p=self.p, balanced=self._rules.balanced)
                start = source.sorted(f), target.sorted(g)
        moved = motion > _STILL_BLURS * self.blur
        cross = solve_cross(source.pyramid, target.pyramid, self._rules, source.reduction, start, moved=moved)
        transport = EntropicTransport(source, target, cross, self.map_tolerance)
        finer = self._finer(transport)
        return transport if finer is None else finer(a, b, warm_start=transport.warm_start)

    def _finer(self, transport: EntropicTransport) -> Sinkhorn | None:
        """Settings that bring the value closer to its tolerance; None when it holds, or nothing finer is left."""
        if self.value_tolerance is None or transport.value_settled:
            return None
        allowed = self.value_tolerance * transport.value
        if allowed <= _LEAST_ERROR * self.blur**self.p * float(transport.mass) or not transport.marginals_settled:
            return None  # what no arithmetic or the sweeps could not reach, more of the same will not
        if transport.quantisation_error > allowed / 2:
            return replace(self, cell=self.cell / 2, path_cell=self.path_cell / 2)
        if self.tolerance <= _FINEST_TOLERANCE:
            return None
        tolerance = max(self.tolerance / 10, _FINEST_TOLERANCE)
        precision = "float64" if tolerance < _FLOAT32_TOLERANCE else self.precision
        return replace(self, tolerance=tolerance, precision=precision)

    def _check_prepared(self, prepared: PreparedMeasure, rules: Rules) -> None:
        known = prepared.rules
        if (known.p, known.blur, known.sides) != (rules.p, rules.blur, rules.sides):
            raise ArgumentError(
                f"a measure must be prepared by the settings that use it; got one for blur {known.blur:g} and p = "
                f"{known.p}, or for another reach or side. Prepare it again."
            )

    def _reduction(self, measure: Measure) -> Reduction:
        return select_reduction(self.reduction, measure, exact=self.precision == "float64")

    @property
    def _rules(self) -> Rules:
        source, target = (Relaxation(None if reach is None else reach**self.p) for reach in self.reaches)
        return Rules(
            blur=self.blur,
            p=self.p,
            source=source,
            target=target,
            least_reach=min(math.inf if reach is None else reach for reach in self.reaches),
            tolerance=self.tolerance,
            value_tolerance=self.value_tolerance,
            max_iterations=self.max_iterations,
            ratio=self.ratio,
            path_sweeps=self.path_sweeps or (3 if self.reaches == (None, None) else 2),
            over_relaxation=self.over_relaxation,
            cut=max(8.0, 3.0 - math.log(self.tolerance)) if self.cut is None else self.cut,
            cell=self.cell,
            path_cell=max(self.cell, self.path_cell),
        )


def _bare(measure: Measure | PreparedMeasure) -> Measure:
    return measure.measure if isinstance(measure, PreparedMeasure) else measure


def _of_mass(target: Measure | PreparedMeasure, mass: float) -> Measure | PreparedMeasure:
    """The target with exactly that mass: sums of weights differ by rounding, and conserved mass has no room for it."""
    b = _bare(target)
    weights = b.weights.double()
    own = float(weights.sum())
    if not math.isclose(mass, own, rel_tol=_SAME_MASS):
        raise ArgumentError(
            f"balanced transport needs equal masses; got {mass:g} and {own:g}. Normalise the weights or set a reach."
        )
    if math.isclose(mass, own, rel_tol=_ROUNDING):
        return target
    return Measure(b.points, weights * (mass / own), b.features)
