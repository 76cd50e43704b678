"""The registration problem at one blur: coarse measures, and the loss of a model on them.

A blur sees nothing finer than itself, so both measures are quantised to cells of its size, and each cell of the source
is moved by the model through the centroid of its points *before* they moved: the model is always fitted in source
coordinates. Landmarks are further rows of that fit, and a further term of the loss.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from otreg.losses import divergence
from otreg.measures import Measure
from otreg.models import Model
from otreg.registration.cells import Cells
from otreg.registration.landmarks import Springs
from otreg.registration.turning import moved_features
from otreg.transport import PreparedMeasure, Sinkhorn, Transport, WarmStart

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

    def __init__(
        self, target: Cells, *, blur: float, reach: float | None, reduction: str, density: float = 1.0
    ) -> None:
        """density: the target's mass is divided by it."""
        self.blur, self.reach = blur, reach
        self.sinkhorn = Sinkhorn(
            blur=blur, reach=reach, reduction=reduction, tolerance=_TOLERANCE, max_iterations=_SWEEPS, cell=_NO_MERGING
        )
        cells = target.at(blur)
        self.prepared = self.sinkhorn.prepare(replace(cells, weights=cells.weights / density))


class Level:
    """Source and target at one blur and reach, ready for many evaluations."""

    def __init__(
        self,
        source: Cells,
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
        self.all_points, self.spacing = source.measure.points, spacing
        self._turning = turning
        self._cells = source.at(target.blur, model, turning=turning)
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
