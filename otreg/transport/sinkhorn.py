"""The public door of the transport engine: settings of a debiased Sinkhorn divergence, and the call that solves it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch

from otreg.errors import ArgumentError
from otreg.measures import Measure
from otreg.transport.reductions import Potential, select_reduction
from otreg.transport.relaxation import Relaxation
from otreg.transport.result import PreparedMeasure, Transport, WarmStart
from otreg.transport.solver import Rules, solve_cross

# Potentials of a source that has moved further than this (rms) are worth nothing.
_NEARBY_BLURS = 3.0


@final
@dataclass(frozen=True)
class Sinkhorn:
    """Settings of the debiased divergence with cost C = |x - y|^2 / 2 at temperature eps = blur^2.

    blur: standard deviation of the entropic blur, a length. reach: length beyond which mass is left rather than moved
    (rho = reach^2); None conserves mass. tolerance: marginal error at which the iterations stop. max_iterations: sweeps
    at the last blur. reduction: "auto", "dense", "cpu" or "keops". Raises ArgumentError when a setting is out of range.
    """

    blur: float
    reach: float | None = None
    tolerance: float = 1e-3
    max_iterations: int = 300
    reduction: str = "auto"
    # The path: ratio of consecutive blurs, sweeps that each of them gets, and their over-relaxation. One sweep leaves
    # long waves in the potentials that take hundreds of sweeps at the last blur (bent shapes, conserved mass).
    ratio: float = 0.7
    path_sweeps: int = 2
    over_relaxation: float = 1.5
    # Largest cell over the blur at the end and along the path (see the pyramid); what holds less than exp(-cut) of a
    # row's mass is left out, by default a twentieth of the tolerance.
    cell: float = 0.6
    path_cell: float = 1.2
    cut: float | None = None

    def __post_init__(self) -> None:
        for name in ("blur", "reach", "tolerance"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                remedy = " Omit it to conserve mass." if name == "reach" else ""
                raise ArgumentError(f"{name} must be positive and finite; got {value}.{remedy}")
        if not 0 < self.ratio < 1:
            raise ArgumentError(f"ratio must lie strictly between 0 and 1; got {self.ratio}.")
        if not 0 < self.over_relaxation < 2:
            raise ArgumentError(f"over_relaxation must lie strictly between 0 and 2; got {self.over_relaxation}.")
        for name in ("max_iterations", "path_sweeps"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"{name} must be at least 1; got {getattr(self, name)}.")

    def prepare(self, measure: Measure, *, self_start: Potential | None = None) -> PreparedMeasure:
        """The measure with its pyramid and, on demand, its self potentials, to be used in several problems.

        self_start: a guess of the self potential, e.g. that of ``Transport.warm_start``.
        """
        return PreparedMeasure(measure, self._rules, select_reduction(self.reduction, measure), self_start)

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
        if not isinstance(source, PreparedMeasure):
            source = self.prepare(source, self_start=None if warm_start is None else _carried_along(warm_start, source))
        target = target if isinstance(target, PreparedMeasure) else self.prepare(target)
        a, b = source.measure, target.measure
        if a.dimension != b.dimension:
            raise ArgumentError(f"source and target must have one dimension; got {a.dimension} and {b.dimension}.")
        if self.reach is None and not math.isclose(float(a.mass), float(b.mass), rel_tol=1e-4):
            raise ArgumentError(
                f"balanced transport needs equal masses; got {float(a.mass):g} and {float(b.mass):g}. "
                "Normalise the weights or set a reach."
            )
        start = None
        if warm_start is not None and _rms(warm_start.source_points, a) <= _NEARBY_BLURS * self.blur:
            start = (
                source.sorted(_moved(warm_start.source, warm_start.source_points, a)),
                target.sorted(_moved(warm_start.target, warm_start.target_points, b)),
            )
        cross = solve_cross(source.pyramid, target.pyramid, self._rules, source.reduction, start)
        return Transport(source, target, cross)

    @property
    def _rules(self) -> Rules:
        return Rules(
            blur=self.blur,
            relaxation=Relaxation(None if self.reach is None else self.reach**2),
            tolerance=self.tolerance,
            max_iterations=self.max_iterations,
            ratio=self.ratio,
            path_sweeps=self.path_sweeps,
            over_relaxation=self.over_relaxation,
            cut=max(8.0, 3.0 - math.log(self.tolerance)) if self.cut is None else self.cut,
            cell=self.cell,
            path_cell=max(self.cell, self.path_cell),
        )


def _step(origin: torch.Tensor, measure: Measure) -> torch.Tensor:
    """(n, d) way of the points of a measure from where they were."""
    if len(origin) != len(measure):
        raise ArgumentError(f"a warm start needs as many points as before; got {len(measure)}, had {len(origin)}.")
    return measure.points.double() - origin.double()


def _rms(origin: torch.Tensor, measure: Measure) -> float:
    """How far the points of a measure are from where they were, root mean square."""
    return float(((measure.weights * _step(origin, measure).square().sum(1)).sum() / measure.mass).sqrt())


def _moved(potential: Potential, origin: torch.Tensor, measure: Measure) -> Potential:
    """A potential that was found at the points ``origin``, as a guess at the points of the measure."""
    known = potential.image.shape[1]  # coordinates, padded to 3 by some reductions
    old, step = (torch.nn.functional.pad(p.double(), (0, known - p.shape[1])) for p in (origin, _step(origin, measure)))
    return potential.upper_bound(old, old + step)


def _carried_along(warm_start: WarmStart, source: Measure) -> Potential | None:
    """The source's self potential after a motion: near points are still near, so it and its image go along."""
    own = warm_start.source_self
    if own is None:
        return None
    step = _step(warm_start.source_points, source)
    return Potential(own.values, own.image + torch.nn.functional.pad(step, (0, own.image.shape[1] - step.shape[1])))
