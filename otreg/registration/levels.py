"""The registration problem at one blur: coarse measures, and the loss of a model on them.

A blur sees nothing finer than itself, so the moved source is quantised to cells of 1.2 blur, and each cell is moved by
the model through the centroid of its points *before* they moved: the model is always fitted in source coordinates.
Landmarks are further rows of that fit, and a further term of the loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from otreg.losses import divergence
from otreg.measures import Measure
from otreg.models import Model
from otreg.registration.landmarks import Springs
from otreg.registration.turning import moved_features
from otreg.transport import PreparedMeasure, Sinkhorn, Transport, WarmStart, devices
from otreg.transport.pyramid import build_pyramid
from otreg.transport.pyramid_torch import build_pyramid_on_device

# Cell over blur. From 0.6 to 1.2 the errors on real pairs differ by 2 %; 1.2 keeps the clouds small.
_CELL = 1.2
# A model with hundreds of parameters must see as many points as that, however large the blur: fewer cells than this are
# refined, up to three times.
_LEAST_CELLS = 1000
_REFINEMENTS = 3
# Cells are so many times larger in the features than in space: they need to tell the sides of a sheet apart, which lie
# seven blurs apart by default, but not every change of a normal.
_FEATURE_CELL = 4.0
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

    moved: (k, d); landmarks: (l, d) where it puts those, l = 0 without any; pull: energy of their springs; loss:
    divergence plus penalty plus pull, in squared frame units times mass; slack: rises of the loss that are within its
    noise; featured: whether the transport compares features.
    """

    model: Model
    moved: torch.Tensor
    landmarks: torch.Tensor
    transport: Transport
    pull: float
    loss: float
    slack: float
    featured: bool


@dataclass(frozen=True)
class Rows:
    """What a least-squares step follows: the cells, then the landmarks.

    points, here: (r, d) before the model and after it; wanted: (r, d) where they ask to go; weights: (r,); mass: of the
    cells alone, to which the penalty of the model is relative.
    """

    points: torch.Tensor
    here: torch.Tensor
    wanted: torch.Tensor
    weights: torch.Tensor
    mass: float

    def fit(self, model: Model, wanted: torch.Tensor) -> Model:
        """The model of that class which comes closest to ``wanted`` (r, d)."""
        # Where nothing of the shape is matched, the landmarks are all there is.
        return model.fit(self.points, wanted, self.weights, mass=self.mass or None)


class TargetLevel:
    """The target at one blur and reach: cells, pyramid and self potentials, the same for every stage."""

    def __init__(self, target: Measure, *, blur: float, reach: float | None, reduction: str) -> None:
        self.blur, self.reach = blur, reach
        self.sinkhorn = Sinkhorn(
            blur=blur, reach=reach, reduction=reduction, tolerance=_TOLERANCE, max_iterations=_SWEEPS, cell=_NO_MERGING
        )
        self.prepared = self.sinkhorn.prepare(_quantise(target, None, _CELL * blur))


class Level:
    """Source and target at one blur and reach, ready for many evaluations."""

    def __init__(
        self,
        source: Measure,
        target: TargetLevel,
        model: Model,
        *,
        springs: Springs | None = None,
        turning: bool = False,
        spacing: float = 0.0,
    ) -> None:
        """model: the map so far; the source is quantised where it puts it. springs: landmarks, if there are any.
        turning: whether the source's features are normals, which turn with the model. spacing: between neighbouring
        points of the shapes: what is finer is due to the sampling."""
        self.blur, self.reach = target.blur, target.reach
        self.target, self._sinkhorn = target.prepared, target.sinkhorn
        self.all_points, self.spacing = source.points, spacing
        self._turning = turning
        self._cells = _quantise(source, model, _CELL * target.blur, turning=turning)
        self.points, self.weights = self._cells.points, self._cells.weights
        self.featured = self._cells.features is not None
        self._springs = springs
        # All points that a step follows, and what each of them weighs before any matching.
        self._fitted = self.points if springs is None else torch.cat([self.points, springs.points])
        self.row_weights = self.weights if springs is None else torch.cat([self.weights, springs.weights])

    def evaluate(self, model: Model, warm_start: WarmStart | Transport | None) -> Evaluation:
        """The loss of a model and the transport that says where each cell wants to go.

        warm_start: a transport of another level has its potentials carried over to this one's cells.
        """
        with torch.no_grad():
            moved, landmarks = self._split(model(self._fitted))
            source = self.measure(model, moved)
            if isinstance(warm_start, Transport):
                warm_start = warm_start.warm_start_at(source, self.target.measure)
            transport = self._sinkhorn(source, self.target, warm_start=warm_start)
            penalty = float(model.penalty()) * float((self.weights * transport.matched_mass).sum())
            pull = 0.0 if self._springs is None else float(self._springs.energy(landmarks))
            slack = self.blur**2 * max(transport.marginal_error, _TOLERANCE) ** 2
            loss = transport.signed_value + penalty + pull
            return Evaluation(model, moved, landmarks, transport, pull, loss, slack, self.featured)

    def measure(self, model: Model, moved: torch.Tensor) -> Measure:
        """The cells at ``moved``, where the model puts them, with their features there."""
        features = self._cells.features
        if features is not None:
            features = moved_features(features, model, self.points, turning=self._turning)
        return Measure(moved, self.weights, features)

    def rows(self, state: Evaluation, ways: torch.Tensor, weights: torch.Tensor) -> Rows:
        """What the next least-squares step follows: the cells along ``ways`` (k, d) with ``weights`` (k,), and the
        landmarks towards their partners."""
        rows = Rows(self.points, state.moved, state.moved + ways, weights, float(weights.sum()))
        if self._springs is None:
            return rows
        return Rows(
            points=self._fitted,
            here=torch.cat([rows.here, state.landmarks]),
            wanted=torch.cat([rows.wanted, self._springs.targets]),
            weights=torch.cat([weights, self._springs.weights]),
            mass=rows.mass,
        )

    def differentiable_loss(self, model: Model, solver: WarmSolver) -> torch.Tensor:
        """Divergence plus penalty plus pull as a scalar that torch optimisers can differentiate through the model."""
        moved, landmarks = self._split(model(self._fitted))
        source, target = self.measure(model, moved), self.target.measure
        features = None
        if source.features is not None and target.features is not None:
            features = (source.features, target.features)
        loss = divergence(source.points, source.weights, target.points, target.weights, solver, features=features)
        pull = 0.0 if self._springs is None else self._springs.energy(landmarks)
        return loss + model.penalty() + pull

    def warm_solver(self) -> WarmSolver:
        """A solver for :meth:`differentiable_loss` that starts each problem from the previous one."""
        return WarmSolver(self._sinkhorn, self.target)

    def _split(self, placed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The cells and the landmarks among the points that a model has moved."""
        return placed[: len(self.points)], placed[len(self.points) :]


class WarmSolver:
    """Solves source -> fixed target, each time from the last potentials; remembers the last transport."""

    def __init__(self, sinkhorn: Sinkhorn, target: PreparedMeasure) -> None:
        self._sinkhorn, self._target = sinkhorn, target
        self.last: Transport | None = None

    def __call__(self, source: Measure, target: Measure) -> Transport:
        self.last = self._sinkhorn(source, self._target, warm_start=self.last.warm_start if self.last else None)
        return self.last


def _quantise(measure: Measure, model: Model | None, cell: float, *, turning: bool = False) -> Measure:
    """Cells of the points where the model puts them: centroids, masses and features, before the model moves them.

    turning: whether the features are normals. Near points turn nearly alike, so it hardly matters for the cells how
    they do: here they all turn as in the middle of the shape, which undoes whatever pose the source is in.
    """
    if measure.dimension > 3:
        return measure
    moved, features = measure.points, measure.features
    if model is not None:
        with torch.no_grad():
            moved = model(measure.points)
        if features is not None:
            features = moved_features(features, model, measure.points.mean(0, keepdim=True), turning=turning)
    # A source much smaller than the target must not end in one cell: its size is what the first level has to find.
    extent = float((moved.max(0).values - moved.min(0).values).norm())
    if extent > 0:
        cell = min(cell, _LARGEST_SHARE * extent)
    finest = cell / 2**_REFINEMENTS
    build = build_pyramid if devices.in_main_memory(moved) else build_pyramid_on_device
    coarse_features = None if features is None else features / _FEATURE_CELL
    pyramid = build(Measure(moved, measure.weights, coarse_features), finest)
    level = pyramid.level(cell * 1.001)
    while level > 0 and len(pyramid[level]) < _LEAST_CELLS and pyramid[level].cell > 1.001 * finest:
        level -= 1

    def coarsened(values: torch.Tensor) -> torch.Tensor:
        return pyramid.coarsen(pyramid.from_measure_order(values.double()), level)

    centroids = coarsened(measure.points)
    at_rest = None if measure.features is None else coarsened(measure.features)
    return Measure(centroids, pyramid[level].weights, at_rest)
