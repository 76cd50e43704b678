"""The registration problem at one blur: coarse measures, and the loss of a model on them.

A blur sees nothing finer than itself, so the moved source is quantised to cells of 1.2 blur, and each cell is moved by
the model through the centroid of its points *before* they moved: the model is always fitted in source coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from otreg.losses import divergence
from otreg.measures import Measure
from otreg.models import Model
from otreg.transport import PreparedMeasure, Sinkhorn, Transport, WarmStart
from otreg.transport.pyramid import build_pyramid

# Cell over blur. From 0.6 to 1.2 the errors on real pairs differ by 2 %; 1.2 keeps the clouds small.
_CELL = 1.2
# A model with hundreds of parameters must see as many points as that, however large the blur: fewer cells than this are
# refined, up to three times.
_LEAST_CELLS = 1000
_REFINEMENTS = 3
# Largest cell over the diagonal of what is quantised.
_LARGEST_SHARE = 0.2
# The engine must not merge the cells once more: it looks for finer ones and finds none worth having.
_NO_MERGING = 0.05
# Marginal error at which a transport is good enough to step along.
_TOLERANCE = 3e-3
_SWEEPS = 60


@dataclass(frozen=True)
class Evaluation:
    """A model on one level: where it puts the cells, the transport from there, and the loss.

    moved: (k, d); loss: divergence plus penalty, in squared frame units times mass; slack: rises of the loss that are
    within its noise.
    """

    model: Model
    moved: torch.Tensor
    transport: Transport
    loss: float
    slack: float


class TargetLevel:
    """The target at one blur and reach: cells, pyramid and self potentials, the same for every stage."""

    def __init__(self, target: Measure, *, blur: float, reach: float | None, reduction: str) -> None:
        self.blur, self.reach = blur, reach
        self.sinkhorn = Sinkhorn(
            blur=blur, reach=reach, reduction=reduction, tolerance=_TOLERANCE, max_iterations=_SWEEPS, cell=_NO_MERGING
        )
        points, weights = _quantise(target, None, _CELL * blur)
        self.prepared = self.sinkhorn.prepare(Measure(points, weights))


class Level:
    """Source and target at one blur and reach, ready for many evaluations."""

    def __init__(self, source: Measure, target: TargetLevel, model: Model) -> None:
        """model: the map so far; the source is quantised where it puts it."""
        self.blur, self.reach = target.blur, target.reach
        self.target, self._sinkhorn = target.prepared, target.sinkhorn
        self.points, self.weights = _quantise(source, model, _CELL * target.blur)

    def evaluate(self, model: Model, warm_start: WarmStart | None) -> Evaluation:
        """The loss of a model and the transport that says where each cell wants to go."""
        with torch.no_grad():
            moved = model(self.points)
            transport = self._sinkhorn(Measure(moved, self.weights), self.target, warm_start=warm_start)
            penalty = float(model.penalty()) * float((self.weights * transport.matched_mass).sum())
            slack = self.blur**2 * max(transport.marginal_error, _TOLERANCE) ** 2
            return Evaluation(model, moved, transport, transport.signed_value + penalty, slack)

    def warm_start(self, transport: Transport, model: Model) -> WarmStart:
        """The potentials of the level before, carried over to this one's cells."""
        with torch.no_grad():
            return transport.warm_start_at(Measure(model(self.points), self.weights), self.target.measure)

    def differentiable_loss(self, model: Model, solver: WarmSolver) -> torch.Tensor:
        """Divergence plus penalty as a scalar that torch optimisers can differentiate through the model."""
        moved = model(self.points)
        target = self.target.measure
        return divergence(moved, self.weights, target.points, target.weights, solver) + model.penalty()

    def warm_solver(self) -> WarmSolver:
        """A solver for :meth:`differentiable_loss` that starts each problem from the previous one."""
        return WarmSolver(self._sinkhorn, self.target)


class WarmSolver:
    """Solves source -> fixed target, each time from the last potentials; remembers the last transport."""

    def __init__(self, sinkhorn: Sinkhorn, target: PreparedMeasure) -> None:
        self._sinkhorn, self._target = sinkhorn, target
        self.last: Transport | None = None

    def __call__(self, source: Measure, target: Measure) -> Transport:
        self.last = self._sinkhorn(source, self._target, warm_start=self.last.warm_start if self.last else None)
        return self.last


def _quantise(measure: Measure, model: Model | None, cell: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Cells of the points where the model puts them: centroids (k, d) in the measure's own coordinates, masses (k,)."""
    if measure.points.device.type != "cpu" or measure.dimension > 3:
        return measure.points, measure.weights
    moved = measure.points if model is None else model(measure.points)
    # A source much smaller than the target must not end in one cell: its size is what the first level has to find.
    extent = float((moved.max(0).values - moved.min(0).values).norm())
    if extent > 0:
        cell = min(cell, _LARGEST_SHARE * extent)
    finest = cell / 2**_REFINEMENTS
    pyramid = build_pyramid(Measure(moved, measure.weights), finest)
    level = pyramid.level(cell * 1.001)
    while level > 0 and len(pyramid.levels[level]) < _LEAST_CELLS and pyramid.levels[level].cell > 1.001 * finest:
        level -= 1
    return pyramid.coarsen(pyramid.from_measure_order(measure.points.double()), level), pyramid.levels[level].weights
