"""The public door of the transport engine: settings of a debiased Sinkhorn divergence, and the call that solves it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from otreg.errors import ArgumentError
from otreg.measures import Measure
from otreg.transport.reductions import select_reduction
from otreg.transport.reductions.base import Potential
from otreg.transport.relaxation import Relaxation
from otreg.transport.result import PreparedMeasure, Transport
from otreg.transport.solver import Rules, solve_cross


@final
@dataclass(frozen=True)
class Sinkhorn:
    """Settings of the debiased divergence with cost C = |x - y|^2 / 2 at temperature eps = blur^2.

    blur: standard deviation of the entropic blur, a length. reach: length beyond which mass is left rather than moved
    (rho = reach^2); None conserves mass. tolerance: marginal error at which the iterations stop. max_iterations: sweeps
    at the last blur. reduction: "auto", "dense" or "cpu". Raises ArgumentError when a setting is out of range.
    """

    blur: float
    reach: float | None = None
    tolerance: float = 1e-3
    max_iterations: int = 300
    reduction: str = "auto"
    # The path: ratio of consecutive blurs and over-relaxation of the one sweep that each of them gets.
    ratio: float = 0.7
    over_relaxation: float = 1.2
    # Largest cell over the blur at the end and along the path (see the pyramid); block pairs with less than exp(-cut)
    # of a row's mass are left out.
    cell: float = 0.6
    path_cell: float = 1.2
    cut: float = 14.0

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
        if self.max_iterations < 1:
            raise ArgumentError(f"max_iterations must be at least 1; got {self.max_iterations}.")

    def prepare(self, measure: Measure) -> PreparedMeasure:
        """The measure with its pyramid and, on demand, its self potentials, to be used in several problems."""
        return PreparedMeasure(measure, self._rules, select_reduction(self.reduction, measure))

    def __call__(
        self,
        source: Measure | PreparedMeasure,
        target: Measure | PreparedMeasure,
        *,
        warm_start: tuple[Potential, Potential] | None = None,
    ) -> Transport:
        """Solve the problem between two measures of the same dimension and mass (any masses with a reach).

        warm_start: ``Transport.warm_start`` of a nearby problem with as many points; skips the annealing. Not reaching
        the tolerance is a status of the answer, not an error.
        """
        source = source if isinstance(source, PreparedMeasure) else self.prepare(source)
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
        if warm_start is not None:
            f, g = warm_start
            start = (_sorted(source, f), _sorted(target, g))
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
            over_relaxation=self.over_relaxation,
            cut=self.cut,
            cell=self.cell,
            path_cell=max(self.cell, self.path_cell),
        )


def _sorted(side: PreparedMeasure, potential: Potential) -> Potential:
    order = side.pyramid.from_measure_order
    return Potential(order(potential.values), order(potential.image))
